"""Webhooks as data: an address that raises one event once, until it expires."""

from hashlib import sha256
from typing import Final

from msgspec import Struct

from tenuto.model.timing import Microseconds

WEBHOOK_ACTIVITY: Final = "BuiltIn::WebhookActivity"
"""The reserved activity that makes the token and the address."""


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
    """What the reserved activity makes: an address with 256 random bits in it, and their digest."""

    digest: str
    url: str


def digest_of(token: str) -> str:
    """How a token is known to its instance."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
