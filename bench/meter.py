"""What a piece of work cost: time, our processor time, and that of everybody else meanwhile."""

import time
from typing import Self

from bench.machine import busy_seconds
from tenuto.model.status import InstanceRecord
from tenuto.telemetry.log_observer import LogObserver


class Meter:
    """Measures what happens inside a ``with`` block, in this process with all its threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.foreign_cores: float | None = None

    def __enter__(self) -> Self:
        self._busy = busy_seconds()
        self._cpu = time.process_time()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_error: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu_seconds = time.process_time() - self._cpu
        busy = busy_seconds()
        if busy is not None and self._busy is not None:
            foreign = (busy - self._busy - self.cpu_seconds) / self.seconds
            self.foreign_cores = max(0.0, foreign)

    def values(self, units: float) -> dict[str, float]:
        """As the columns of a figure."""
        found = {"rate": units / self.seconds, "cpu_us": self.cpu_seconds / units * 1_000_000}
        if self.foreign_cores is not None:
            found["foreign_cores"] = self.foreign_cores
        return found


class CountingObserver(LogObserver):
    """The host's usual observer, which counts as well."""

    def __init__(self) -> None:
        self.commits = 0
        self.ended = 0
        self.last_end = 0.0

    def committed(self, turns: int, seconds: float) -> None:
        super().committed(turns, seconds)
        self.commits += 1

    def instance_ended(self, record: InstanceRecord) -> None:
        super().instance_ended(record)
        self.ended += 1
        self.last_end = time.time()
