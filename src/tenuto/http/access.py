"""Keys, links and sessions: who may do what.

Compares in constant time and never says which part of a key was wrong.
"""

import hmac
from collections.abc import Callable
from typing import Final

from tenuto.http.errors import ForbiddenError, UnauthorizedError
from tenuto.http.options import HttpSettings, Role
from tenuto.http.page_calls import PageCalls
from tenuto.http.routing import Call
from tenuto.http.session_cookie import sent_sessions
from tenuto.http.sessions import Sessions, key_digest
from tenuto.http.tokens import Opens, Token, Tokens
from tenuto.model.ids import InstanceId
from tenuto.model.timing import MICROSECONDS, Microseconds

_NO_KEY: Final = "this needs a key: header x-functions-key, or Authorization: Bearer, or query code"
_ENDED: Final = "the session has ended: sign in again, or send a key"
_ROLES: Final = {Opens.READ: Role.READ, Opens.OPERATE: Role.OPERATE, Opens.PURGE: Role.ADMIN}


class Access:
    """Checks the key of each request, and makes what opens the links in its answer.

    Args:
        settings: The keys, and how long links live.
        now: The time, in microseconds since 1970 UTC.
        secret: What links are signed with.
    """

    def __init__(
        self, settings: HttpSettings, now: Callable[[], Microseconds], secret: str
    ) -> None:
        self.is_open: bool = not settings.keys
        """Whether there are no keys, so that every caller, who is a local one, may do all."""
        # Keys for single functions open nothing else; see triggers.
        self._keys = [
            (key_digest(key.key), key.role) for key in settings.keys.values() if not key.functions
        ]
        self._tokens = Tokens(settings.keys.values(), secret)
        self._link_seconds = settings.link_seconds
        self._now = now
        # Without the page there is nobody who could have signed in.
        signing_in = settings.keys.values() if settings.dashboard else ()
        self.sessions: Sessions = Sessions(signing_in, secret, settings.session_seconds, now)
        self.page_calls: PageCalls = PageCalls(settings)

    def check(
        self,
        call: Call,
        needed: Role | None,
        *,
        opened_by_link: bool = False,
        opened_by_system_key: bool = False,
        opened_by_event_grid_key: bool = False,
    ) -> Role:
        """What the caller may do.

        Args:
            call: The request.
            needed: The least role; None for everybody.
            opened_by_link: Whether a link to parameter ``instanceId`` will do, too.
            opened_by_system_key: Whether the system key will do, too, for who may operate.
            opened_by_event_grid_key: Whether the key of Event Grid's webhook will do, too.

        Raises:
            UnauthorizedError: there are keys, and the caller sent none of them.
            ForbiddenError: the key's role does not allow this.
        """
        if self.is_open:
            return Role.ADMIN
        if needed is None:
            return Role.READ
        sent = sent_key(call)
        if sent is None:
            return _enough(self._role_by_session(call), needed)
        role = self._role_of(sent)
        if role is None and opened_by_link:
            role = self._role_by_link(call, needed, sent)
        if role is None and opened_by_system_key and _is(self._tokens.system_key, sent):
            role = Role.OPERATE
        if role is None and opened_by_event_grid_key and _is(self._tokens.event_grid_key, sent):
            role = Role.OPERATE
        if role is None:
            raise UnauthorizedError(
                "the key is not one of this server's; if it came with a link, the link has "
                "expired or opens something else"
            )
        return _enough(role, needed)

    def _role_by_session(self, call: Call) -> Role:
        """What the caller's session allows; none counts for a function of a user.

        Raises:
            UnauthorizedError: there is none, or it has ended.
            ForbiddenError: another page than the server's own has sent it.
        """
        sent = [] if call.is_for_function else sent_sessions(call.scope["headers"])
        session = next(filter(None, map(self.sessions.read, sent)), None)
        if session is None:
            raise UnauthorizedError(_ENDED if sent else _NO_KEY)
        self.page_calls.check(call)
        call.session = session
        return session.role

    def _role_of(self, sent: str) -> Role | None:
        found = None
        sought = key_digest(sent)
        for key, role in self._keys:
            if hmac.compare_digest(key, sought):
                found = role
        return found

    @property
    def system_key(self) -> str:
        """Opens all instances, and nothing but them, to operate; empty when there are no keys."""
        return "" if self.is_open else self._tokens.system_key

    @property
    def event_grid_key(self) -> str:
        """Opens the webhook of Event Grid, and nothing else; empty when there are no keys."""
        return "" if self.is_open else self._tokens.event_grid_key

    def _role_by_link(self, call: Call, needed: Role, sent: str) -> Role | None:
        token = self._tokens.read(sent, InstanceId(call.parameters["instanceId"]), self._now())
        if (
            token is None
            or token.opens is Opens.ANSWER
            or (token.opens is Opens.PURGE) != (needed is Role.ADMIN)
        ):
            return None
        call.token = token
        return _ROLES[token.opens]

    def codes(self, call: Call, instance_id: InstanceId) -> tuple[str, str]:
        """What opens the links to an instance in an answer, and what opens its purge.

        Nobody gets more than they came with: links handed to the holder of a link end when that
        one does, those handed to a session no later than that, and only admins hand out the purge.
        Both are empty when there are no keys, the second also when the caller may not purge.
        """
        if self.is_open:
            return "", ""
        opens = Opens.READ if call.role is Role.READ else Opens.OPERATE
        token: Token | None = call.token
        expires_at_seconds = (
            self._now() // MICROSECONDS + self._link_seconds
            if token is None
            else token.expires_at_seconds
        )
        if call.session is not None:
            expires_at_seconds = min(expires_at_seconds, call.session.expires_at_seconds)
        code = self._tokens.make(instance_id, opens, expires_at_seconds)
        if token is not None or call.role is not Role.ADMIN:
            return code, ""
        return code, self._tokens.make(instance_id, Opens.PURGE, expires_at_seconds)

    def check_answer(self, call: Call, instance_id: InstanceId) -> Role:
        """See that a caller may have what a durable function answers: with its link, or a key.

        Returns:
            What the caller may do. Who asked the function, and so has the link, gets the answer as
            it is; who only has a key that looks sees no addresses that do something.

        Raises:
            UnauthorizedError: neither came with the request.
        """
        sent = sent_key(call)
        token = None if sent is None else self._tokens.read(sent, instance_id, self._now())
        if token is None or token.opens is not Opens.ANSWER:
            return self.check(call, Role.READ)
        return Role.OPERATE

    def answer_code(self, instance_id: InstanceId) -> str:
        """What opens the answer of an instance, and nothing else; empty when there are no keys."""
        return self._code(instance_id, Opens.ANSWER)

    def operate_code(self, instance_id: InstanceId) -> str:
        """What opens an instance to who may operate it; empty when there are no keys."""
        return self._code(instance_id, Opens.OPERATE)

    def _code(self, instance_id: InstanceId, opens: Opens) -> str:
        if self.is_open:
            return ""
        expires_at_seconds = self._now() // MICROSECONDS + self._link_seconds
        return self._tokens.make(instance_id, opens, expires_at_seconds)


def _enough(role: Role, needed: Role) -> Role:
    if role.rank < needed.rank:
        raise ForbiddenError(f"this needs a key with the role {needed.value}")
    return role


def _is(key: str, sent: str) -> bool:
    return hmac.compare_digest(key_digest(key), key_digest(sent))


def sent_key(call: Call) -> str | None:
    """The key that a request carries, if any."""
    header = call.header("x-functions-key")
    if header is None:
        scheme, _, token = (call.header("authorization") or "").partition(" ")
        header = token.strip() if scheme.lower() == "bearer" else None
    sent = call.one("code") if header is None else header
    return sent or None
