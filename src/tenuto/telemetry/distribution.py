"""Durations and sizes in buckets: what a histogram costs where every microsecond counts.

A bound child of prometheus_client takes a lock and 1.2 µs for each value; this takes a quarter.
Written on the host's loop only; what reads it sees whole numbers, perhaps of two moments.
"""

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """Counts values by bucket.

    Args:
        bounds: The highest value of each bucket but the last, which has none; ascending.

    Attributes:
        counts: Values per bucket, the last one for what is above all bounds.
        total: Their sum.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        self.bounds = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total: int = 0

    def add(self, value: int) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self, unit: float) -> list[tuple[str, float]]:
        """Bounds and how many values are at most that high, as Prometheus wants it.

        Args:
            unit: How much one of ours is in the unit shown, such as 1e-6 for microseconds.
        """
        names = [f"{bound * unit:g}" for bound in self.bounds]
        so_far = 0
        buckets: list[tuple[str, float]] = []
        for name, count in zip([*names, "+Inf"], self.counts, strict=True):
            so_far += count
            buckets.append((name, so_far))
        return buckets
