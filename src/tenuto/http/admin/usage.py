"""``GET /admin/usage``: what functions have used up, and what a plan would charge for it."""

from typing import Any, Final

from starlette.responses import Response

from tenuto.client.gateway import Gateway
from tenuto.client.usage_bodies import UsageBody, usage_csv
from tenuto.client.wire import ADMIN
from tenuto.http.description import Answer, Operation, Parameter
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.usage import (
    DEFAULT_DAYS,
    DIMENSIONS,
    Day,
    checked_day,
    checked_dimensions,
    checked_span,
    day_of,
)
from tenuto.telemetry.usage_settings import UsageSettings

_FORMATS: Final = ("json", "csv")


class UsageApi:
    """The route of usage.

    Args:
        gateway: Where requests go.
        settings: Of these, the plans.
    """

    def __init__(self, gateway: Gateway, settings: UsageSettings) -> None:
        self._gateway = gateway
        self._settings = settings

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def usage(self, call: Call) -> Response:
        first, last = self._days(call)
        given = call.one("by")
        by = checked_dimensions("function" if given is None else given, "query parameter by")
        form = call.one("format") or "json"
        if form not in _FORMATS:
            raise HttpError(f"query parameter format must be json or csv, got {form!r}")
        name = call.one("price") or None
        plan = None if name is None else self._settings.plan(name)
        lines = await self._gateway.usage(first, last, by)
        if form == "csv":
            return Response(usage_csv(lines, by, plan), media_type="text/csv")
        plans = self._settings.prices
        return json_answer(UsageBody.of((first, last), by, lines, plan, name, plans))

    def _days(self, call: Call) -> tuple[Day, Day]:
        """From when to when; the last days up to today unless told."""
        text = call.one("to")
        last = checked_day(text, "query parameter to") if text else day_of(self._gateway.now())
        text = call.one("from")
        first = checked_day(text, "query parameter from") if text else last - DEFAULT_DAYS + 1
        return checked_span(first, last)


_DAY: Final[dict[str, Any]] = {"type": "string", "format": "date"}
_USAGE: Final = Operation(
    summary="What functions have used up, by function, app, tag and day",
    tag="admin",
    parameters=(
        Parameter(
            name="from",
            text=f"The first day, UTC (default: {DEFAULT_DAYS} days up to the last).",
            schema=_DAY,
        ),
        Parameter(name="to", text="The last day, UTC (default: today).", schema=_DAY),
        Parameter(
            name="by",
            text="What is told apart, with commas between: some of "
            f"{', '.join(DIMENSIONS)} (default function; empty for the total alone).",
        ),
        Parameter(
            name="format",
            text="As json (default) or as csv.",
            schema={"type": "string", "enum": list(_FORMATS)},
        ),
        Parameter(
            name="price",
            text="The name of a plan of the settings (usage.prices): what it would charge.",
        ),
    ),
    answers={200: Answer(text="What was used.", kind=UsageBody)},
)
_ENDPOINTS: Final[tuple[Endpoint[UsageApi], ...]] = (
    Endpoint("GET", f"{ADMIN}/usage", Role.READ, UsageApi.usage, _USAGE),
)
