"""Clocks written in C, found by looking at each call."""

import logging
import os
import random
import secrets
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import GuardError
from tenuto.model.events import (
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    Incoming,
    OrchestratorStarted,
    TaskCompleted,
    TaskScheduled,
)
from tenuto.orchestration.context import Context
from tenuto.orchestration.guard import installing as guard
from tenuto.orchestration.guard.calls import CallWatch, end_watch, look
from tenuto.orchestration.replay import replay
from tenuto.orchestration.runtime import RUNTIME
from tests.support.guarded import (
    EXECUTION,
    START,
    STARTED,
    allowed,
    first_turn,
    open_session,
    refusal_of,
    run_inside,
)

if TYPE_CHECKING:
    from _typeshed import TraceFunction

guard.install()

# As ``from time import time`` leaves them in a module.
by_name = {
    "time.time": vars(time)["time"],
    "time.perf_counter_ns": vars(time)["perf_counter_ns"],
    "os.urandom": vars(os)["urandom"],
    "random.random": vars(random)["random"],
    "random.randint": vars(random)["randint"],
    "random.shuffle": vars(random)["shuffle"],
    "secrets.token_hex": vars(secrets)["token_hex"],
    "uuid.uuid1": vars(uuid)["uuid1"],
    "uuid.uuid4": vars(uuid)["uuid4"],
}


class Holiday(date):
    pass


def _now() -> datetime:
    return datetime.now()  # noqa: DTZ005 - what it is about


CLOCKS: dict[str, tuple[Callable[[], object], str, str]] = {
    "now": (_now, "datetime.now()", "ctx.current_time"),
    "now in a zone": (lambda: datetime.now(UTC), "datetime.now()", "ctx.current_time"),
    "today": (date.today, "date.today()", "ctx.current_time"),
    "today of a subclass": (Holiday.today, "Holiday.today()", "ctx.current_time"),
    "time": (by_name["time.time"], "time.time()", "ctx.current_time"),
    "counter": (by_name["time.perf_counter_ns"], "time.perf", "ctx.current_time"),
    "urandom": (lambda: by_name["os.urandom"](4), "os.urandom()", "an activity"),
    "random": (by_name["random.random"], "random.random()", "ctx.random"),
    "randint": (lambda: by_name["random.randint"](1, 6), "random.getrandbits()", "ctx.random"),
    "shuffle": (lambda: by_name["random.shuffle"]([1, 2]), "random.getrandbits()", "ctx.random"),
    "token": (by_name["secrets.token_hex"], "os.urandom()", "an activity"),
    "uuid1": (by_name["uuid.uuid1"], "uuid.uuid1()", "ctx.new_uuid()"),
    "uuid4": (by_name["uuid.uuid4"], "os.urandom()", "an activity"),
    "unseeded": (random.Random, "random.Random() without a seed", "ctx.random"),
    "system": (lambda: random.SystemRandom().random(), "os.urandom()", "an activity"),
}


@pytest.fixture(autouse=True)
def no_other_profiler() -> Iterator[None]:
    assert sys.getprofile() is None
    yield
    assert sys.getprofile() is None


@pytest.mark.parametrize("clock", CLOCKS)
def test_replay_is_pure_refuses_clocks_written_in_c(clock: str) -> None:
    read, what, instead = CLOCKS[clock]
    failure = refusal_of(lambda _ctx: read(), watch=CallWatch(1))
    assert failure.error_message.startswith(what)
    assert f"inside an orchestrator, at {__file__}:" in failure.error_message
    assert f"use {instead}" in failure.error_message


def test_utcnow_is_refused() -> None:
    utcnow = getattr(datetime, "utcnow")  # noqa: B009 - deprecated since 3.12, still used
    message = refusal_of(lambda _ctx: utcnow(), watch=CallWatch(1)).error_message
    assert message.startswith("datetime.utcnow()")


def test_a_swallowed_violation_fails_the_orchestration_all_the_same() -> None:
    def work(_ctx: Context) -> str:
        try:
            return str(_now())
        except GuardError:
            return "no time"

    assert refusal_of(work, watch=CallWatch(1)).error_message.startswith("datetime.now()")


