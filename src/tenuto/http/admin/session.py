"""``/session``: signing in with a key, for the dashboard in a browser.

The key itself is not kept, neither here nor in the browser: a cookie that no script can read stands
for it. What it is good for is ``access``'s to say.
"""

from typing import Final

from msgspec import Struct
from starlette.responses import Response

from tenuto.http.access import Access
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import HttpError, UnauthorizedError
from tenuto.http.links import Links
from tenuto.http.options import HttpSettings, Role
from tenuto.http.own_paths import SESSION
from tenuto.http.queries import fitting_body
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.http.session_cookie import sent_sessions, set_cookie
from tenuto.model.timing import MICROSECONDS, Microseconds


class SessionBody(Struct, frozen=True, rename="camel"):
    """What a caller may do.

    Attributes:
        needs_key: Whether the server has keys.
        role: What the caller may do; None for nothing, before signing in.
        expires_at: When the session ends, in microseconds since 1970 UTC; None without one.
    """

    needs_key: bool
    role: Role | None
    expires_at: Microseconds | None


class SignInBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What signs in.

    Attributes:
        key: One of the server's.
    """

    key: str


class SessionApi:
    """Begins, shows and ends sessions.

    Args:
        access: Knows the keys.
        links: Says how callers see this server.
        settings: How long sessions last.
    """

    def __init__(self, access: Access, links: Links, settings: HttpSettings) -> None:
        self._access = access
        self._links = links
        self._settings = settings

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def show(self, call: Call) -> Response:
        try:
            role = self._access.check(call, Role.READ)
        except HttpError:
            role = None
        session = None if role is None else call.session
        expires_at = None if session is None else session.expires_at_seconds * MICROSECONDS
        return json_answer(SessionBody(not self._access.is_open, role, expires_at))

    async def begin(self, call: Call) -> Response:
        self._access.page_calls.check_not_foreign(call)
        # Whoever sends this has shown no key yet.
        call.limit_body(self._settings.webhook_bytes, "webhook_bytes")
        text = await call.json_text()
        if text is None:
            raise HttpError('the request needs a body: {"key": "…"}')
        key = fitting_body(text, SignInBody).key
        if self._access.is_open:
            return Response(status_code=204)
        session = self._access.sessions.begin(key)
        if session is None:
            raise UnauthorizedError("the key is not one of this server's")
        self._end(call)
        return self._kept(call, session, self._settings.session_seconds)

    async def end(self, call: Call) -> Response:
        if sent_sessions(call.scope["headers"]):
            self._access.page_calls.check(call)
            self._end(call)
        return self._kept(call, "", 0)

    def _end(self, call: Call) -> None:
        for text in sent_sessions(call.scope["headers"]):
            self._access.sessions.end(text)

    def _kept(self, call: Call, text: str, seconds: int) -> Response:
        """Have the browser keep a session, or forget it."""
        is_secure = self._links.is_secure(call)
        cookie = set_cookie(text, self._links.prefix(call), seconds, is_secure=is_secure)
        return Response(status_code=204, headers={"Set-Cookie": cookie})


_COOKIE: Final = {"Set-Cookie": "The session, for the page alone; no script can read it."}
_SHOW: Final = Operation(
    summary="Whether there are keys, and what the caller may do",
    tag="session",
    answers={200: Answer(text="To anybody who asks.", kind=SessionBody)},
)
_BEGIN: Final = Operation(
    summary="Sign in with a key: a cookie stands for it from then on",
    body=SignInBody,
    body_required=True,
    tag="session",
    answers={204: Answer(text="Who sent this is signed in.", headers=_COOKIE)},
    errors=(401, 403),
)
_END: Final = Operation(
    summary="Sign out: the session is void",
    tag="session",
    answers={204: Answer(text="Nobody is signed in.", headers=_COOKIE)},
    errors=(403,),
)
_PATH: Final = f"/{SESSION}"
_ENDPOINTS: Final = (
    Endpoint("GET", _PATH, None, SessionApi.show, _SHOW),
    Endpoint("POST", _PATH, None, SessionApi.begin, _BEGIN),
    Endpoint("DELETE", _PATH, None, SessionApi.end, _END),
)
