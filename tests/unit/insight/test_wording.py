"""Times, durations and foreign text as people read them."""

import pytest

from tenuto import OrchestrationFailedError
from tenuto.insight import wording
from tenuto.insight.wording import (
    clock_time,
    duration,
    failure_lines,
    failure_text,
    iso,
    moment,
    one_line,
    visible,
    zone,
)
from tenuto.model.failure import FailureDetails
from tests.support.runs import BEGAN, at

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (-5, "0 ms"),
        (0, "0 ms"),
        (999, "0 ms"),
        (412_000, "412 ms"),
        (999_999, "999 ms"),
        (SECOND, "1.0 s"),
        (3_290_000, "3.2 s"),
        (59_999_999, "59.9 s"),
        (60 * SECOND, "1 min 00 s"),
        (3_599 * SECOND, "59 min 59 s"),
        (3_600 * SECOND, "1 h 00 min"),
        (86_399 * SECOND, "23 h 59 min"),
        (86_400 * SECOND, "1 d 00 h"),
        (1_000 * 86_400 * SECOND, "1000 d 00 h"),
    ],
)
def test_a_duration_has_two_digits_that_matter(microseconds: int, text: str) -> None:
    assert duration(microseconds) == text


def test_a_duration_that_grows_begins_with_tenths_of_a_second() -> None:
    assert duration(412_000, least_unit="s") == "0.4 s"


def test_times_are_local_for_people_and_utc_for_machines() -> None:
    assert iso(at(0.25)) == "2026-01-01T00:00:00.250000Z"
    assert moment(BEGAN) == f"{clock_time(BEGAN)} {zone(BEGAN)}"


def test_foreign_text_stays_on_one_line_and_is_cut() -> None:
    assert one_line(" a\n\tb ") == "a b"
    assert one_line("x" * 20, 10) == "xxxxxxx..."
    assert one_line("one two three", 10) == "one two..."
    assert one_line("one two three", 12) == "one two..."
    assert one_line("a " + "x" * 20, 10) == "a xxxxx..."
    assert len(one_line("x \n" * 5_000_000)) <= 500


def test_control_characters_are_spelled_out() -> None:
    assert visible("a\x1b[2J\x07é\nb") == "a\\x1b[2J\\x07é\nb"
    assert visible("\u202e") == "\\u202e"


def test_our_own_errors_have_the_name_that_users_import() -> None:
    assert failure_text(FailureDetails("tenuto.model.errors.ActivityError", "x")) == (
        "ActivityError: x"
    )
    assert failure_text(FailureDetails("shop.SoldOut", "x")) == "shop.SoldOut: x"


def test_a_failure_shows_its_causes_and_the_lines_of_the_last_that_has_some() -> None:
    inner = FailureDetails(
        "SoldOut",
        "no\nseat",
        'Traceback (most recent call last):\n  File "a.py", line 1\n    raise\nSoldOut: no\nseat\n',
    )
    outer = FailureDetails("ActivityError", "book failed", "Traceback:\n  File b\nx", inner)
    assert failure_lines(outer) == [
        "SoldOut: no seat",
        "led to ActivityError: book failed",
        '  File "a.py", line 1',
        "    raise",
    ]
    assert failure_lines(FailureDetails("A", "b", inner_failure=FailureDetails("C", "d"))) == [
        "C: d",
        "led to A: b",
    ]


def test_our_own_lines_of_a_traceback_are_left_out_unless_there_are_no_others() -> None:
    ours = f'  File "{wording.__file__}", line 1, in refuse\n    raise error\n'
    theirs = '  File "/home/ada/travel.py", line 2, in book\n    now()\n    ^^^^^\n'
    both = failure_lines(FailureDetails("A", "b", f"Traceback:\n{ours}{theirs}{ours}A: b\n"))
    assert both[1:] == theirs.splitlines()
    assert failure_lines(FailureDetails("A", "b", ours))[1:] == ours.splitlines()
    refusal = FailureDetails("tenuto.model.errors.PayloadError", "no JSON form", ours)
    assert failure_lines(refusal) == ["PayloadError: no JSON form"]


def test_what_a_root_cause_led_to_is_shown_with_its_line() -> None:
    def stack(place: str) -> str:
        return (
            f'Traceback (most recent call last):\n  File "{place}", line 3, in f\n    f()\nX: y\n'
        )

    declined = FailureDetails("ValueError", "declined", stack("shop.py"))
    passed_on = FailureDetails(
        "tenuto.model.errors.ActivityError", "no", stack("trips.py"), declined
    )
    mistake = FailureDetails("AttributeError", "no such thing", stack("handler.py"), passed_on)
    assert failure_lines(mistake) == [
        "ValueError: declined (in an activity)",
        "led to AttributeError: no such thing",
        '  File "shop.py", line 3, in f',
        "    f()",
        "AttributeError was raised here:",
        '  File "handler.py", line 3, in f',
        "    f()",
    ]
    assert not any("handler.py" in line or "trips.py" in line for line in failure_lines(passed_on))


def test_a_mistake_in_the_code_that_handled_a_failure_is_shown_first_with_its_line() -> None:
    def stack(place: str) -> str:
        return (
            f'Traceback (most recent call last):\n  File "{place}", line 3, in f\n    f()\nX: y\n'
        )

    declined = FailureDetails("ValueError", "declined", stack("shop.py"), notes=("of\nAda",))
    passed_on = FailureDetails(
        "tenuto.model.errors.ActivityError", "no", stack("trips.py"), declined
    )
    mistake = FailureDetails(
        "AttributeError", "no such thing", stack("handler.py"), passed_on, while_handling=True
    )
    assert failure_lines(mistake) == [
        "AttributeError: no such thing",
        '  File "handler.py", line 3, in f',
        "    f()",
        "while handling ValueError: declined (in an activity)",
        "note: of Ada",
        '  File "shop.py", line 3, in f',
        "    f()",
    ]
    second = FailureDetails("KeyError", "'x'", None, mistake, omitted=3, while_handling=True)
    assert failure_lines(second)[:3] == [
        "KeyError: 'x'",
        "while handling 3 others, which are not kept",
        "while handling AttributeError: no such thing",
    ]
    wrapped = FailureDetails("RuntimeError", "r", None, second, notes=("of row 5",))
    assert failure_lines(wrapped)[:3] == [
        "KeyError: 'x'",
        "led to RuntimeError: r",
        "note: of row 5",
    ]
    assert failure_text(mistake) == (
        "AttributeError: no such thing; raised while handling ValueError: declined (in an activity)"
    )


def test_an_error_of_a_run_shows_where_the_orchestration_and_its_root_cause_were_raised() -> None:
    root = FailureDetails("ValueError", "declined", "File shop.py\n")
    failure = FailureDetails("KeyError", "'missing'", "File trips.py\n", root)
    alone = OrchestrationFailedError("t", "trip", root)
    assert alone.__notes__ == ["raised in the orchestration:\nFile shop.py"]
    both = OrchestrationFailedError("t", "trip", failure)
    assert both.__notes__ == [
        "raised in the orchestration:\nFile trips.py",
        "the root cause:\nFile shop.py",
    ]
    mistake = FailureDetails("KeyError", "'x'", "File trips.py\n", failure, while_handling=True)
    assert OrchestrationFailedError("t", "trip", mistake).__notes__ == [
        "raised in the orchestration:\nFile trips.py",
        "while handling:\nFile shop.py",
    ]
    bare = OrchestrationFailedError("t", "trip", FailureDetails("A", "b"))
    assert not hasattr(bare, "__notes__")