def test_what_only_looks_like_a_clock_is_allowed() -> None:
    class Shop:
        def now(self) -> int:
            return 1

        time = random.Random(7).random

    def work(ctx: Context) -> object:
        own = random.Random(7)
        own.seed(8)
        times = [
            datetime.fromtimestamp(0, UTC),
            datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1),
            datetime.strptime("2026", "%Y").replace(tzinfo=UTC),
            ctx.current_time.astimezone(UTC),
        ]
        numbers = [own.random(), own.getrandbits(3), Shop().now(), Shop.time()]
        chance = [ctx.random.random(), ctx.random.sample([1, 2, 3], 2), ctx.random.uniform(1, 2)]
        return [len(times), len(numbers), len(chance), str(ctx.new_uuid())]

    assert str(allowed(work, watch=CallWatch(1))).startswith("[4,4,3,")


def test_without_looking_clocks_written_in_c_go_unseen() -> None:
    assert allowed(lambda _ctx: _now().year > 2000) == "true"


def test_it_looks_only_while_a_turn_runs_and_outside_of_sessions_at_nothing() -> None:
    async def guarded(ctx: Context) -> None:
        await ctx.create_timer(timedelta(1))

    session = open_session(guarded, watch=CallWatch(1))
    session.run_turn(START, [STARTED])
    assert sys.getprofile() is None
    _now()
    session.close()
    look(sys._getframe(), "c_call", datetime.now)


def test_the_hook_goes_when_a_turn_breaks() -> None:
    async def guarded(_ctx: Context) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        first_turn(guarded, watch=CallWatch(1))


# Some tests call hooks by hand: the interpreter hides its own calls of them from coverage.


def _frame_of_seed() -> FrameType:
    with pytest.raises(TypeError) as failed:
        random.Random.seed(object(), None)  # type: ignore[arg-type]
    return failed.traceback[-1].frame.raw


@pytest.mark.parametrize(
    ("caller", "function", "told"),
    [
        (sys._getframe, by_name["time.time"], "time.time()"),
        (sys._getframe, Holiday.today, "Holiday.today()"),
        (_frame_of_seed, super(random.Random, random.Random(1)).seed, "random.Random() without"),
    ],
)
def test_the_hook_knows_what_it_sees(
    caller: Callable[[], FrameType], function: Callable[..., object], told: str
) -> None:
    message = refusal_of(lambda _ctx: look(caller(), "c_call", function)).error_message
    assert message.startswith(told)


def test_the_hook_itself_refuses() -> None:
    def work(_ctx: Context) -> None:
        look(sys._getframe(), "c_call", super(random.Random, random.Random(1)).seed)
        look(sys._getframe(), "call", None)
        look(sys._getframe(), "c_call", len)
        look(
            sys._getframe(), "c_call", SimpleNamespace(__name__="today", __self__=Holiday(1, 1, 1))
        )
        look(sys._getframe(), "c_call", datetime.now)

    assert refusal_of(work).error_message.startswith("datetime.now()")


# --- replay ---------------------------------------------------------------------------------------


def _clock_after_two_answers(app: FunctionRegistry) -> Callable[..., object]:
    @app.activity
    def greet() -> str:
        return "hello"

    async def guarded(ctx: Context) -> str:
        await ctx.call_activity(greet)
        greeting = await ctx.call_activity(greet)
        return f"{greeting} {_now()}"

    return guarded


def test_replayed_turns_are_looked_at() -> None:
    app = FunctionRegistry()
    guarded = _clock_after_two_answers(app)
    events: list[list[Incoming]] = [
        [ExecutionStarted("guarded", EXECUTION, runtime=RUNTIME)],
        [TaskCompleted(1, '"hello"')],
        [TaskCompleted(2, '"hello"')],
    ]
    session = open_session(guarded, watch=CallWatch(1), app=app)
    decided = [
        session.run_turn(START + number, turn, replaying=True).actions
        for number, turn in enumerate(events)
    ]
    session.close()
    (ending,) = decided[-1]
    assert isinstance(ending, ExecutionCompleted)
    assert "datetime.now()" in str(ending.failure_details)


