"""Timer triggers of Azure Functions apps: the real packages, on a host in virtual time."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, azure_program, copied

DAYS = ("2026-11-27", "2026-11-30", "2026-12-01", "2026-12-03")
HOST_JSON = '{"version": "2.0"}'

JAVASCRIPT = """
const { appendFileSync } = require('node:fs');
const { app } = require('@azure/functions');

app.timer('everyMorning', {
    schedule: '0 30 9 * * MON-FRI',
    runOnStartup: AT_STARTUP,
    useMonitor: MONITORED,
    handler: (timer, context) => {
        appendFileSync(process.env.NOTED, JSON.stringify(timer) + '\\n');
        if (timer.isPastDue) throw new Error('too late');
    },
});
"""
PACKAGE = """
{
  "name": "mornings", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import json
import os

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(
    schedule="0 30 9 * * MON-FRI",
    arg_name="timer",
    run_on_startup=AT_STARTUP,
    use_monitor=MONITORED,
)
def everyMorning(timer: func.TimerRequest) -> None:
    noted = {
        "isPastDue": timer.past_due,
        "scheduleStatus": {
            "last": timer.schedule_status["Last"],
            "next": timer.schedule_status["Next"],
            "lastUpdated": timer.schedule_status["LastUpdated"],
        },
    }
    with open(os.environ["NOTED"], "a") as file:
        file.write(json.dumps(noted) + "\\n")
    if timer.past_due:
        raise ValueError("too late")
"""


def made(language: str, folder: Path, *, at_startup: bool = False, monitored: bool = True) -> Path:
    """An app with one timer."""

    def code(text: str) -> str:
        for name, value in (("AT_STARTUP", at_startup), ("MONITORED", monitored)):
            text = text.replace(name, str(value) if language == "python" else str(value).lower())
        return text

    app = folder / "mornings"
    app.mkdir()
    (app / "host.json").write_text(HOST_JSON)
    if language == "python":
        (app / "function_app.py").write_text(code(PYTHON))
    else:
        (app / "app.js").write_text(code(JAVASCRIPT))
        (app / "package.json").write_text(PACKAGE)
    return copied(app, folder / "copied")


def moments(noted: dict[str, Any]) -> list[str]:
    status = noted["scheduleStatus"]
    return [str(status[key])[:16] for key in ("last", "next", "lastUpdated")]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_timer_of_an_app_keeps_its_state_over_hosts(language: str, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    zone = {"WEBSITE_TIME_ZONE": "Europe/Berlin"}
    program = azure_program(made(language, tmp_path), None, NOTED=str(noted), **zone)
    store = f"sqlite:///{tmp_path / 'mornings.db'}"
    thursday = datetime(2026, 11, 26, 12, tzinfo=UTC)
    async with TestHost(program, start=thursday, storage=store) as host:
        await host.advance(timedelta(days=4))
        names = [name for name, _ in host.observer.timers]
        assert names == ["everyMorning"] * 2
    async with TestHost(program, start=thursday + timedelta(days=6), storage=store) as host:
        await host.idle()
        ((_, error),) = host.observer.timers
        assert "too late" in str(error)
        await host.advance(timedelta(hours=23))
    friday, monday, late, thursday_again = map(json.loads, noted.read_text().splitlines())
    assert [one["isPastDue"] for one in (friday, monday, late, thursday_again)] == [
        False,
        False,
        True,
        False,
    ]
    assert moments(friday)[0] == "0001-01-01T00:00"
    assert moments(monday)[0] == "2026-11-27T08:30"
    assert moments(late)[0] == "2026-11-30T08:30"
    # The moment that it makes up for, Tuesday, is the last one of the next run.
    assert moments(thursday_again)[0] == "2026-12-01T08:30"
    # What comes next is the moment that is run.
    nexts = [moments(one)[1] for one in (friday, monday, late, thursday_again)]
    assert nexts == [f"{day}T08:30" for day in DAYS]
    # That was written down when the run before had ended, at first when the host started.
    assert moments(friday)[2] == "2026-11-26T12:00"
    assert moments(monday)[2] == "2026-11-27T08:30"


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_timer_also_runs_when_its_host_starts(language: str, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    app = made(language, tmp_path, at_startup=True)
    start = datetime(2026, 11, 26, 12, tzinfo=UTC)
    async with TestHost(azure_program(app, None, NOTED=str(noted)), start=start) as host:
        await host.idle()
        (first,) = map(json.loads, noted.read_text().splitlines())
        await host.advance(timedelta(days=1))
    at_startup, friday = map(json.loads, noted.read_text().splitlines())
    assert at_startup == first
    assert [one["isPastDue"] for one in (first, friday)] == [False, False]
    # It is for no moment of the schedule: the next one is ahead.
    assert [moments(one)[1] for one in (first, friday)] == ["2026-11-27T09:30"] * 2


RETRIED_JAVASCRIPT = """
const { appendFileSync } = require('node:fs');
const { app } = require('@azure/functions');

let runs = 0;
app.timer('tick', {
    schedule: '0 0 * * * *',
    retry: { strategy: 'fixedDelay', maxRetryCount: 2, delayInterval: { minutes: 5 } },
    handler: (timer, { invocationId, retryContext }) => {
        const { retryCount, maxRetryCount, exception } = retryContext ?? {};
        const noted = [retryCount ?? 0, maxRetryCount ?? 0, exception?.message ?? ''];
        appendFileSync(process.env.NOTED, JSON.stringify([invocationId, ...noted]) + '\\n');
        runs += 1;
        throw new Error(`broken ${runs}`);
    },
});
"""
RETRIED_PYTHON = """
import json
import os

import azure.functions as func

app = func.FunctionApp()
runs = 0


@app.timer_trigger(schedule="0 0 * * * *", arg_name="timer")
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:05:00")
def tick(timer: func.TimerRequest, context: func.Context) -> None:
    global runs
    retry = context.retry_context
    told = "" if retry.exception is None else retry.exception.message
    noted = [context.invocation_id, retry.retry_count, retry.max_retry_count, told]
    with open(os.environ["NOTED"], "a") as file:
        file.write(json.dumps(noted) + "\\n")
    runs += 1
    raise ValueError(f"broken {runs}")
"""


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_retry_policy_of_a_timer_is_followed(language: str, tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    folder = made(language, tmp_path)
    if language == "python":
        (folder / "function_app.py").write_text(RETRIED_PYTHON)
    else:
        (folder / "app.js").write_text(RETRIED_JAVASCRIPT)
    start = datetime(2026, 11, 26, 12, tzinfo=UTC)
    async with TestHost(azure_program(folder, None, NOTED=str(noted)), start=start) as host:
        counts = []
        for minutes in (60, 4, 1, 5, 49, 1):
            await host.advance(timedelta(minutes=minutes))
            counts.append(len(noted.read_text().splitlines()))
        assert counts == [1, 1, 2, 3, 3, 4]
    runs = [json.loads(line) for line in noted.read_text().splitlines()]
    assert len({run[0] for run in runs}) == 4
    assert [run[1:3] for run in runs] == [[0, 0], [1, 2], [2, 2], [0, 0]]
    assert [run[3].partition("broken ")[2] for run in runs] == ["", "1", "2", ""]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_timer_without_a_monitor_makes_up_for_nothing(
    language: str, tmp_path: Path
) -> None:
    noted = tmp_path / "noted"
    noted.touch()
    program = azure_program(made(language, tmp_path, monitored=False), None, NOTED=str(noted))
    store = f"sqlite:///{tmp_path / 'mornings.db'}"
    thursday = datetime(2026, 11, 26, 12, tzinfo=UTC)
    async with TestHost(program, start=thursday, storage=store) as host:
        await host.idle()
    async with TestHost(program, start=thursday + timedelta(days=1), storage=store) as host:
        await host.idle()
        assert noted.read_text() == ""
        await host.advance(timedelta(days=3))
    (monday,) = map(json.loads, noted.read_text().splitlines())
    assert not monday["isPastDue"]
    assert moments(monday)[:2] == ["0001-01-01T00:00", "2026-11-30T09:30"]
