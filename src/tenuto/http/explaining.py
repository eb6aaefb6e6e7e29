"""Why an instance does not go on, as a host tells over HTTP: times in words are UTC."""

from functools import partial

from tenuto.client.gateway import Gateway
from tenuto.engine.engine import Engine
from tenuto.engine.standing import look_at, serves_here
from tenuto.insight.inquiry import explained
from tenuto.insight.reading import StoreReader
from tenuto.insight.steps import run_of
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import utc_moment
from tenuto.model.codec import decode_turn
from tenuto.model.errors import LimitError
from tenuto.model.explanation import Explanation
from tenuto.model.status import InstanceRecord


class Explaining:
    """Explains instances that have not ended.

    Args:
        gateway: Where they are read.
        engine: Of the host.
        history_bytes: Longest history that is looked at.
    """

    def __init__(self, gateway: Gateway, engine: Engine, history_bytes: int) -> None:
        self._gateway = gateway
        self._engine = engine
        self._history_bytes = history_bytes

    async def why(self, record: InstanceRecord) -> Explanation | None:
        """Why it does not go on; None when its history is too long to be looked at.

        Args:
            record: Its row, read just now.
        """
        try:
            turns = await self._gateway.history(record.instance_id, self._history_bytes)
        except LimitError:
            return None
        run = run_of(record, [decode_turn(turn) for turn in turns])
        around = Surroundings(
            now=self._gateway.now(),
            has_host=True,
            look=look_at(self._engine, record.instance_id, record.name),
            at=utc_moment,
        )
        serves = partial(serves_here, self._engine)
        return await explained(StoreReader(self._engine.storage), run, around, serves)
