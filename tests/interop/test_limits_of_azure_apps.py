"""What functions of an app may return and ask for, and that too much of it holds up nobody."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenuto import Settings
from tenuto.interop.azure_app.program import AzureProgram
from tenuto.interop.workers.line_budget import AT_ONCE
from tenuto.model.events import TaskFailed
from tenuto.model.failure import FailureDetails
from tenuto.model.limits import Limits
from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, azure_program, copied
from tests.support.waiting import until

JAVASCRIPT = """
const df = require('durable-functions');

df.app.activity('long', { handler: (count) => 'x'.repeat(count) });
df.app.activity('fails', { handler: (count) => { throw new Error('y'.repeat(count)); } });
df.app.activity('logs', {
    handler: (count, context) => {
        for (let number = 0; number < count; number += 1) context.log(`line ${number}`);
        context.error('an error after them');
        return 'done';
    },
});
df.app.activity('prints', {
    handler: (count) => {
        for (let number = 0; number < count; number += 1) console.log(`line ${number}`);
        return 'done';
    },
});
df.app.activity('one', { handler: (count, context) => { context.log('z'.repeat(count)); } });
df.app.orchestration('flow', function* (context) {
    const [what, count] = context.df.getInput();
    const text = 'x'.repeat(count);
    if (what === 'result') return text;
    if (what === 'status') context.df.setCustomStatus(text);
    if (what === 'input') yield context.df.callActivity('long', text);
    if (what === 'child') yield context.df.callSubOrchestrator('flow', text);
    if (what === 'again') context.df.continueAsNew(text);
    if (what === 'error') throw new Error(text);
    return yield context.df.callActivity(what, count);
});
"""
PACKAGE = """
{
  "name": "limits", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import logging

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.activity_trigger(input_name="count")
def long(count: int):
    return "x" * count


@app.activity_trigger(input_name="count")
def fails(count: int):
    raise ValueError("y" * count)


@app.activity_trigger(input_name="count")
def logs(count: int):
    for number in range(count):
        logging.info("line %d", number)
    logging.error("an error after them")
    return "done"


@app.activity_trigger(input_name="count")
def prints(count: int):
    for number in range(count):
        print("line", number)
    return "done"


@app.activity_trigger(input_name="count")
def one(count: int):
    logging.info("z" * count)


@app.orchestration_trigger(context_name="context")
def flow(context):
    what, count = context.get_input()
    text = "x" * count
    if what == "result":
        return text
    if what == "status":
        context.set_custom_status(text)
    if what == "input":
        yield context.call_activity("long", text)
    if what == "child":
        yield context.call_sub_orchestrator("flow", text)
    if what == "again":
        context.continue_as_new(text)
        return None
    if what == "error":
        raise ValueError(text)
    result = yield context.call_activity(what, count)
    return result
"""
LIMIT = 2_000_000
MANY = 10_000
SETTINGS = Settings(limits=Limits(payload_bytes=LIMIT))
WORDS = (
    "the limit is 2,000,000 (setting limits.payload_bytes, environment TENUTO_LIMITS_PAYLOAD_BYTES)"
)


def program(language: str, tmp_path: Path) -> AzureProgram:
    """The app of a language."""
    app = tmp_path / "app"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    if language == "python":
        (app / "function_app.py").write_text(PYTHON)
    else:
        (app / "app.js").write_text(JAVASCRIPT)
        (app / "package.json").write_text(PACKAGE)
    return azure_program(copied(app, tmp_path / "copies"))


@pytest.fixture(params=LANGUAGES)
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TestHost]:
    """With the app of a language."""
    async with TestHost(program(request.param, tmp_path), settings=SETTINGS) as host:
        yield host


async def failure(host: TestHost, what: str, count: int) -> str:
    handle = await host.start("flow", [what, count])
    await host.idle()
    status = await handle.status()
    assert status.failure is not None, status
    return status.failure.error_message


@pytest.mark.parametrize("count", [LIMIT - 1, 30_000_000])
@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("result", ": the result takes "),
        ("status", ": the custom status takes "),
        ("input", ": the input of activity 'long' takes "),
        ("child", ": the input of orchestrator 'flow' takes "),
        ("again", ": the input of continue_as_new takes "),
        ("long", "the result of activity 'long' takes "),
    ],
)
async def test_too_long_a_payload_fails_whoever_has_made_it(
    host: TestHost, what: str, named: str, count: int
) -> None:
    """One byte more is found by the host, as with native ones; far too many by the worker."""
    said = await failure(host, what, count)
    assert named in said
    assert WORDS in said


async def failed_activity(host: TestHost, what: str, count: int) -> FailureDetails:
    handle = await host.start("flow", [what, count])
    await host.idle()
    history = await host.client.history(handle.instance_id)
    (failed,) = (one for one in history if isinstance(one, TaskFailed))
    return failed.failure_details


async def test_far_too_long_a_payload_never_reaches_the_host(host: TestHost) -> None:
    failed = await failed_activity(host, "long", 2 * LIMIT)
    assert failed.error_type == "LimitError"  # the host would say which module it is of
    said = failed.error_message
    assert said.startswith("the result of activity 'long' takes 4,000,00")
    assert said.endswith(WORDS)


async def test_texts_of_errors_are_cut(host: TestHost) -> None:
    failed = await failed_activity(host, "fails", 1_000_000)
    for said in (
        failed.error_message,
        failed.stack_trace or "",
        await failure(host, "error", 1_000_000),
    ):
        assert len(said) < 100_000
        assert " characters more)" in said


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Of the app, with its lesser ones."""
    caplog.set_level(logging.INFO, "tenuto.app")
    return caplog


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what", ["logs", "prints"])
async def test_a_flood_of_lines_is_cut_and_told_of_and_loses_no_answer(
    lines: pytest.LogCaptureFixture, language: str, what: str, tmp_path: Path
) -> None:
    def said() -> list[str]:
        records = [one for one in lines.records if one.name.startswith("tenuto.app")]
        return [one.getMessage() for one in records]

    def taken() -> int:
        return sum(one.startswith("line ") for one in said())

    def left_out() -> int:
        told = [one for one in said() if " lines of the log were left out: worker " in one]
        return sum(int(one.split()[0]) for one in told)

    async with TestHost(program(language, tmp_path)) as host:
        assert await host.run("flow", [what, MANY]) == "done"
        await until(lambda: taken() + left_out() == MANY)
    assert AT_ONCE <= taken() < MANY
    # A flood of lesser lines leaves no error out.
    assert said().count("an error after them") == (what == "logs")
