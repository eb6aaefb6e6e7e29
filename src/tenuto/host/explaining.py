"""Why an instance does not go on, as its own host knows it. Loaded when it is asked."""

from functools import partial

from tenuto.engine.engine import Engine
from tenuto.engine.ports import Storage
from tenuto.engine.standing import look_at, serves_here
from tenuto.insight.inquiry import inquire
from tenuto.insight.reading import StoreReader
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import utc_moment
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord


async def explain_here(engine: Engine, storage: Storage, instance_id: InstanceId) -> Explanation:
    """What a host says of an instance.

    Args:
        engine: Runs it.
        storage: Has it.
        instance_id: Which one.

    Raises:
        InstanceNotFoundError: there is no such instance.
    """

    def around(record: InstanceRecord) -> Surroundings:
        look = look_at(engine, record.instance_id, record.name)
        return Surroundings(now=engine.clock.now(), has_host=True, look=look, at=utc_moment)

    reader, serves = StoreReader(storage), partial(serves_here, engine)
    return (await inquire(reader, instance_id, around, serves))[1]
