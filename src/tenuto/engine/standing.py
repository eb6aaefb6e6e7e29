"""How an instance stands with the host that runs it: what no row and no history says.

For people who ask why it does not go on (``insight``). Looks, and changes nothing.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Final

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.ports import QueuedWork
from tenuto.model.ids import InstanceId

__all__ = ["Look", "QueuedWork", "look_at"]

_MOST: Final = 10
"""So many attempts are looked for in the queues, which may be long; people are shown fewer."""


class Look(Struct, frozen=True, kw_only=True):
    """What a host knows of an instance.

    Attributes:
        serves: Whether it has the orchestrator.
        unserved: Activities that the instance has called, and that are not here.
        place: Its place in the queue for turns, from 1; None when it is not queued.
        queued: By the event id of the call, attempts that have not begun; of many, of the first.
        unavailable: Why the store cannot be written to; empty when it can.
    """

    serves: bool = True
    unserved: tuple[str, ...] = ()
    place: int | None = None
    queued: Mapping[int, QueuedWork] = {}
    unavailable: str = ""


def look_at(engine: Engine, instance_id: InstanceId, name: str) -> Look | None:
    """How an instance stands here; None when another host has it.

    Args:
        engine: Of the host.
        instance_id: Which one.
        name: Its orchestrator.
    """
    home = engine.find(instance_id)
    if home is None:
        return None
    runner = engine.runner
    resident = home.residents.named(instance_id)
    works = () if resident is None else tuple(resident.state.work.activities.values())
    queued = {}
    running = () if resident is None else resident.works.values()
    for work in islice(running, _MOST):
        found = runner.queue_of(work)
        if found is not None:
            queued[work.call_id] = found
    problem = engine.pipeline.unavailable
    return Look(
        serves=runner.serves(name),
        unserved=tuple(work.name for work in works if not runner.serves_activity(work.name)),
        place=engine.place_of(resident),
        queued=queued,
        unavailable="" if problem is None else str(problem),
    )
