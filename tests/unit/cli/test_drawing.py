"""The picture of a run, line by line: symbols, details, durations, bars; in both character sets."""

import re
from io import StringIO

import pytest
from msgspec import structs
from rich.console import Console

from tenuto.cli.picture.drawing import ASCII, BAR, STYLES, UNICODE, Glyphs, Sheet, bar_for, draw
from tenuto.cli.picture.items import Item, folded, item_of_run
from tenuto.insight.steps import Run, StepState, run_of
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventRefused,
    EventSent,
    SubOrchestrationInstanceCompleted,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.status import RuntimeStatus
from tests.support.runs import (
    activities,
    at,
    child_call,
    completed,
    opening,
    record,
    running,
    turn,
    with_child,
)

SOLD_OUT = FailureDetails("SoldOut", "no seat")
TIMES = UNICODE.times


def lines(run: Run, *, now: float = 4, width: int = 60, sheet: Sheet | None = None) -> list[str]:
    output = Console(file=StringIO(), width=width, color_system=None, force_terminal=False)
    with output.capture() as captured:
        drawn_on = sheet or Sheet(bar=8)
        output.print(draw(folded(item_of_run(run), drawn_on.rows), at(now), drawn_on))
    return [line.rstrip() for line in captured.get().splitlines()]


def labels(run: Run, *, now: float = 4) -> list[str]:
    """The first column."""
    wide = lines(run, now=now, width=160, sheet=Sheet(bar=0))
    return [re.split(r"  +(?=\d+ (?:ms|s|min|h|d)\b|\d+\.\d s)", line)[0] for line in wide]


def trip() -> Run:
    child = run_of(
        record(RuntimeStatus.COMPLETED, name="pay", instance_id="pay-1", ended=3),
        [opening(TaskScheduled(1, "charge")), turn(1, TaskCompleted(1))],
    )
    run = completed(
        opening(TaskScheduled(1, "book"), child_call(2, "pay-1")),
        turn(2, TaskCompleted(1)),
        turn(3, SubOrchestrationInstanceCompleted(2), TaskScheduled(3, "mail")),
        turn(4, TaskFailed(3, SOLD_OUT)),
    )
    book, pay, mail = run.steps
    return structs.replace(run, steps=[book, structs.replace(pay, run=child), mail])


def test_a_run_is_a_tree_with_durations_and_bars_of_time() -> None:
    assert lines(trip()) == [
        "✔ book_trip                                  4.0 s  ━━━━━━━━",
        "├─ ✔ book                                    2.0 s  ━━━━",
        "├─ ✔ pay  pay-1                              3.0 s  ━━━━━━",
        "│  └─ ✔ charge                               1.0 s  ━━",
        "└─ ✖ mail  SoldOut: no seat                  1.0 s        ━━",
    ]


def test_a_terminal_without_unicode_gets_the_same_in_ascii() -> None:
    assert lines(trip(), sheet=Sheet(glyphs=ASCII, bar=8)) == [
        "+ book_trip                                  4.0 s  ========",
        "|-- + book                                   2.0 s  ====",
        "|-- + pay  pay-1                             3.0 s  ======",
        "|   `-- + charge                             1.0 s  ==",
        "`-- x mail  SoldOut: no seat                 1.0 s        ==",
    ]


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_states_differ_in_their_symbols_and_all_have_a_style(glyphs: Glyphs) -> None:
    assert set(glyphs.states) == set(STYLES) == set(StepState)
    assert len(set(glyphs.states.values())) == len(StepState)


def test_the_ascii_glyphs_are_ascii() -> None:
    fields = structs.asdict(ASCII)
    states = fields.pop("states")
    assert "".join([*states.values(), *fields.values()]).isascii()


def test_what_is_open_lasts_until_now_in_tenths_that_do_not_flicker() -> None:
    run = running(opening(TaskScheduled(1, "book")))
    assert lines(run, now=0.4)[1].endswith("0.4 s  ━━━━━━━━")
    assert lines(run, now=90)[1].endswith("  1 min 30 s  ━━━━━━━━")


def test_a_live_picture_turns_where_something_runs() -> None:
    run = running(opening(TaskScheduled(1, "book"), TimerCreated(2, at(60))))
    first, second = (lines(run, sheet=Sheet(frame=frame)) for frame in (0, 1))
    assert first[1] != second[1]
    assert first[2] == second[2]
    assert first[1].startswith(f"├─ {UNICODE.spinner[0]} book")


def test_a_timer_tells_how_long_or_until_when_and_what_is_left() -> None:
    short = running(opening(TimerCreated(1, at(90))))
    assert "◌ timer 1 min 30 s" in lines(short, now=60)[1]
    assert "30.0 s left" in lines(short, now=60)[1]
    assert re.search(
        r"timer until \d\d:\d\d", lines(running(opening(TimerCreated(1, at(7200)))))[1]
    )
    long = running(opening(TimerCreated(1, at(3 * 86_400))))
    assert re.search(r"timer until \w+ \d\d \w+ \d\d:\d\d +2 d 23 h left", lines(long)[1])
    fired = completed(opening(TimerCreated(1, at(2))), turn(2, TimerFired(1, at(2))))
    assert lines(fired)[1].endswith("2.0 s  ╌╌╌╌")


