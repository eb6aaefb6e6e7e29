"""How many workers there should be: of a pool that grows and shrinks, and of a whole hub.

Decides only: starts nothing, ends nothing, reads no clock. Whoever has a pool asks when work comes
and from time to time, and does what it is told (decision 0083).
"""

from math import ceil

from msgspec import Struct

from tenuto.model.timing import MICROSECONDS, Microseconds


class PoolBounds(Struct, frozen=True, kw_only=True):
    """Between what a pool grows and shrinks, and how eagerly.

    Attributes:
        least: Workers that are always there; 0 where idle shall cost nothing.
        most: Workers at most.
        room: What one of them runs at once.
        wait_seconds: It grows when work would wait for longer.
        idle_seconds: So many seconds of one worker may pass without work before one goes: four of
            them that idle together spend them in a quarter of the time.
    """

    least: int = 0
    most: int = 1
    room: int = 1
    wait_seconds: float = 1.5
    idle_seconds: float = 5.0


class PoolSample(Struct, frozen=True, kw_only=True):
    """How a pool stands at one moment.

    Attributes:
        now: The moment.
        workers: That are there.
        starting: That will be there soon.
        running: What workers have begun.
        queued: What waits for one.
        waited: Since when the first of that has waited, in seconds.
        work_seconds: How long a piece of work takes on the average; None where that is not known,
            which is taken for long.
    """

    now: Microseconds
    workers: int
    starting: int = 0
    running: int = 0
    queued: int = 0
    waited: float = 0.0
    work_seconds: float | None = None


class PoolScaler:
    """Decides for one pool.

    It grows at once, to so many workers that what is queued begins within ``wait_seconds``, and
    never without a queue. It shrinks by one whenever the workers together have idled for
    ``idle_seconds`` since it last grew or shrank, and nothing waits: whoever comes and goes in
    short turns does not make it flap, and what idles never costs much more than a new start.

    Args:
        bounds: Between what.
    """

    def __init__(self, bounds: PoolBounds) -> None:
        self.bounds = bounds
        self._idle_seconds = 0.0
        self._seen_at: Microseconds | None = None
        self._idle = 0

    def wanted(self, sample: PoolSample) -> int:
        """How many workers there should be now, those that start included."""
        bounds = self.bounds
        have = sample.workers + sample.starting
        needed = max(bounds.least, self._needed(sample))
        self._pass(sample)
        if needed > have:
            self._idle_seconds = 0.0
            return max(min(needed, bounds.most), _busy(sample, bounds))
        if sample.queued or sample.starting or self._idle_seconds < bounds.idle_seconds:
            return have
        floor = max(bounds.least, _busy(sample, bounds))
        if have > floor:
            self._idle_seconds = 0.0
        return max(have - 1, floor)

    def _pass(self, sample: PoolSample) -> None:
        """Since the last sample time has passed, without work for those that had none then."""
        if self._seen_at is not None:
            passed = max(0, sample.now - self._seen_at) / MICROSECONDS
            self._idle_seconds += passed * self._idle
        self._seen_at = sample.now
        self._idle = max(0, sample.workers - _busy(sample, self.bounds))

    def _needed(self, sample: PoolSample) -> int:
        """So many that what is queued begins in time; not more than there is work for."""
        if not sample.queued:
            return 0
        bounds = self.bounds
        with_all = ceil((sample.running + sample.queued) / bounds.room)
        if sample.work_seconds is None:
            return with_all
        in_time = ceil(sample.queued * sample.work_seconds / (bounds.wait_seconds * bounds.room))
        if sample.waited > bounds.wait_seconds and not sample.starting:
            in_time = max(in_time, sample.workers + 1)  # what was reckoned with has not come true
        return max(1, min(with_all, in_time))


def _busy(sample: PoolSample, bounds: PoolBounds) -> int:
    return ceil(sample.running / bounds.room)


def target_workers(
    activities: int,
    instances: int,
    partitions: int,
    *,
    activities_each: int,
    instances_each: int,
) -> int:
    """Hosts that a hub needs for what it has to do now: the formula of target-based scaling.

    Args:
        activities: Activities that run or wait.
        instances: Instances that wait for a turn.
        partitions: Partitions that have some of them.
        activities_each: Activities that one host runs at once.
        instances_each: Instances that one host takes on at once.

    Example:
        ``target_workers(30, 31, 4, activities_each=10, instances_each=10)`` is 4.
    """
    # A partition is served by one host: more hosts than partitions with work do not help.
    for_instances = min(partitions, ceil(instances / instances_each))
    return max(ceil(activities / activities_each), for_instances)
