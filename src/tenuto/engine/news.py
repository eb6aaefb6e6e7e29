"""What has come: what those are told who wait for it, in this process and in others. Pure."""

from collections.abc import Collection, Iterable
from typing import Final, Self

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


class Written(Struct, frozen=True):
    """What another process says that it has written, so that nobody looks for what does not
    concern it: a host that has nothing to do is asked for nothing by what others do.

    Attributes:
        messages_to: Partitions for whose instances something has come; None: any of them.
        is_more: Whether something else may have changed: what was published or queued, links.
        is_about_hosts: Whether hosts have come or go, or partitions are free.
    """

    messages_to: frozenset[int] | None = frozenset()
    is_more: bool = False
    is_about_hosts: bool = False

    def and_also(self, other: Self) -> "Written":
        """Both in one."""
        both = None
        if self.messages_to is not None and other.messages_to is not None:
            both = self.messages_to | other.messages_to
        return Written(
            both,
            self.is_more or other.is_more,
            self.is_about_hosts or other.is_about_hosts,
        )

    def has_messages_to(self, partitions: Collection[int]) -> bool:
        """Whether something has come for one of these."""
        if self.messages_to is None:
            return True
        return any(number in partitions for number in self.messages_to)


EVERYTHING: Final = Written(messages_to=None, is_more=True, is_about_hosts=True)
"""Nobody knows what was written."""
ANY_CONTENT: Final = Written(messages_to=None, is_more=True)
"""The same, but that it is not about hosts."""


def whatever(_written: Written) -> bool:
    """For who wants to know of everything."""
    return True


def more_than_messages(written: Written) -> bool:
    """For whom messages to instances are nothing."""
    return written.is_more


def news_of(events: Iterable[PublishedEvent], messages: Iterable[QueuedMessage]) -> News:
    """What these are to those who wait for some."""
    return News(events=any(True for _ in events), queues={one.queue for one in messages})