def test_a_step_between_attempts_tells_why_and_when_it_goes_on() -> None:
    history = (
        opening(TaskScheduled(1, "book")),
        turn(1, TaskFailed(1, SOLD_OUT), TimerCreated(2, at(9), "retry", 1)),
    )
    pausing = running(*history)
    assert "↻ book  SoldOut: no seat" in lines(pausing)[1]
    assert "5.0 s left" in lines(pausing)[1]
    again = turn(9, TimerFired(2, at(9)), TaskScheduled(3, "book", None, 2, 1))
    assert labels(running(*history, again), now=9)[1] == (
        "└─ ● book  attempt 2, after SoldOut: no seat"
    )
    done = running(*history, again, turn(10, TaskCompleted(3)))
    assert labels(done)[1] == "└─ ✔ book  attempt 2"


def test_each_kind_of_step_says_what_it_is() -> None:
    made_up = "64fdfdb250c6eba1fb97851a7cb34640:0001"
    run = running(
        opening(
            EventSent(1, InstanceId("other-1"), "hello"),
            child_call(2, made_up),
            child_call(3, "log-1", detached=True),
            TimerCreated(4, at(60)),
            TimerCreated(5, at(60), "timeout"),
            TimerCreated(6, at(60), "poll", 2),
        ),
        turn(1, EventRaised("paid"), EventRaised("bad"), TaskCanceled(4)),
        turn(
            2,
            EventAwaited(7, "sent"),
            EventAwaited(8, "late"),
            TimerCreated(9, at(3), "timeout", 8),
        ),
        turn(
            3,
            TimerFired(9, at(3)),
            EventRefused(10, "bad", MessageId("m"), "event 'bad': no number"),
        ),
    )
    assert labels(run)[1:] == [
        "├─ ✔ event 'hello' to other-1",
        f"├─ ● pay  {made_up}",
        "├─ ● pay  log-1, not waited for",
        "├─ ⊘ timer 1 min 00 s  canceled",
        "├─ ◌ timeout 1 min 00 s",
        "├─ ◌ pause before a poll 1 min 00 s",
        "├─ ✔ event 'paid'",
        "├─ ✖ event 'bad'  refused: event 'bad': no number",
        "├─ ◌ event 'sent'",
        "└─ ⊘ event 'late'  timed out",
    ]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (RuntimeStatus.RUNNING, "● book_trip"),
        (RuntimeStatus.PENDING, "◌ book_trip  pending"),
        (RuntimeStatus.SUSPENDED, "◌ book_trip  suspended"),
        (RuntimeStatus.COMPLETED, "✔ book_trip"),
        (RuntimeStatus.FAILED, "✖ book_trip"),
        (RuntimeStatus.TERMINATED, "⊘ book_trip  terminated"),
    ],
)
def test_an_instance_shows_its_status(status: RuntimeStatus, line: str) -> None:
    assert labels(run_of(record(status), [])) == [line]


def test_a_later_generation_is_counted() -> None:
    assert labels(run_of(record(generation=2), [])) == ["● book_trip  generation 3"]


def test_a_child_that_does_not_run_shows_why() -> None:
    suspended = run_of(record(RuntimeStatus.SUSPENDED, instance_id="pay-1", generation=1), [])
    assert labels(with_child(suspended, done=False))[1] == (
        "└─ ◌ pay  pay-1, generation 2, suspended"
    )


def test_foreign_text_can_neither_steer_the_terminal_nor_be_taken_for_markup() -> None:
    failure = FailureDetails("Evil", "[red]a\x1b[2J\nb\u202e")
    run = running(opening(TaskScheduled(1, "\x1b]0;x\x07")), turn(1, TaskFailed(1, failure)))
    line = labels(run)[1]
    assert line == r"└─ ✖ \x1b]0;x\x07  Evil: [red]a\x1b[2J b\u202e"


def test_a_long_detail_is_cut_so_that_durations_stay_in_line() -> None:
    failure = FailureDetails("Evil", "x" * 200)
    (_, line) = lines(running(opening(TaskScheduled(1, "a")), turn(1, TaskFailed(1, failure))))
    assert "…" in line
    assert line.endswith("1.0 s  ━━")
    assert len(line) <= 60


def test_a_bar_is_never_empty_nor_outside() -> None:
    history = opening(TaskScheduled(1, "a")), turn(1, TaskCompleted(1), TaskScheduled(2, "b"))
    for now in (0.5, 1, 1_000_000):
        for line in lines(running(*history), now=now)[1:]:
            assert 1 <= line.count("━") <= 8
            assert len(line) <= 60


# --- folding -----------------------------------------------------------------------------------


