"""The reserved activity behind ``ctx.call_http``: one request, from first byte to last.

Owns the HTTP client of the host (made when it is first needed), redirects, token sources, and which
headers may go to which server: to another than the caller meant, only what is surely harmless.
Never writes a token into history, never lets a body grow past the limit of a payload, and keeps no
cookies: what one instance was given is no other's.
"""

import asyncio
import codecs
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tenuto.engine.ports import Clock
from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.outbound import OutboundPolicy, OutboundSettings
from tenuto.functions.registry import TokenSource
from tenuto.functions.user_calls import is_given_up
from tenuto.model.errors import HttpCallError, UnknownFunctionError
from tenuto.model.http_call import (
    MANAGED_IDENTITY,
    HttpAnswer,
    HttpRequest,
    ManagedIdentity,
    ManagedIdentityTokenSource,
)
from tenuto.model.limits import limit_error
from tenuto.model.timing import MICROSECONDS

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MAX_REDIRECTS: Final = 10

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEPING_THE_METHOD: Final = frozenset({307, 308})
_HARMLESS: Final = re.compile(
    r"accept(?:-[a-z-]+)?|content-[a-z-]+|user-agent|traceparent|tracestate", re.IGNORECASE
)
"""Headers that may go anywhere. A list of the secret ones would miss the next name of a key."""
_BODY_HEADERS: Final = frozenset({"content-type", "content-length", "content-encoding"})
_PORTS: Final = {"http": 80, "https": 443}
_MOST_PORT: Final = 65_535
_DRAINED_BYTES: Final = 64 * 1024
"""So much of an answer that nobody wants is read, for the sake of the connection."""
_SLOW_CODECS: Final = frozenset({"idna", "punycode"})
"""They write names of hosts, and take the square of a text's length: hours for a long answer."""


