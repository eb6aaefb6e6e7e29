"""Webhooks as data: an address that raises one event once, until it expires."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final

from msgspec import Struct

from tenuto.model.timing import Microseconds


class OpenWebhook(Struct, frozen=True, rename="camel", gc=False):
    """A webhook that nobody has used yet.

    Attributes:
        name: Of the event that it raises.
        digest: SHA-256 of the token, in hexadecimal.
        expires_at: The first moment at which it is closed, by the orchestrator's clock.
    """

    name: str
    digest: str
    expires_at: Microseconds


class WebhookSecret(Struct, frozen=True, rename="camel"):
    """What the reserved activity makes: an address with a token in it, and the token's digest."""

    digest: str
    url: str


CHANCE_BYTES: Final = 16
"""Random bytes of a token."""

TOKEN_LENGTH: Final = 43
_MARK_BYTES: Final = 4
_SIGNATURE_BYTES: Final = 12


def signed_token(secret: str, instance_id: str, chance: bytes) -> str:
    """The token of a webhook: 43 characters that only the hosts of a store can make.

    So a server tells by computing alone that an address was made up, before it reads a body or
    asks the store for anything. Four bytes tell a token from any other text, wherever it stands.

    Args:
        secret: What the hosts of the store know alone.
        instance_id: Whose webhook it is.
        chance: ``CHANCE_BYTES`` random bytes.
    """
    marked = chance + _digest(secret, b"webhook", chance)[:_MARK_BYTES]
    owner = instance_id.encode("utf-8", "surrogatepass")
    signature = _digest(secret, b"webhook of", marked, owner)[:_SIGNATURE_BYTES]
    return urlsafe_b64encode(marked + signature).rstrip(b"=").decode()


def is_genuine(secret: str, instance_id: str, token: str) -> bool:
    """Whether a token was made for a webhook of this instance, used or not."""
    try:
        chance = urlsafe_b64decode(f"{token}=")[:CHANCE_BYTES]
    except ValueError:
        return False
    genuine = signed_token(secret, instance_id, chance).encode()
    return hmac.compare_digest(genuine, token.encode("utf-8", "surrogatepass"))


def is_token(secret: str, text: bytes) -> bool:
    """Whether 43 characters are the token of any webhook of this store."""
    decoded = urlsafe_b64decode(text + b"=")
    mark = decoded[CHANCE_BYTES : CHANCE_BYTES + _MARK_BYTES]
    return hmac.compare_digest(
        _digest(secret, b"webhook", decoded[:CHANCE_BYTES])[:_MARK_BYTES], mark
    )


def _digest(secret: str, *parts: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"\n".join(parts), "sha256")


def digest_of(token: str) -> str:
    """How a token is known to its instance."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
