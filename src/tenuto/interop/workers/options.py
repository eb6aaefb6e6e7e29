"""The settings of worker processes: what the one who runs a host decides, whatever app it is."""

from typing import Annotated

from msgspec import Meta, Struct


class WorkerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a worker process of an Azure Functions app may use.

    Attributes:
        load_seconds: How long loading an app may take.
        turn_seconds: The longest time for one turn of an orchestrator, and for which the worker's
            loop may be held up; then the process is ended, and what was out is offered again.
        memory_bytes: A worker that has more is replaced; None for no bound. Told on Linux only.
        compare_every: In one session of so many, what the package's executor that is kept between
            turns answers is compared with the plain call; 0 for none.
    """

    load_seconds: Annotated[float, Meta(gt=0)] = 60.0
    turn_seconds: Annotated[float, Meta(gt=0)] = 60.0
    memory_bytes: Annotated[int, Meta(ge=1)] | None = None
    compare_every: Annotated[int, Meta(ge=0)] = 64
