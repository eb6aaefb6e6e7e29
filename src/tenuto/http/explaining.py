"""Why an instance does not go on, as a host tells over HTTP."""

from tenuto.client.gateway import Gateway
from tenuto.engine.engine import Engine
from tenuto.insight.here import explained_here
from tenuto.insight.steps import run_of
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
        return await explained_here(self._engine, run)
