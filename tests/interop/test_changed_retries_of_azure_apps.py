"""Retries whose numbers are changed between two deployments of an app, while instances run."""

from datetime import timedelta
from pathlib import Path

import pytest

from tenuto import Settings
from tenuto.model.hold import HoldReason
from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, azure_program, copied

JAVASCRIPT = """
const df = require('durable-functions');

df.app.activity('down', { handler: () => { throw new Error('down'); } });
df.app.activity('echo', { handler: (text) => text });
df.app.orchestration('child', function* (context) {
    yield context.df.callActivity('down');
});
df.app.orchestration('parent', function* (context) {
    const options = new df.RetryOptions(PAUSE, ATTEMPTS);
    let outcome;
    try {
        outcome = yield CALL;
    } catch {
        outcome = 'gave up';
    }
    const one = yield context.df.callActivity('echo', 'one');
    const two = yield context.df.callActivity('echo', 'two');
    return [outcome, one, two];
});
"""
PACKAGE = """
{
  "name": "retries", "private": true, "main": "app.js",
  "dependencies": { "@azure/functions": "4.16.5", "durable-functions": "3.5.0" }
}
"""
PYTHON = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.activity_trigger(input_name="text")
def down(text: str) -> str:
    raise ValueError("down")


@app.activity_trigger(input_name="text")
def echo(text: str) -> str:
    return text


@app.orchestration_trigger(context_name="context")
def child(context):
    yield context.call_activity("down", "x")


@app.orchestration_trigger(context_name="context")
def parent(context):
    options = df.RetryOptions(PAUSE, ATTEMPTS)
    try:
        outcome = yield CALL
    except Exception:
        outcome = "gave up"
    one = yield context.call_activity("echo", "one")
    two = yield context.call_activity("echo", "two")
    return [outcome, one, two]
"""
CALLS = {
    ("javascript", "activity"): "context.df.callActivityWithRetry('down', options)",
    ("javascript", "child"): "context.df.callSubOrchestratorWithRetry('child', options)",
    ("python", "activity"): 'context.call_activity_with_retry("down", options, "x")',
    ("python", "child"): 'context.call_sub_orchestrator_with_retry("child", options)',
}
BOTH = pytest.mark.parametrize("language", LANGUAGES)
MINUTE = timedelta(minutes=1)


class Deployments:
    """An app of which one version after the other runs on one store."""

    def __init__(self, language: str, called: str, folder: Path) -> None:
        self._language = language
        self._call = CALLS[language, called]
        self._folder = folder
        self._store = f"sqlite:///{folder / 'retries.db'}"
        self._count = 0

    def host(self, *, attempts: int, pause: timedelta = MINUTE) -> TestHost:
        """The next version."""
        self._count += 1
        app = self._folder / f"version-{self._count}"
        app.mkdir()
        code = {"javascript": JAVASCRIPT, "python": PYTHON}[self._language]
        code = code.replace("PAUSE", str(int(pause.total_seconds() * 1000)))
        code = code.replace("ATTEMPTS", str(attempts)).replace("CALL", self._call)
        (app / "host.json").write_text('{"version": "2.0"}')
        if self._language == "python":
            (app / "function_app.py").write_text(code)
        else:
            (app / "app.js").write_text(code)
            (app / "package.json").write_text(PACKAGE)
        copy = copied(app, self._folder / "copies")
        settings = Settings(on_mismatch="hold")
        return TestHost(azure_program(copy), storage=self._store, settings=settings)


@BOTH
@pytest.mark.parametrize("called", ["activity", "child"])
@pytest.mark.parametrize(("old", "new"), [(2, 4), (4, 2)])
async def test_an_instance_is_held_until_the_number_of_its_attempts_is_back(
    language: str, called: str, old: int, new: int, tmp_path: Path
) -> None:
    deployments = Deployments(language, called, tmp_path)
    async with deployments.host(attempts=old) as host:
        await host.start("parent", instance_id="p")
        await host.idle()
        await host.advance(MINUTE / 2)  # the first attempt has failed
    async with deployments.host(attempts=new) as host:
        # A start of the new code is not in the way.
        await host.start("parent", instance_id="q")
        await host.advance(10 * MINUTE)
        status = await host.client.handle("p").status()
        assert status.hold is not None
        assert status.hold.reason is HoldReason.DECISIONS
        assert f"of up to {old} attempts, the code allows {new}, and 2 have failed" in (
            status.hold.message
        )
        other = await host.client.handle("q").status()
        assert other.output == ["gave up", "one", "two"]
    async with deployments.host(attempts=old) as host:
        await host.advance(10 * MINUTE)
        status = await host.client.handle("p").status()
        assert status.output == ["gave up", "one", "two"]


@BOTH
async def test_another_pause_is_no_reason_to_hold(language: str, tmp_path: Path) -> None:
    deployments = Deployments(language, "activity", tmp_path)
    async with deployments.host(attempts=3) as host:
        await host.start("parent", instance_id="p")
        await host.advance(MINUTE / 2)
    async with deployments.host(attempts=3, pause=9 * MINUTE) as host:
        await host.advance(10 * MINUTE)
        status = await host.client.handle("p").status()
        assert status.output == ["gave up", "one", "two"]
