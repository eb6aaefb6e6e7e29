"""What instances log is kept by the host that serves them, and read over HTTP."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from tenuto import App, Context, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.interop.workers.launching import log_line
from tenuto.interop.workers.protocol import Log
from tenuto.telemetry.instance_log import InstanceLog
from tenuto.telemetry.log_options import InstanceLogSettings
from tests.support import cpu_work
from tests.support.http_server import ADMIN_KEY, KEYS, READ_KEY, Serving

LIBRARY = logging.getLogger("some.library")


def an_app() -> App:
    app = App()

    @app.activity
    def in_a_thread(name: str) -> None:
        for number in range(20):
            LIBRARY.info("thread %s %d", name, number)
            time.sleep(0.001)

    @app.activity
    async def on_the_loop(name: str) -> None:
        for number in range(20):
            LIBRARY.info("loop %s %d", name, number)
            await asyncio.sleep(0)

    @app.activity
    def fails(secret: str) -> None:
        logging.getLogger("app").error("to postgres://ada:%s@db/hub", secret)
        try:
            [].pop()
        except IndexError:
            LIBRARY.exception("it failed")

    @app.orchestrator
    async def both(ctx: Context, name: str) -> None:
        ctx.logger.info("begins %s", name)
        await asyncio.gather(
            ctx.call_activity(in_a_thread, name), ctx.call_activity(on_the_loop, name)
        )
        LIBRARY.info("library in a later turn")

    @app.orchestrator
    async def trouble(ctx: Context, secret: str) -> None:
        await ctx.call_activity(fails, secret)

    @app.orchestrator
    async def talks(ctx: Context, lines: int) -> None:
        for number in range(lines):
            ctx.logger.info("line %d", number)

    @app.orchestrator
    async def unheard(ctx: Context) -> None:
        LIBRARY.debug("nobody wants to know")
        await ctx.call_activity(on_the_loop, "quiet")

    return app


@pytest.fixture(autouse=True)
def from_info_on() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(level)


@asynccontextmanager
async def serving(
    app: App | None = None, log: InstanceLogSettings | None = None, **more: Any
) -> AsyncIterator[Serving]:
    settings = Settings(
        storage="sqlite://",
        instance_log=log or InstanceLogSettings(),
        http=HttpSettings(port=0, **more.pop("http", {})),
        **more,
    )
    async with (
        Server(app or an_app(), settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        yield Serving(server, client)


async def run(served: Serving, name: str, given: object, instance_id: str) -> None:
    client = served.server.host.client
    await client.start(name, given, instance_id=instance_id)
    await client.wait(instance_id)


async def log_of(served: Serving, instance_id: str, **query: Any) -> Any:  # noqa: ANN401 - any JSON
    answer = await served.http.get(f"/admin/instances/{instance_id}/log", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def messages(found: Any, logger: str) -> list[str]:  # noqa: ANN401 - any JSON
    return [one["message"] for one in found["lines"] if one["logger"] == logger]


async def test_lines_of_threads_and_of_the_loop_belong_to_the_right_instance() -> None:
    async with serving() as served:
        names = [f"n{number}" for number in range(8)]
        await asyncio.gather(*(run(served, "both", name, name) for name in names))
        for name in names:
            found = await log_of(served, name)
            heard = messages(found, "some.library")
            for kind in ("thread", "loop"):
                expected = [f"{kind} {name} {number}" for number in range(20)]
                assert [one for one in heard if one.startswith(kind)] == expected
            assert len(heard) == 41
            assert {
                (one["function"], one["attempt"])
                for one in found["lines"]
                if one["logger"] == "some.library"
            } == {("in_a_thread", 1), ("on_the_loop", 1), ("both", None)}
            assert (found["dropped"], found["host"], found["address"]) == (0, None, None)


async def test_what_is_replayed_is_not_kept_again() -> None:
    async with serving(hot_sessions=1) as served:
        names = [f"n{number}" for number in range(5)]
        await asyncio.gather(*(run(served, "both", name, name) for name in names))
        for name in names:
            found = await log_of(served, name)
            assert messages(found, "tenuto.orchestration") == [f"begins {name}"]
            assert messages(found, "some.library").count("library in a later turn") == 1


async def test_lines_of_worker_processes_are_kept_with_their_attempt() -> None:
    app = App()
    cpu_bound = app.activity(name="logs_much", cpu_bound=True)(cpu_work.log.function)

    @app.orchestrator
    async def counts(ctx: Context) -> None:
        await ctx.call_activity(cpu_bound)

    async with serving(app, cpu_workers=1) as served:
        await served.server.host.client.start(counts, instance_id="one")
        await served.server.host.client.wait("one")
        found = await log_of(served, "one")
        line = next(one for one in found["lines"] if one["message"] == "charging Ada")
        assert (line["function"], line["attempt"]) == ("logs_much", 1)


async def test_lines_of_workers_of_azure_apps_are_kept_by_their_invocation() -> None:
    async with serving() as served:
        await run(served, "talks", 0, "one")
        log_line(
            Log(
                level="information",
                text="from Node",
                invocation="one/3",
                function="pay",
                is_user=True,
            )
        )
        log_line(Log(level="information", text="of nobody", is_user=True))
        found = await log_of(served, "one")
        (line,) = found["lines"]
        assert (line["message"], line["logger"]) == ("from Node", "tenuto.app.pay")
        assert (line["function"], line["level"]) == ("pay", "info")


async def test_a_line_tells_what_failed_and_hides_passwords_of_addresses() -> None:
    async with serving() as served:
        await run(served, "trouble", "geheim", "one")
        found = await log_of(served, "one")
        assert messages(found, "app") == ["to postgres://ada:***@db/hub"]
        (failed,) = messages(found, "some.library")
        assert failed.startswith("it failed\nTraceback")
        assert failed.endswith("IndexError: pop from empty list")
        assert [one["level"] for one in found["lines"]] == ["error", "error"]


async def test_who_may_only_read_sees_no_link_that_opens_something() -> None:
    async with serving(http={"keys": KEYS}) as served:
        await run(served, "talks", 0, "one")
        admin = {"x-functions-key": ADMIN_KEY}
        started = await served.http.post(
            "/runtime/webhooks/durabletask/orchestrators/talks/two", content="0", headers=admin
        )
        link = started.json()["terminatePostUri"]
        code = link.partition("code=")[2].partition("&")[0]
        assert code
        log_line(Log(level="information", text=f"see {link}", invocation="one/1", is_user=True))
        path = "/admin/instances/one/log"
        told = await served.http.get(path, headers=admin)
        assert code in told.text
        told = await served.http.get(path, headers={"x-functions-key": READ_KEY})
        assert told.status_code == 200
        assert code not in told.text
        assert (await served.http.get(path)).status_code == 401


async def test_pages_of_lines_follow_each_other_and_say_what_was_dropped() -> None:
    async with serving(log=InstanceLogSettings(lines=5)) as served:
        await run(served, "talks", 8, "one")
        found = await log_of(served, "one")
        assert messages(found, "tenuto.orchestration") == [
            f"line {number}" for number in range(3, 8)
        ]
        assert found["dropped"] == 3
        assert found["lines"][0]["at"] >= found["keptSince"] - 1
        last = await log_of(served, "one", limit=2)
        assert messages(last, "tenuto.orchestration") == ["line 6", "line 7"]
        first = found["lines"][0]["number"]
        more = await log_of(served, "one", after=first, limit=2)
        assert messages(more, "tenuto.orchestration") == ["line 4", "line 5"]
        assert (await log_of(served, "one", after=more["lines"][-1]["number"] + 2))["lines"] == []
        earlier_life = await log_of(served, "one", after=17)
        assert len(earlier_life["lines"]) == 5


@pytest.mark.parametrize(
    "query", ["after=x", "after=-1", "limit=0", "limit=1001", f"after={10**19}"]
)
async def test_a_page_that_cannot_be_is_refused(query: str) -> None:
    async with serving() as served:
        await run(served, "talks", 1, "one")
        answer = await served.http.get(f"/admin/instances/one/log?{query}")
        assert answer.status_code == 400


async def test_an_instance_that_is_not_there_has_no_log() -> None:
    async with serving() as served:
        answer = await served.http.get("/admin/instances/nobody/log")
        assert (answer.status_code, answer.json()["code"]) == (404, "TN-1202")


async def test_nothing_is_kept_where_that_is_set() -> None:
    before = list(logging.getLogger().handlers)
    async with serving(log=InstanceLogSettings(lines=0)) as served:
        assert logging.getLogger().handlers == before
        await run(served, "talks", 3, "one")
        found = await log_of(served, "one")
        assert found["lines"] == []
        assert logging.getLogger().handlers == before


async def test_what_is_logged_below_the_level_in_force_is_not_kept() -> None:
    async with serving() as served:
        logging.getLogger().setLevel(logging.WARNING)
        client = served.server.host.client
        await client.start("unheard", instance_id="one")
        await client.wait("one")
        assert (await log_of(served, "one"))["lines"] == []


async def test_a_handler_is_there_as_long_as_its_server_and_comes_back() -> None:
    root = logging.getLogger()
    before = list(root.handlers)
    async with serving() as served:
        (ours,) = (one for one in root.handlers if isinstance(one, InstanceLog))
        root.removeHandler(ours)  # as a dictConfig of the app does
        await run(served, "talks", 1, "lost")
        assert (await log_of(served, "lost"))["lines"] == []
        await run(served, "talks", 1, "heard")
        assert len((await log_of(served, "heard"))["lines"]) == 1
    assert root.handlers == before


async def test_odd_records_are_kept_as_text_and_harm_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Those of pytest raise for such lines.
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])

    class Unshowable:
        def __str__(self) -> str:
            raise ValueError("not now")

    app = App()

    @app.activity
    async def odd(_: None) -> str:
        LIBRARY.info("%d apples", "two")
        LIBRARY.info("%s", Unshowable())
        LIBRARY.info("half \ud83c")
        LIBRARY.info("x" * 100_000)
        LIBRARY.info("of another", extra={"instance_id": 7})
        LIBRARY.log(17, "own level")
        return "done"

    @app.orchestrator
    async def runs(ctx: Context) -> str:
        return await ctx.call_activity(odd, None)

    async with serving(app) as served:
        handle = await served.server.host.client.start(runs, instance_id="one")
        assert await handle.result() == "done"
        found = messages(await log_of(served, "one"), "some.library")
        assert len(found) == 4
        assert found[0].startswith("%d apples")
        assert found[2] == "half \\ud83c"
        assert len(found[3]) < 17_000
        assert found[3].endswith("(83,616 characters were left out)")


def test_python_shows_warnings_as_it_would_without_a_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(
        logging,
        "lastResort",
        logging._StderrHandler(logging.WARNING),  # type: ignore[attr-defined]
    )

    async def serve_two() -> None:
        async with serving(), serving():
            LIBRARY.warning("a warning")
            LIBRARY.info("no warning")
            LIBRARY.addHandler(logging.NullHandler())
            LIBRARY.warning("has a handler")

    asyncio.run(serve_two())
    LIBRARY.handlers.clear()
    assert capsys.readouterr().err == "a warning\n"
