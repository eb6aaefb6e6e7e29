"""Instances and histories as tables and blocks of text."""

from io import StringIO

from msgspec import structs
from rich.console import Console, RenderableType

from tenuto.cli.picture.drawing import ASCII, UNICODE
from tenuto.cli.picture.history import event_table, lines_of
from tenuto.cli.picture.report import fact_table, facts, instance_table
from tenuto.insight.explanation import explain
from tenuto.insight.steps import run_of
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import clock_time, zone
from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventRefused,
    ExecutionCompleted,
    QuestionAnswered,
    QuestionAsked,
    SubOrchestrationInstanceCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.explanation import Explanation
from tenuto.model.failure import FailureDetails
from tenuto.model.form_types import form_of, form_of_choices
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.status import ParentInstance, RuntimeStatus
from tests.support.runs import at, opening, record, running, turn

ZONE = f"({zone(at(60))})"


def text_of(picture: RenderableType, width: int = 120) -> list[str]:
    output = Console(file=StringIO(), width=width, color_system=None)
    with output.capture() as captured:
        output.print(picture)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_each_instance_has_a_line_with_status_and_age() -> None:
    records = [record(), record(RuntimeStatus.FAILED, instance_id="trip-2", ended=3)]
    head, first, second = text_of(instance_table(records, at(60), UNICODE))
    assert head.split() == ["INSTANCE", "NAME", "STATUS", "STARTED", ZONE, "DURATION"]
    assert first.split()[:4] == ["trip-1", "book_trip", "●", "Running"]
    assert first.endswith("1 min 00 s so far")
    assert second.split()[2:4] == ["✖", "Failed"]
    assert second.endswith("3.0 s")
    assert "x Failed" in text_of(instance_table(records, at(60), ASCII))[2]


def test_in_a_narrow_terminal_columns_go_below_their_row_and_ids_stay_whole() -> None:
    records = [record(instance_id="order-2026-11-29-000017"), record()]
    lines = {
        width: text_of(instance_table(records, at(60), UNICODE), width)
        for width in (100, 80, 60, 50, 38, 20)
    }
    heads = {width: found[0].split() for width, found in lines.items()}
    assert heads[100] == ["INSTANCE", "NAME", "STATUS", "STARTED", ZONE, "DURATION"]
    assert heads[80] == ["INSTANCE", "NAME", "STATUS", "STARTED", ZONE]
    assert heads[60] == heads[50] == ["INSTANCE", "NAME", "STATUS"]
    assert heads[38] == ["INSTANCE", "STATUS"]
    assert lines[38][1].startswith("order-2026-11-29-000017 ")
    started = f"started {ZONE} {clock_time(at(0))}"
    assert lines[80][2] == "  duration 1 min 00 s so far"
    assert lines[60][2:4] == [f"  {started}", "  duration 1 min 00 s so far"]
    assert lines[38][2] == "  name book_trip"


def test_a_history_has_plain_words_for_the_activities_of_tenuto() -> None:
    call = '{"method":"GET","url":"https://example.org/x?key=secret"}'
    turns = [opening(TaskScheduled(1, HTTP_ACTIVITY, call))]
    written = " ".join(text_of(event_table(lines_of(turns)), width=140))
    assert "an HTTP call (GET https://example.org/x)" in written
    assert "BuiltIn" not in written


def test_a_history_may_be_narrowed_to_what_failed() -> None:
    failure = FailureDetails(error_type="E", error_message="no")
    turns = [
        opening(TaskScheduled(1, "book")),
        turn(2, TaskFailed(1, failure)),
    ]
    lines = lines_of(turns, failed=True)
    assert [(one.turn, type(one.event)) for one in lines] == [(1, TaskFailed)]
    assert len(lines_of(turns)) == 3


def test_a_long_id_is_never_cut() -> None:
    long = record(instance_id="x" * 256)
    written = "".join(text_of(instance_table([long], at(1), UNICODE), width=80))
    assert written.count("x") == 256


HELD = structs.replace(
    record(), hold=Hold(reason=HoldReason.DECISIONS, message="went another way " * 40, since=at(2))
)


def test_a_held_instance_says_why_in_full_however_narrow_the_terminal_is() -> None:
    table = instance_table([HELD, record()], at(60), UNICODE)
    why = "went another way " * 40
    for width in (50, 80, 110, 200):
        head, *lines = text_of(table, width)
        assert head.split()[:1] == ["INSTANCE"]
        assert sum("decisions" in line for line in lines) == 1
        assert " ".join(" ".join(lines).split()).count("went another way") == 40
        assert not any("…" in line or "..." in line for line in lines)
    head, line = text_of(table, 1_000)[:2]
    assert head.split()[-1] == "WHY"
    assert line.endswith(why.strip()), "one line each for who reads it by lines"


def test_why_the_newest_event_was_refused_is_told_in_full() -> None:
    reason = "event 'paid': value at $ does not fit: Expected `float`, found `str`"
    run = running(
        opening(EventAwaited(1, "paid")),
        turn(2, EventRaised("paid", '"lots"'), EventRefused(2, "paid", MessageId("m-1"), reason)),
    )
    assert dict(facts(run))["refused"].startswith(reason)


