"""Webhooks: addresses that raise an event once, as history knows them.

The token comes from the reserved activity, because chance has no place in a session. What is
recorded of the webhook is the token's digest, so that the instance's open webhooks follow from its
history and a request can be decided in a turn, by the engine. Keeps ``exactly_once_turns``.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from tenuto.model.built_in import WEBHOOK_ACTIVITY
from tenuto.model.errors import InputError
from tenuto.model.events import WebhookOpened
from tenuto.model.timing import span
from tenuto.model.webhook import OpenWebhook, WebhookSecret
from tenuto.orchestration.tasks import ActivityTask, DurableTask

if TYPE_CHECKING:
    from tenuto.orchestration.session import Session

_LONGEST: Final = timedelta(days=366)

_read: Final = msgspec.json.Decoder(WebhookSecret).decode


def open_webhook(session: "Session", name: str, expires_in: object) -> DurableTask[str]:
    """Ask for a webhook; the task gives its address, once the digest is among the actions.

    Raises:
        InputError: the time is not one of this year.
    """
    if not isinstance(expires_in, timedelta) or not timedelta(0) < expires_in <= _LONGEST:
        raise InputError(
            "create_webhook: expires_in must be a timedelta longer than nothing and of at most "
            f"{_LONGEST.days} days, got {expires_in!r}"
        )
    expires_at = session.loop.now + span(expires_in)

    def opened(text: str | None) -> str:
        secret = _read(text or "")
        webhook = OpenWebhook(name, secret.digest, expires_at)
        session.record(WebhookOpened(session.next_id(), name, webhook.digest, expires_at))
        session.webhooks[webhook.digest] = webhook
        return secret.url

    return ActivityTask(
        session, WEBHOOK_ACTIVITY, session.encode(name, "the event's name"), opened, None, None
    )
