"""How an instance stands with the host that runs it: what no row and no history says.

For people who ask why it does not go on (``insight``). Looks, and changes nothing.
"""

from collections.abc import Mapping

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.ports import WorkStage
from tenuto.model.ids import InstanceId


class Look(Struct, frozen=True, kw_only=True):
    """What a host knows of an instance.

    Attributes:
        serves: Whether it has the orchestrator.
        unserved: Activities that the instance has called, and that are not here.
        is_busy: Whether something is on its way to it or from it: a message, a turn, an outcome.
        place: Its place in the queue for turns, from 1; None when it is not queued.
        stages: By the event id of the call, how far its attempt has come, where that is known.
        unavailable: Why the store cannot be written to; empty when it can.
    """

    serves: bool = True
    unserved: tuple[str, ...] = ()
    is_busy: bool = False
    place: int | None = None
    stages: Mapping[int, WorkStage] = {}
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
    running = () if resident is None else tuple(resident.works.values())
    stages = {work.call_id: stage for work, stage in runner.stages_of(running).items()}
    problem = engine.pipeline.unavailable
    return Look(
        serves=runner.serves(name),
        unserved=tuple(work.name for work in works if not runner.serves_activity(work.name)),
        is_busy=resident is not None and not resident.is_idle,
        place=engine.place_of(resident),
        stages=stages,
        unavailable="" if problem is None else problem.for_callers,
    )


def serves_here(engine: Engine, instance_id: InstanceId, name: str) -> bool:
    """Whether the orchestrator of an instance is here, as far as the instance is ours.

    Args:
        engine: Of the host.
        instance_id: Which one.
        name: Its orchestrator.
    """
    return engine.find(instance_id) is None or engine.runner.serves(name)