def test_replay_is_pure_a_replay_that_goes_wrong_because_of_a_clock_says_so() -> None:
    async def guarded(_ctx: Context) -> str:
        return str(time.time())

    turns: list[list[HistoryEvent]] = [
        [
            OrchestratorStarted(START),
            ExecutionStarted("guarded", EXECUTION, runtime=RUNTIME),
            TaskScheduled(1, "greet", None),
        ]
    ]
    with pytest.raises(GuardError, match=r"time\.time\(\) inside an orchestrator, at .*test_guard"):
        replay(turns, lambda _trace: open_session(guarded))


# --- production: a sample, which warns ------------------------------------------------------------


def _turns(session_watch: CallWatch, count: int, work: Callable[[Context], object]) -> None:
    for _ in range(count):
        ending = run_inside(work, watch=session_watch)
        assert ending.failure_details is None, ending.failure_details


def test_a_sample_warns_once_a_line_and_fails_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "tenuto.orchestration"):
        _turns(CallWatch(3), 10, lambda _ctx: [_now().year, _now().year])
    (record,) = caplog.records
    assert record.getMessage().startswith("datetime.now() inside an orchestrator, at ")
    assert f"{__file__}:" in record.getMessage()
    assert "guard_every" in record.getMessage()


def test_a_sample_begins_with_the_first_turn_and_takes_one_in_n() -> None:
    watch = CallWatch(3)
    looked: list[bool] = []
    _turns(watch, 7, lambda _ctx: looked.append(sys.getprofile() is not None))
    assert looked == [True, False, False, True, False, False, True]


def test_a_sample_leaves_replayed_turns_out() -> None:
    watch = CallWatch(3)
    assert not watch.begin(replaying=True)
    assert watch.begin(replaying=False)
    end_watch()


def test_a_sampled_turn_is_looked_at_for_a_bounded_number_of_calls() -> None:
    looked: list[bool] = []

    def work(_ctx: Context) -> None:
        looked.append(sys.getprofile() is not None)
        for _ in range(20_000):
            abs(1)
        looked.append(sys.getprofile() is not None)

    _turns(CallWatch(3), 1, work)
    assert looked == [True, False]


def test_the_hook_of_a_sample_goes_when_it_has_seen_enough() -> None:
    hook = CallWatch(3)._sample()
    sys.setprofile(lambda *_arguments: None)
    for _ in range(20_000):
        hook(sys._getframe(), "return", None)
    assert sys.getprofile() is None


def test_a_sample_spares_logging(caplog: pytest.LogCaptureFixture) -> None:
    class Stamping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _now()

    logger = logging.getLogger("tests.guard.sample")
    handler = Stamping()
    logger.addHandler(handler)
    _turns(CallWatch(3), 1, lambda _ctx: logger.warning("told"))
    logger.removeHandler(handler)
    assert [record.getMessage() for record in caplog.records] == ["told"]


def test_the_hook_of_a_sample_itself_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = CallWatch(3)._sample()

    def work(_ctx: Context) -> None:
        hook(sys._getframe(), "return", None)
        hook(sys._getframe(), "c_call", Holiday(2026, 1, 1).__format__)
        hook(sys._getframe(), "c_call", random.Random(1).seed)
        for _ in range(2):
            hook(sys._getframe(), "c_call", datetime.now)

    allowed(work)
    assert len([one for one in caplog.records if "datetime.now()" in one.getMessage()]) == 1


# --- others who watch -----------------------------------------------------------------------------


def test_a_profiler_that_is_there_already_stays() -> None:
    seen: list[str] = []

    def foreign(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    sys.setprofile(foreign)
    try:
        assert allowed(lambda _ctx: _now().year > 2000, watch=CallWatch(1)) == "true"
        assert sys.getprofile() is foreign
    finally:
        sys.setprofile(None)
    assert "_now" in seen


def test_a_debugger_or_coverage_is_not_disturbed() -> None:
    lines: list[int] = []

    def tracer(frame: FrameType, event: str, _arg: object) -> "TraceFunction":
        if event == "line" and frame.f_code is _now.__code__:
            lines.append(frame.f_lineno)
        return tracer

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        failure = refusal_of(lambda _ctx: _now(), watch=CallWatch(1))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert failure.error_message.startswith("datetime.now()")
    assert lines