class HttpActivity:
    """Makes requests for the orchestrations of a host.

    Args:
        token_sources: The functions that give tokens, by name.
        clock: Measures the time that a request takes.
        settings: Where requests may go, and how long one may take.
        payload_bytes: Longest body of an answer.
    """

    def __init__(
        self,
        token_sources: Mapping[str, TokenSource],
        clock: Clock,
        settings: OutboundSettings,
        payload_bytes: int,
    ) -> None:
        self._token_sources = token_sources
        self._clock = clock
        self._timeout_seconds = settings.timeout_seconds
        self._policy = OutboundPolicy(settings)
        self._payload_bytes = payload_bytes
        self._client: httpx2.AsyncClient | None = None

    async def run(self, context: ActivityContext, request: HttpRequest) -> HttpAnswer:
        """Make the request, redirects included.

        Raises:
            ConnectionError: there is no answer.
            HttpCallError: the request cannot be made, its token source is not registered, or the
                answer is not text.
            LimitError: the answer is too long.
            OutboundRefusedError: the address may not be called.
            TimeoutError: it took too long.
        """
        what = f"{request.method} {request.url}"
        sending = self._send(request, context.trace_headers)
        work = asyncio.ensure_future(self._answered(sending, what))
        return await _within(
            work, context, self._clock, self._timeout_seconds, f"no answer to {what}"
        )

    async def deliver(self, request: HttpRequest) -> int:
        """Make a request of which only the status of the answer matters; no redirect is followed.

        Raises:
            ConnectionError: there is no answer.
            HttpCallError: the request cannot be made.
            OutboundRefusedError: the address may not be called.
            TimeoutError: it took too long.
        """
        what = f"{request.method} {request.url}"
        work = asyncio.ensure_future(self._answered(self._send_once(request), what))
        context = ActivityContext(what)
        return await _within(
            work, context, self._clock, self._timeout_seconds, f"no answer to {what}"
        )

    async def stop(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # --- requests ---------------------------------------------------------------------------------

    async def _answered(self, sending: Awaitable[T], what: str) -> T:
        import httpx2  # noqa: PLC0415 - only apps that call over HTTP need it

        try:
            return await sending
        except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol) as error:
            raise HttpCallError(f"{what} cannot be sent: {error}") from error
        except (httpx2.HTTPError, OSError) as error:
            # What the client says does not name the address.
            raise ConnectionError(f"{what}: {str(error) or type(error).__name__}") from error

    async def _send(self, request: HttpRequest, trace: Mapping[str, str]) -> HttpAnswer:
        import httpx2  # noqa: PLC0415 - as above

        url, origin, headers = await self._head(request)
        if not any(name.lower() == "traceparent" for name, _ in headers):
            headers = [one for one in headers if one[0].lower() != "tracestate" or not trace]
            headers += trace.items()
        method, content = request.method, request.content
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._exchange(method, url, content, _fit_for(url, origin, headers))
            try:
                location = response.headers.get("location")
                if response.status_code not in _REDIRECTS or not location:
                    return await self._answer(response, url)
            finally:
                await response.aclose()
            if response.status_code not in _KEEPING_THE_METHOD and method not in {"GET", "HEAD"}:
                method, content = "GET", None
                headers = [one for one in headers if one[0].lower() not in _BODY_HEADERS]
            try:
                url = url.join(location)
            except (httpx2.InvalidURL, ValueError) as error:
                raise HttpCallError(f"{url} redirects to {location!r}: {error}") from None
        raise HttpCallError(
            f"{request.method} {request.url} was redirected more than {MAX_REDIRECTS} times"
        )

    async def _send_once(self, request: HttpRequest) -> int:
        url, _, headers = await self._head(request)
        response = await self._exchange(request.method, url, request.content, headers)
        try:
            length = response.headers.get("content-length", "")
            if length.isdigit() and int(length[:20]) <= _DRAINED_BYTES:
                async for _part in response.aiter_raw():
                    await asyncio.sleep(0)  # then the connection can be used again
            return response.status_code
        finally:
            await response.aclose()

    async def _head(
        self, request: HttpRequest
    ) -> "tuple[httpx2.URL, httpx2.URL, list[tuple[str, str]]]":
        """Where a request goes, where it was meant to, and its headers."""
        import httpx2  # noqa: PLC0415 - as above

        try:
            url = httpx2.URL(request.base or "").join(request.url)
            origin = httpx2.URL(request.origin) if request.origin else url
        except (httpx2.InvalidURL, ValueError) as error:
            raise HttpCallError(f"{request.url!r} is not an address: {error}") from None
        headers = [(name, value) for name, all_ in request.headers.items() for value in all_]
        if request.token_source is not None:
            token = await self._token(request)
            headers = [one for one in headers if one[0].lower() != "authorization"]
            headers.append(("Authorization", f"Bearer {token}"))
        return url, origin, headers

    async def _exchange(
        self, method: str, url: "httpx2.URL", content: str | None, headers: list[tuple[str, str]]
    ) -> "httpx2.Response":
        """One request and the head of its answer, to an address that is allowed."""
        import httpx2  # noqa: PLC0415 - as above

        if url.scheme not in _PORTS or not url.host:
            raise HttpCallError(f"{url} is no address of http or https")
        if url.port is not None and not 0 < url.port <= _MOST_PORT:
            raise HttpCallError(f"{url} has no port that there can be: 1 to {_MOST_PORT:,}")
        client = self._open_client()
        if not self._policy.is_checking:
            request = client.build_request(method, url, content=content, headers=headers)
            return await client.send(request, stream=True)
        port = url.port or _PORTS[url.scheme]
        # The name stands in the Host header and in the certificate; the connection goes to what
        # was checked.
        if not any(name.lower() == "host" for name, _ in headers):
            headers = [*headers, ("Host", url.netloc.decode("ascii"))]
        failure: httpx2.ConnectError | None = None
        for address in await self._policy.addresses(url.host, port):
            request = client.build_request(
                method,
                url.copy_with(host=address),
                content=content,
                headers=headers,
                extensions={"sni_hostname": url.host},
            )
            try:
                return await client.send(request, stream=True)
            except httpx2.ConnectError as error:
                failure = error
        assert failure is not None
        raise failure

    async def _answer(self, response: "httpx2.Response", url: "httpx2.URL") -> HttpAnswer:
        _check_coding(response, url)
        body = bytearray()
        async for part in response.aiter_bytes():
            # A server may send a million pieces of a byte, and those that have come are read
            # without a pause.
            await asyncio.sleep(0)
            body += part
            if len(body) > self._payload_bytes:
                raise limit_error(
                    "payload_bytes", self._payload_bytes, f"the answer of {url} is longer"
                )
        headers: dict[str, list[str]] = {}
        for name, value in response.headers.multi_items():
            headers.setdefault(name.lower(), []).append(value)
        return HttpAnswer(
            response.status_code, headers, _text(bytes(body), response, url), str(url)
        )

    def _open_client(self) -> "httpx2.AsyncClient":
        if self._client is None:
            from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415 - as above
            from importlib.metadata import version  # noqa: PLC0415 - as above

            import httpx2  # noqa: PLC0415 - as above

            checking = self._policy.is_checking
            self._client = httpx2.AsyncClient(
                headers={"User-Agent": f"tenuto/{version('tenuto')}"},
                # For no domain: a jar would send what one instance was given with the calls of all.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                timeout=None,  # ours covers the whole request, by our clock
                follow_redirects=False,
                # A proxy would resolve names itself; a connection that was opened for one name must
                # not serve another one at the same address.
                trust_env=not checking,
                limits=httpx2.Limits(max_keepalive_connections=0 if checking else 20),
            )
        return self._client

    # --- tokens -----------------------------------------------------------------------------------

    async def _token(self, request: HttpRequest) -> str:
        wanted = request.token_source
        arguments: tuple[ManagedIdentityTokenSource, ...] = ()
        if isinstance(wanted, ManagedIdentity):
            name = MANAGED_IDENTITY
            options = wanted.options
            arguments = (
                ManagedIdentityTokenSource(
                    wanted.resource,
                    None if options is None else options.authorityhost,
                    None if options is None else options.tenantid,
                ),
            )
        else:
            assert wanted is not None
            name = wanted.name
        source = self._token_sources.get(name)
        if source is None:
            error = UnknownFunctionError("token source", name, self._token_sources)
            raise HttpCallError(f"{error}; register it with @app.token_source")
        token = await _token_of(name, partial(source, *arguments))
        if not isinstance(token, str) or not token:
            # Not shown: it may be a secret all the same.
            raise HttpCallError(
                f"token source {name!r} must return a non-empty str, got {type(token).__name__}"
            )
        return token


