"""An Observer that keeps what it is told, for tests to look at."""

from collections.abc import Sequence

from tenuto.engine.ports import ActivityWork
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.trace import TraceContext
from tenuto.telemetry.log_observer import LogObserver


class RecordingObserver(LogObserver):
    """Logs as a host does, and remembers.

    Attributes:
        problems: What a person should know, each with the instance id or None.
        began: Ids of instances whose first turn is durable, also of further executions.
        turns: Durable turns: instance, generation, number.
        activities: Names of the attempts that were handed to the runner.
        ended: Rows of instances that ended, in this order.
        commits: Number of turns of each durable batch.
        storage_failures: What the store refused.
        timers: Runs of functions that schedules start, each with what it raised or None.
        deliveries: Runs of functions that events start, the same.
        put_aside: Deliveries that were put aside: function and id.
    """

    sees_turns: bool = True

    def __init__(self) -> None:
        self.problems: list[tuple[InstanceId | None, str]] = []
        self.began: list[InstanceId] = []
        self.turns: list[tuple[InstanceId, int, int]] = []
        self.activities: list[str] = []
        self.ended: list[InstanceRecord] = []
        self.commits: list[int] = []
        self.storage_failures: list[Exception] = []
        self.timers: list[tuple[str, BaseException | None]] = []
        self.deliveries: list[tuple[str, BaseException | None]] = []
        self.put_aside: list[tuple[str, str]] = []

    def committed(self, turns: int, seconds: float) -> None:
        """Count it."""
        super().committed(turns, seconds)
        self.commits.append(turns)

    def storage_failed(self, error: Exception, attempt: int) -> None:
        """Keep the error."""
        super().storage_failed(error, attempt)
        self.storage_failures.append(error)

    def instance_began(
        self, instance_id: InstanceId, name: str, generation: int, trace: TraceContext | None
    ) -> None:
        """Keep the id."""
        super().instance_began(instance_id, name, generation, trace)
        self.began.append(instance_id)

    def turn_committed(self, instance_id: InstanceId, generation: int, turn: int) -> None:
        """Keep which."""
        super().turn_committed(instance_id, generation, turn)
        self.turns.append((instance_id, generation, turn))

    def activities_began(self, works: Sequence[ActivityWork]) -> None:
        """Keep their names."""
        super().activities_began(works)
        self.activities.extend(work.name for work in works)

    def instance_ended(self, record: InstanceRecord) -> None:
        """Keep the row."""
        super().instance_ended(record)
        self.ended.append(record)

    def timer_ended(self, name: str, error: BaseException | None, *, is_last: bool = True) -> None:
        """Keep the name and the error."""
        super().timer_ended(name, error, is_last=is_last)
        self.timers.append((name, error))

    def delivery_ended(
        self, name: str, error: BaseException | None, *, is_last: bool = True
    ) -> None:
        """Keep the name and the error."""
        super().delivery_ended(name, error, is_last=is_last)
        self.deliveries.append((name, error))

    def delivery_failed(self, name: str, message_id: str, error: BaseException) -> None:
        """Keep what was put aside."""
        super().delivery_failed(name, message_id, error)
        self.put_aside.append((name, message_id))

    def problem(self, instance_id: InstanceId | None, text: str) -> None:
        """Keep the text."""
        super().problem(instance_id, text)
        self.problems.append((instance_id, text))
