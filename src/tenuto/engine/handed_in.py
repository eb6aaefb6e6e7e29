"""Events that programs have published with transactions of their own.

Such an event waits in the inbox of a partition: its topic has an order, and nobody may hold that up
for as long as his own transaction is open. The owner moves it into the topic, in one commit with
the end of its message, so it is there once (``exactly_once_turns``), and one that the store cannot
hold becomes a dead letter (``no_silent_drop``).
"""

from functools import partial

from tenuto.engine.batch import Posted
from tenuto.engine.delivery import row_id
from tenuto.engine.parts import OwnedPartition, Parts
from tenuto.model.carried_events import handed_in, is_of_topic
from tenuto.model.errors import InputError, TenutoError
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import Publish


class HandedIn:
    """Moves them, for an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._refused: dict[MessageId, str] = {}

    def arrive(self, home: OwnedPartition, address: InstanceId, message: Publish) -> None:
        """An event was found in the inbox; a copy of one that is being moved goes."""
        engine = self._engine
        key = row_id(message)
        if key is None or home.delivery.is_known(key):
            return
        batch = engine.pipeline.batch
        batch.consume(message, home.number)
        reason = self._refused.pop(key, None) or _no_topic(address)
        if reason is None:
            event = handed_in(address, message)
            batch.posted.append(Posted([event], [], partial(self._told, key)))
        else:
            engine.booking.bury(message, address, reason, batch)
        engine.schedule_pump()

    def _told(self, key: MessageId, error: TenutoError | None) -> None:
        """Nothing of a batch was written that holds what cannot be: all of it is read again."""
        if isinstance(error, InputError):
            self._refused[key] = str(error)


def _no_topic(address: InstanceId) -> str | None:
    """Why there is no topic of this address; None where there is."""
    return None if is_of_topic(address) else f"{address!r} is an instance, and this is for a topic"
