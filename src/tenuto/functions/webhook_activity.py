"""The reserved activity behind ``ctx.create_webhook``: chance and the host's own address."""

import secrets
from collections.abc import Callable
from urllib.parse import quote

from tenuto.functions.activity_context import ActivityContext
from tenuto.model.webhook import CHANCE_BYTES, WebhookSecret, digest_of, signed_token


class WebhookActivity:
    """Makes the token of a webhook and the address that holds it.

    Args:
        base: The address under which this host is reached from outside, without the path.
        secret: What tokens are signed with.
    """

    def __init__(self, base: Callable[[], str], secret: str) -> None:
        self._base = base
        self._secret = secret

    async def run(self, context: ActivityContext, _what: str) -> WebhookSecret:
        """A fresh token, and where to send it."""
        base = self._base()
        chance = secrets.token_bytes(CHANCE_BYTES)
        token = signed_token(self._secret, context.instance_id, chance)
        instance = quote(context.instance_id, safe="")
        return WebhookSecret(digest_of(token), f"{base.rstrip('/')}/callbacks/{instance}/{token}")
