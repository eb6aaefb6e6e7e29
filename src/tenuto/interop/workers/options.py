"""What worker processes may use.

The settings are what the one who runs a host decides, whatever app it is; what a pool is told comes
from them and from the app.
"""

from typing import Annotated

from msgspec import Meta, Struct

from tenuto.engine.scaling import PoolBounds
from tenuto.interop.workers.protocol import Limits


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker process of an Azure Functions app may use.

    Attributes:
        load_seconds: How long loading an app may take.
        turn_seconds: The longest time for one turn of an orchestrator, and for which the worker's
            loop may be held up by anything but a call; then the process is ended, and what was out
            is offered again.
        memory_bytes: A worker that has more is replaced once it has done what it does; one that
            has twice as much, at once. None for no bound. Told on Linux only.
        compare_every: In one session of so many, what the package's executor that is kept between
            turns answers is compared with the plain call; 0 for none.
        most: Up to so many processes the app gets while work waits; None for as many as it asks
            for, always.
        calls_each: So many calls are work enough for one process; with more, the app gets another.
        wait_seconds: When calls would wait for longer, the app gets another process.
        idle_seconds: So many seconds of processes that have nothing to do, and one goes.
    """

    load_seconds: Annotated[float, Meta(gt=0)] = 60.0
    turn_seconds: Annotated[float, Meta(gt=0)] = 60.0
    memory_bytes: Annotated[int, Meta(ge=1)] | None = None
    compare_every: Annotated[int, Meta(ge=0)] = 64
    most: Annotated[int, Meta(ge=1)] | None = None
    calls_each: Annotated[int, Meta(ge=1)] = 8
    wait_seconds: Annotated[float, Meta(gt=0)] = 1.5
    idle_seconds: Annotated[float, Meta(ge=0)] = 5.0

    def bounds(self, workers: int) -> PoolBounds:
        """Between what the processes of an app grow and shrink that asks for so many."""
        return PoolBounds(
            least=workers,
            most=max(workers, self.most or workers),
            room=self.calls_each,
            wait_seconds=self.wait_seconds,
            idle_seconds=self.idle_seconds,
        )


class PoolOptions(Struct, frozen=True, kw_only=True):
    """What the workers of a program may use.

    Attributes:
        bounds: Between what the number of processes grows and shrinks.
        turn_seconds: The longest time for one turn, and for a loop that is held up.
        memory_bytes: A worker that has more is replaced once it has done what it does; one that
            has twice as much, at once. None for no bound.
        limits: What each worker is told of the host's limits.
        most_deaths: A call that has killed so many workers, alone with them, fails.
    """

    bounds: PoolBounds = PoolBounds(least=1)
    turn_seconds: float = 60.0
    memory_bytes: int | None = None
    limits: Limits | None = None
    most_deaths: int = 3
