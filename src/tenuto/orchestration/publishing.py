"""Publishing, queueing and waiting for topics, as an orchestrator asks for it.

What it publishes is an action like any other: durable with its turn, once for each turn that counts
(``exactly_once_turns``). A wait for a topic is a wait for an event of a name of its own, which the
engine raises when it has found the event (``engine.correlation``).
"""

from collections.abc import Callable, Generator, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
from msgspec import structs

from tenuto.model.errors import InputError, PayloadError
from tenuto.model.events import (
    EventPublished,
    EventRaised,
    MessageQueued,
    TopicAwaited,
    TopicPlace,
)
from tenuto.model.timing import span
from tenuto.model.topics import (
    Event,
    EventHead,
    StoredEvent,
    checked_head,
    checked_key,
    checked_own_topic,
    checked_place,
    checked_topic,
    content_in,
    event_for_wait,
    event_of,
    wait_name,
)
from tenuto.orchestration.tasks import EventTask

if TYPE_CHECKING:
    from tenuto.orchestration.session import Session

Decode: TypeAlias = Callable[[str | None], Any]

_read = msgspec.json.Decoder(StoredEvent).decode
MOST_PLACES: Final = 10_000
"""So many topics and keys an instance remembers over generations: of the newest events."""
SURE_PLACES: Final = 1_000
MOST_CHARACTERS: Final = 1_000_000
"""Of topics and keys beyond the sure ones: each generation is written with all of them."""
LONGEST_DELAY: Final = timedelta(days=3660)
"""How far off the moment may be at which a message of a queue is worked on."""


class Noted:
    """What an orchestrator has asked for and need not wait for: it is durable with its turn."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        """Nothing to wait for."""
        yield from ()


NOTED = Noted()


class TopicPlaces:
    """How far an execution has come in topics, by topic and key: no event is taken twice."""

    __slots__ = ("_inherited", "_places")

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._inherited = 0

    def take_over(self, places: Iterable[TopicPlace]) -> None:
        """What the generation before had come to."""
        self._places = {(one.topic, one.key): one.position for one in places}
        self._inherited = len(self._places)

    def of(self, topic: str, key: str) -> int:
        """Up to which position."""
        return self._places.get((topic, key), 0)

    def reach(self, topic: str, key: str, position: int) -> None:
        """An event was taken."""
        self._places[topic, key] = max(position, self.of(topic, key))

    def as_tuple(self) -> tuple[TopicPlace, ...]:
        """For the next generation: those of the newest events, lest they grow for ever.

        No low-water mark stands for the others: events of keys that were never waited for may be
        older than it, and would be lost.
        """
        newest = sorted(self._places.items(), key=lambda one: one[1], reverse=True)
        kept: list[TopicPlace] = []
        room = MOST_CHARACTERS
        for (topic, key), position in newest[:MOST_PLACES]:
            room -= len(topic) + len(key)
            if room < 0 and len(kept) >= SURE_PLACES:
                break
            kept.append(TopicPlace(topic, key, position))
        return tuple(reversed(kept))

    def forgotten(self, kept: int) -> int:
        """How many are forgotten, of which so many are kept; 0 when that is no news."""
        return 0 if kept == self._inherited else len(self._places) - kept


class TopicTask(EventTask[Event]):
    """A wait for an event of a topic with some key."""

    __slots__ = ("_data_of", "_key", "_reserved_id", "_session", "_topic")

    def __init__(
        self, session: "Session", topic: str, key: str, data_of: Decode | None = None
    ) -> None:
        self._session = session
        self._data_of = data_of
        self._topic = topic
        self._key = key
        self._reserved_id = session.next_id()
        name = wait_name(session.info.facts.execution_id, self._reserved_id)
        super().__init__(session, name, self._taken)

    @property
    def what(self) -> str:
        """Which events."""
        return f"wait for an event of topic {self._topic!r} with key {self._key!r}"

    def opened(self) -> None:
        """The engine looks for an event from now on."""
        self._open_id = self._reserved_id
        self._look_on()

    def _look_on(self) -> None:
        after = self._session.topics.of(self._topic, self._key)
        self._session.record(TopicAwaited(self._reserved_id, self._topic, self._key, after))

    def accepts(self, event: EventRaised, which: int) -> bool:
        """Take the event, unless another wait of this topic and key has: then look on."""
        stored = event_for_wait(event.input)
        places = self._session.topics
        if stored is not None and stored.position <= places.of(self._topic, self._key):
            self._look_on()
            return False
        return super().accepts(event, which)

    def _taken(self, text: str | None) -> Event:
        stored = _read(text or "")
        event = event_of(stored)
        if self._data_of is not None:
            data = bytes(content_in(stored.event).data).decode()
            event = structs.replace(event, data=self._data_of(data))
        self._session.topics.reach(self._topic, self._key, stored.position)
        return event

    def _called(self, event: EventRaised) -> str:
        stored = event_for_wait(event.input)
        which = "an event" if stored is None else f"event {stored.event_id!r}"
        return f"{which} of topic {self._topic!r} with key {self._key!r}"

    def _refuse(self, event: EventRaised, which: int, error: PayloadError) -> None:
        """It is put aside, and passed: whatever comes after it counts."""
        is_noted = self._session.refuse_event(event, event.name, which, error)
        stored = event_for_wait(event.input)
        if is_noted and stored is not None:
            self._session.topics.reach(self._topic, self._key, stored.position)
            self._look_on()


def publish(session: "Session", topic: object, data: object, head: EventHead) -> Noted:
    """Publish an event with this turn.

    Raises:
        InputError: topic or head cannot be used.
        PayloadError: the data cannot be stored.
    """
    name = checked_topic(topic)
    head = checked_head(head, name)
    if head.details.source is not None:
        raise InputError("the source of what an orchestrator publishes is its instance")
    text = None if data is None else session.encode(data, f"the event for topic {name!r}")
    attributes = head.details.attributes
    session.record(
        EventPublished(
            session.next_id(),
            name,
            text,
            head.key,
            head.type,
            head.details.subject,
            dict(attributes) if attributes else None,
        )
    )
    return NOTED


def enqueue(session: "Session", queue: object, data: object, delay: timedelta | None) -> Noted:
    """Put a message into a queue with this turn.

    Raises:
        InputError: the queue's name or the delay cannot be used.
        PayloadError: the data cannot be stored.
    """
    name = checked_place(queue, "a queue")
    visible_at = session.loop.now + checked_delay(delay)
    text = session.encode(data, f"the message for queue {name!r}")
    session.record(MessageQueued(session.next_id(), name, visible_at, text))
    return NOTED


def checked_delay(delay: object) -> int:
    """A delay in microseconds; 0 for none.

    Raises:
        InputError: it is no time that passes, or a longer one than ten years.
    """
    if delay is None:
        return 0
    if not isinstance(delay, timedelta) or not timedelta(0) <= delay <= LONGEST_DELAY:
        raise InputError(
            f"the delay of a message must be a timedelta from 0 to {LONGEST_DELAY.days} days, "
            f"got {delay!r}"
        )
    return span(delay)


def wait_for_topic(
    session: "Session", topic: object, match: object, data_of: Decode | None
) -> TopicTask:
    """A wait for an event of a topic, whose data are what ``data_of`` makes of their JSON text.

    Raises:
        InputError: topic or key cannot be used.
    """
    name = checked_own_topic(topic)
    key = checked_key(match, "match, the key of the event that is waited for,")
    if key is None:
        raise InputError("wait_for_event needs match=, the key of the event that is waited for")
    return TopicTask(session, name, key, data_of)
