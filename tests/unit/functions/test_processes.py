"""Worker processes: one outcome for each attempt, whatever becomes of the process."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tenuto.engine.ports import QueuedWork
from tenuto.functions import locating, processes, worker_messages
from tenuto.functions.activities import ActivityExecutor, CpuWorkers
from tenuto.functions.lifeline import Lifeline
from tenuto.functions.locating import Place, import_from, place_of, standing_at
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.worker_messages import Channel, ToHost
from tenuto.model.errors import InputError, RegistrationError, WorkerCrashedError
from tests.support.cpu_work import app as cpu_app
from tests.support.cpu_work import plain
from tests.support.leftovers import is_running
from tests.support.terminal import in_background
from tests.unit.functions.conftest import FakeClock, Outcomes, failure, until, work

SECOND = 1_000_000


@pytest.fixture
async def executor(clock: FakeClock, outcomes: Outcomes) -> AsyncIterator[ActivityExecutor]:
    executor = ActivityExecutor(
        cpu_app, clock, payload_bytes=1_000_000, cpu_workers=CpuWorkers(most=2)
    )
    executor.bind(outcomes)
    yield executor
    await executor.stop()


def pool(executor: ActivityExecutor) -> processes.WorkerProcesses:
    assert executor._processes is not None
    return executor._processes


def imported(place: Place) -> Any:  # noqa: ANN401 - whatever stands there
    return import_from(place)


def is_gone(pid: int) -> bool:
    return not is_running(pid)


def numbers(path: Path) -> list[int]:
    return [int(one) for one in path.read_text(encoding="utf-8").split()]


# --- running -------------------------------------------------------------------------------------


async def test_a_worker_process_computes_and_is_used_again(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("add", '{"left":1}', task_id=1), work("undecorated", "41", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results() == {1: 11, 2: 42}
    seen = set()
    for number in range(3, 7):
        executor.start([work("where", task_id=number)])
        await outcomes.wait(number)
        pid, session, thread = outcomes.results()[number]
        assert pid == session != os.getsid(0)
        assert thread == "MainThread"
        seen.add(pid)
    assert os.getpid() not in seen
    assert len(seen) <= 2
    assert pool(executor).count <= 2


async def test_attempts_run_side_by_side_in_as_many_processes_as_are_allowed(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    works = [
        work("wait_for", f'{{"begun":"{tmp_path}/{one}","gate":"{gate}"}}', task_id=one)
        for one in range(1, 4)
    ]
    executor.start(works)
    await until(lambda: len(list(tmp_path.glob("[0-9]"))) == 2)
    await until(lambda: executor.running == 2)  # what they say comes a moment later
    assert executor.running == 2
    assert executor.queued == 1
    stages = executor.stages_of(works)
    assert stages[works[2]] == QueuedWork(1, "what runs in the worker processes")
    assert len(stages) == 3
    gate.touch()
    await outcomes.wait(3)
    assert len(set(outcomes.results().values())) == 2


async def test_the_context_tells_the_facts_of_the_attempt(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    one = work("facts")
    executor.start([one])
    await outcomes.wait(1)
    assert outcomes.results()[1] == ["facts", one.instance_id, one.attempt, one.idempotency_key]


async def test_a_failure_has_type_message_traceback_and_causes(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("fail")])
    (outcome,) = await outcomes.wait(1)
    failed = failure(outcome)
    assert failed.error_type == "tests.support.cpu_work.SoldOutError"
    assert failed.error_message == "no seats"
    assert failed.is_caused_by(KeyError)
    assert "cpu_work.py" in str(failed.stack_trace)
    assert "worker_process.py" not in str(failed.stack_trace)
    assert "attempt.py" not in str(failed.stack_trace)
    assert not failed.is_non_retriable


async def test_results_that_are_too_long_and_inputs_that_do_not_fit_are_refused(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start(
        [
            work("long_text", "999998", task_id=1),
            work("long_text", "999999", task_id=2),
            work("add", '{"left":"one"}', task_id=3),
        ]
    )
    await outcomes.wait(3)
    results = outcomes.results()
    assert results[1] == "x" * 999_998
    assert "takes 1,000,001 bytes" in results[2].error_message
    assert "left" in results[3].error_message
    assert results[2].is_non_retriable
    assert results[3].is_non_retriable


async def test_what_is_printed_goes_where_the_hosts_output_goes(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from tests.support.cpu_work import app, say\n"
        "from tenuto import Host\n"
        "@app.orchestrator\n"
        "async def talk(ctx):\n"
        "    await ctx.call_activity(say, 'ahoy')\n"
        "app.run(talk, storage='sqlite://')\n"
    )
    done = await asyncio.to_thread(
        partial(
            subprocess.run,
            [sys.executable, "-c", script],
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ahoy\n"
    assert "ahoy\n" in done.stderr


async def test_log_records_reach_the_host_with_their_instance(
    executor: ActivityExecutor, outcomes: Outcomes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tenuto.activity")
    caplog.set_level(logging.INFO, "shop.prices")
    one = work("log")
    executor.start([one])
    await outcomes.wait(1)
    assert outcomes.results() == {1: None}
    said = {record.getMessage(): record for record in caplog.records}
    assert list(said) == ["charging Ada", "half \\udc80 a character", "went wrong"]
    for record in said.values():
        facts = vars(record)
        assert facts["instance_id"] == one.instance_id
        assert facts["activity"] == "log"
        assert facts["attempt"] == 1
        assert record.process != os.getpid()
        assert record.filename.endswith(".py")
    half = vars(said["half \\udc80 a character"])
    assert half["price"] == 7
    assert half["who"] == repr(object)
    assert half["big"] == repr(1 << 80)
    assert "SoldOutError: no seats" in str(said["went wrong"].exc_text)
    assert "cpu_work.py" in str(said["went wrong"].stack_info)
    assert said["charging Ada"].levelno == logging.INFO


async def test_a_breakpoint_says_that_there_is_no_terminal(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("debug")])
    (outcome,) = await outcomes.wait(1)
    assert "leave cpu_bound=True out" in failure(outcome).error_message


# --- processes that die --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "how"),
    [
        ("end_with", "3", "ended with exit code 3"),
        ("kill_itself", None, "was ended by SIGKILL, as when memory is short"),
        ("kill_itself", "11", "was ended by SIGSEGV"),
        ("kill_itself", "50", "was ended by signal 50"),
    ],
)
async def test_a_crash_is_a_failed_attempt_that_says_how(
    executor: ActivityExecutor, outcomes: Outcomes, name: str, text: str | None, how: str
) -> None:
    one = work(name, text, task_id=1)
    executor.start([one])
    (outcome,) = await outcomes.wait(1)
    failed = failure(outcome)
    assert failed.error_type == "tenuto.model.errors.WorkerCrashedError"
    assert failed.error_message.startswith(f"activity {name!r} of instance {one.instance_id!r}")
    assert failed.error_message.endswith(how)
    assert not failed.is_non_retriable
    executor.start([work("add", '{"left":1}', task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2] == 11


async def test_a_process_that_died_while_idle_harms_nobody(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("where", task_id=1)])
    await outcomes.wait(1)
    pid = outcomes.results()[1][0]
    os.kill(pid, signal.SIGKILL)
    executor.start([work("where", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2][0] != pid
    assert not is_running(pid)


async def test_a_crash_is_noticed_although_a_child_keeps_the_line(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 0.02)
    executor.start([work("leave_a_child_with_the_line", f'"{tmp_path}/pid"')])
    (outcome,) = await outcomes.wait(1)
    (child,) = numbers(tmp_path / "pid")
    os.kill(child, signal.SIGKILL)
    assert failure(outcome).error_message.endswith("ended with exit code 4")


async def test_when_no_process_can_be_started_the_attempt_fails(
    executor: ActivityExecutor, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    executor.start([work("add", '{"left":1}')])
    (outcome,) = await outcomes.wait(1)
    assert "no worker process can be started" in failure(outcome).error_message
    assert not failure(outcome).is_non_retriable


async def test_whatever_goes_wrong_on_the_hosts_side_is_a_failed_attempt_too(
    executor: ActivityExecutor, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise LookupError("no such logger")

    monkeypatch.setattr(processes, "relay", refuse)
    executor.start([work("log", task_id=1)])
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_message == "no such logger"
    await until(lambda: not pool(executor).count)
    executor.start([work("add", '{"left":1}', task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2] == 11


# --- what an earlier attempt left behind ---------------------------------------------------------


def waiting(folder: Path) -> str:
    return f'{{"begun":"{folder}/begun","gate":"{folder}/gate"}}'


@pytest.mark.parametrize("name", ["return_twice", "return_twice_unseen"])
async def test_a_copy_of_a_worker_does_not_answer_for_the_next_attempt(
    executor: ActivityExecutor,
    outcomes: Outcomes,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    executor._cpu_workers = CpuWorkers(most=1)
    executor.start([work(name, f'"{tmp_path}/pids"', task_id=1)])
    await outcomes.wait(1)
    assert outcomes.results()[1] == "original"
    original, copy = numbers(tmp_path / "pids")
    executor.start([work("wait_for", waiting(tmp_path), task_id=2)])
    try:
        await until((tmp_path / "begun").exists)
        (tmp_path / "pids.go").touch()  # now the copy returns as well
        await until(lambda: not is_running(copy))
    finally:
        if is_running(copy):
            os.kill(copy, signal.SIGKILL)
    assert len(outcomes.all) == 1
    (tmp_path / "gate").touch()
    await outcomes.wait(2)
    assert outcomes.results()[2] == original  # the worker itself was in step all the time
    assert "of the copy" not in [record.message for record in caplog.records]


async def test_answers_with_another_number_are_dropped_and_their_process_is_not_used_again(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("answer_for_the_next", task_id=1)])
    await outcomes.wait(1)
    assert outcomes.results()[1] == "right"
    await until(lambda: not pool(executor).count)
    executor.start([work("add", '{"left":1}', task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2] == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello, world", "does not begin like a message"),
        ("\xc1tnt\x00\x00\x00\x02\xc1\xc1", "MessagePack data is malformed"),
        ("\xc1tnt\x00\x01\x00\x00half of", "a message does not go on"),
    ],
)
async def test_what_is_no_message_ends_the_process_and_hangs_nobody(
    executor: ActivityExecutor,
    outcomes: Outcomes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    text: str,
    said: str,
) -> None:
    monkeypatch.setattr(processes, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(worker_messages, "_MOST_PAUSES", 10)
    escaped = "".join(f"\\u{ord(one):04x}" for one in text)
    executor.start([work("write_to_the_line", f'"{escaped}"', task_id=1)])
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).is_caused_by(WorkerCrashedError)
    assert said in caplog.text
    executor.start([work("add", '{"left":1}', task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2] == 11


async def test_a_worker_that_has_closed_its_line_is_a_crash_and_hangs_nobody(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("close_everything", task_id=1)])
    (outcome,) = await outcomes.wait(1)
    assert "ended with exit code 1" in failure(outcome).error_message
    await until(lambda: not pool(executor).count)


async def test_commands_that_an_activity_starts_do_not_get_the_line(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("sockets_of_a_command", task_id=1)])
    await outcomes.wait(1)
    assert outcomes.results()[1] == []


async def test_a_thread_that_logs_later_does_not_speak_for_the_next_attempt(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    executor._cpu_workers = CpuWorkers(most=1)
    executor.start([work("log_later", f'"{tmp_path}/gate"', task_id=1)])
    await outcomes.wait(1)
    executor.start([work("pass_the_gate", f'"{tmp_path}/gate"', task_id=2)])
    await outcomes.wait(2)
    late, in_time = caplog.records
    assert (late.message, hasattr(late, "instance_id")) == ("late", False)
    assert (in_time.message, vars(in_time)["activity"]) == ("in time", "pass_the_gate")


async def test_an_exception_that_cannot_be_shown_is_a_failure_of_its_activity(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor._cpu_workers = CpuWorkers(most=1)
    executor.start([work("raise_the_unspeakable", task_id=1), work("where", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[1].error_type == "tests.support.cpu_work.UnspeakableError"


# --- timeouts, cancelling, ends ------------------------------------------------------------------


async def test_a_timeout_ends_the_process_and_what_it_has_started(
    executor: ActivityExecutor,
    outcomes: Outcomes,
    clock: FakeClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    executor.start([work("compute_for_ever", f'"{tmp_path}/pids"', timeout=5 * SECOND)])
    await until((tmp_path / "pids").exists)
    await until(lambda: executor.running)
    clock.advance(4 * SECOND)
    assert executor.running == 1
    clock.advance(2 * SECOND)
    (outcome,) = await outcomes.wait(1)
    assert failure(outcome).error_type == "TimeoutError"
    worker, child = numbers(tmp_path / "pids")
    await until(lambda: not is_running(worker) and not is_running(child))
    await until(lambda: not executor.running)
    assert len(outcomes.all) == 1
    assert "; its worker process is ended" in caplog.text
    assert "dropped" not in caplog.text


async def test_starting_a_process_does_not_count_towards_the_timeout(
    executor: ActivityExecutor, outcomes: Outcomes, clock: FakeClock
) -> None:
    executor.start([work("add", '{"left":1}', timeout=SECOND)])
    clock.advance(10 * SECOND)  # no user code can have begun: the loop was not let go
    (outcome,) = await outcomes.wait(1)
    assert outcomes.results()[outcome.task_id] == 11


async def test_cancelling_turns_the_token_on_inside_the_process(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path
) -> None:
    one = work("compute_until_told", f'"{tmp_path}/pid"')
    executor.start([one])
    await until((tmp_path / "pid").exists)
    assert not executor.cancel(one)
    await outcomes.wait(1)
    assert outcomes.results()[1] == "stopped"


async def test_cancelling_while_the_process_starts_is_not_lost(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path
) -> None:
    one = work("compute_until_told", f'"{tmp_path}/pid"')
    executor.start([one])
    attempt = executor._attempts[one]
    await until(lambda: not attempt._undecided)
    executor.cancel(one)
    await outcomes.wait(1)
    assert outcomes.results()[1] == "stopped"


async def test_draining_waits_for_processes_and_stopping_ends_them(
    executor: ActivityExecutor, outcomes: Outcomes, clock: FakeClock, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    executor.start(
        [
            work("wait_for", f'{{"begun":"{tmp_path}/1","gate":"{gate}"}}', task_id=1),
            work("compute_for_ever", f'"{tmp_path}/pids"', task_id=2),
        ]
    )
    await until(lambda: (tmp_path / "1").exists() and (tmp_path / "pids").exists())
    draining = asyncio.create_task(executor.drain(10))
    gate.touch()
    await outcomes.wait(1)
    await until(lambda: clock.pending)
    clock.advance(11 * SECOND)
    assert not await draining
    await executor.stop()
    for pid in (*numbers(tmp_path / "1"), *numbers(tmp_path / "pids")):
        await until(partial(is_gone, pid))
    assert len(outcomes.all) == 1


async def test_signals_to_the_whole_service_leave_workers_to_the_host(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("ignore_signals")])
    await outcomes.wait(1)
    assert outcomes.results()[1] == "still here"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
async def test_what_an_activity_starts_is_interrupted_unless_the_host_is_in_the_background(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("start_one_that_interrupts_itself", task_id=1)])
    await outcomes.wait(1)
    assert outcomes.results()[1] == -signal.SIGINT
    await executor.stop()
    later = ActivityExecutor(
        cpu_app, FakeClock(), payload_bytes=1_000_000, cpu_workers=CpuWorkers(most=1)
    )
    later.bind(outcomes)
    with in_background():
        later.start([work("start_one_that_interrupts_itself", task_id=2)])
        await outcomes.wait(2)
    await later.stop()
    assert outcomes.results()[2] == 0


async def test_idle_processes_end_after_a_while(
    executor: ActivityExecutor, outcomes: Outcomes
) -> None:
    executor.start([work("where", task_id=1)])
    pool(executor)._idle_seconds = 0.05
    await outcomes.wait(1)
    await until(lambda: not pool(executor).count)
    pid = outcomes.results()[1][0]
    await until(lambda: not is_running(pid))
    executor.start([work("where", task_id=2)])
    await outcomes.wait(2)
    assert outcomes.results()[2][0] != pid


async def test_as_many_processes_stay_as_shall_be_there_without_work(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path
) -> None:
    executor._cpu_workers = CpuWorkers(most=2, least=1, idle_seconds=0.05)
    assert [one.workers for one in executor.pools(has_cpu_bound=True)] == [0, 0]
    gate = tmp_path / "gate"
    for one in (1, 2):
        text = f'{{"begun":"{tmp_path}/{one}","gate":"{gate}"}}'
        executor.start([work("wait_for", text, task_id=one)])
    await until(lambda: len(list(tmp_path.glob("[0-9]"))) == 2)
    facts = executor.pools(has_cpu_bound=True)[1]
    assert (facts.name, facts.workers, facts.least, facts.most) == ("cpu_bound", 2, 1, 2)
    gate.touch()
    await outcomes.wait(2)
    await until(lambda: pool(executor).count == 1)
    pool(executor)._end_idle()
    assert pool(executor).count == 1
    assert pool(executor)._sweep is None


async def test_processes_that_were_used_lately_stay(
    executor: ActivityExecutor, outcomes: Outcomes, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    for one in (1, 2):
        text = f'{{"begun":"{tmp_path}/{one}","gate":"{gate}"}}'
        executor.start([work("wait_for", text, task_id=one)])
    await until(lambda: len(list(tmp_path.glob("[0-9]"))) == 2)
    gate.touch()
    await outcomes.wait(2)
    longest, lately = pool(executor)._idle
    longest.idle_since -= 61
    pool(executor)._end_idle()
    assert pool(executor)._idle == [lately]
    assert pool(executor)._sweep is not None
    await until(lambda: not longest.is_alive)
    assert lately.is_alive


async def test_a_process_that_does_not_end_by_itself_is_ended(
    executor: ActivityExecutor, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_PATIENCE_SECONDS", 0.05)
    executor.start([work("leave_a_thread")])
    await outcomes.wait(1)
    await executor.stop()
    assert not is_running(outcomes.results()[1])


async def test_stopping_right_after_the_start_leaves_no_process(
    executor: ActivityExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    spawn = processes._spawn
    may_start = threading.Event()

    def spawn_late(end: socket.socket, line: "Lifeline | None") -> "subprocess.Popen[bytes]":
        assert may_start.wait(20)
        started.append(spawn(end, line))
        return started[0]

    monkeypatch.setattr(processes, "_spawn", spawn_late)
    executor.start([work("add", '{"left":1}')])
    await executor.stop()
    may_start.set()
    await until(lambda: started and started[0].poll() is not None)
    assert not pool(executor).count


# --- finding functions ---------------------------------------------------------------------------


def test_functions_that_cannot_be_found_by_name_are_refused_with_file_and_line(
    app: FunctionRegistry,
) -> None:
    class Shop:
        def price(self) -> int:
            return 7

    def inner() -> None: ...

    async def asynchronous() -> None: ...

    cases: list[tuple[Any, str]] = [
        (inner, "stands inside a function; move it to the top level"),
        (asynchronous, "write it as `def`"),
        (Shop().price, "it is bound to an object"),
        (partial(plain, 1), "has no name"),
    ]
    for function, why in cases:
        with pytest.raises(RegistrationError, match=why) as caught:
            app.activity(name="one", cpu_bound=True)(function)
        assert f"{__file__}:" in str(caught.value) or "cpu_work.py:" in str(caught.value)
    assert not app.activities
    with pytest.raises(RegistrationError, match="cpu_bound must be True or False, got 1"):
        app.activity(cpu_bound=1)(plain)  # type: ignore[call-overload]


def test_functions_of_an_interactive_session_are_refused(
    app: FunctionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def typed(): ...", vars(main))
    with pytest.raises(RegistrationError, match="the main program is no file"):
        app.activity(cpu_bound=True)(main.typed)
    lost: dict[str, Any] = {"__name__": "nowhere"}
    exec("def typed(): ...", lost)
    with pytest.raises(RegistrationError, match="'nowhere' was not imported by name"):
        app.activity(cpu_bound=True)(lost["typed"])


def test_a_name_that_now_means_something_else_is_refused_at_the_start(
    app: FunctionRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.activity(name="one", cpu_bound=True)(plain)
    app.check_places()
    monkeypatch.setattr("tests.support.cpu_work.plain", len)
    with pytest.raises(RegistrationError, match="is <built-in function len>; give it a name"):
        app.check_places()


def test_a_main_program_is_imported_from_its_file_without_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    # As multiprocessing does when it is imported.
    monkeypatch.setitem(sys.modules, "__mp_main__", sys.modules["__main__"])
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "rooms"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "prices.py").write_text("COST = 7\n")
    (package / "main.py").write_text(
        "from .prices import COST\n"
        "def cost(): return COST\n"
        "if __name__ == '__main__': raise SystemExit('run')\n"
    )
    file = str(package / "main.py")
    place = Place("__main__", "cost", file, "rooms")
    assert str(place) == f"{file}:cost"
    found = imported(place)
    assert found() == 7
    assert imported(place) is found
    assert place_of(found) == Place("__mp_main__", "cost", file, "rooms")
    with pytest.raises(ImportError, match="there is no 'gone'"):
        import_from(Place("__main__", "gone", file))


def test_a_file_that_stands_under_another_name_is_found(tmp_path: Path) -> None:
    file = tmp_path / "json.py"
    file.write_text("def one(): return 1\nbroken = 0\n")
    place = Place("tenuto_app_json", "one", str(file))
    try:
        assert standing_at(place) is None
        found = imported(place)
        assert found() == 1
        assert standing_at(place) is found
        # A module of that name from elsewhere is another one.
        with pytest.raises(ImportError, match="there is no module 'tenuto_app_json'"):
            import_from(Place("tenuto_app_json", "one", None))
    finally:
        sys.modules.pop("tenuto_app_json", None)
    file.write_text("raise ValueError('broken')")
    with pytest.raises(ValueError, match="broken"):
        import_from(place)
    assert "tenuto_app_json" not in sys.modules
    assert locating.loading.get() is None


def test_a_module_is_imported_by_its_name() -> None:
    found = imported(place_of(plain))
    assert getattr(found, "function", found) is plain
    nameless: Any = partial(plain)
    with pytest.raises(InputError, match="has no name"):
        place_of(nameless)


# --- the line ------------------------------------------------------------------------------------


def test_messages_longer_than_the_line_holds_arrive_whole() -> None:
    left, right = socket.socketpair()
    left.settimeout(0.01)
    waits = 0

    def count() -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            reading.start()

    sender: Channel[ToHost] = Channel(left, ToHost, count)  # type: ignore[arg-type]
    receiver: Channel[ToHost] = Channel(right, ToHost)  # type: ignore[arg-type]
    got: list[ToHost | None] = []
    reading = threading.Thread(target=lambda: got.extend(receiver.receive() for _ in range(3)))
    from tenuto.functions.worker_messages import Began, Ended
    from tenuto.model.events import TaskCompleted

    message = Ended(1, TaskCompleted(1, "x" * 4_000_000))
    sender.send(message)
    sender.send(Began(1))
    sender.close()
    reading.join(20)
    assert got == [message, Began(1), None]
    assert waits >= 3
    receiver.close()
    receiver.close()
