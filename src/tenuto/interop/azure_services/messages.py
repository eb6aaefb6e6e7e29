"""Messages of Azure's queues: their text on the wire and what it stands for."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from tenuto.model.timing import MICROSECONDS, Microseconds

BASE64: Final = "base64"
PLAIN: Final = "none"
POISON: Final = "-poison"
MOST_BATCH: Final = 32
"""So many messages the service hands out at once."""


class QueueOptions(Struct, frozen=True, kw_only=True):
    """How messages are fetched and what is done with one that fails: ``extensions.queues``.

    Attributes:
        batch_size: Messages that are fetched at once, 1 to 32.
        new_batch_threshold: No more are fetched while more than so many run; None for half of a
            batch.
        visibility_timeout: Between two attempts.
        max_dequeue_count: Attempts before a message is put into the poison queue.
        max_polling_interval: The longest pause between two looks into an empty queue.
        encoding: ``base64`` or ``none``.
    """

    batch_size: int = 16
    new_batch_threshold: int | None = None
    visibility_timeout: Microseconds = 0
    max_dequeue_count: int = 5
    max_polling_interval: Microseconds = 60 * MICROSECONDS
    encoding: str = BASE64

    @property
    def threshold(self) -> int:
        """No more are fetched while more than so many run."""
        given = self.new_batch_threshold
        return self.batch_size // 2 if given is None else given

    @property
    def concurrency(self) -> int:
        """So many run at once at most."""
        return self.batch_size + self.threshold


class NoMessageError(Exception):
    """The text of a message is not encoded as it should be."""


def written(data: str | bytes, encoding: str) -> str:
    """The text of a message.

    Raises:
        NoMessageError: bytes that are no text, where nothing is encoded.
    """
    raw = data.encode() if isinstance(data, str) else data
    if encoding == BASE64:
        return base64.b64encode(raw).decode()
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise NoMessageError(
            "bytes that are no UTF-8 cannot be sent where messageEncoding is none"
        ) from None


def read(text: str, encoding: str) -> str | bytes:
    """What the text of a message stands for; bytes only where it is no text.

    Raises:
        NoMessageError: it is not encoded as it should be.
    """
    if encoding != BASE64:
        return text
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoMessageError(
            "it is no base64, as messages are unless extensions.queues.messageEncoding in "
            "host.json is none"
        ) from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def facts_of(message: Any) -> Mapping[str, object]:  # noqa: ANN401 - of Azure
    """What is known of a message beside its text, under the names that functions know it by."""
    return {
        "Id": str(message.id),
        "DequeueCount": int(message.dequeue_count),
        "InsertionTime": _moment(message.inserted_on),
        "ExpirationTime": _moment(message.expires_on),
        "NextVisibleTime": _moment(message.next_visible_on),
        "PopReceipt": str(message.pop_receipt),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
