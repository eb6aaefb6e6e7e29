"""Functions that schedules start are run by hand, as with Azure Functions; and the front page."""

import asyncio

import httpx2
import pytest

from tenuto import App, Client, Context, Settings, TimerInfo
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.testing.clock import VirtualClock
from tenuto.testing.driver import EngineDriver
from tests.integration.test_app_timers import DAY, NOON, Noted
from tests.support.foreign_program import ForeignHttpFunction, ForeignProgram
from tests.support.http_server import ADMIN_KEY, KEYS, OPERATE_KEY, serving
from tests.support.waiting import until

CLEAN = "/admin/functions/noted"


async def test_a_timer_is_run_now_and_its_schedule_goes_on() -> None:
    noted = Noted()
    clock = VirtualClock(NOON)
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server(noted.app, settings=settings, clock=clock) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        clock.drive(EngineDriver(server.host.engine))
        await clock.advance(DAY)
        answer = await http.post("/admin/functions/NOTED", json={"input": "test"})
        assert (answer.status_code, answer.content) == (202, b"")
        await until(lambda: len(noted.told) == 2)
        assert (await http.post(CLEAN)).status_code == 202, "a body is not needed"
        await until(lambda: len(noted.told) == 3)
        await clock.advance(DAY)
    assert noted.due == ["11-30 09:00", "11-30 12:00", "11-30 12:00", "12-01 09:00"]
    by_hand = noted.told[1]
    assert not any(noted.missed)
    assert (by_hand.last, by_hand.next) == (noted.told[0].due_at, noted.told[3].due_at)


async def test_what_runs_already_is_waited_for() -> None:
    app, go = App(), asyncio.Event()
    at_once: list[int] = []
    running = 0

    @app.timer("0 0 0 1 1 *")
    async def noted(timer: TimerInfo, client: Client) -> None:
        nonlocal running
        running += 1
        at_once.append(running)
        await go.wait()
        running -= 1

    async with serving(app) as serve:
        for _ in range(3):
            assert (await serve.http.post(CLEAN)).status_code == 202
        await until(lambda: at_once == [1])
        go.set()
        await until(lambda: at_once == [1, 1, 1])


async def test_a_timer_that_fails_by_hand_is_told_and_runs_again() -> None:
    noted = Noted()

    def fail(_timer: TimerInfo) -> None:
        raise ValueError("by hand")

    noted.then = fail
    async with serving(noted.app) as serve:
        for count in (1, 2):
            assert (await serve.http.post(CLEAN)).status_code == 202
            await until(lambda count=count: len(noted.told) == count)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("Trip", 400, "'trip' is not run by hand: it is an orchestrator; start it: POST /runtime"),
        ("book", 400, "it is an activity; only orchestrations call it"),
        ("nothing", 404, "there is no timer 'nothing' to be run; there are: noted"),
    ],
)
async def test_what_no_schedule_starts_is_refused_with_what_to_do(
    name: str, status: int, words: str
) -> None:
    app = Noted().app

    @app.activity
    def book() -> None: ...

    @app.orchestrator
    async def trip(ctx: Context) -> None: ...

    async with serving(app) as serve:
        answer = await serve.http.post(f"/admin/functions/{name}", json={"input": ""})
        assert answer.status_code == status
        assert words in answer.json()["message"]
        assert (await serve.http.post(CLEAN, content=b"{")).status_code == 400
        assert (await serve.http.get("/admin/functions")).status_code == 200


async def test_a_function_behind_http_is_refused_too() -> None:
    async def answer(_request: object) -> None: ...

    function = ForeignHttpFunction(name="one", function=answer, route="one")  # type: ignore[arg-type]
    async with serving(ForeignProgram({}, http=[function])) as serve:
        refused = await serve.http.post("/admin/functions/one")
        assert "it is a function behind HTTP; send its own address" in refused.json()["message"]


async def test_only_who_may_administer_runs_a_timer() -> None:
    noted = Noted()
    async with serving(noted.app, keys=KEYS) as serve:
        for key, status in ((None, 401), (OPERATE_KEY, 403), (ADMIN_KEY, 202)):
            headers = {} if key is None else {"x-functions-key": key}
            assert (await serve.http.post(CLEAN, headers=headers)).status_code == status
        await until(lambda: len(noted.told) == 1)


async def test_a_host_says_that_it_runs_as_tools_ask_for_it() -> None:
    async with serving(App()) as serve:
        found = (await serve.http.get("/admin/host/status")).json()
        assert set(found) == {"id", "state", "version", "processUptime"}
        assert found["state"] == "Running"


async def test_there_is_a_page_at_the_root_where_nothing_else_is() -> None:
    async with serving(App(), keys=KEYS) as serve:
        page = await serve.http.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "<title>Tenuto</title>" in page.text
        assert (await serve.http.head("/")).status_code == 200
        assert (await serve.http.post("/")).status_code == 404
        assert (await serve.http.get("/other")).status_code == 404


async def test_a_host_that_runs_no_timers_says_so() -> None:
    noted = Noted()
    async with serving(noted.app) as serve:
        assert not serve.server.host.run_timer("nothing")
        await serve.server.host._end_functions(1.0)
        answer = await serve.http.post(CLEAN)
        assert answer.status_code == 503
