"""The features of Durable Functions through both packages, on the real engine.

Each orchestrator runs hot, with its session discarded whenever the host is at rest, and with the
host thrown away then; what comes out is the same. The package is called once for each turn.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tenuto.client.client import OrchestrationHandle
from tenuto.functions.outbound import OutboundSettings
from tenuto.functions.runner import RunnerOptions
from tenuto.interop.azure_app.program import AzureProgram, ProgramOptions
from tenuto.interop.workers.errands import TurnAnswer, TurnRequest
from tenuto.interop.workers.pool import WorkerPool
from tenuto.model.errors import OrchestrationFailedError
from tenuto.model.events import EventRaised, HistoryEvent, OrchestratorStarted
from tenuto.model.timing import to_datetime
from tenuto.testing import TestHost
from tests.support.azure_programs import LANGUAGES, matrix_program

AtRest = Callable[[TestHost], Coroutine[Any, Any, None]]

CHILD_BROKE = "Orchestrator function 'broken_child' failed: child broke"
FLAKE = {
    "javascript": "Activity function 'flaky' failed: flake 2",
    "python": "Activity function 'flaky' failed: ValueError: flake 2",
}

EXPECTED: dict[str, object] = {
    "hello": ["Hello Tokyo!", "Hello Seattle!", "Hello London!"],
    "chain": [0, 1, 2],
    "fan": 190,
    "retry_ok": ["ok after 3", "z"],
    "retry_all": [["ok after 3", 1, "ok after 2"], "z"],
    "retry_any_mixed": ["timer", "ok after 3", "y", "y2"],
    "any_timer": ["event", {"ok": True}, "z"],
    "early_events": [0, 1, 2],
    "sms": [[0, 1, 2], "z"],
    "can": 4,
    "nested": [[1, 2], 3, "z"],
    "reyield": [["a", "b"], "a", "z"],
    "nogen": "plain",
    "order": ["c", "d", "ok after 2"],
}
EVENTS: dict[str, list[tuple[str, object]]] = {
    "any_timer": [("GO", {"ok": True})],
    "early_events": [("early", 0), ("Early", 1), ("EARLY", 2)],
    "sms": [("code", 0), ("code", 1), ("code", 2)],
}
EARLY = {"early_events"}


@pytest.fixture(params=LANGUAGES, scope="module")
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def polled() -> Iterator[str]:
    """A server that answers 202 with another address first."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/begin":
                self.send_response(202)
                self.send_header("Location", "/status")
                self.send_header("Retry-After", "3600")
                self.end_headers()
            else:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                self.wfile.write(b"done")

        def log_message(self, *_args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/begin"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def program(language: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureProgram]:
    folder: Path = tmp_path_factory.mktemp(language)
    outbound = OutboundSettings(allow=("127.0.0.1",))
    options = ProgramOptions(compare_every=0, built_in=RunnerOptions(outbound=outbound))
    found = matrix_program(language, folder, options)
    yield found
    found.close()


async def stay_hot(_test: TestHost) -> None:
    """Leave the session where it is."""


async def evict(test: TestHost) -> None:
    """Discard all sessions: what goes on is rebuilt from its history."""
    engine = test.host.engine
    for resident in list(engine.residents):
        engine.retention.close(resident)


async def crash(test: TestHost) -> None:
    """Throw the host and its workers away."""
    await test.crash()


async def finish(
    test: TestHost, handle: OrchestrationHandle[Any], name: str, at_rest: AtRest
) -> Any:  # noqa: ANN401 - whatever it returns
    """Let an orchestration go on to its end, doing something whenever the host is at rest."""
    events = list(EVENTS.get(name, ()))
    if name in EARLY:
        for event, value in events:
            await handle.raise_event(event, value)
        events = []
    while True:
        await test.idle()
        status = await handle.status()
        if status.runtime_status.is_finished:
            return await handle.result()
        await at_rest(test)
        if events:
            await handle.raise_event(*events.pop(0))
            continue
        moment = await test.clock.next_moment()
        assert moment is not None, f"{name} waits for nothing: {test.problems}"
        await test.advance(to_datetime(moment))


async def finish_all(test: TestHost, at_rest: AtRest) -> dict[str, object]:
    """Run each of those that are expected, all at once; what they returned."""
    handles = {name: await test.start(name) for name in EXPECTED}
    events = {name: list(EVENTS.get(name, ())) for name in EXPECTED}
    for name in EARLY:
        for event, value in events.pop(name):
            await handles[name].raise_event(event, value)
    while True:
        await test.idle()
        left = [
            name
            for name, one in handles.items()
            if not (await one.status()).runtime_status.is_finished
        ]
        if not left:
            return {name: await one.result() for name, one in handles.items()}
        await at_rest(test)
        waiting = [name for name in left if events.get(name)]
        for name in waiting:
            await handles[name].raise_event(*events[name].pop(0))
        if waiting:
            continue
        moment = await test.clock.next_moment()
        assert moment is not None, f"{left} wait for nothing: {test.problems}"
        await test.advance(to_datetime(moment))


@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_features(program: AzureProgram, at_rest: AtRest) -> None:
    async with TestHost(program) as test:
        assert await finish_all(test, at_rest) == EXPECTED
        assert not test.problems, test.problems


@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_what_failed_in_the_end_is_told_as_durable_functions_tells_it(
    program: AzureProgram, language: str, at_rest: AtRest
) -> None:
    async with TestHost(program) as test:
        handle = await test.start("retry_fail")
        said, last = await finish(test, handle, "retry_fail", at_rest)
        assert said.startswith(FLAKE[language])
        assert last == "z"


@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_children(program: AzureProgram, at_rest: AtRest) -> None:
    async with TestHost(program) as test:
        handle = await test.start("sub_parent")
        chained, child, *said, last = await finish(test, handle, "sub_parent", at_rest)
        assert (chained, last) == ([0, 1, 2], "z")
        assert child == [{"v": 1}, True, "my-child"]
        assert [one.partition(" \n")[0] for one in said] == [CHILD_BROKE, CHILD_BROKE]


@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_an_error_of_the_orchestrator_ends_it(program: AzureProgram, at_rest: AtRest) -> None:
    async with TestHost(program) as test:
        handle = await test.start("fails")
        with pytest.raises(OrchestrationFailedError, match="'fails' failed: bad thing"):
            await finish(test, handle, "fails", at_rest)


async def test_ids_and_the_custom_status_are_the_same_in_every_replay(
    program: AzureProgram,
) -> None:
    found = []
    for at_rest in (stay_hot, evict, crash):
        async with TestHost(program) as test:
            handle = await test.start("guid_status", instance_id="same")
            count, guid = await finish(test, handle, "guid_status", at_rest)
            status = await handle.status()
            assert count == 3
            assert status.custom_status["phase"] in {2, "end"}
            found.append(guid)
    # They are made of the instance and its times, which are those of the virtual clock.
    assert len(set(found)) == 1


@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_polls_over_http_wait_without_a_process(
    program: AzureProgram, polled: str, at_rest: AtRest
) -> None:
    async with TestHost(program) as test:
        began = test.clock.current_time
        handle = await test.start("http", polled)
        assert await finish(test, handle, "http", at_rest) == [
            {"statusCode": 200, "content": "done"},
            "z",
        ]
        assert test.clock.current_time - began >= timedelta(hours=1)


@pytest.mark.parametrize("name", ["hello", "retry_all", "nested", "sms", "early_events"])
@pytest.mark.parametrize("at_rest", [stay_hot, evict, crash])
async def test_each_turn_calls_the_package_once_and_no_rebuilding_does(
    program: AzureProgram, monkeypatch: pytest.MonkeyPatch, name: str, at_rest: AtRest
) -> None:
    calls: list[TurnRequest] = []
    take = WorkerPool.take

    def counted(
        self: WorkerPool, request: TurnRequest, answered: Callable[[TurnAnswer], None]
    ) -> None:
        calls.append(request)
        take(self, request, answered)

    monkeypatch.setattr(WorkerPool, "take", counted)
    async with TestHost(program) as test:
        handle = await test.start(name)
        assert await finish(test, handle, name, at_rest) == EXPECTED[name]
        history = await test.client.history(handle.instance_id)
        assert len(calls) == turns_with_something_to_do(history)
    if at_rest is stay_hot and name == "hello":  # the others wait, and leave memory meanwhile
        assert sum(one.history is not None for one in calls) == 1


def turns_with_something_to_do(history: Sequence[HistoryEvent]) -> int:
    """Turns but for those in which only events came that nobody waited for."""
    turns: list[list[HistoryEvent]] = []
    for one in history:
        if isinstance(one, OrchestratorStarted):
            turns.append([])
        turns[-1].append(one)
    idle = {OrchestratorStarted, EventRaised}
    return sum(not {type(one) for one in turn} <= idle for turn in turns)


async def test_also_a_turn_that_is_compared_takes_early_events_in_one_call(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = matrix_program(language, tmp_path, ProgramOptions(compare_every=1))
    calls: list[TurnRequest] = []
    take = WorkerPool.take

    def counted(
        self: WorkerPool, request: TurnRequest, answered: Callable[[TurnAnswer], None]
    ) -> None:
        calls.append(request)
        take(self, request, answered)

    monkeypatch.setattr(WorkerPool, "take", counted)
    async with TestHost(program) as test:
        handle = await test.start("early_events")
        assert await finish(test, handle, "early_events", stay_hot) == [0, 1, 2]
        history = await test.client.history(handle.instance_id)
    # How many of the events come before the activity has ended is a matter of chance.
    assert len(calls) == turns_with_something_to_do(history)
    assert calls[1].is_compared
    assert "part:" not in caplog.text


async def test_a_kept_executor_answers_as_the_plain_call_does(
    language: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = matrix_program(language, tmp_path, ProgramOptions(compare_every=1))
    async with TestHost(program) as test:
        assert await finish_all(test, stay_hot) == EXPECTED
    assert "part:" not in caplog.text
