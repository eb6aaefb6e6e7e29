"""Calls over HTTP as data: what is asked, how, and what came back.

``HttpRequest`` and ``HttpAnswer`` stand in history, so their fields never change their meaning.
A request names its token source; the token itself is never part of it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from msgspec import Struct, structs

from tenuto.model.errors import InputError
from tenuto.model.payload import encode
from tenuto.model.retry import RetryPolicy
from tenuto.model.timing import MICROSECONDS, Microseconds, to_microseconds

MANAGED_IDENTITY: Final = "AzureManagedIdentity"
"""The name under which an app registers what resolves a ``ManagedIdentityTokenSource``."""

_SUCCESS: Final = range(200, 300)
_FIRST_ERROR: Final = 400
_STATUSES: Final = range(100, 600)
_ADDRESS: Final = re.compile(
    r"https?://[^\s/?#\\\x00-\x1f\x7f\ud800-\udfff]+[^\s\\\x00-\x1f\x7f\ud800-\udfff]*",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_CONTENT_TYPE: Final = "content-type"
_OF_FIRST_REQUEST_ONLY: Final = frozenset({"content-type", "content-length", "x-functions-key"})
"""A poll has no body, and a function's key belongs to that function alone."""
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
# By hand, because strptime reads the names of months in the language of the host.
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")


# --- what a caller gives --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRetry(RetryPolicy):
    """When an HTTP request is tried again: after network errors, and after these status codes.

    Attributes:
        statuses: The status codes that are tried again; empty for every one from 400 on. The
            other attributes are those of ``RetryPolicy``; ``timeout`` and ``max_attempts`` hold
            for each request, and each poll is a request of its own.

    Example:
        ``HttpRetry(max_attempts=4, first_interval=timedelta(seconds=5), statuses=(429, 503))``

    Raises:
        InputError: for a value outside its range.
    """

    statuses: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        RetryPolicy.__post_init__(self)
        given: object = self.statuses
        if not isinstance(given, tuple) or not all(
            isinstance(one, int) and one in _STATUSES for one in given
        ):
            raise InputError(
                f"HttpRetry.statuses must be a tuple of status codes (100 to 599), got {given!r}"
            )

    def covers(self, status_code: int) -> bool:
        """Whether a response with this status code is to be tried again."""
        if self.statuses:
            return status_code in self.statuses
        return status_code >= _FIRST_ERROR


