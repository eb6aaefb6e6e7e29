"""Flows on PostgreSQL: the part of the Storage port in ``engine.flow_ports``."""

from collections.abc import Sequence
from typing import Final

import asyncpg
import msgspec

from tenuto.engine.flow_ports import CausedInstance, FlowEvent, FlowFailure
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.status import RuntimeStatus
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.access import Access

_INSTANCE: Final = "instance:"
_SOURCES: Final = {"event": "topic", "message": "queue"}
_text: Final = msgspec.json.Decoder(str).decode
_hold: Final = msgspec.json.Decoder(Hold).decode
_failure: Final = msgspec.json.Decoder(FailureDetails).decode


class PostgresFlow(Access):
    """The methods of a store that are about flows."""

    async def flow(self, causes: Sequence[str], limit: int) -> list[FlowEvent]:
        """Events and messages with these causes."""
        found = await self.rows("flow", causes=list(causes), limit=limit)
        return [FlowEvent(**dict(row)) for row in found]

    async def flow_event(self, cause: str) -> FlowEvent | None:
        """The event or message that is a cause."""
        kind, _, rest = cause.partition(":")
        place, _, message_id = rest.partition("/")
        statement = "flow_event" if kind == "event" else "flow_message"
        found = await self.rows(statement, place=place, id=message_id)
        for row in found:
            values = dict(row)
            content = values.pop("content")
            if content is not None:
                values["type"] = packing.type_of(content)
            return FlowEvent(**values)
        return None

    async def flow_instances(self, causes: Sequence[str], limit: int) -> list[CausedInstance]:
        """Instances with these causes."""
        found = await self.rows(
            "flow_instances",
            causes=list(causes),
            parents=[
                cause.removeprefix(_INSTANCE) for cause in causes if cause.startswith(_INSTANCE)
            ],
            limit=limit,
        )
        return [_caused(row) for row in found]

    async def flow_instance(self, instance_id: InstanceId) -> CausedInstance | None:
        """One instance."""
        found = await self.rows("flow_instance", instance_id=instance_id)
        return _caused(found[0]) if found else None

    async def flow_failures(self, causes: Sequence[str], limit: int) -> list[FlowFailure]:
        """Deliveries of these causes that were put aside."""
        parts = [(cause, *_parts(cause)) for cause in causes]
        known = [one for one in parts if one[1] in _SOURCES]
        found = await self.rows(
            "flow_failures",
            causes=[cause for cause, _, _, _ in known],
            sources=[_SOURCES[kind] for _, kind, _, _ in known],
            places=[place for _, _, place, _ in known],
            ids=[message_id for _, _, _, message_id in known],
            limit=limit,
        )
        return [FlowFailure(**dict(row) | {"error": _text(row["error"])}) for row in found]


def _parts(cause: str) -> tuple[str, str, str]:
    kind, _, rest = cause.partition(":")
    place, _, message_id = rest.partition("/")
    return kind, place, message_id


def _caused(row: asyncpg.Record) -> CausedInstance:
    return CausedInstance(
        instance_id=row["instance_id"],
        cause=row["cause"],
        name=row["name"],
        status=RuntimeStatus(row["status"]),
        at=row["at"],
        ended_at=row["ended_at"],
        hold=None if row["held"] is None else _hold(row["held"]),
        failure=None if row["failure"] is None else _failure(row["failure"]),
    )
