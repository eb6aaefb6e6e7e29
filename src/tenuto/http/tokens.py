"""Tokens in links: each opens one instance, for a while, with one role. Pure.

A token is signed with a secret of the store and the configured keys, so that it outlives restarts,
dies when a key changes, and cannot be made by those who hold a key. Tokens never stand for the
admin role as such: the one kind that purges opens nothing but the purge of its instance. One kind
opens nothing but what a durable function answers.

The system key is made of the same secret and stands for no instance: programs for Durable Functions
make links of templates, and write the id of the instance in themselves.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from tenuto.http.options import AccessKey
from tenuto.model.ids import InstanceId
from tenuto.model.timing import MICROSECONDS, Microseconds

_PREFIX: Final = "l1"
_PARTS: Final = 4
_SYSTEM_PREFIX: Final = "s1"
_SYSTEM: Final = b"the system key of Durable Functions"
_EVENT_GRID: Final = b"the system key of Event Grid"


class Opens(StrEnum):
    """What a token is good for."""

    READ = "r"
    OPERATE = "o"
    PURGE = "p"
    ANSWER = "a"


class Token(Struct, frozen=True):
    """A token that was found to be genuine and in time.

    Attributes:
        opens: What it is good for.
        expires_at_seconds: Since 1970 UTC.
        text: As it was sent.
    """

    opens: Opens
    expires_at_seconds: int
    text: str


class Tokens:
    """Makes and checks tokens.

    Args:
        keys: The configured keys.
        secret: What nobody knows but the hosts of the store.
    """

    def __init__(self, keys: Iterable[AccessKey], secret: str) -> None:
        digest = hashlib.sha256(f"tenuto links {secret}".encode())
        for key, role in sorted((key.key, key.role.value) for key in keys):
            digest.update(hashlib.sha256(f"{role}:{key}".encode()).digest())
        self._secret = digest.digest()

    @property
    def system_key(self) -> str:
        """What stands in the templates of links that programs for Durable Functions are given."""
        return f"{_SYSTEM_PREFIX}.{base64_text(hmac.digest(self._secret, _SYSTEM, 'sha256'))}"

    @property
    def event_grid_key(self) -> str:
        """What stands in the address of the webhook that Event Grid is given."""
        return f"{_SYSTEM_PREFIX}.{base64_text(hmac.digest(self._secret, _EVENT_GRID, 'sha256'))}"

    def make(self, instance_id: InstanceId, opens: Opens, expires_at_seconds: int) -> str:
        """A token for an instance.

        Args:
            instance_id: What it opens.
            opens: What it is good for there.
            expires_at_seconds: Since 1970 UTC.
        """
        signature = self._sign(instance_id, opens, expires_at_seconds)
        return f"{_PREFIX}.{opens.value}.{expires_at_seconds:x}.{signature}"

    def read(self, text: str, instance_id: InstanceId, now: Microseconds) -> Token | None:
        """The token, None unless it is genuine, for this instance and in time.

        Args:
            text: As it was sent.
            instance_id: What it should open.
            now: Microseconds since 1970 UTC.
        """
        parts = text.split(".")
        if len(parts) != _PARTS or parts[0] != _PREFIX:
            return None
        try:
            opens, expires_at_seconds = Opens(parts[1]), int(parts[2], 16)
        except ValueError:
            return None
        # The whole text: of numbers and signatures there are several spellings.
        genuine = self.make(instance_id, opens, expires_at_seconds).encode()
        sent = text.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(genuine, sent) or expires_at_seconds * MICROSECONDS <= now:
            return None
        return Token(opens, expires_at_seconds, text)

    def _sign(self, instance_id: InstanceId, opens: Opens, expires_at_seconds: int) -> str:
        signed = f"{opens.value}\n{expires_at_seconds:x}\n{instance_id}".encode()
        return base64_text(hmac.digest(self._secret, signed, "sha256"))


def base64_text(digest: bytes) -> str:
    """Bytes as they stand in addresses and cookies."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
