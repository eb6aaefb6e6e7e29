"""Log lines: one valid JSON object each for machines, one readable record each for people."""

import io
import json
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from tenuto.model.errors import InputError
from tenuto.telemetry.json_log import JsonFormatter
from tenuto.telemetry.log_setup import HostLogHandler, configure_logging
from tenuto.telemetry.text_log import TextFormatter


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Color(Enum):
    RED = "red"


def record(message: object = "hello", *arguments: Any, **facts: Any) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, __file__, 1, message, arguments, None)
    vars(made).update(facts)
    return made


def failed(error: BaseException) -> logging.LogRecord:
    with pytest.raises(type(error)) as caught:
        raise error
    return record("failed", exc_info=(type(error), error, caught.tb))


def line_of(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(made)
    assert "\n" not in text
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def test_a_json_line_has_time_level_logger_and_message() -> None:
    moment = datetime(2026, 11, 22, 14, 3, 22, 123_999, tzinfo=UTC)
    line = line_of(record("%s and %s", "a", "b", created=moment.timestamp()))
    assert line == {
        "time": "2026-11-22T14:03:22.123Z",
        "level": "info",
        "logger": "app",
        "message": "a and b",
    }


def test_a_json_line_tells_whose_it_is() -> None:
    line = line_of(record(instance_id="trip-1", activity="book", attempt=2))
    assert (line["instance_id"], line["function"], line["attempt"]) == ("trip-1", "book", 2)
    line = line_of(record(instance_id="trip-1", orchestrator="trip", execution_id="e1"))
    assert (line["execution_id"], line["function"]) == ("e1", "trip")
    assert "extra" not in line


def test_what_a_caller_adds_is_kept_apart() -> None:
    line = line_of(record(order=5, color=Color.RED, path=Path("a"), nested={"a": [1]}))
    assert line["extra"]["order"] == 5
    assert line["extra"]["nested"] == {"a": [1]}
    assert set(line["extra"]) == {"order", "color", "path", "nested"}


def test_an_error_is_shown_with_its_causes_on_one_line() -> None:
    error = ValueError("two\nlines")
    error.__cause__ = KeyError("why")
    line = line_of(failed(error))
    assert line["error"]["type"] == "ValueError"
    assert line["error"]["message"] == "two\nlines"
    assert "KeyError: 'why'" in line["error"]["stack"]
    assert line["error"]["stack"].endswith("ValueError: two\nlines")


def test_an_error_of_another_process_is_taken_from_its_text() -> None:
    text = "Traceback (most recent call last):\n  File x\nshop.SoldOut: none left"
    error = line_of(record(exc_text=text))["error"]
    assert error == {"type": "shop.SoldOut", "message": "none left", "stack": text}


@pytest.mark.parametrize(
    "made",
    [
        record("two\nlines\r\nand \u2028 more \x00\x1b[31m"),
        record("%d", "not a number"),
        record("%s", Broken()),
        record(Broken()),
        record("half \ud800 pair"),
        record("%s", "\udfff", instance_id="\ud800"),
        record(order=Broken()),
        record(nested={Broken(): 1}),
        record(nested={(1, 2): {3: float("nan")}}),
        record(number=10**400),
        failed(BrokenError()),
        failed(ValueError("\ud800")),
        record(stack_info="Stack:\n  here"),
        record(instance_id=object()),
        record(exc_info=(None, None, None)),
        record(exc_text="   \n"),
    ],
)
def test_whatever_is_logged_is_one_valid_json_line(made: logging.LogRecord) -> None:
    line = line_of(made)
    assert line["message"]


def test_a_circle_is_no_reason_to_lose_a_line() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert line_of(record("round", circle=circle))["message"] == "round"


def test_a_text_line_has_local_time_level_and_instance() -> None:
    moment = datetime(2026, 11, 22, 14, 3, 22, 123_000).astimezone()
    made = record("booked %s", "it", created=moment.timestamp(), instance_id="trip-1")
    text = TextFormatter().format(made)
    assert text == "2026-11-22 14:03:22.123 INFO    [trip-1] app: booked it"
    assert "[" not in TextFormatter().format(record("plain"))
    inside = record("sent", instance_id="b-1", activity="send_mail")
    assert "[b-1 send_mail] " in TextFormatter().format(inside)


def test_a_logged_text_can_neither_forge_a_line_nor_move_the_cursor() -> None:
    text = TextFormatter().format(record("a\n2026-01-01 forged\x1b[2J\rb", instance_id="x\x07"))
    first, second = text.split("\n")
    assert first.endswith("[x\\x07] app: a")
    assert second == "    2026-01-01 forged\\x1b[2J\\x0db"


def test_tracebacks_in_text_are_indented_below_their_line() -> None:
    lines = TextFormatter().format(failed(ValueError("no"))).split("\n")
    assert lines[0].endswith("app: failed")
    assert all(line.startswith("    ") for line in lines[1:])
    assert lines[-1].strip() == "ValueError: no"
    relayed = TextFormatter().format(record(exc_text="a\nb", stack_info="Stack:\n  c"))
    assert relayed.endswith("hello\n    a\n    b\n    Stack:\n      c")


def test_a_record_that_cannot_be_formatted_is_still_a_text_line() -> None:
    text = TextFormatter().format(record("%d of %s", "x", Broken()))
    assert "%d of %s" in text
    assert "cannot be formatted: TypeError" in text


def test_levels_are_coloured_only_when_asked_for() -> None:
    warning = record(levelno=logging.WARNING, levelname="WARNING")
    assert "\x1b[33mWARNING\x1b[0m" in TextFormatter(color=True).format(warning)
    assert "\x1b" not in TextFormatter().format(warning)
    assert "\x1b" not in TextFormatter(color=True).format(record())


# --- set-up --------------------------------------------------------------------------------------


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """The root logger without handlers, to be put back."""
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    yield root
    root.setLevel(level)
    logging.captureWarnings(False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_below_the_level_are_not_shown(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging("json", "warning", stream)
    logging.getLogger("app").info("quiet")
    logging.getLogger("app").warning("loud")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_configuring_again_replaces_the_form_and_never_doubles_lines(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root.addHandler(logging.StreamHandler(sys.stderr))  # what an app's basicConfig does
    own = logging.StreamHandler(io.StringIO())
    root.addHandler(own)
    configure_logging("text", "info")
    configure_logging("json", "info")
    logging.getLogger("app").info("once")
    assert len(written.getvalue().splitlines()) == 1
    assert json.loads(written.getvalue())["message"] == "once"
    assert own in root.handlers
    assert own.stream.getvalue() == "once\n"


def test_python_warnings_become_lines(root: logging.Logger) -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    line = json.loads(stream.getvalue())
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old way" in line["message"]


@pytest.mark.parametrize(
    ("stream", "variables", "is_coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    stream: io.StringIO,
    variables: dict[str, str],
    is_coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    handler = HostLogHandler("text", stream)
    handler.handle(record(levelno=logging.ERROR, levelname="ERROR"))
    assert ("\x1b[31m" in stream.getvalue()) is is_coloured


def test_unknown_forms_and_levels_are_refused_and_nothing_is_changed(root: logging.Logger) -> None:
    before = list(root.handlers)
    with pytest.raises(InputError, match=re.escape("'xml' does not exist; use 'text' or 'json'")):
        configure_logging("xml", "info")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'loud' does not exist; use one of debug, info"):
        configure_logging("json", "loud")
    assert root.handlers == before
