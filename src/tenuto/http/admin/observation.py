"""What machines ask of a server: whether it is well, and its figures.

Whether the process lives is answered without the store. What else takes a question to it has an
answer within two seconds whatever the store does, and many who ask are one question.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct, structs
from starlette.responses import Response

from tenuto.engine.engine import Engine
from tenuto.http.access import Access
from tenuto.http.description import Answer, Operation
from tenuto.http.errors import HttpError
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.telemetry.health import PATIENCE_SECONDS, Health, check_health, silent_links

_NOT_KEPT: Final = {"Cache-Control": "no-store"}
_FRESH_SECONDS: Final = 1.0
"""Who has no key makes the host ask its store so often at most."""


class Metrics(Struct, frozen=True):
    """Where figures come from.

    Attributes:
        render: Gives all of them as text.
        media_type: Of that text.
        refresh: Brings up to date what takes questions to the store; waits for that a moment.
    """

    render: Callable[[], bytes]
    media_type: str
    refresh: Callable[[], Awaitable[None]]


class ObservationApi:
    """``/healthz`` and ``/metrics``.

    Args:
        engine: Whose health.
        access: Who may know why a host is not well.
        metrics: Where figures come from; None when nobody counts.
    """

    def __init__(self, engine: Engine, access: Access, metrics: Metrics | None) -> None:
        self._engine = engine
        self._access = access
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """Those of health, which need no key as they tell nothing of instances, and of figures."""
        return bound(_HEALTH if self._metrics is None else (*_HEALTH, _FIGURES), self)

    async def ready(self, call: Call) -> Response:
        if self._engine.gone is None:
            fresh_seconds = 0.0 if self._may_know(call) else _FRESH_SECONDS
            counting = self._engine.holding.counting
            await counting.within(PATIENCE_SECONDS, fresh_seconds=fresh_seconds)
        health = await self._health(call)
        return json_answer(health, 200 if health.ready else 503, _NOT_KEPT)

    async def live(self, call: Call) -> Response:
        health = await self._health(call)
        return json_answer(health, 200 if health.live else 503, _NOT_KEPT)

    async def _health(self, call: Call) -> Health:
        health = await check_health(self._engine, whole=self._may_know(call, Role.ADMIN))
        if health.reasons and not self._may_know(call):
            # They name instances and functions; to an admin alone files and hosts, too.
            return structs.replace(
                health, reasons=("the host's log, or a request with a key, tells why",)
            )
        if health.notes and not self._may_know(call):
            return structs.replace(health, notes=())
        if self._may_know(call) and self._engine.gone is None:
            held = self._engine.holding.counts
            return structs.replace(health, held=held, silent_links=silent_links(self._engine))
        return health

    def _may_know(self, call: Call, role: Role = Role.READ) -> bool:
        try:
            self._access.check(call, role)
        except HttpError:
            return False
        return True

    async def figures(self, _call: Call) -> Response:
        assert self._metrics is not None, "without it there is no route"
        await self._metrics.refresh()
        return Response(self._metrics.render(), 200, _NOT_KEPT, media_type=self._metrics.media_type)


def _of_health(summary: str, well: str, unwell: str) -> Operation:
    return Operation(
        summary=summary,
        tag="server",
        answers={200: Answer(text=well, kind=Health), 503: Answer(text=unwell, kind=Health)},
    )


_READY: Final = _of_health(
    "Whether the host can be given work: 200 or 503, with reasons",
    "The host can be given work.",
    "The host cannot be given work; `reasons` says why.",
)
_LIVE: Final = _of_health(
    "Whether the process may go on: 503 when only a restart can help",
    "The process may go on.",
    "The process must be started again; `reasons` says why.",
)
_RENDERED: Final = Operation(
    summary="Figures for Prometheus",
    tag="server",
    answers={
        200: Answer(text="The metrics, as text for Prometheus.", kind=str, media_type="text/plain")
    },
)
_HEALTH: Final = (
    Endpoint("GET", "/healthz", None, ObservationApi.ready, _READY),
    Endpoint("GET", "/healthz/live", None, ObservationApi.live, _LIVE),
)
_FIGURES: Final = Endpoint("GET", "/metrics", Role.READ, ObservationApi.figures, _RENDERED)
