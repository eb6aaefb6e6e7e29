"""An Observer that keeps what it is told, for tests to look at."""

from tenuto.model.status import InstanceRecord
from tenuto.telemetry.log_observer import LogObserver


class RecordingObserver(LogObserver):
    """Logs as a host does, and remembers.

    Attributes:
        problems: What a person should know, each with the instance id or None.
        ended: Rows of instances that ended, in this order.
        commits: Number of turns of each durable batch.
        storage_failures: What the store refused.
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str | None, str]] = []
        self.ended: list[InstanceRecord] = []
        self.commits: list[int] = []
        self.storage_failures: list[Exception] = []

    def committed(self, turns: int, seconds: float) -> None:
        """Count it."""
        super().committed(turns, seconds)
        self.commits.append(turns)

    def storage_failed(self, error: Exception, attempt: int) -> None:
        """Keep the error."""
        super().storage_failed(error, attempt)
        self.storage_failures.append(error)

    def instance_ended(self, record: InstanceRecord) -> None:
        """Keep the row."""
        super().instance_ended(record)
        self.ended.append(record)

    def problem(self, instance_id: str | None, text: str) -> None:
        """Keep the text."""
        super().problem(instance_id, text)
        self.problems.append((instance_id, text))
