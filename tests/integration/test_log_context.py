"""Records say whose they are, also those of libraries; replay is silent; a host says four lines."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tenuto import App, Context, Host, Settings
from tenuto.http.options import AccessKey, HttpSettings
from tenuto.telemetry.host_log import HostLog
from tenuto.telemetry.log_setup import HostLogHandler
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

_LIBRARY = logging.getLogger("some.library")

app = App()


@app.activity
def in_a_thread(text: str) -> None:
    _LIBRARY.info("sync %s", text)


@app.activity
async def on_the_loop(text: str) -> None:
    await asyncio.sleep(0)
    _LIBRARY.info("async %s", text)


@app.orchestrator
async def chatty(ctx: Context) -> None:
    for turn in range(3):
        _LIBRARY.info("library in turn %d", turn)
        ctx.logger.info("orchestrator in turn %d", turn)
        await ctx.call_activity(in_a_thread if turn % 2 else on_the_loop, str(turn))


class Lines:
    """What was logged from INFO on, as JSON lines."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = HostLogHandler("json", self._stream)

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]

    def of(self, logger: str) -> list[dict[str, Any]]:
        return [line for line in self.all if line["logger"] == logger]


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines = Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(lines.handler)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(lines.handler)
    root.setLevel(level)


async def test_records_of_libraries_inside_functions_tell_instance_and_function(
    open_host: OpenHost, lines: Lines
) -> None:
    test = await open_host(app)
    await test.run(chatty, instance_id="one")
    found = lines.of("some.library")
    in_activities = [line for line in found if "sync" in line["message"]]
    assert [line["message"] for line in in_activities] == ["async 0", "sync 1", "async 2"]
    assert [line["function"] for line in in_activities] == [
        "on_the_loop", "in_a_thread", "on_the_loop",
    ]  # fmt: skip
    assert {(line["instance_id"], line["attempt"]) for line in in_activities} == {("one", 1)}
    in_orchestrator = [line for line in found if "turn" in line["message"]]
    assert {(line["instance_id"], line["function"]) for line in in_orchestrator} == {
        ("one", "chatty")
    }


async def test_replay_is_silent_for_the_orchestrator_and_for_libraries_below_it(
    open_host: OpenHost, lines: Lines
) -> None:
    test = await open_host(app)
    await test.run(chatty, instance_id="one")
    expected = [f"in turn {turn}" for turn in range(3)]
    for logger in ("some.library", "tenuto.orchestration"):
        found = [one["message"].partition(" ")[2] for one in lines.of(logger)]
        assert [one for one in found if "turn" in one] == expected
    written = lines.of("tenuto.orchestration")
    assert {(line["instance_id"], line["function"]) for line in written} == {("one", "chatty")}
    assert all(line["execution_id"] for line in written)


async def test_what_is_logged_outside_of_functions_belongs_to_nobody(lines: Lines) -> None:
    async with TestHost(app) as test:
        await test.run(chatty)
        _LIBRARY.info("outside")
    line = next(line for line in lines.all if line["message"] == "outside")
    assert "instance_id" not in line


async def test_a_host_says_four_lines_once_each_with_its_settings_and_no_secret(
    lines: Lines,
) -> None:
    key = "0123456789abcdef-secret"
    http = HttpSettings(keys={"operator": AccessKey(key=key)})
    host = Host(app, "sqlite://", settings=Settings(http=http, hot_sessions=123))
    await host.start()
    await host.stop()
    await host.stop()
    messages = [line["message"] for line in lines.of("tenuto.host")]
    assert len(messages) == 4
    starting, started, stopping, stopped = messages
    assert starting == "host starting on sqlite://"
    assert started.startswith("host started in ")
    assert (stopping, stopped) == ("host stopping", "host stopped")
    chosen = json.loads(started.partition("settings that were changed: ")[2])
    assert chosen == {"storage": "sqlite://", "hot_sessions": 123, "http": {"keys": "***"}}
    in_force = next(line for line in lines.all if line["message"] == started)["extra"]["settings"]
    assert in_force["storage"] == "sqlite://"
    assert in_force["hot_sessions"] == 123
    assert in_force["http"]["keys"] == "***"
    assert not any(key in message for message in messages)


async def test_a_host_that_cannot_start_says_so_by_its_error_alone(lines: Lines) -> None:
    with pytest.raises(Exception, match="no_such_folder"):
        await Host(app, "sqlite:////no_such_folder/x.db").start()
    assert [line["message"] for line in lines.of("tenuto.host")] == [
        "host starting on sqlite:////no_such_folder/x.db"
    ]


def test_passwords_of_stores_are_not_shown(lines: Lines) -> None:
    log = HostLog("postgresql://ada:geheim@db/hub")
    log.starting()
    log.started(0.1, Settings())
    messages = [line["message"] for line in lines.all]
    assert messages[0] == "host starting on postgresql://ada:***@db/hub"
    assert not any("geheim" in message for message in messages)


def test_a_line_of_a_hosts_life_is_said_once_in_each_life(lines: Lines) -> None:
    log = HostLog("sqlite://")
    for _ in range(2):
        log.starting()
        log.stopping()
        log.stopping()
        log.stopped()
        log.stopped()
    assert [line["message"].split()[1] for line in lines.all] == [
        "starting", "stopping", "stopped", "starting", "stopping", "stopped",
    ]  # fmt: skip


class _Broken(logging.Filter):
    """An operator's filter that breaks on some lines."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def filter(self, record: logging.LogRecord) -> bool:
        if record.getMessage() == "breaks":
            raise self.error
        return True


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_lines_that_cannot_be_shown_take_nobody_with_them(
    error: type[BaseException], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App()

    class Bad:
        def __str__(self) -> str:
            raise error

    @app.activity
    def nothing() -> None: ...

    @app.orchestrator
    async def chatty(ctx: Context) -> str:
        ctx.logger.warning("it is %s", Bad())
        ctx.logger.warning("breaks")
        ctx.logger.warning("goes on", extra={"more": Bad()})
        await ctx.call_activity(nothing)
        return "done"

    broken = _Broken(error)
    logger = logging.getLogger("tenuto.orchestration")
    logger.addFilter(broken)
    try:
        async with TestHost(app) as test:
            assert await test.run(chatty) == "done"
            assert await test.run(chatty) == "done"
    finally:
        logger.removeFilter(broken)
    told = [record.getMessage() for record in caplog.records if record.name == logger.name]
    assert told == [f"it is %s (its arguments cannot be shown: {error.__name__})", "goes on"] * 2
    assert capsys.readouterr().err.count("Message: 'breaks'") == 2
