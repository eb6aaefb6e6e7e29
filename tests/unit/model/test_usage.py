"""Usage: exact sums, days, prices, and how many values of a tag are told apart."""

import pytest

from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import InputError
from tenuto.model.events import TaskCompleted
from tenuto.model.ids import ExecutionId
from tenuto.model.messages import TaskResult
from tenuto.model.usage import (
    MOST_ROWS,
    OTHER_TAGS,
    Amounts,
    AttemptUsage,
    FunctionKind,
    PricePlan,
    TagValues,
    UsageLine,
    UsageRow,
    bounded,
    checked_day,
    checked_dimensions,
    checked_span,
    date_of,
    day_of,
    grouped,
    storable_name,
    total,
)

ORCHESTRATOR, ACTIVITY = FunctionKind.ORCHESTRATOR, FunctionKind.ACTIVITY
GREAT = 2**53 + 1
"""One more than a float can tell from its neighbour."""


def row(day: int, function: str, executions: int, *, tag: str = "", app: str = "a") -> UsageRow:
    return UsageRow(day, app, ACTIVITY, function, tag, executions, 2, 3, 5, GREAT, 11, 13)


def test_sums_are_exact() -> None:
    rows = [row(1, "pay", 1), row(2, "pay", 2), row(1, "ship", 4)]
    assert total(rows) == Amounts(7, 6, 9, 15, 3 * GREAT, 33, 39)
    assert total([]) == Amounts()


def test_rows_are_grouped_by_what_is_told_apart_and_sorted() -> None:
    rows = [
        row(2, "pay", 1, tag="x"),
        row(1, "ship", 2, tag="x"),
        row(1, "pay", 4, tag="y", app="b"),
        UsageRow(1, "a", ORCHESTRATOR, "pay", "y", 8),
    ]
    assert [(one.day, one.used.executions) for one in grouped(rows, ["day"])] == [(1, 14), (2, 1)]
    by_function = [
        (one.kind, one.function, one.used.executions) for one in grouped(rows, ["function"])
    ]
    assert by_function == [(ACTIVITY, "pay", 5), (ORCHESTRATOR, "pay", 8), (ACTIVITY, "ship", 2)]
    found = [(one.app, one.tag, one.used.executions) for one in grouped(rows, ["tag", "app"])]
    assert found == [("a", "x", 3), ("a", "y", 8), ("b", "y", 4)]
    assert grouped(rows, []) == [UsageLine(used=total(rows))]
    assert grouped([], ["day"]) == []


def test_a_plan_charges_for_executions_memory_processors_and_rows() -> None:
    used = Amounts(
        executions=2_000_000,
        running=9,
        processor=2 * 3_600_000_000,
        waiting=10**18,
        memory=1_024 * 5_000_000,
        operations=3_000_000,
        bytes=10**18,
    )
    assert used.gigabyte_seconds == 5.0
    assert PricePlan().cost(used) == 0.0
    assert PricePlan(per_million_executions=0.5).cost(used) == 1.0
    assert PricePlan(per_gigabyte_second=0.25).cost(used) == 1.25
    assert PricePlan(per_processor_hour=0.25).cost(used) == 0.5
    assert PricePlan(per_million_operations=0.5).cost(used) == 1.5


def test_waiting_and_bytes_cost_nothing() -> None:
    plan = PricePlan(
        per_million_executions=9,
        per_gigabyte_second=9,
        per_processor_hour=9,
        per_million_operations=9,
    )
    assert plan.cost(Amounts(waiting=10**18, bytes=10**18)) == 0.0


def test_days_are_days_of_utc() -> None:
    assert day_of(0) == 0
    assert day_of(86_400_000_000 - 1) == 0
    assert date_of(day_of(1_793_491_200_000_000)) == "2026-11-01"
    assert date_of(checked_day("2028-02-29", "from")) == "2028-02-29"
    assert date_of(10**9) == "9999-12-31"


@pytest.mark.parametrize(
    "text", ["", "2026-02-30", "yesterday", "2026-11", "1969-12-31", "2026-11-01T00:00", "20261101"]
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="from must be a day"):
        checked_day(text, "from")


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    assert checked_span(-5, 7) == (0, 7)
    with pytest.raises(InputError, match="from 1970-01-09 to 1970-01-08 there is no day"):
        checked_span(8, 7)


def test_dimensions_come_in_one_order_and_once() -> None:
    assert checked_dimensions("tag, day", "by") == ("day", "tag")
    assert checked_dimensions("", "by") == ()
    with pytest.raises(InputError, match="some of day, app, function, tag, got 'Day'"):
        checked_dimensions("Day", "by")
    with pytest.raises(InputError, match="got ''"):
        checked_dimensions("day,", "by")
    with pytest.raises(InputError, match="twice"):
        checked_dimensions("day,day", "by")


def test_so_many_values_of_the_tag_are_told_apart_in_a_day() -> None:
    tags = TagValues(2)
    tags.begin(1)
    assert [tags.kept(one) for one in ("a", "", "b", "c", "a", "d")] == [
        "a", "", "b", OTHER_TAGS, "a", OTHER_TAGS,
    ]  # fmt: skip
    tags.begin(2)
    assert tags.kept("c") == "c"


def test_values_that_the_store_has_already_count() -> None:
    tags = TagValues(2)
    tags.begin(1, ["a", "", OTHER_TAGS, "b"])
    assert tags.kept("c") == OTHER_TAGS
    assert tags.kept("b") == "b"


def test_names_become_such_as_every_store_can_hold() -> None:
    assert storable_name("žluť\n") == "žluť\n"
    assert storable_name("a\x00\ud800") == "a\ufffd?"
    assert len(storable_name("\U0001f3b5" * 4_000)) == 200


def test_more_rows_than_one_can_look_at_are_refused() -> None:
    rows = [row(1, "pay", 1)]
    assert bounded(rows * MOST_ROWS) == rows * MOST_ROWS
    with pytest.raises(InputError, match="more than 100,000 lines"):
        bounded(rows * (MOST_ROWS + 1))


def test_a_result_tells_what_it_took_and_older_ones_do_not() -> None:
    result = TaskResult(execution_id=ExecutionId("e"), sequence=1, event=TaskCompleted(1, "2"))
    assert b"used" not in encode(result)
    assert decode_message(encode(result)) == result
    measured = TaskResult(
        execution_id=ExecutionId("e"),
        sequence=1,
        event=TaskCompleted(1, "2"),
        used=AttemptUsage("pay", 0.005, 0.003),
    )
    assert decode_message(encode(measured)) == measured
