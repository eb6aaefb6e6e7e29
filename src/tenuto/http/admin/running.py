"""What tools of Azure Functions ask a server: to run a function by hand, how it is, a front page.

``POST /admin/functions/{name}`` runs a function that a schedule starts, as in Microsoft's
documents; what else has a name says by what it is run. Never shows a setting or an instance.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct
from starlette.responses import HTMLResponse, Response

from tenuto.client.wire import ADMIN
from tenuto.engine.ports import Clock
from tenuto.engine.program import Program
from tenuto.http.description import Answer, Operation
from tenuto.http.options import Role
from tenuto.http.routing import Call, Endpoint, Route, bound, json_answer
from tenuto.model.errors import HttpError, RouteNotFoundError
from tenuto.model.timing import MICROSECONDS

TimerRunner = Callable[[str], bool]
"""Runs a timer of this name once, now; False when the host runs none."""

_PLACE: Final = "/runtime/webhooks/durabletask/orchestrators"


class StatusBody(Struct, frozen=True, rename="camel"):
    """How a host is, as tools of Azure Functions ask for it.

    Attributes:
        id: Of the host; the same for all.
        state: ``Running``.
        version: The version of Tenuto.
        process_uptime: How long it has run, in milliseconds.
    """

    id: str
    state: str
    version: str
    process_uptime: int


class RunningApi:
    """Runs functions by hand, and says that the host runs.

    Args:
        program: The functions.
        run_timer: Runs a timer.
        clock: The host's time.
        version: The version of Tenuto.
    """

    def __init__(
        self, program: Program, run_timer: TimerRunner, clock: Clock, version: str
    ) -> None:
        self._program = program
        self._run_timer = run_timer
        self._clock = clock
        self._version = version
        self._started_at = clock.now()
        self.front: Route = Route(method="GET", path="/", role=None, handler=self.page)
        """The page at the root, where nothing else is."""

    def routes(self) -> list[Route]:
        """The routes of the table at the end of this module."""
        return bound(_ENDPOINTS, self)

    async def run(self, call: Call) -> Response:
        name = call.parameters["name"]
        await call.json_text(wrapped=1)  # a timer takes no input, but the body must be one
        timer = _named(name, (one.name for one in self._program.timers))
        if timer is None:
            raise self._refused(name)
        if not self._run_timer(timer):
            raise HttpError(f"timer {timer!r} is not run by this host now", status=503)
        return Response(status_code=202)

    def _refused(self, name: str) -> HttpError:
        """The error of what no schedule starts: it says what to do instead."""
        program = self._program
        advice = {
            "an orchestrator": (program.orchestrators, f"start it: POST {_PLACE}/NAME"),
            "an activity": (program.activities, "only orchestrations call it: start one that does"),
            "a function behind HTTP": (
                [one.name for one in program.http_functions],
                "send its own address a request",
            ),
        }
        for kind, (names, what) in advice.items():
            found = _named(name, names)
            if found is not None:
                text = what.replace("NAME", found)
                return HttpError(f"{found!r} is not run by hand: it is {kind}; {text}")
        timers = ", ".join(one.name for one in program.timers) or "none"
        return RouteNotFoundError(f"there is no timer {name!r} to be run; there are: {timers}")

    async def status(self, call: Call) -> Response:
        del call
        uptime = (self._clock.now() - self._started_at) * 1000 // MICROSECONDS
        return json_answer(StatusBody("tenuto", "Running", self._version, uptime))

    async def page(self, call: Call) -> Response:
        """For those who open the address in a browser."""
        del call
        return HTMLResponse(_PAGE, headers={"Content-Security-Policy": "default-src 'none'"})


def _named(name: str, names: Iterable[str]) -> str | None:
    """The one that is meant, however its letters are written."""
    return next((one for one in names if one.casefold() == name.casefold()), None)


_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tenuto</title>
<body>
<h1>Your functions app is up and running.</h1>
<p>It is served by Tenuto. The terminal in which it was started lists its functions and their
addresses; <code>tenuto instances list</code> shows what its orchestrations do.</p>
<p>Whether it is well: <a href="healthz">/healthz</a>. Its routes:
<a href="openapi.json">/openapi.json</a>.</p>
</body>
</html>
"""

_RUN: Final = Operation(
    summary="Run a function that a schedule starts, now",
    body=object,
    tag="admin",
    answers={
        202: Answer(text="It is run once it does not run already; its schedule stays what it is.")
    },
    errors=(400, 404, 503),
)
_STATUS: Final = Operation(
    summary="That the host runs, as tools of Azure Functions ask for it",
    tag="admin",
    answers={200: Answer(text="It runs.", kind=StatusBody)},
)
_ENDPOINTS: Final = (
    Endpoint("POST", f"{ADMIN}/functions/{{name}}", Role.ADMIN, RunningApi.run, _RUN),
    Endpoint("GET", f"{ADMIN}/host/status", Role.READ, RunningApi.status, _STATUS),
)
