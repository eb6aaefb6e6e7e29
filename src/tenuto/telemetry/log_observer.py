"""The Observer that writes to Python's logging."""

import logging
from collections.abc import Sequence

from tenuto.engine.ports import ActivityWork
from tenuto.model.failure import failure_of
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId, split_address
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.trace import TraceContext

_LOGGER = logging.getLogger("tenuto.host")


class LogObserver:
    """Tells people what they should know, and nothing at INFO for each event."""

    def committed(self, turns: int, seconds: float) -> None:
        """Nothing: a commit is not news."""

    def storage_failed(self, error: Exception, attempt: int) -> None:
        """Say it at the first failure and then ever more rarely."""
        if attempt & (attempt - 1) == 0:
            _LOGGER.error(
                "the store did not take a batch (try %d): %s. Nothing is lost; trying again.",
                attempt,
                error,
            )

    def storage_recovered(self, attempts: int) -> None:
        """The store works again."""
        _LOGGER.warning("the store works again after %d failed tries", attempts)

    def instance_held(self, instance_id: InstanceId, hold: Hold) -> None:
        """A problem that waits for somebody."""
        self.problem(instance_id, f"is held ({hold.reason}): {hold.message}")

    def instance_ended(self, record: InstanceRecord) -> None:
        """Failures are worth a line; the others are for those who want to know everything."""
        is_failed = record.status is RuntimeStatus.FAILED
        if not is_failed and not _LOGGER.isEnabledFor(logging.DEBUG):
            return
        facts = {
            "instance_id": record.instance_id,
            "execution_id": record.execution_id,
            "orchestrator": record.name,
        }
        if is_failed:
            _LOGGER.warning(
                "instance %r (%s) failed: %s",
                record.instance_id,
                record.name,
                None if record.failure is None else record.failure.summary,
                extra=facts,
            )
        else:
            ended = str(record.status).lower()
            _LOGGER.debug(
                "instance %r (%s) %s", record.instance_id, record.name, ended, extra=facts
            )

    sees_turns: bool = False

    def instances_began(self, names: Sequence[str]) -> None:
        """Nothing: a beginning is not news."""

    def instance_began(
        self, instance_id: InstanceId, name: str, generation: int, trace: TraceContext | None
    ) -> None:
        """Nothing: it does not ask for it."""

    def turn_committed(self, instance_id: InstanceId, generation: int, turn: int) -> None:
        """Nothing, as above."""

    def activities_began(self, works: Sequence[ActivityWork]) -> None:
        """Nothing, as above."""

    def activities_ended(self, works: Sequence[ActivityWork], now: Microseconds) -> None:
        """Nothing: what a failure means is decided by the orchestration."""

    def timer_ended(self, name: str, error: BaseException | None, *, is_last: bool = True) -> None:
        """A failure is worth a line, with where it happened: nobody else hears of it."""
        if error is not None:
            _LOGGER.log(
                _level_of(is_last=is_last),
                "timer %r failed: %s: %s. Its schedule goes on.",
                name,
                type(error).__name__,
                _words(error),
                exc_info=error,
                extra={"timer": name},
            )

    def delivery_ended(
        self, name: str, error: BaseException | None, *, is_last: bool = True
    ) -> None:
        """A failure is worth a line, with where it happened."""
        if error is not None:
            _LOGGER.log(
                _level_of(is_last=is_last),
                "function %r failed: %s: %s",
                name,
                type(error).__name__,
                _words(error),
                exc_info=error,
                extra={"function": name},
            )

    def delivery_failed(self, name: str, message_id: str, error: BaseException) -> None:
        """What was put aside, and how to have it again."""
        _LOGGER.error(
            "function %r: delivery %r was put aside after its last attempt: %s: %s. `tenuto topics "
            "failed`, `tenuto queues failed` and `tenuto files failed` show what was put aside.",
            name,
            message_id,
            type(error).__name__,
            _words(error),
            extra={"function": name, "delivery": message_id},
        )

    def dead_letter(self, instance_id: InstanceId, reason: str) -> None:
        """A problem like any other; what was for a linked hub is of no instance here."""
        if split_address(instance_id) is not None:
            self.problem(None, f"dead letter for {instance_id!r}: {reason}")
        else:
            self.problem(instance_id, f"dead letter: {reason}")

    def notice(self, text: str) -> None:
        """A line about the host."""
        _LOGGER.warning("%s", text)

    def moved(self, text: str) -> None:
        """A line about the hub: nobody has to do anything."""
        _LOGGER.info("%s", text)

    def problem(self, instance_id: InstanceId | None, text: str) -> None:
        """A line that names the instance."""
        if instance_id is None:
            _LOGGER.warning("%s", text)
        else:
            facts = {"instance_id": instance_id}
            _LOGGER.warning("instance %r: %s", instance_id, text, extra=facts)

    def crash_point(self, name: str) -> None:
        """Nothing: only tests crash here."""


def _level_of(*, is_last: bool) -> int:
    """Where a failure happened is told at the last attempt; before, a notice says what failed."""
    return logging.ERROR if is_last else logging.DEBUG


def _words(error: BaseException) -> str:
    """What an error says, whatever code of users its class has."""
    return failure_of(error, with_traceback=False).error_message
