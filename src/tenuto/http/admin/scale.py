"""``GET /admin/scale``: how many hosts the hub should have now, and why."""

from typing import Final

from starlette.responses import Response

from tenuto.client.wire import ADMIN
from tenuto.http.admin.hosts import HostsReader
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.queries import whole_number
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.insight.scaling import (
    ACTIVITIES_EACH,
    INSTANCES_EACH,
    ScaleAdvice,
    ScaleAsked,
    advice,
)

PATH: Final = f"{ADMIN}/scale"

_MOST: Final = 1_000_000


class ScaleApi:
    """Advises how many hosts there should be.

    Args:
        read: Reads who is there.
    """

    def __init__(self, read: HostsReader) -> None:
        self._read = read

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def advise(self, call: Call) -> Response:
        asked = ScaleAsked(
            activities_each=whole_number(call, "activities", ACTIVITIES_EACH, least=1, most=_MOST),
            instances_each=whole_number(call, "instances", INSTANCES_EACH, least=1, most=_MOST),
            least=whole_number(call, "least", 1, most=_MOST),
            most=whole_number(call, "most", None, least=1, most=_MOST),
        )
        if asked.most is not None and asked.most < asked.least:
            raise HttpError(
                f"query parameter most ({asked.most}) must not be below least ({asked.least})"
            )
        return json_answer(advice(await self._read(), asked))


def _number(name: str, text: str, least: int) -> Parameter:
    schema = {"type": "integer", "minimum": least, "maximum": _MOST}
    return Parameter(name=name, text=text, schema=schema)


_ADVISE: Final = Operation(
    summary="How many hosts the hub should have now, and why",
    tag="admin",
    parameters=(
        _number("activities", f"Activities that one host runs at once; {ACTIVITIES_EACH}.", 1),
        _number(
            "instances", f"Instances that may wait for a turn on one host; {INSTANCES_EACH}.", 1
        ),
        _number("least", "Hosts at least; 1.", 0),
        _number("most", "Hosts at most; as many as have something to serve.", 1),
    ),
    answers={200: Answer(text="The advice, whichever host is asked.", kind=ScaleAdvice)},
)
_ENDPOINTS: Final = (Endpoint("GET", PATH, Role.READ, ScaleApi.advise, _ADVISE),)
