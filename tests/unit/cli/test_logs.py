"""Log lines go to standard error as it is when they are written."""

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tenuto.cli.running.logs import route_logs
from tenuto.functions.activity_context import ActivityContext
from tenuto.telemetry.running import running_activity


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, to be put back; pytest adds handlers of its own to it before each test."""
    root = logging.getLogger()
    names = ("tenuto.orchestration", "tenuto.activity")
    levels = {name: logging.getLogger(name).level for name in names}
    before = root.level
    root.setLevel(logging.WARNING)
    yield root
    root.setLevel(before)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_log_lines_follow_standard_error_wherever_it_goes(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "handlers", [])
    route_logs()
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logging.getLogger("some.library").warning("careful")
    logging.getLogger("some.library").info("nothing")
    assert written.getvalue() == "WARNING some.library: careful\n"


def test_what_user_code_says_is_shown_from_info_on(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "handlers", [])
    route_logs()
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    for name in ("tenuto.orchestration", "tenuto.activity"):
        logging.getLogger(name).info("booked")
        logging.getLogger(name).debug("hm")
    assert written.getvalue() == (
        "INFO tenuto.orchestration: booked\nINFO tenuto.activity: booked\n"
    )


def test_lines_say_which_instance_and_activity_they_come_from(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root, "handlers", [])
    route_logs()
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    running: Any = ActivityContext("book", instance_id="trip-1")
    token = running_activity.set(lambda: running)
    try:
        logging.getLogger("some.library").warning("careful")
    finally:
        running_activity.reset(token)  # or every later test of this process is in that activity
    logging.getLogger("app").warning("paid", extra={"instance_id": "a\x1b[2J"})
    assert written.getvalue() == (
        "WARNING [trip-1 book] some.library: careful\nWARNING [a\\x1b[2J] app: paid\n"
    )


def test_an_apps_own_set_up_is_kept(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.StringIO()
    handlers = [logging.StreamHandler(own), logging.StreamHandler(sys.__stderr__)]
    monkeypatch.setattr(root, "handlers", handlers)
    root.setLevel(logging.ERROR)
    route_logs()
    assert root.level == logging.ERROR
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logging.getLogger("app").error("broken")
    assert own.getvalue() == written.getvalue() == "broken\n"
