"""Why an instance does not go on, as its own host knows it: times in words are UTC."""

from contextlib import suppress
from functools import partial

from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import Census, HasMembers
from tenuto.engine.standing import Look, look_at, serves_here
from tenuto.insight.inquiry import explained
from tenuto.insight.reading import StoreReader
from tenuto.insight.steps import Run, StepKind
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import utc_moment
from tenuto.model.errors import StorageError
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord


async def explained_here(engine: Engine, run: Run) -> Explanation:
    """What the host of an instance says of it.

    Args:
        engine: Of the host.
        run: The instance, read just now.
    """
    record = run.record
    look = look_at(engine, record.instance_id, record.name)
    has_children = any(step.kind is StepKind.CHILD for step in run.open_steps())
    # Of what is here and served, the others know nothing.
    asks = look is None or not look.serves or has_children
    hub = await _hub(engine) if asks else None
    around = Surroundings(
        now=engine.clock.now(),
        has_host=True,
        look=look,
        hub=hub,
        is_elsewhere=look is None,
        at=utc_moment,
    )

    def looks(one: InstanceRecord) -> Look | None:
        return look_at(engine, one.instance_id, one.name)

    reader = StoreReader(engine.storage)
    return await explained(reader, run, around, partial(_serves, engine, hub), looks)


async def _hub(engine: Engine) -> Census | None:
    """Who else is there; None where nobody is, or that cannot be asked now."""
    if not isinstance(engine.storage, HasMembers):
        return None
    with suppress(StorageError):
        return await engine.storage.members.census()
    return None


def _serves(engine: Engine, hub: Census | None, instance_id: InstanceId, name: str) -> bool:
    """Whether the orchestrator of an instance is here, or where its partition may move to."""
    return serves_here(engine, instance_id, name) or bool(hub is not None and hub.knowing(name))
