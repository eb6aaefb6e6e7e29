"""A day of load for the real controller of a pool, in simulated time.

Only the work is simulated: it arrives at random, takes its time and is run by the first worker that
is free. How many workers there are is decided by ``PoolScaler``, asked as a pool asks it: when work
comes, when it ends, and each second.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from math import exp, inf
from statistics import quantiles

from msgspec import Struct

from tenuto.engine.scaling import PoolBounds, PoolSample, PoolScaler
from tenuto.model.timing import MICROSECONDS

DAY_SECONDS = 24 * 3600.0
_MAY_WAIT = 2.0
_GRID = 0.25


class Figures(Struct, frozen=True):
    """What a day has cost, and what it would cost who knows it beforehand.

    Attributes:
        jobs: How many there were.
        p95_wait: Of the waiting for a worker, in seconds.
        worker_seconds: From the beginning of each worker's start to its end.
        oracle_seconds: What who knows it beforehand needs (``oracle_seconds``).
        most: Workers at the same time.
        starts: Workers that were started.
        left: Jobs that were never begun.
        workers_at_end: After a quiet hour.
    """

    jobs: int
    p95_wait: float
    worker_seconds: float
    oracle_seconds: float
    most: int
    starts: int
    left: int
    workers_at_end: int

    @property
    def ratio(self) -> float:
        return self.worker_seconds / self.oracle_seconds


def rate_at(hour: float) -> float:
    """Jobs a second: a quiet night, a ramp in the morning, peaks at noon and in the evening."""
    if hour < 6 or hour >= 22:
        return 0.02
    day = 3.0 + 3.0 * exp(-(((hour - 10.5) / 1.5) ** 2)) + 4.0 * exp(-(((hour - 19) / 1.0) ** 2))
    ramp = min(1.0, (hour - 6) / 2, (22 - hour) / 2)
    spike = 10.0 if 12 <= hour < 13 and (hour * 6) % 1 < 0.3 else 0.0
    return day * ramp + spike


def load(seconds: float, seed: int, burst_of: int = 500) -> Iterator[tuple[float, float]]:
    """When jobs arrive, and how long each takes: a day in so many seconds, with a burst."""
    chance = random.Random(seed)
    at, burst = 0.0, 15 / 24 * seconds
    while True:
        hour = at / seconds * 24
        at += chance.expovariate(16.0)  # the highest rate there is; thinned to that of the hour
        if at > burst:
            for _ in range(burst_of):
                yield burst, chance.gammavariate(4.0, 0.25)
            burst = seconds * 2
        if at >= seconds:
            return
        if chance.random() < rate_at(hour) / 16.0:
            yield at, chance.gammavariate(4.0, 0.25)


class Day:
    """One day.

    Args:
        bounds: Of the pool.
        start_seconds: How long a worker takes to start.
    """

    def __init__(self, bounds: PoolBounds, start_seconds: float) -> None:
        self._scaler = PoolScaler(bounds)
        self._start_seconds = start_seconds
        self._events: list[tuple[float, int, str, float]] = []
        self._number = 0
        self._queue: deque[tuple[float, float]] = deque()
        self._workers = self._starting = self._running = 0
        self._mean: float | None = None
        self._waits: list[float] = []
        self._starts = self._most = 0
        self._spent = self._last = 0.0

    def _add(self, at: float, what: str, value: float = 0.0) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, what, value))

    def run(self, seconds: float, *, seed: int = 1, burst_of: int = 500) -> Figures:
        """Run it, and a quiet hour after it."""
        jobs = list(load(seconds, seed, burst_of))
        for at, takes in jobs:
            self._add(at, "job", takes)
        end = seconds + 3600.0
        self._add(0.0, "look", end)
        while self._events:
            at, _, what, value = heapq.heappop(self._events)
            self._spent += (at - self._last) * (self._workers + self._starting)
            self._last = at
            self._take(at, what, value)
            self._begin(at)
            self._resize(at)
        return Figures(
            jobs=len(jobs),
            p95_wait=quantiles(self._waits, n=100)[94],
            worker_seconds=self._spent,
            oracle_seconds=oracle_seconds(jobs, self._start_seconds),
            most=self._most,
            starts=self._starts,
            left=len(jobs) - len(self._waits),
            workers_at_end=self._workers,
        )

    def _take(self, at: float, what: str, value: float) -> None:
        match what:
            case "job":
                self._queue.append((at, value))
            case "done":
                self._running -= 1
                known = value if self._mean is None else self._mean
                self._mean = known + 0.05 * (value - known)
            case "ready":
                self._starting -= 1
                self._workers += 1
            case _:
                if at + 1 <= value:
                    self._add(at + 1, "look", value)

    def _begin(self, at: float) -> None:
        while self._queue and self._running < self._workers:
            since, takes = self._queue.popleft()
            self._waits.append(at - since)
            self._running += 1
            self._add(at + takes, "done", takes)

    def _resize(self, at: float) -> None:
        wanted = self._scaler.wanted(
            PoolSample(
                now=int(at * MICROSECONDS),
                workers=self._workers,
                starting=self._starting,
                running=self._running,
                queued=len(self._queue),
                waited=at - self._queue[0][0] if self._queue else 0.0,
                work_seconds=self._mean,
            )
        )
        assert self._scaler.bounds.least <= wanted <= self._scaler.bounds.most
        have = self._workers + self._starting
        for _ in range(wanted - have):
            self._starting += 1
            self._starts += 1
            self._add(at + self._start_seconds, "ready")
        if wanted < have:
            self._workers -= have - wanted
            assert self._workers >= self._running
        self._most = max(self._most, self._workers + self._starting)


def oracle_seconds(jobs: list[tuple[float, float]], start_seconds: float) -> float:
    """What who knows the day beforehand needs, so that all work begins within two seconds.

    The seconds of the work itself, which nobody can do in less, and starts. The line of work done
    lies between that of work arrived and the same two seconds later; it is the taut string between
    the two, of all lines the one that changes its slope least: the slope is the number of workers,
    which need not be whole, nor below a bound. Where fewer are needed for less time than a start
    takes, they stay and idle. It is close to the least, which is not proved.
    """
    end = int((jobs[-1][0] + _MAY_WAIT) / _GRID) + 2
    arrived = [0.0] * (end + 1)
    for at, takes in jobs:
        arrived[int(at / _GRID) + 1] += takes
    arrived = list(accumulate(arrived))
    late = int(_MAY_WAIT / _GRID)
    due = [0.0] * late + arrived[: end + 1 - late]
    arrived[-1] = due[-1] = arrived[-1]
    total = arrived[-1]
    workers = 0.0
    falls: list[tuple[float, float]] = []  # when, and how many went; the last ones come first again
    for begins, slope in _taut(due, arrived):
        at = begins * _GRID
        change = slope / _GRID - workers
        workers += change
        if change < 0:
            falls.append((at, -change))
        while change > 1e-9:
            since, gone = falls.pop() if falls else (-inf, change)
            back = min(gone, change)
            total += back * min(start_seconds, at - since)
            change -= back
            if gone > back:
                falls.append((since, gone - back))
    return total


def _taut(lower: list[float], upper: list[float]) -> Iterator[tuple[int, float]]:
    """The taut string between two rising lines that meet at both ends: places and slopes."""
    place, height, last = 0, lower[0], len(lower) - 1
    while place < last:
        most, least = inf, -inf
        most_at = least_at = place
        for other in range(place + 1, last + 1):
            ceiling = (upper[other] - height) / (other - place)
            floor = (lower[other] - height) / (other - place)
            if floor > most or ceiling < least:
                break
            if ceiling <= most:
                most, most_at = ceiling, other
            if floor >= least:
                least, least_at = floor, other
        else:
            most, most_at, floor = least, last, inf
        if floor > most:
            yield place, most
            place, height = most_at, upper[most_at]
        else:
            yield place, least
            place, height = least_at, lower[least_at]
