"""The routes of the dashboard: its page, and the files that this asks for.

The page is one for all views and holds nothing of the hub, so it needs no key; it is never kept,
since it names files that the next version may not have. These have names that change with what is
in them, and are kept for ever. Nothing but files that were there at the start is served: a path is
a name to be looked up, and never becomes one of the disk.
"""

import asyncio
import re
from pathlib import Path, PurePosixPath
from typing import Final

from starlette.responses import Response

from tenuto.dashboard.built import COMPRESSED, Built
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import RouteNotFoundError
from tenuto.http.links import Links
from tenuto.http.own_paths import DASHBOARD
from tenuto.http.routing import Call, Endpoint, Route, bound

PATH: Final = f"/{DASHBOARD}"

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' "
    "data:; font-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
_OF_THE_PAGE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Of its own calls, it tells a server behind plain http that they are the page's.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_OF_ASSETS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_UNKNOWN: Final = "application/octet-stream"

_PREFIX: Final = re.compile(r'(<meta name="tenuto-prefix" content=")[^"]*(")')
_ASSETS: Final = re.compile(rf'((?:src|href)=")(?:\./|{PATH}/)(assets/)')
_NO_GZIP: Final = re.compile(r"gzip\s*;\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)

UNBUILT: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tenuto</title>
<body>
<h1>Your functions app is up and running.</h1>
<p>There is no dashboard: in this checkout it has not been built (folder <code>dashboard/</code>).
The HTTP API is all there, and <code>tenuto instances list</code> shows what orchestrations do.</p>
</body>
</html>
"""


class DashboardPages:
    """Serves the page and its files.

    Args:
        built: What the build has made; None for a page that says that there is none.
        links: Says how callers see this server.
    """

    def __init__(self, built: Built | None, links: Links) -> None:
        self._index = UNBUILT if built is None else built.index
        self._assets = {} if built is None else built.assets
        self._links = links
        self.front: Route = Route(method="GET", path="/", role=None, handler=self.page)
        """The page at the root, where nothing else is."""

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def page(self, call: Call) -> Response:
        """The page, with addresses as this caller needs them."""
        prefix = self._links.prefix(call)
        text = _PREFIX.sub(rf"\g<1>{prefix}\g<2>", self._index, count=1)
        text = _ASSETS.sub(rf"\g<1>{prefix}{PATH}/\g<2>", text)
        return Response(text, 200, _OF_THE_PAGE, media_type="text/html")

    async def asset(self, call: Call) -> Response:
        name = call.parameters["name"]
        if name not in self._assets or name.endswith(COMPRESSED):
            raise RouteNotFoundError(f"the dashboard has no file {name!r}")
        is_compressed = f"{name}{COMPRESSED}" in self._assets and _takes_gzip(call)
        sent = f"{name}{COMPRESSED}" if is_compressed else name
        headers = {**_OF_ASSETS, "ETag": f'"{sent}"'}
        known = {one.removeprefix("W/") for one in call.listed_header("if-none-match")}
        if not known.isdisjoint({f'"{sent}"', "*"}):
            return Response(None, 304, headers)
        if is_compressed:
            headers["Content-Encoding"] = "gzip"
        media_type = _MEDIA_TYPES.get(PurePosixPath(name).suffix, _UNKNOWN)
        return Response(await _read(self._assets[sent]), 200, headers, media_type=media_type)


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        raise RouteNotFoundError(
            f"the dashboard's file {path.name!r} is gone since the host has started; another "
            "version has been installed over it"
        ) from None


def _takes_gzip(call: Call) -> bool:
    """Whether a caller says so, and not that it does not (``gzip;q=0``)."""
    taken = call.listed_header("accept-encoding")
    return any(one.lower().startswith("gzip") and not _NO_GZIP.fullmatch(one) for one in taken)


_PAGE: Final = Operation(
    summary="The dashboard, for people",
    tag="dashboard",
    answers={200: Answer(text="The page.", kind=str, media_type="text/html")},
)
_ASSET: Final = Operation(
    summary="A file that the dashboard's page asks for",
    tag="dashboard",
    answers={
        200: Answer(text="The file, to be kept for ever.", kind=str, media_type="*/*"),
        304: Answer(text="The caller has it."),
    },
    errors=(404,),
)
_ENDPOINTS: Final = (
    Endpoint("GET", PATH, None, DashboardPages.page, _PAGE),
    Endpoint("GET", f"{PATH}/assets/{{name}}", None, DashboardPages.asset, _ASSET),
)
