"""Calls of the server's own page: only they may use its session.

A browser sends a cookie with whatever any page asks for. What tells who asked is, in this order:
``Sec-Fetch-Site``, which browsers add where the address is https or this machine; ``Origin``, which
they add to what changes something; ``Referer``, which our page has them add to the rest. No page of
another origin can set one of them to ours. Where none is there, it is no call of the page.

And what changes something carries a header of its own, which no form, frame or image can have, and
no script of another origin without asking first.
"""

from collections.abc import Collection
from typing import Final

from tenuto.http.errors import ForbiddenError
from tenuto.http.options import HttpSettings
from tenuto.http.routing import Call

CHANGES: Final = "x-tenuto-session"

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN: Final = (
    "a session counts only for what this server's own page asks for; send a key instead"
)


class PageCalls:
    """Tells calls of the page from others.

    Args:
        settings: May say what else the server is called.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._own_host = "" if settings.base_url is None else _host_of(settings.base_url)

    def check(self, call: Call) -> None:
        """See that a call with a session was sent by the page.

        Raises:
            ForbiddenError: it was not, or nothing tells; or it changes something and lacks the
                header that says so.
        """
        if not self._is_by_page(call):
            raise ForbiddenError(_FOREIGN)
        if call.scope["method"] not in _SAFE and call.header(CHANGES) != "1":
            raise ForbiddenError(
                f"with a session, what changes something needs the header {CHANGES}: 1"
            )

    def check_not_foreign(self, call: Call) -> None:
        """See that a call is not one of another page; who is no browser tells nothing.

        Raises:
            ForbiddenError: it is.
        """
        if self._is_by_page(call) is False:
            raise ForbiddenError(_FOREIGN)

    def _is_by_page(self, call: Call) -> bool | None:
        """Whether it was sent by the page; None when nothing tells."""
        site = call.header("sec-fetch-site")
        if site is not None:
            return site == "same-origin" or (site == "none" and _is_document(call))
        origin = call.header("origin") or call.header("referer")
        return None if origin is None else _host_of(origin) in self._hosts(call)

    def _hosts(self, call: Call) -> Collection[str]:
        return {(call.header("host") or "").lower(), self._own_host} - {""}


def _is_document(call: Call) -> bool:
    """Whether a person has typed an address, or opened a bookmark."""
    return call.scope["method"] in _SAFE and call.header("sec-fetch-dest") == "document"


def _host_of(address: str) -> str:
    return address.partition("://")[2].partition("/")[0].lower()