http_of_host: "Final[ContextVar[HttpActivity]]" = ContextVar("http_of_host")
"""That of the host that runs a function which an event starts."""


async def _token_of(name: str, source: Callable[[], Any]) -> object:
    """What a token source gives.

    Raises:
        HttpCallError: it tried to end the program, or what it raised cannot be handed on.
        Exception: what else it raises.
    """
    try:
        if inspect.iscoroutinefunction(source):
            return await source()
        return await asyncio.to_thread(_without_stop, source)  # it may block
    except Exception:
        raise
    except BaseException as error:
        if is_given_up(error):
            raise  # nobody waits for the request any more
        # On its way through the task of the request it would end the host's loop.
        raise HttpCallError(f"token source {name!r} raised {type(error).__name__}") from error


def _without_stop(source: Callable[[], Any]) -> object:
    try:
        return source()
    except StopIteration as error:  # which no future can hold
        raise RuntimeError("the token source raised StopIteration") from error


async def _within(
    work: "asyncio.Future[T]",
    context: ActivityContext,
    clock: Clock,
    seconds: float,
    what: str,
) -> T:
    """The result of some work, unless it takes too long or nobody wants it any more."""
    expired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(int(seconds * MICROSECONDS), partial(expired.set_result, None))
    unwanted = asyncio.ensure_future(context.cancellation.wait())
    try:
        ends: set[asyncio.Future[Any]] = {work, expired, unwanted}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        context.cancellation.raise_if_requested()
        raise TimeoutError(f"{what} within {seconds:g} s (setting outbound.timeout_seconds)")
    finally:
        timer.cancel()
        work.cancel()
        unwanted.cancel()
        await asyncio.gather(work, unwanted, return_exceptions=True)


def _fit_for(
    url: "httpx2.URL", origin: "httpx2.URL", headers: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """The headers that may go to this address: to a server that was not meant, harmless ones."""
    if _is_meant(url, origin):
        return headers
    return [one for one in headers if _HARMLESS.fullmatch(one[0])]


def _is_meant(url: "httpx2.URL", origin: "httpx2.URL") -> bool:
    if url.host != origin.host:
        return False
    here, there = _way(url), _way(origin)
    return here == there or (there == ("http", 80) and here == ("https", 443))


def _way(url: "httpx2.URL") -> tuple[str, int | None]:
    return url.scheme, url.port or _PORTS.get(url.scheme)


def _check_coding(response: "httpx2.Response", url: "httpx2.URL") -> None:
    """Refuse what is compressed more than once: a few kilobytes are terabytes inside, which are
    unpacked before the first byte of the body is seen.

    Raises:
        HttpCallError: it is.
    """
    named = response.headers.get("content-encoding", "").lower().split(",")
    codings = [one.strip() for one in named if one.strip() not in {"", "identity"}]
    if len(codings) > 1:
        raise HttpCallError(
            f"the answer of {url} is compressed {len(codings)} times ({', '.join(codings)}), and "
            "once is the most"
        )


def _text(body: bytes, response: "httpx2.Response", url: "httpx2.URL") -> str | None:
    if not body:
        return None
    try:
        return _decoded(body, response.charset_encoding or "utf-8")
    except (UnicodeDecodeError, LookupError):
        kind = response.headers.get("content-type", "no content type")
        raise HttpCallError(
            f"the answer of {url} ({kind}) is not text; fetch binary data in an activity of yours"
        ) from None


def _decoded(body: bytes, charset: str) -> str:
    if codecs.lookup(charset).name in _SLOW_CODECS:
        raise LookupError(charset)
    return body.decode(charset)