def test_the_facts_are_those_that_there_are() -> None:
    assert [name for name, _ in facts(running(opening()))] == ["status", "started"]
    full = structs.replace(
        record(RuntimeStatus.COMPLETED, ended=4, output='"done"'),
        parent=ParentInstance(InstanceId("root-1"), ExecutionId("exec"), "root", 1),
        scheduled_at=at(1),
        version="2",
        tags={"a": "b"},
        input='{"x": 1}',
        custom_status='"half"',
    )
    found = dict(facts(run_of(full, [])))
    assert found["called by"] == "root-1"
    assert (found["version"], found["tags"], found["input"]) == ("2", "a=b", '{"x": 1}')
    assert (found["output"], found["custom status"]) == ('"done"', '"half"')
    assert "waits for" not in found


def test_a_long_fact_stays_in_its_column() -> None:
    long = structs.replace(record(), input='"' + "x" * 100 + '"')
    lines = text_of(fact_table(run_of(long, []), None), width=60)
    assert lines[0].split() == ["status", "Running"]
    assert sum(line.count("x") for line in lines) == 100
    assert {line[:11].strip() for line in lines if "x" in line} == {"input", ""}


def test_why_it_does_not_go_on_is_said_with_what_to_do() -> None:
    run = running(opening(EventAwaited(1, "paid")))
    why = Explanation(sentence="waits for event 'paid'", advice="raise it")
    assert facts(run, why)[-2:] == [("now", "waits for event 'paid'"), ("what to do", "raise it")]


def test_a_held_instance_says_the_same_as_everywhere_and_all_of_it() -> None:
    message = f"{'it decides otherwise ' * 40}; start a host with code that fits"
    hold = Hold(HoldReason.DECISIONS, message, at(1), recorded="one", produced="two")
    run = running(opening())
    run = structs.replace(run, record=structs.replace(run.record, hold=hold))
    why = explain(run, Surroundings(now=at(5), has_host=True, place=("--url", "http://x")))
    found = dict(facts(run, why))
    assert found["now"] == why.sentence
    assert found["now"].endswith("start a host with code that fits")
    assert found["what to do"] == why.advice
    assert "resume trip-1 --url http://x" in found["what to do"]
    assert (found["recorded"], found["produced"]) == ("one", "two")


def test_a_history_has_a_line_for_each_event_and_a_time_for_each_turn() -> None:
    failure = FailureDetails("tenuto.model.errors.ActivityError", "no seat")
    turns = [
        opening(TaskScheduled(1, "book", '{"to":"Oslo"}', timeout=5), TimerCreated(2, at(60))),
        turn(1.5, TaskFailed(1, failure), TimerFired(2, at(60))),
        turn(2, SubOrchestrationInstanceCompleted(3, '"x"')),
        turn(3, ExecutionCompleted(RuntimeStatus.FAILED, None, failure)),
    ]
    head, *lines = text_of(event_table(lines_of(turns)))
    assert head.split() == ["TURN", "TIME", ZONE, "EVENT", "DETAILS"]
    assert [line[31:].split("  ")[0] for line in lines] == [
        "ExecutionStarted",
        "TaskScheduled",
        "TimerCreated",
        "TaskFailed",
        "TimerFired",
        "SubOrchestrationInstanceCompleted",
        "ExecutionCompleted",
    ]
    assert lines[0].split()[0] == "1"
    assert lines[3].split()[0] == "2"
    assert lines[3].split()[2].endswith("01.500") or ":01.500" in lines[3]
    assert lines[1].endswith('#1 book input={"to":"Oslo"} timeout=5')
    assert "#2 fireAt=" in lines[2]
    assert lines[3].endswith("#1 ActivityError: no seat")
    assert lines[5].endswith('#3 result="x"')
    assert lines[6].endswith("Failed ActivityError: no seat")


def test_a_narrow_screen_wraps_details_beside_or_below_their_event() -> None:
    turns = [opening(TaskScheduled(1, "book", '"' + "word " * 11 + '"', timeout=5))]
    beside = text_of(event_table(lines_of(turns)), width=95)
    assert beside[0].endswith("DETAILS")
    column = beside[0].index("DETAILS")
    assert all(line[:column].strip() == "" for line in beside if "timeout=5" in line)
    below = text_of(event_table(lines_of(turns)), width=60)
    assert "  details #1 book" in "\n".join(below)
    for lines in (beside, below):
        assert "timeout=5" in " ".join(lines)
        assert not any("…" in line for line in lines)


def test_an_empty_history_is_an_empty_table() -> None:
    assert len(text_of(event_table(lines_of([])))) == 1


def test_a_question_shows_times_and_choices_to_people() -> None:
    moment = 1_700_000_000_000_000
    form, _ = form_of_choices(["approve", "reject"])
    events = (
        QuestionAnswered(1, moment, '"approve"', "ada"),
        QuestionAsked(1, "Approve?", form, "", moment),
        QuestionAsked(2, "How many?", form_of(int)),
    )
    lines = text_of(event_table(lines_of([opening(*events)])), width=140)
    written = " ".join(lines)
    assert str(moment) not in written
    assert "expiresAt=2023-11-1" in written
    assert "answeredAt=2023-11-1" in written
    assert "form=approve, reject" in written
    assert "form=answer" in written
