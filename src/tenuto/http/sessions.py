"""Sessions: what stands for a key in a browser, for a while. Knows no requests.

A session is a text that holds a random name and its end, signed with a secret of the store and the
key that it was begun with. So every host of a hub knows it that has the key, nobody who holds a key
can make one of another, it dies with its key and with the role of that, and no text of a key stands
in it. That it was ended is known where it was, until that host stops.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from msgspec import Struct, field

from tenuto.http.options import AccessKey, Role
from tenuto.http.tokens import base64_text
from tenuto.model.timing import MICROSECONDS, Microseconds

_PREFIX: Final = "d1"
_PARTS: Final = 4
_NAME_BYTES: Final = 16
_LONGEST: Final = 256
"""No session is longer, whatever its end."""

MOST_ENDED: Final = 10_000
"""So many that were ended before their time are remembered of each key."""


class Session(Struct, frozen=True):
    """A session that was found to be genuine and in time.

    Attributes:
        role: What it allows.
        expires_at_seconds: Since 1970 UTC.
        is_open: Whether it is still, as time goes on.
    """

    role: Role
    expires_at_seconds: int
    is_open: Callable[[], bool]


class _Key(Struct):
    """A key as sessions know it.

    Attributes:
        digest: Of its text.
        role: What it allows.
        signing: What its sessions are signed with.
        ended: Names of those that were ended, with the time when they would have ended anyhow.
        void_until_seconds: Those that end no later are void.
    """

    digest: bytes
    role: Role
    signing: bytes
    ended: dict[str, int] = field(default_factory=dict)
    void_until_seconds: int = 0


class Sessions:
    """Begins, checks and ends the sessions of a server.

    Args:
        keys: The configured keys; those for single functions open no session.
        secret: What nobody knows but the hosts of the store.
        seconds: How long a session lasts.
        now: The time, in microseconds since 1970 UTC.
    """

    def __init__(
        self,
        keys: Iterable[AccessKey],
        secret: str,
        seconds: int,
        now: Callable[[], Microseconds],
    ) -> None:
        own = hashlib.sha256(f"tenuto sessions {secret}".encode()).digest()
        self._keys = [
            _Key(
                key_digest(one.key),
                one.role,
                hmac.digest(own, key_digest(f"{one.role.value}:{one.key}"), "sha256"),
            )
            for one in keys
            if not one.functions
        ]
        self._seconds = seconds
        self._now = now

    def begin(self, key: str) -> str | None:
        """A new session for who knows a key; None when it is none of this server's."""
        sought, found = key_digest(key), None
        for one in self._keys:
            if hmac.compare_digest(one.digest, sought):
                found = one
        if found is None:
            return None
        name = base64_text(secrets.token_bytes(_NAME_BYTES))
        ends = self._now() // MICROSECONDS + self._seconds
        # Those of this very second may be void, and a new one must not be one of them.
        return _session_text(found, name, max(ends, found.void_until_seconds + 1))

    def read(self, text: str) -> Session | None:
        """The session, None unless it is genuine, in time, and was not ended here."""
        found = self._known(text)
        if found is None:
            return None
        key, name, expires_at_seconds = found
        is_open = partial(self._is_open, key, name, expires_at_seconds)
        return Session(key.role, expires_at_seconds, is_open) if is_open() else None

    def end(self, text: str) -> None:
        """Make a session void, if it is one."""
        found = self._known(text)
        if found is None:
            return
        key, name, expires_at_seconds = found
        now = self._now() // MICROSECONDS
        if len(key.ended) >= MOST_ENDED:
            key.ended = {one: end for one, end in key.ended.items() if end > now}
        if len(key.ended) >= MOST_ENDED:
            # What cannot be remembered must not open again: who uses this key signs in anew.
            key.void_until_seconds = now + self._seconds
            key.ended.clear()
        key.ended[name] = expires_at_seconds

    def _known(self, text: str) -> tuple[_Key, str, int] | None:
        """Whose key signed a text, the session's name and its end."""
        parts = text.split(".")
        if len(text) > _LONGEST or len(parts) != _PARTS or parts[0] != _PREFIX:
            return None
        name = parts[1]
        try:
            expires_at_seconds = int(parts[2], 16)
        except ValueError:
            return None
        sent, found = text.encode("utf-8", "surrogateescape"), None
        for key in self._keys:
            # The whole text: of numbers and signatures there are several spellings.
            genuine = _session_text(key, name, expires_at_seconds)
            if hmac.compare_digest(genuine.encode("utf-8", "surrogateescape"), sent):
                found = key
        return None if found is None else (found, name, expires_at_seconds)

    def _is_open(self, key: _Key, name: str, expires_at_seconds: int) -> bool:
        return (
            expires_at_seconds * MICROSECONDS > self._now()
            and expires_at_seconds > key.void_until_seconds
            and name not in key.ended
        )


def _session_text(key: _Key, name: str, expires_at_seconds: int) -> str:
    signed = f"{name}\n{expires_at_seconds:x}".encode("utf-8", "surrogateescape")
    signature = base64_text(hmac.digest(key.signing, signed, "sha256"))
    return f"{_PREFIX}.{name}.{expires_at_seconds:x}.{signature}"


def key_digest(text: str) -> bytes:
    """A key as it is compared: of one length, so that it takes the same time for every key."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
