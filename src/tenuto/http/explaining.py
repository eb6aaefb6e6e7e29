"""Why an instance does not go on, as a host tells over HTTP, and what others could run."""

from tenuto.client.gateway import Gateway
from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import HasMembers
from tenuto.engine.program import Orchestrator, Program
from tenuto.insight.here import explained_here
from tenuto.insight.steps import run_of
from tenuto.model.codec import decode_turn
from tenuto.model.errors import LimitError, UnknownFunctionError
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

    async def orchestrator(self, name: str, program: Program) -> Orchestrator | None:
        """An orchestrator that may be started; None when only other hosts of the hub have it.

        An instance of it waits, held, until its partition moves to one of them.

        Args:
            name: Of the orchestrator.
            program: What this host has.

        Raises:
            UnknownFunctionError: nobody has it.
        """
        try:
            return program.get_orchestrator(name)
        except UnknownFunctionError:
            storage = self._engine.storage
            if not isinstance(storage, HasMembers):
                raise
            census = await storage.members.census()
            if not any(name in one.orchestrators for one in census.alive):
                raise
            return None

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
