"""``GET /admin/instances/{instanceId}/log``: the last lines that an instance has logged.

They are in the memory of the host that serves it; another one says who that is.
"""

from typing import Final

from msgspec import Struct, structs
from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.wire import ADMIN
from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import HasMembers
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import ON_INSTANCE, limit_parameter, row_limit
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.errors import InstanceNotFoundError
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds
from tenuto.telemetry.instance_log import InstanceLog
from tenuto.telemetry.kept_lines import KeptLine

_LINES: Final = 200
_MOST_LINES: Final = 1_000
_DIGITS: Final = 18


class LogBody(Struct, frozen=True, kw_only=True, rename="camel"):
    """The last lines that an instance has logged.

    Attributes:
        lines: Oldest first.
        dropped: How many older ones were dropped to make room, as far as that is known.
        kept_since: From when on none is missing, in microseconds since 1970 UTC: since the start of
            the host that answers, or since the last line that it has dropped.
        host: The host that serves the instance and keeps its lines, for people, if that is another
            one; else null.
        address: Where that host can be reached; null when it has no server, or none is named.
    """

    lines: list[KeptLine]
    dropped: int
    kept_since: Microseconds
    host: str | None = None
    address: str | None = None


class InstanceLogApi:
    """Answers what instances have logged.

    Args:
        gateway: Whether an instance is there.
        engine: Of the host.
        log: What its instances have logged.
    """

    def __init__(self, gateway: Gateway, engine: Engine, log: InstanceLog) -> None:
        self._gateway = gateway
        self._engine = engine
        self._log = log

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def lines(self, call: Call) -> Response:
        instance_id = call.instance_id
        after, limit = _after(call), row_limit(call, _LINES, _MOST_LINES)
        record = await self._gateway.get(instance_id)
        if record is None:
            raise InstanceNotFoundError(instance_id)
        page = self._log.page(instance_id, after, limit)
        body = LogBody(lines=page.lines, dropped=page.dropped, kept_since=page.since)
        return json_answer(await self._with_owner(body, record))

    async def _with_owner(self, body: LogBody, record: InstanceRecord) -> LogBody:
        """The answer, and who has more when another host serves the instance."""
        engine = self._engine
        if record.partition in engine.partitions or not isinstance(engine.storage, HasMembers):
            return body
        owner = (await engine.storage.members.census()).serving(record.partition)
        if owner is None:
            return body
        return structs.replace(body, host=owner.description, address=owner.address)


def _after(call: Call) -> int | None:
    text = call.one("after")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise HttpError(f"query parameter after must be the number of a line, got {text!r}")
    return int(text)


_LOG: Final = Operation(
    summary="The last lines that an instance has logged",
    tag="admin",
    parameters=(
        limit_parameter("lines", _LINES, _MOST_LINES),
        Parameter(
            name="after",
            text="The number of a line: what follows it. Without it, the last lines.",
            schema={"type": "integer", "minimum": 0, "maximum": 10**_DIGITS - 1},
        ),
    ),
    path_schemas=ON_INSTANCE,
    answers={200: Answer(text="The lines that are kept.", kind=LogBody)},
    errors=(404,),
)
_ENDPOINTS: Final = (
    Endpoint("GET", f"{ADMIN}/instances/{{instanceId}}/log", Role.READ, InstanceLogApi.lines, _LOG),
)
