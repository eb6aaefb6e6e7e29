"""Callers: who waits in this process for what becomes of a request or an instance.

Each is told once: with the commit that makes it true (``durable_before_visible``), or by an error.
"""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from tenuto.model.errors import TenutoError
from tenuto.model.ids import AnyMessageId, InstanceId
from tenuto.model.status import InstanceRecord

Answer: TypeAlias = Callable[[TenutoError | None], None]
"""Gets None when a request was carried out, durably, or why not."""

Outcome: TypeAlias = Callable[[InstanceRecord | TenutoError], None]
"""Gets the row of an instance that has ended."""


class Caller(Struct, frozen=True):
    """Whoever waits for what becomes of a request about an instance."""

    instance_id: InstanceId
    answer: Answer


class Callers:
    """Those who wait, of one engine.

    Attributes:
        waiters: By instance id, those who wait for its end.
        beginnings: By instance id, those who wait for its first turn.
    """

    def __init__(self) -> None:
        self.waiters: dict[InstanceId, list[Outcome]] = {}
        self.beginnings: dict[InstanceId, list[Answer]] = {}
        self._requests: dict[AnyMessageId, Caller] = {}

    # --- requests ---------------------------------------------------------------------------------

    @property
    def requests(self) -> int:
        """How many requests are not answered yet."""
        return len(self._requests)

    def expect(self, message_id: AnyMessageId, instance_id: InstanceId, answer: Answer) -> None:
        """Somebody waits for what becomes of this request about this instance."""
        self._requests[message_id] = Caller(instance_id, answer)

    def is_expected(self, message_id: AnyMessageId) -> bool:
        """Whether somebody waits for what becomes of it."""
        return message_id in self._requests

    def take(self, message_id: AnyMessageId) -> Caller | None:
        """Whoever waits, to be told later, by somebody else."""
        return self._requests.pop(message_id, None)

    def put_back(self, message_id: AnyMessageId, caller: Caller) -> None:
        """It was not to be told after all."""
        self._requests[message_id] = caller

    def answer(self, message_id: AnyMessageId, error: TenutoError | None) -> bool:
        """Tell whoever waits; False when nobody does."""
        caller = self._requests.pop(message_id, None)
        if caller is None:
            return False
        caller.answer(error)
        return True

    # --- instances --------------------------------------------------------------------------------

    def has_begun(self, instance_id: InstanceId) -> None:
        """A turn of it is durable."""
        for tell in self.beginnings.pop(instance_id, ()):
            tell(None)

    def has_ended(self, record: InstanceRecord) -> None:
        """Its end is durable."""
        for waiter in self.waiters.pop(record.instance_id, ()):
            waiter(record)

    # --- the end ----------------------------------------------------------------------------------

    def abandon(
        self, error: TenutoError, is_about: Callable[[InstanceId], bool] | None = None
    ) -> None:
        """Nobody will be told any more, of these instances or of any: say so to all who wait."""
        if is_about is None:
            is_about = _any
        for message_id, caller in list(self._requests.items()):
            if is_about(caller.instance_id):
                self._requests.pop(message_id, None)
                caller.answer(error)
        for instance_id in filter(is_about, list(self.waiters)):
            for waiter in self.waiters.pop(instance_id):
                waiter(error)
        for instance_id in filter(is_about, list(self.beginnings)):
            for tell in self.beginnings.pop(instance_id):
                tell(error)


def _any(_instance_id: InstanceId) -> bool:
    return True
