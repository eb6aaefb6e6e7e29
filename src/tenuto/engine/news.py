"""What has come into topics and queues: what those are told who wait for it. Pure."""

from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct

from tenuto.model.topics import PublishedEvent, QueuedMessage


class News(Struct, frozen=True):
    """What was published or queued, as far as that is known.

    Attributes:
        events: Whether there may be new events.
        queues: Which queues may have new messages; None: any.
        given_back: Whether there may be something that was given back to its function.
    """

    events: bool
    queues: Collection[str] | None
    given_back: bool = False


ANYTHING: Final = News(events=True, queues=None, given_back=True)
"""What another process has written, or what was given back: nobody here knows what it was."""
EVENTS: Final = News(events=True, queues=())


def news_of(events: Iterable[PublishedEvent], messages: Iterable[QueuedMessage]) -> News:
    """What these are to those who wait for some."""
    return News(events=any(True for _ in events), queues={one.queue for one in messages})
