"""A step of an instance: what it means for the batch, and once that is durable, for others.

Booking and release know steps, and nothing of the kinds of instances that take them. An
orchestration's step is its turn (``engine.turns.orchestration``), with events for its history. A
kind that has no history leaves its events empty: then the row, the messages and the effects are
all that is written and done.
"""

import logging
from collections.abc import Sequence

from msgspec import Struct, field

from tenuto.engine.rows import LinkRow, TopicWaitRow
from tenuto.engine.turns.effects import NOTHING, Effects
from tenuto.engine.turns.sorting import SortedInbox
from tenuto.model.events import HistoryEvent
from tenuto.model.messages import Message
from tenuto.model.timing import Microseconds
from tenuto.model.unread import UnreadEvent


class Step(Struct):
    """What a step of an instance came to.

    Attributes:
        events: The turn as history records it; empty when nothing was taken in.
        generation: The generation that the events belong to.
        number: Their place in its history, from 0.
        inbox: What became of each message.
        row: The events as JSON, as history keeps them.
        actions: How many decisions are among the events.
        effects: What follows from them for others.
        logs: Log lines to show once the turn is committed.
        waited: Microseconds since the turn before, of the same generation.
        running: Nanoseconds that it took on the host's loop.
        unread: Events that it leaves to the next generation, if it ends this one.
        links: Links that it opens or closes, as the store is to know them.
        topic_waits: Waits for topics that it begins or ends, as the store is to know them.
        taken_unread: Numbers of the events of earlier generations that are read or dropped now.
        has_ended: Whether the execution is closed by it.
        seed: The messages that open the next generation.
        row_changed: Whether the instance's row must be written.
        resumes: Whether it was paused or held, and goes on now.
    """

    events: list[HistoryEvent]
    generation: int
    number: int
    inbox: SortedInbox
    row: bytes | bytearray = b""
    actions: int = 0
    effects: Effects = field(default_factory=lambda: NOTHING)
    logs: list[logging.LogRecord] | None = None
    waited: Microseconds = 0
    has_ended: bool = False
    seed: Sequence[Message] = ()
    row_changed: bool = False
    resumes: bool = False
    unread: Sequence[UnreadEvent] = ()
    taken_unread: Sequence[int] = ()
    links: Sequence[LinkRow] = ()
    topic_waits: Sequence[TopicWaitRow] = ()
    running: int = 0