@dataclass(frozen=True, slots=True)
class ManagedIdentityTokenSource:
    """A token of the Azure identity that the host runs under.

    The app registers what gets it, under the name ``AzureManagedIdentity``.

    Attributes:
        resource: What the token is for, such as ``https://management.core.windows.net/.default``.
        authority_host: The authority that issues it; None for the public cloud's.
        tenant_id: The tenant; None for the identity's own.

    Raises:
        InputError: for something else than text.

    Example:
        ::

            @app.token_source(name="AzureManagedIdentity")
            async def identity_token(source: ManagedIdentityTokenSource) -> str: ...
    """

    resource: str
    authority_host: str | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        resource: object = self.resource
        if not isinstance(resource, str) or not resource:
            raise InputError(
                f"ManagedIdentityTokenSource.resource must be a non-empty str, got {resource!r}"
            )
        for name in ("authority_host", "tenant_id"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise InputError(
                    f"ManagedIdentityTokenSource.{name} must be a str or None, got {value!r}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCallOptions:
    """How ``ctx.call_http`` goes about it.

    Attributes:
        poll: Whether a 202 with a ``Location`` is followed, with durable timers between, until
            the answer is another one. Otherwise the 202 is the result.
        poll_headers: The headers that may name the address to poll, the first that is there
            counts: some services say ``Operation-Location``.
        poll_interval: Time between polls when the server asks for none by ``Retry-After``.
        max_poll_interval: The longest time between polls, whatever the server asks for.
        timeout: Total time, polls and retries included; then the call raises ``TimeoutError``.
            None for no end.
        retry: When a request is tried again; None for never.
        token_source: The name of a function registered with ``@app.token_source``, or a
            ``ManagedIdentityTokenSource``: its token is sent as ``Authorization: Bearer``, with
            polls too, and stands in no history.

    Raises:
        InputError: for a value outside its range.
    """

    poll: bool = True
    poll_headers: tuple[str, ...] = ("Location",)
    poll_interval: timedelta = timedelta(seconds=30)
    max_poll_interval: timedelta = timedelta(days=7)
    timeout: timedelta | None = None
    retry: HttpRetry | None = None
    token_source: str | ManagedIdentityTokenSource | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.poll, bool):
            raise InputError(f"HttpCallOptions.poll must be True or False, got {self.poll!r}")
        headers: object = self.poll_headers
        if not isinstance(headers, tuple) or not headers or not all(map(_is_header, headers)):
            raise InputError(
                "HttpCallOptions.poll_headers must be a tuple of names of headers, such as "
                f'("Operation-Location", "Location"); got {headers!r}'
            )
        for name in ("poll_interval", "max_poll_interval", "timeout"):
            value = getattr(self, name)
            if value is None and name == "timeout":
                continue
            if not isinstance(value, timedelta) or value <= timedelta(0):
                raise InputError(
                    f"HttpCallOptions.{name} must be a timedelta longer than nothing, got {value!r}"
                )
        if self.retry is not None and not isinstance(self.retry, HttpRetry):
            raise InputError(f"HttpCallOptions.retry must be an HttpRetry, got {self.retry!r}")
        _check_token_source(self.token_source)


def _is_header(name: object) -> bool:
    return isinstance(name, str) and _TOKEN.fullmatch(name) is not None


def _check_token_source(source: object) -> None:
    if source is None or isinstance(source, ManagedIdentityTokenSource):
        return
    if not isinstance(source, str) or not source:
        raise InputError(
            "HttpCallOptions.token_source must be the name of a function registered with "
            f"@app.token_source, or a ManagedIdentityTokenSource; got {source!r}"
        )


# --- what a caller gets ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What a server answered.

    Attributes:
        status_code: The status code; 400 and above are values, not exceptions.
        headers: Names in lower case, each with its values in the order of the response.
        content: The body as text; None when there was none.
        url: Where the answer came from, after redirects and polls.

    Example:
        ::

            response = await ctx.call_http("GET", "https://example.org/rates")
            rate = response.json()["EUR"] if response.ok else None
    """

    status_code: int
    headers: Mapping[str, list[str]]
    content: str | None = None
    url: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status code is one of success (200 to 299)."""
        return self.status_code in _SUCCESS

    def header(self, name: str) -> str | None:
        """The first value of a header, upper and lower case being the same; None without it."""
        values = self.headers.get(name.lower())
        return values[0] if values else None

    def json(self) -> Any:  # noqa: ANN401 - whatever the server sent
        """The body, decoded from JSON.

        Raises:
            InputError: it is not JSON.
        """
        try:
            return json.loads(self.content or "")
        except ValueError as error:
            place = self.url or "the server"
            raise InputError(
                f"the answer of {place} ({self.status_code}) is not JSON: {error}"
            ) from None


# --- what history holds ---------------------------------------------------------------------------


class ManagedIdentityOptions(Struct, frozen=True, omit_defaults=True):
    """As Durable Functions writes them: names in lower case."""

    authorityhost: str | None = None
    tenantid: str | None = None


class ManagedIdentity(
    Struct, frozen=True, omit_defaults=True, tag_field="kind", tag=MANAGED_IDENTITY
):
    """``{"kind": "AzureManagedIdentity", "resource": ..., "options": {...}}``."""

    resource: str
    options: ManagedIdentityOptions | None = None


class NamedTokenSource(Struct, frozen=True, tag_field="kind", tag="Named"):
    """A function registered with ``@app.token_source``."""

    name: str


class HttpRequest(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The input of the reserved activity: one request.

    Attributes:
        method: In capitals.
        url: Where to; may be relative to ``base``.
        content: The body.
        headers: Names as given, each with its values.
        token_source: Whose token goes along.
        base: The address at which ``url`` was found; None for the first request of a call.
        origin: The address that the caller meant: secrets go to no other server. None for ``url``.
    """

    method: str
    url: str
    content: str | None = None
    headers: dict[str, list[str]] = {}
    token_source: ManagedIdentity | NamedTokenSource | None = None
    base: str | None = None
    origin: str | None = None


R = TypeVar("R", bound=HttpRequest)


class HttpAnswer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The result of the reserved activity."""

    status_code: int
    headers: dict[str, list[str]] = {}
    content: str | None = None
    url: str = ""


def http_request(
    method: object,
    url: object,
    content: object,
    headers: object,
    source: str | ManagedIdentityTokenSource | None,
) -> HttpRequest:
    """The first request of a call, checked.

    Raises:
        InputError: naming what is wrong.
        PayloadError: the content cannot be stored.
    """
    if not isinstance(method, str) or not _TOKEN.fullmatch(method):
        raise InputError(f"call_http: the method must be a name such as 'GET', got {method!r}")
    if not isinstance(url, str) or not _ADDRESS.fullmatch(url):
        raise InputError(
            f"call_http: the address must begin with http:// or https:// and a host, got {url!r}"
        )
    checked = _checked_headers(headers)
    text, content_type = _body(content)
    if text is not None and not any(name.lower() == _CONTENT_TYPE for name in checked):
        checked["Content-Type"] = [content_type]
    return HttpRequest(method.upper(), url, text, checked, _token_source(source))


def _body(content: object) -> tuple[str | None, str]:
    if content is None:
        return None, ""
    if isinstance(content, str):
        encode(content)  # refuses text that is none (lone surrogates)
        return content, "text/plain; charset=utf-8"
    if isinstance(content, bytes | bytearray | memoryview):
        raise InputError(
            "call_http: content must be text or something to send as JSON; binary content is "
            "not supported, send it from an activity"
        )
    return encode(content), "application/json"


def _checked_headers(headers: object) -> dict[str, list[str]]:
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise InputError(f"call_http: headers must map names to values, got {headers!r}")
    checked: dict[str, list[str]] = {}
    for name, given in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise InputError(f"call_http: {name!r} cannot be the name of a header")
        values = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
        checked[name] = [_checked_value(name, value) for value in values]
    return checked


def _checked_value(name: str, value: object) -> str:
    # The value may be a secret: the message must not repeat it.
    if not isinstance(value, str):
        raise InputError(f"call_http: header {name!r} must be a str, got {type(value).__name__}")
    if not _HEADER_VALUE.fullmatch(value):
        raise InputError(
            f"call_http: the value of header {name!r} holds a line break or another character "
            "that no header can carry"
        )
    return value


def _token_source(
    source: str | ManagedIdentityTokenSource | None,
) -> ManagedIdentity | NamedTokenSource | None:
    if source is None:
        return None
    if isinstance(source, str):
        return NamedTokenSource(source)
    options = ManagedIdentityOptions(source.authority_host, source.tenant_id)
    return ManagedIdentity(
        source.resource, None if options == ManagedIdentityOptions() else options
    )


# --- when to poll again ---------------------------------------------------------------------------


def poll_request(request: R, address: str, found_at: str | None) -> R:
    """The request that asks again after an answer 202.

    Args:
        request: The one before, of whatever kind.
        address: Where to ask; may be relative.
        found_at: Where the answer came from.
    """
    kept = {
        name: values
        for name, values in request.headers.items()
        if name.lower() not in _OF_FIRST_REQUEST_ONLY
    }
    return structs.replace(
        request,
        method="GET",
        url=address,
        content=None,
        headers=kept,
        base=found_at,
        origin=request.origin or request.url,
    )


def asked_pause(text: str, now: Microseconds) -> Microseconds | None:
    """What ``Retry-After`` asks for, in microseconds; None when it says nothing.

    Args:
        text: The value of the header: seconds, or a date.
        now: The present, from which a date is counted.
    """
    if text.isascii() and text.isdigit():
        return int(text[:12]) * MICROSECONDS
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[index]) for index in (1, 3, 4, 5, 6))
    try:
        month = _MONTHS.index(found[2]) + 1
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return to_microseconds(moment) - now