def test_a_run_that_fits_is_not_folded() -> None:
    assert len(lines(activities(9, done=9), sheet=Sheet(rows=10))) == 10


def test_completed_steps_of_one_name_become_one_line() -> None:
    assert labels_in(activities(1_000, done=997), rows=10) == [
        "● book_trip",
        f"├─ ✔ charge {TIMES} 997",
        "├─ ● charge",
        "├─ ● charge",
        "└─ ● charge",
    ]


def test_running_steps_of_one_name_are_folded_when_that_is_not_enough() -> None:
    assert labels_in(activities(1_000, done=0), rows=10) == [
        "● book_trip",
        f"└─ ● charge {TIMES} 1,000",
    ]


def labels_in(run: Run, *, rows: int) -> list[str]:
    drawn = lines(run, width=100, sheet=Sheet(rows=rows, bar=0))
    return [re.sub(r"  +\S.*", "", line.lstrip()) for line in drawn]


def test_a_failed_step_is_still_there_when_the_rest_is_folded() -> None:
    run = activities(50, done=50)
    run.steps[20] = structs.replace(run.steps[20], state=StepState.FAILED)
    assert labels_in(run, rows=3) == ["● book_trip", f"├─ ✔ charge {TIMES} 49", "└─ ✖ charge"]


def test_completed_children_lose_their_steps_before_running_ones() -> None:
    child = activities(5, done=5)
    done = structs.replace(child, record=record(RuntimeStatus.COMPLETED, ended=3))
    assert labels_in(with_child(done, done=True), rows=7)[1:] != ["└─ ✔ pay"]
    assert labels_in(with_child(done, done=True), rows=2)[1:] == ["└─ ✔ pay"]
    assert labels_in(with_child(child, done=False), rows=4)[1:] == [
        "└─ ● pay",
        f"└─ ✔ charge {TIMES} 5",
    ]


def test_completed_steps_of_different_names_become_a_number() -> None:
    calls = [TaskScheduled(number, f"step_{number}") for number in range(1, 21)]
    answers = [TaskCompleted(number) for number in range(1, 21)]
    assert labels_in(running(opening(*calls), turn(1, *answers)), rows=4) == [
        "● book_trip",
        "└─ ✔ 20 completed",
    ]


def test_what_is_said_of_all_that_are_folded_is_said_of_the_fold() -> None:
    calls = [TaskScheduled(number, "charge") for number in range(1, 601)]
    failures = [TaskFailed(one.event_id, FailureDetails("E", "no seat")) for one in calls]
    (same,) = folded(item_of_run(running(opening(*calls), turn(1, *failures))), 500).children
    assert (same.count, same.detail) == (600, "E: no seat")
    failures[0] = TaskFailed(1, FailureDetails("E", "another"))
    (mixed,) = folded(item_of_run(running(opening(*calls), turn(1, *failures))), 500).children
    assert (mixed.count, mixed.detail) == (600, "")


def test_what_cannot_be_folded_is_cut_and_counted() -> None:
    calls = [TaskScheduled(number, f"step_{number}") for number in range(1, 21)]
    drawn = labels_in(running(opening(*calls)), rows=5)
    assert len(drawn) == 5
    assert drawn[-1] == "… 17 more lines"
    assert labels_in(running(opening(*calls)), rows=1) == ["● book_trip", "… 20 more lines"]


def test_a_fold_lasts_from_the_first_beginning_to_the_last_end() -> None:
    item = folded(item_of_run(activities(5, done=5)), 2)
    (fold,) = item.children
    assert (fold.count, fold.begun_at, fold.ended_at) == (5, at(0), at(5))
    open_fold = folded(item_of_run(activities(5, done=0)), 2).children[0]
    assert open_fold.ended_at is None


def test_bars_make_room_for_the_ids_of_children_which_people_copy() -> None:
    made_up = "64fdfdb250c6eba1fb97851a7cb34640:0001"
    run = running(opening(child_call(1, made_up)))
    item = item_of_run(run)
    assert bar_for(item, at(4), 120, UNICODE) == BAR
    beside = bar_for(item, at(4), 70, UNICODE)
    assert 0 < beside < BAR
    assert made_up in lines(run, width=70, sheet=Sheet(bar=beside))[1]
    nested = Item(state=item.state, label="root", begun_at=at(0), children=[item, *item.children])
    nested.children[0].children[0].detail = made_up + "x" * 10
    assert bar_for(nested, at(4), 70, UNICODE) == 0, "too little is left for a bar"


def test_a_long_failure_and_a_narrow_terminal_do_not_push_the_labels_out() -> None:
    failed = FailureDetails("SoldOut", "no seat " * 30)
    run = running(opening(TaskScheduled(1, "book")), turn(1, TaskFailed(1, failed)))
    assert bar_for(item_of_run(run), at(4), 80, UNICODE) == BAR, "a failure is cut"
    assert bar_for(item_of_run(run), at(4), 40, UNICODE) == 0
