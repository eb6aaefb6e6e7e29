"""Why an instance does not go on, as its own host knows it: times in words are UTC."""

from functools import partial

from tenuto.engine.engine import Engine
from tenuto.engine.standing import Look, look_at, serves_here
from tenuto.insight.inquiry import explained
from tenuto.insight.reading import StoreReader
from tenuto.insight.steps import Run
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import utc_moment
from tenuto.model.explanation import Explanation
from tenuto.model.status import InstanceRecord


async def explained_here(engine: Engine, run: Run) -> Explanation:
    """What the host of an instance says of it.

    Args:
        engine: Of the host.
        run: The instance, read just now.
    """
    record = run.record
    around = Surroundings(
        now=engine.clock.now(),
        has_host=True,
        look=look_at(engine, record.instance_id, record.name),
        at=utc_moment,
    )

    def looks(one: InstanceRecord) -> Look | None:
        return look_at(engine, one.instance_id, one.name)

    reader = StoreReader(engine.storage)
    return await explained(reader, run, around, partial(serves_here, engine), looks)
