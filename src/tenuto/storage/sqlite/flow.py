"""Flows on SQLite: the part of the Storage port in ``engine.flow_ports``."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import apsw
import msgspec

from tenuto.engine.flow_ports import CausedInstance, FlowEvent, FlowFailure
from tenuto.model.ids import InstanceId
from tenuto.storage.sqlite.database import value

T = TypeVar("T")

_MOST_TYPE_BYTES: Final = 16 * 1024 * 1024
"""So much of events is read for their types, which people look at."""

_events: Final = msgspec.json.Decoder(list[FlowEvent]).decode
_event: Final = msgspec.json.Decoder(FlowEvent).decode
_instances: Final = msgspec.json.Decoder(list[CausedInstance]).decode
_instance: Final = msgspec.json.Decoder(CausedInstance).decode
_failures: Final = msgspec.json.Decoder(list[FlowFailure]).decode


class SqliteFlow:
    """The methods of a store that are about flows; the thread is its own."""

    def _read(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        raise NotImplementedError

    async def _found(self, statement: str, /, **arguments: Any) -> Any:  # noqa: ANN401 - of a column
        return await self._read(lambda reading: value(reading, statement, arguments))

    async def flow(self, causes: Sequence[str], limit: int) -> list[FlowEvent]:
        """Events and messages with these causes."""
        found = await self._found(
            "flow", causes=_text(causes), limit=limit, most_bytes=_MOST_TYPE_BYTES
        )
        return _events(found)

    async def flow_event(self, cause: str) -> FlowEvent | None:
        """The event or message that is a cause."""
        kind, _, rest = cause.partition(":")
        place, _, message_id = rest.partition("/")
        statement = "flow_event" if kind == "event" else "flow_message"
        found = await self._found(statement, place=place, id=message_id)
        return None if found is None else _event(found)

    async def flow_instances(self, causes: Sequence[str], limit: int) -> list[CausedInstance]:
        """Instances with these causes."""
        return _instances(await self._found("flow_instances", causes=_text(causes), limit=limit))

    async def flow_instance(self, instance_id: InstanceId) -> CausedInstance | None:
        """One instance."""
        found = await self._found("flow_instance", instance_id=instance_id)
        return None if found is None else _instance(found)

    async def flow_failures(self, causes: Sequence[str], limit: int) -> list[FlowFailure]:
        """Deliveries of these causes that were put aside."""
        return _failures(await self._found("flow_failures", causes=_text(causes), limit=limit))


def _text(causes: Sequence[str]) -> str:
    return msgspec.json.encode(list(causes)).decode()
