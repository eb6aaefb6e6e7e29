"""The reserved activity behind ``ctx.create_webhook``: chance and the host's own address."""

import secrets
from collections.abc import Callable
from urllib.parse import quote

from tenuto.functions.activity_context import ActivityContext
from tenuto.model.webhook import WebhookSecret, digest_of

_TOKEN_BYTES = 32


class WebhookActivity:
    """Makes the token of a webhook and the address that holds it.

    Args:
        base: The address under which this host is reached from outside, without the path.
    """

    def __init__(self, base: Callable[[], str]) -> None:
        self._base = base

    async def run(self, context: ActivityContext, _what: str) -> WebhookSecret:
        """A fresh token, and where to send it."""
        base = self._base()
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        instance = quote(context.instance_id, safe="")
        return WebhookSecret(digest_of(token), f"{base.rstrip('/')}/callbacks/{instance}/{token}")
