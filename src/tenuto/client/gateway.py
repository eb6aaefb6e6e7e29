"""Where a client's requests go: into the engine of this process, or through the store.

What both kinds of gateway do (``engine_gateway``, ``store_gateway``), and what they share.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from tenuto.client.topics import TopicsGateway
from tenuto.engine.queue_ports import QueueStanding, WaitingMessage
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.model.errors import NotOverLinksError, StorageUnavailableError
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, split_address
from tenuto.model.messages import ClientMessage
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
    StartRequest,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.model.usage import Day, Dimension, UsageLine

T = TypeVar("T")

SILENT_SECONDS: Final = 25.0
"""So long a store may say nothing to who writes to it."""
_OWNER_SECONDS = 30.0
_NOBODY_SECONDS = 3.0
"""Whether a host runs is looked at after so long, once: to look is to hold its lock for an instant,
and a host that is restarted is soon back."""


def check_here(instance_id: InstanceId) -> None:
    """See that an id is none of a linked hub, for who is not in the process of the host.

    Raises:
        NotOverLinksError: it is.
    """
    if split_address(instance_id) is not None:
        raise NotOverLinksError(
            f"{instance_id!r} is an instance of a linked hub: what is asked of one goes through a "
            "client in the process of this hub's host, or an orchestration; or ask that hub"
        )


class Gateway(Protocol):
    """What a client asks for, in JSON text and rows."""

    def now(self) -> Microseconds:
        """The present, in microseconds since 1970: the ids that a client makes begin with it."""

    async def start(self, request: StartRequest) -> None:
        """Start an instance; returns when it is durable."""

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something: an event, a word of control, that it is to be deleted."""

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """Publish events and queue messages, all or none; returns when they are durable."""

    @property
    def topics(self) -> TopicsGateway:
        """Looks at topics, their subscriptions and flows."""

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The row once the instance has ended, or with ``started`` has begun."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The row."""

    async def query(self, query: InstanceQuery) -> InstancePage:
        """A page of rows."""

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        """The turns of the current execution, as JSON arrays."""

    async def decided(self, instance_id: InstanceId, execution_id: ExecutionId) -> None:
        """Wait until it is decided whether a start gets its id, that is in the inbox."""

    def wake(self) -> None:
        """Have whoever serves the hub look for what has come over connections of others."""

    async def close(self) -> None:
        """Let go of what belongs to the client alone."""

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The newest messages that nobody could take."""

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        """Turns of the current execution, as long as they fit; one at least."""

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        """Messages that nobody could take, newest first, as long as they fit; one at least."""

    async def acknowledge_letters(self, message_ids: Sequence[MessageId]) -> int:
        """Note that somebody has seen to these dead letters; of how many that was news."""

    async def usage(self, first: Day, last: Day, by: Sequence[Dimension]) -> list[UsageLine]:
        """What was used between two days, both included, added up by these dimensions."""

    async def queues(self) -> list[QueueStanding]:
        """How each queue stands."""

    async def queue_messages(self, queue: str, limit: int, most_bytes: int) -> list[WaitingMessage]:
        """The next messages of a queue, as long as they fit; one at least."""

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue, all that it has without ids; how many there were."""

    async def failed_deliveries(
        self,
        source: str | None = None,
        name: str | None = None,
        function: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[FailedDelivery]:
        """Deliveries that were put aside, oldest first, after this number."""

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back to their functions."""

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete failed deliveries; how many there were."""


class Patience:
    """How long an answer of the host is waited for: less when none runs.

    Args:
        has_host: Whether one owns the store now.
    """

    def __init__(self, has_host: Callable[[], bool]) -> None:
        self._has_host = has_host
        self._began = time.monotonic()
        self._is_alone: bool | None = None

    @property
    def seconds(self) -> float:
        """For how long it has been waited."""
        return time.monotonic() - self._began

    def is_over(self) -> bool:
        """Whether there is no point in waiting any longer."""
        waited = self.seconds
        if self._is_alone is None and waited > min(_NOBODY_SECONDS, _OWNER_SECONDS):
            self._is_alone = not self._has_host()
        return bool(self._is_alone) or waited > _OWNER_SECONDS

    def error(self, undone: str) -> StorageUnavailableError:
        """Why nothing has come.

        Args:
            undone: What was not done, as a sentence begins.
        """
        why = (
            "no host runs on this store"
            if self._is_alone
            else f"no host has done it within {self.seconds:.0f} s"
        )
        what = (
            f"{undone}: {why}. The request stays in the store and is carried out when a host runs "
            "on it"
        )
        return StorageUnavailableError(what).told_as(what)


async def within_patience(writing: Awaitable[T], doubt: str) -> T:
    """What a store answers to a write, unless it says nothing for too long.

    Args:
        writing: Goes on in the store when nobody waits for it any more.
        doubt: What may be done all the same, as a sentence ends.

    Raises:
        StorageUnavailableError: it has said nothing.
    """
    limit = asyncio.timeout(SILENT_SECONDS)
    try:
        async with limit:
            return await writing
    except TimeoutError:
        if not limit.expired():
            raise
    what = f"the store has not answered within {SILENT_SECONDS:g} s: {doubt}"
    raise StorageUnavailableError(what).told_as(what)


def has_come(record: InstanceRecord, *, started: bool) -> bool:
    """Whether what is waited for has come: the beginning of an instance, or its end."""
    status = record.status
    return status is not RuntimeStatus.PENDING if started else status.is_finished


def present() -> Microseconds:
    """The machine's clock, for a client that has no host's; no decision hangs on it."""
    return time.time_ns() // 1000
