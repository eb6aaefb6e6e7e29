"""The pool of workers, over real processes that do harm."""

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tenuto.engine.ports import GivenBack
from tenuto.engine.scaling import PoolBounds
from tenuto.interop.workers import pool as pool_module
from tenuto.interop.workers import quarantine, watching
from tenuto.interop.workers.launching import StartedWorker
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import Failed, Result, Turned
from tests.support.pools import ANSWERED, asked
from tests.support.scripted_programs import scripted_launch
from tests.support.waiting import until

SECOND = 1_000_000
QUICK = PoolOptions(turn_seconds=0.3, most_deaths=1)


async def test_a_turn_and_a_call_are_answered(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        assert (await one.turned("ok")).output == "1"
        answer = await one.call("echo", "7")
        assert isinstance(answer, Result)
        assert answer.value is not None
        assert answer.value.json == "7"


# --- what kills workers ---------------------------------------------------------------------------


async def test_who_was_alone_with_a_worker_that_died_has_killed_it(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        answer = await one.turn("kills")
        assert isinstance(answer, GivenBack)
        assert answer.has_killed
        assert (await one.turned("ok")).output == "1"


async def test_of_several_turns_only_the_oldest_can_have_killed(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        turns = [one.turn("kills", instance_id="guilty")]
        turns += [one.turn("ok", instance_id=f"innocent-{place}") for place in range(5)]
        answers = await asyncio.gather(*turns)
        blamed = [one.has_killed for one in answers if isinstance(one, GivenBack)]
        assert blamed == [True, False, False, False, False, False]
        # The others go on where all do, and the one is tried apart.
        await until(lambda: one.pool.pids)
        normal = one.pool.pids[0]
        assert isinstance(await one.turn("kills", instance_id="guilty"), GivenBack)
        assert one.pool.pids == [normal]
        await one.turned("ok", instance_id="innocent-1")


async def test_a_turn_that_runs_beside_calls_is_suspected_and_not_blamed(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        gate = tmp_path / "gate"
        call = one.call("gate", f'"{gate}"')
        await until(lambda: one.pool.running)
        given = await one.turn("kills", instance_id="guilty")
        assert isinstance(given, GivenBack)
        assert not given.has_killed
        await until(lambda: one.pool.pids)
        normal = one.pool.pids[0]
        given = await one.turn("kills", instance_id="guilty")
        assert isinstance(given, GivenBack)
        assert given.has_killed
        assert one.pool.pids == [normal]
        # Who is answered is cleared: it goes among the others again.
        await one.turned("ok", instance_id="guilty")
        assert not one.pool._suspects
        gate.touch()
        assert isinstance(await call, Result)


async def test_one_killer_among_many_is_found_by_halving(tmp_path: Path) -> None:
    """The innocent ones wait for a few deaths, not each for its turn."""
    async with asked(tmp_path, PoolOptions(most_deaths=0)) as one:
        gate = tmp_path / "gate"
        waiting = [one.call("gate", f'"{gate}"') for _ in range(31)]
        await until(lambda: one.pool.running == 31)
        killer = one.call("kills_call")
        answer = await killer
        assert isinstance(answer, Failed)
        assert answer.error_type == "WorkerCrashedError"
        gate.touch()
        assert all(isinstance(found, Result) for found in await asyncio.gather(*waiting))
        # 32, 16, 8, 4, 2 and 1 were out with it.
        starts = await asyncio.to_thread((tmp_path / "starts").stat)
        assert starts.st_size <= 2 + 2 * 5 + 1


async def test_what_has_killed_before_runs_apart_from_the_beginning(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(most_deaths=0)) as one:
        assert isinstance(await one.call("kills_call"), Failed)
        await until(lambda: one.pool.pids)
        pids = one.pool.pids
        gate = tmp_path / "gate"
        other = one.call("gate", f'"{gate}"')
        assert isinstance(await one.call("kills_call"), Failed)
        assert one.pool.pids == pids
        gate.touch()
        assert isinstance(await other, Result)


async def test_a_killer_beside_one_that_runs_for_long_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_SLICE", 10_000)
    async with asked(tmp_path, PoolOptions(most_deaths=1)) as one:
        gate = tmp_path / "gate"
        long = one.call("gate", f'"{gate}"')
        await until(lambda: one.pool.running)
        assert isinstance(await one.call("kills_call"), Failed)
        gate.touch()
        assert isinstance(await long, Result)


async def test_a_call_that_always_kills_its_worker_fails_in_the_end(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(most_deaths=2)) as one:
        others = [one.call("echo", str(place)) for place in range(5)]
        answer = await one.call("kills_call")
        assert isinstance(answer, Failed)
        assert answer.error_type == "WorkerCrashedError"
        assert "'kills_call' ended its worker process 3 times" in answer.message
        assert all(isinstance(one, Result) for one in await asyncio.gather(*others))


async def test_a_call_that_nobody_waits_for_is_not_run_again_after_a_death(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        errand, over = one.errand("hangs_call")
        one.pool.call(errand)
        await until(lambda: one.pool.running)
        assert not one.pool.cancel(errand)
        given = await one.turn("kills")
        assert isinstance(given, GivenBack)
        answer = await over
        assert isinstance(answer, Failed)
        assert answer.error_type == "CancelledError"


async def test_a_turn_that_never_ends_is_ended_and_it_alone_is_blamed(tmp_path: Path) -> None:
    async with asked(tmp_path, QUICK) as one:
        answers = await asyncio.gather(
            one.turn("hangs", instance_id="guilty"),
            one.turn("ok", instance_id="other"),
            one.call("echo", "3"),
        )
        guilty, other, call = answers
        assert isinstance(guilty, GivenBack)
        assert guilty.has_killed
        assert guilty.reason == "a turn took longer than 0.3 s"
        assert other == GivenBack("a turn took longer than 0.3 s")
        assert isinstance(call, Result)
        # The innocent one is not suspected: it runs in the new worker of all.
        await one.turned("ok", instance_id="other")
        assert not one.pool._suspects - {"guilty"}


async def test_a_call_may_hold_up_the_loop_for_as_long_as_it_may_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(watching, "_PATIENCE", SECOND // 2)
    async with asked(tmp_path, QUICK) as one:
        call = one.call("blocks", timeout=4 * SECOND)
        await until(lambda: one.pool.running)
        turn, other = one.turn("ok"), one.call("echo")
        answer = await call
        assert isinstance(answer, Failed)
        assert "ran longer than 4 s (functionTimeout)" in answer.message
        # What waited behind it is not charged for it.
        given = await turn
        assert isinstance(given, GivenBack)
        assert not given.has_killed
        assert isinstance(await other, Result)
    assert "its loop is held up" in caplog.text
    assert "out there are 'blocks'" in caplog.text


async def test_a_loop_that_no_call_holds_up_is_freed(tmp_path: Path) -> None:
    async with asked(tmp_path, QUICK) as one:
        link = one.pool.links[0]
        errand, over = one.errand("blocks")
        errand.is_repeatable = False
        one.pool.call(errand)
        await until(lambda: link.silent_since is not None)
        link.out[next(iter(link.out))].since = one.pool.now  # it has not begun
        answer = await over
        assert isinstance(answer, Failed)
        assert "its loop was held up for 0.3 s" in answer.message


async def test_turns_that_wait_for_others_are_not_charged_for_it(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(turn_seconds=1.5)) as one:
        turns = [one.turn("lingers", instance_id=f"one-{place}") for place in range(12)]
        assert all(isinstance(found, Turned) for found in await asyncio.gather(*turns))


async def test_a_call_that_takes_too_long_fails_and_its_process_goes(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        (pid,) = one.pool.pids
        gate = tmp_path / "gate"
        other = one.call("gate", f'"{gate}"')
        answer = await one.call("hangs_call", timeout=SECOND // 100)
        assert isinstance(answer, Failed)
        assert "ran longer than 0.01 s (functionTimeout)" in answer.message
        await until(lambda: one.pool.pids and one.pool.pids != [pid])
        assert not other.done()
        gate.touch()
        assert isinstance(await other, Result)
        await until(lambda: not alive(pid))


async def test_a_worker_with_too_much_memory_is_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asked(tmp_path, PoolOptions(memory_bytes=100 << 20)) as one:
        (pid,) = one.pool.pids
        gate = tmp_path / "gate"
        call = one.call("gate", f'"{gate}"')
        await one.turned("eats")
        await until(lambda: one.pool.pids and one.pool.pids != [pid])
        assert alive(pid), caplog.text
        gate.touch()
        assert isinstance(await call, Result)
        await until(lambda: not alive(pid))
    assert "it uses more than 100 MiB" in caplog.text


async def test_also_a_worker_that_does_nothing_is_replaced_for_its_memory(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(memory_bytes=100 << 20)) as one:
        (pid,) = one.pool.pids
        await one.turned("eats")
        await until(lambda: one.pool.pids and one.pool.pids != [pid])
        await until(lambda: not alive(pid))


async def test_a_call_that_takes_more_and_more_memory_is_ended(tmp_path: Path) -> None:
    """Its worker would never be done, in the quarantine neither."""
    async with asked(tmp_path, PoolOptions(memory_bytes=100 << 20, most_deaths=1)) as one:
        answer = await one.call("gorges")
        assert isinstance(answer, Failed)
        assert answer.error_type == "WorkerCrashedError"
        assert "ended its worker process 2 times" in answer.message
        assert "more than twice the 100 MiB that it may (workers.memory_bytes)" in answer.message


async def test_what_a_worker_has_started_ends_with_it(tmp_path: Path) -> None:
    """Also when it ends by itself."""
    async with asked(tmp_path, PoolOptions(most_deaths=0)) as one:
        child = tmp_path / "child"
        answer = await one.call("leaves", f'"{child}"')
        assert isinstance(answer, Failed)
        pid = int(await asyncio.to_thread(child.read_text))
        await until(lambda: not alive(pid))


async def test_suspects_that_run_for_long_do_not_keep_their_process(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(most_deaths=3)) as one:
        errand, over = one.errand("hangs_call", timeout=SECOND // 100)
        one.pool._quarantine.add([errand])
        assert isinstance(await over, Failed)
        await until(lambda: not one.pool._quarantine.links)


# --- rubbish --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rubbish", "a worker sent what is no message"),
        ("wrong", "a worker answered a turn with Result"),
        ("odd", "a worker said Refused at work"),
    ],
)
async def test_who_breaks_the_protocol_is_ended(tmp_path: Path, name: str, reason: str) -> None:
    async with asked(tmp_path) as one:
        answer = await one.turn(name)
        assert isinstance(answer, GivenBack)
        assert answer.has_killed
        assert answer.reason.startswith(reason)
        await one.turned("ok")


async def test_a_call_that_is_answered_with_a_turn_is_ended(tmp_path: Path) -> None:
    async with asked(tmp_path, QUICK) as one:
        answer = await one.call("wrong_call")
        assert isinstance(answer, Failed)
        assert "a worker answered a call with Turned" in answer.message


@pytest.mark.parametrize("name", ["twice", "unknown"])
async def test_an_answer_that_nobody_waits_for_goes_unheard(tmp_path: Path, name: str) -> None:
    async with asked(tmp_path) as one:
        assert (await one.turned(name)).output == "1"
        assert (await one.turned("ok")).output == "1"


async def test_a_turn_that_could_not_be_run_is_answered_so(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        answer = await one.turn("refuses")
        assert isinstance(answer, Failed)
        assert (answer.error_type, answer.message, answer.stack) == ("ValueError", "no", "at x")


# --- sessions -------------------------------------------------------------------------------------


async def test_a_session_goes_on_where_its_executor_is(tmp_path: Path) -> None:
    async with asked(tmp_path, PoolOptions(bounds=PoolBounds(least=2, most=2))) as one:
        await until(lambda: len(one.pool.pids) == 2)
        keys = [one.pool.new_key() for _ in range(6)]
        for key in keys:
            first = await one.turn("kept", key=key)
            assert isinstance(first, Turned)
            assert first.is_kept
        for key in keys:
            more = await one.turn("kept", key=key, history=None, events=ANSWERED)
            assert isinstance(more, Turned)
            assert more.is_done


async def test_a_session_whose_worker_is_gone_is_given_back(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        key = one.pool.new_key()
        await one.turn("kept", key=key)
        await one.turn("kills")
        answer = await one.turn("kept", key=key, history=None, events=ANSWERED)
        assert answer == GivenBack("the worker that had its session is gone")


async def test_a_session_that_the_worker_no_longer_has_is_given_back(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        assert await one.turn("loses") == GivenBack("its worker no longer had the session")


async def test_a_session_that_was_closed_is_forgotten_in_every_state(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        key = one.pool.new_key()
        await one.turn("kept", key=key)
        one.pool.forget(key)  # kept
        lost = await one.turn("kept", key=key, history=None, events=ANSWERED)
        assert isinstance(lost, GivenBack)
        out = one.turn("kept", key=key)
        one.pool.forget(key)  # out: its executor is not kept
        answer = await out
        assert isinstance(answer, Turned)
        assert not answer.is_kept
        one.pool.forget(key)  # unknown
        await one.turn("kills")
        waiting = one.turn("ok", key=key)
        one.pool.forget(key)  # there is no worker
        await one.turned("ok")
        assert not waiting.done()


async def test_a_call_is_canceled_in_every_state(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        pool = one.pool
        await one.turn("kills")
        errand, over = one.errand("echo")
        pool.call(errand)  # no worker is there yet
        assert pool.queued == 1
        assert pool.cancel(errand)
        assert not pool.cancel(errand)
        assert pool.queued == 0
        suspect, _ = one.errand("echo")
        pool._quarantine.add([suspect])
        assert pool.queued == 1
        assert pool.cancel(suspect)
        assert pool.queued == 0
        assert isinstance(await one.call("echo"), Result)
        assert not over.done()


async def test_where_executor_and_plain_call_part_no_executor_of_that_orchestrator_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is not deterministic takes nothing from the others."""
    async with asked(tmp_path) as one:
        pids = one.pool.pids
        key, other = one.pool.new_key(), one.pool.new_key()
        assert (await one.turn("differs", key=key)).is_kept  # type: ignore[union-attr]
        assert (await one.turn("kept", key=other)).is_kept  # type: ignore[union-attr]
        assert (await one.turned("differs", is_compared=True)).difference is not None
        answer = await one.turn("differs", key=key, history=None, events=ANSWERED)
        assert isinstance(answer, GivenBack)
        assert not (await one.turned("differs")).is_kept
        answer = await one.turn("kept", key=other, history=None, events=ANSWERED)
        assert isinstance(answer, Turned)
        assert one.pool.pids == pids
    assert "part: all of it" in caplog.text
    assert "not the same in every run" in caplog.text


# --- life -----------------------------------------------------------------------------------------


async def test_while_it_drains_turns_go_on_and_no_call_begins(tmp_path: Path) -> None:
    async with asked(tmp_path) as one:
        gate = tmp_path / "gate"
        running = one.call("gate", f'"{gate}"')
        await until(lambda: one.pool.running)
        suspect, _ = one.errand("echo")
        one.pool._quarantine.add([suspect])
        assert not await one.pool.drain(0.05)
        later, turn = one.call("echo"), one.turn("ok")
        assert isinstance(await turn, Turned)  # what an activity has come to is taken in
        gate.touch()
        assert await one.pool.drain(30)
        assert isinstance(await running, Result)
        assert not later.done()
        assert one.pool.queued == 2


async def test_workers_that_do_not_want_to_stop_are_ended_side_by_side(tmp_path: Path) -> None:
    launch = scripted_launch(tmp_path, IGNORES_STOP="1")
    async with asked(
        tmp_path, PoolOptions(bounds=PoolBounds(least=3, most=3)), launch=launch
    ) as one:
        await until(lambda: len(one.pool.pids) == 3)
        began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_whatever_keeps_a_worker_from_being_started_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a thread that cannot be had."""
    left = [RuntimeError("can't start new thread")] * 2
    started = StartedWorker

    def failing(*arguments: Any) -> StartedWorker:
        if left:
            raise left.pop()
        return started(*arguments)

    async with asked(tmp_path) as one:
        monkeypatch.setattr(pool_module, "StartedWorker", failing)
        assert isinstance(await one.turn("kills"), GivenBack)
        assert (await one.turned("ok")).output == "1"
    assert not left


async def test_a_bound_of_memory_that_no_worker_keeps_to_starts_them_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.01)
    launch = scripted_launch(tmp_path, EATS_AT_ONCE="1")
    async with asked(tmp_path, PoolOptions(memory_bytes=100 << 20), launch=launch) as one:
        await until(lambda: one.pool._early_deaths >= 4)
        assert pool_module.delay_after(one.pool._early_deaths) >= 0.8 * SECOND


def test_the_delay_grows_up_to_half_a_minute() -> None:
    delays = [pool_module.delay_after(deaths) for deaths in range(40)]
    assert delays[:4] == [0, 100_000, 200_000, 400_000]
    assert delays == sorted(delays)
    assert delays[-1] == 30 * SECOND


async def test_a_worker_that_does_not_want_to_stop_is_ended(tmp_path: Path) -> None:
    launch = scripted_launch(tmp_path, IGNORES_STOP="1")
    async with asked(tmp_path, launch=launch) as one:
        (pid,) = one.pool.pids
    assert not alive(pid)


async def test_an_app_that_dies_before_it_answers_is_started_ever_more_rarely(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path, launch=scripted_launch(tmp_path, DIES_UNASKED="1")) as one:
        await until(lambda: one.pool._early_deaths >= 3)
        began = asyncio.get_running_loop().time()
        await one.pool.stop()  # it does not wait for the next start
        assert asyncio.get_running_loop().time() - began < 5


async def test_an_app_that_can_no_longer_be_loaded_is_told_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launch = scripted_launch(tmp_path, DIES_AFTER_STARTS="1")
    async with asked(tmp_path, launch=launch) as one:
        await one.turn("kills")
        await until(lambda: one.pool._early_deaths >= 2)
        waiting = one.turn("ok")
        (tmp_path / "starts").write_text("")  # it lives again
        assert isinstance(await waiting, Turned)
    assert "cannot be started" in caplog.text
    assert "exit code 7" in caplog.text


async def test_a_worker_that_is_long_in_coming_does_not_keep_the_host_from_ending(
    tmp_path: Path,
) -> None:
    pool = WorkerPool(scripted_launch(tmp_path, HELLO_SECONDS="60"), PoolOptions())
    pool.start(None)
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await pool.stop()
    assert asyncio.get_running_loop().time() - began < 10


async def test_without_a_worker_turns_are_given_back_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.interop.workers.pool._PATIENCE", 0)
    appeared: list[bool] = []
    launch = scripted_launch(tmp_path, DIES_AFTER_STARTS="1")
    async with asked(tmp_path, launch=launch) as one:
        one.pool.on_served(lambda: appeared.append(True))
        await one.turn("kills")
        assert not one.pool.is_serving
        assert await one.turn("ok") == GivenBack("there is no worker now")
        (tmp_path / "starts").write_text("")
        await until(lambda: appeared)
        assert one.pool.is_serving


@pytest.fixture(autouse=True)
def _everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tenuto.worker")


def alive(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# --- more of them while work waits ----------------------------------------------------------------


async def test_workers_come_while_calls_wait_and_go_when_none_does(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    bounds = PoolBounds(least=1, most=3, room=1, idle_seconds=0.0)
    async with asked(tmp_path, PoolOptions(bounds=bounds)) as one:
        calls = [one.call("gate", f'"{gate}"') for _ in range(5)]
        await until(lambda: len(one.pool.pids) == 3)
        assert all(not call.done() for call in calls)
        gate.touch()
        answers = await asyncio.gather(*calls)
        assert all(isinstance(answer, Result) for answer in answers)
        one.pool.resize()
        one.pool.resize()
        await until(lambda: len(one.pool.pids) == 1)
        assert isinstance(await one.call("echo", "7"), Result)


async def test_a_worker_that_is_let_go_answers_what_it_has(tmp_path: Path) -> None:
    gates = [tmp_path / "first", tmp_path / "second"]
    bounds = PoolBounds(least=1, most=2, room=1, idle_seconds=0.0)
    async with asked(tmp_path, PoolOptions(bounds=bounds)) as one:
        calls = [one.call("gate", f'"{gate}"') for gate in gates]
        await until(lambda: len(one.pool.pids) == 2)
        for _ in range(3):
            one.pool.resize()
        assert len(one.pool.pids) == 2
        gates[0].touch()
        await calls[0]
        one.pool.resize()
        await until(lambda: len(one.pool.pids) == 1)
        gates[1].touch()
        assert isinstance(await calls[1], Result)


async def test_nothing_is_lost_when_a_worker_is_killed_while_the_pool_grows(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    bounds = PoolBounds(least=1, most=3, room=1, idle_seconds=0.0)
    async with asked(tmp_path, PoolOptions(bounds=bounds)) as one:
        calls = [one.call("gate", f'"{gate}"') for _ in range(4)]
        await until(lambda: len(one.pool.pids) > 1)
        os.kill(one.pool.pids[-1], signal.SIGKILL)
        await until(lambda: len(one.pool.pids) == 3)
        gate.touch()
        answers = await asyncio.gather(*calls)
        assert all(isinstance(answer, Result) for answer in answers)


async def test_calls_go_to_who_is_there_when_no_other_worker_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = PoolBounds(least=1, most=2, room=1, idle_seconds=0.0)
    async with asked(tmp_path, PoolOptions(bounds=bounds)) as one:

        def fails(*_given: object) -> None:
            raise OSError("no process is left")

        with monkeypatch.context() as patch:
            patch.setattr(pool_module, "StartedWorker", fails)
            answers = await asyncio.gather(*(one.call("echo", "7") for _ in range(5)))
            assert all(isinstance(answer, Result) for answer in answers)
            assert len(one.pool.pids) == 1
            assert one.pool.facts().starting == 1  # again, after a while
        await until(lambda: len(one.pool.pids) == 2)
        assert one.pool._early_deaths
        await asyncio.gather(*(one.call("echo", "7") for _ in range(4)))
        for _ in range(2):
            one.pool.resize()
        await until(lambda: len(one.pool.pids) == 1)
        assert not one.pool._early_deaths
