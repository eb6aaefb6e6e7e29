"""Whom the guard blames, and who may do what orchestrators may not."""

import contextlib
import gc
import importlib
import linecache
import logging
import signal
import sys
import threading
import time
import traceback
import warnings
import weakref
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

import pytest

from tenuto import schedule
from tenuto.orchestration.context import Context
from tenuto.orchestration.guard import installing as guard
from tenuto.orchestration.guard.audit import audit
from tenuto.orchestration.guard.calls import CallWatch
from tests.support.guarded import allowed, refusal_of

guard.install()


@pytest.fixture(params=["cheap", "every call"])
def watch(request: pytest.FixtureRequest) -> CallWatch | None:
    """With and without looking at each call: both must spare the same callers."""
    return CallWatch(1) if request.param == "every call" else None


class _StampingHandler(logging.Handler):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def emit(self, record: logging.LogRecord) -> None:
        now = datetime.now(UTC)
        with self.path.open("a") as file:
            file.write(f"{now.year} {time.time() > 0} {record.getMessage()}\n")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.guard")
    handler = _StampingHandler(tmp_path / "log")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)


def test_plain_logging_is_allowed_whatever_its_handlers_do(
    log: logging.Logger, tmp_path: Path, watch: CallWatch | None
) -> None:
    delayed = logging.FileHandler(tmp_path / "delayed", delay=True)
    delayed.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(delayed)
    allowed(lambda _ctx: log.info("a line"), watch=watch)
    log.removeHandler(delayed)
    delayed.close()
    assert (tmp_path / "log").read_text() == f"{datetime.now(UTC).year} True a line\n"
    assert (tmp_path / "delayed").read_text().endswith(" a line\n")


def test_the_contexts_logger_is_allowed(watch: CallWatch | None) -> None:
    def work(ctx: Context) -> None:
        try:
            int("no number")
        except ValueError:
            ctx.logger.exception("a line with a traceback")

    allowed(work, watch=watch)


def test_a_helper_of_the_user_is_not_spared_because_its_name_is_logging(
    watch: CallWatch | None,
) -> None:
    def logging() -> float:
        return time.time()

    assert "logging: it gives" in refusal_of(lambda _ctx: logging(), watch=watch).error_message


def test_imports_are_allowed_whatever_the_module_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: CallWatch | None
) -> None:
    name = f"imported_late_{'cheap' if watch is None else 'watched'}"
    (tmp_path / f"{name}.py").write_text(
        "import time, random, datetime, threading\n"
        "BORN = time.time()\n"
        "NOW = datetime.datetime.now()\n"
        "DICE = random.random()\n"
        "with open(__file__) as file:\n"
        "    TEXT = file.read()\n"
        "thread = threading.Thread(target=int)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert allowed(lambda _ctx: importlib.import_module(name).BORN > 0, watch=watch) == "true"


def test_showing_an_exception_is_allowed(watch: CallWatch | None) -> None:
    def work(_ctx: Context) -> str:
        linecache.clearcache()  # so that the source is read again
        error = ValueError("shown")
        with contextlib.suppress(ValueError):
            raise error
        return "".join(traceback.format_exception(error))

    assert "raise error" in str(allowed(work, watch=watch))


def test_showing_a_warning_is_allowed(watch: CallWatch | None) -> None:
    def work(_ctx: Context) -> str:
        linecache.clearcache()
        return warnings.formatwarning("shown", UserWarning, __file__, 1)

    assert "UserWarning: shown" in str(allowed(work, watch=watch))


def test_time_zones_are_allowed(watch: CallWatch | None) -> None:
    def work(ctx: Context) -> str:
        ZoneInfo.clear_cache()
        friday = schedule.next_weekday("fri", "17:00", tz="Europe/Berlin", after=ctx.current_time)
        return str(ZoneInfo.no_cache("Asia/Tokyo")) + str(friday.year)

    assert allowed(work, watch=watch) == '"Asia/Tokyo2025"'


def test_the_hook_itself_spares_time_zones() -> None:
    # Called by hand: the interpreter hides its hooks from coverage.
    allowed(lambda _ctx: audit("open", (f"{zoneinfo.TZPATH[0]}/Asia/Tokyo", "rb", 0)))


def test_time_zones_of_the_package_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: CallWatch | None
) -> None:
    # As on Windows, which has no zones of its own.
    data = next(path for path in map(Path, zoneinfo.TZPATH) if (path / "Asia/Tokyo").exists())
    package = tmp_path / "tzdata" / "zoneinfo" / "Asia"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").touch()
    (package / "Tokyo").write_bytes((data / "Asia" / "Tokyo").read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "tzdata"]:
        monkeypatch.delitem(sys.modules, name)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[])
    try:
        allowed(lambda _ctx: str(ZoneInfo.no_cache("Asia/Tokyo")), watch=watch)
    finally:
        zoneinfo.reset_tzpath(to=before)


def test_only_time_zones_may_be_read_where_time_zones_are(watch: CallWatch | None) -> None:
    message = refusal_of(
        lambda _ctx: open("/usr/share/zoneinfo/../../../etc/hosts"),  # noqa: SIM115, PTH123
        watch=watch,
    ).error_message
    assert message.startswith("open('/usr/share/zoneinfo/../../../etc/hosts')")


# --- what runs in the middle of an orchestrator without being part of it --------------------------


def _touch_world() -> None:
    time.time()
    datetime.now(UTC)
    with open(__file__):  # noqa: PTH123
        pass


class _Finalized:
    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __del__(self) -> None:
        _touch_world()
        self.told.append("__del__")


def _finalizer(told: list[str]) -> None:
    finalized = _Finalized(told)
    del finalized


def _weak_finalizer(told: list[str]) -> None:
    def finish() -> None:
        _touch_world()
        told.append("finalize")

    weakref.finalize(_Finalized([]), finish)


def _weak_callback(told: list[str]) -> None:
    def gone(_reference: object) -> None:
        _touch_world()
        told.append("weakref")

    target = _Finalized([])
    reference = weakref.ref(target, gone)
    del target
    assert reference() is None


def _collector(told: list[str]) -> None:
    def collected(phase: str, _info: dict[str, int]) -> None:
        _touch_world()
        told.append(phase)

    gc.callbacks.append(collected)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(collected)


def _signal(told: list[str]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        _touch_world()
        told.append("signal")

    before = signal.signal(signal.SIGINT, handle)
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def _trace(told: list[str]) -> None:
    def tracer(_frame: FrameType, _event: str, _arg: object) -> None:
        _touch_world()
        told.append("trace")

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        _touched()
    finally:
        sys.settrace(before)


def _touched() -> None:
    """Something to trace."""


@pytest.mark.parametrize(
    "interruption", [_finalizer, _weak_finalizer, _weak_callback, _collector, _signal, _trace]
)
def test_what_interrupts_an_orchestrator_is_not_blamed_on_it(
    interruption: Callable[[list[str]], None], watch: CallWatch | None
) -> None:
    assert threading.current_thread() is threading.main_thread()
    told: list[str] = []
    allowed(lambda _ctx: interruption(told), watch=watch)
    assert told


@pytest.mark.parametrize("argument", [None, 3, "text", object()])
def test_ordinary_arguments_make_no_interruption(argument: object, watch: CallWatch | None) -> None:
    def helper(_first: object, _second: object = None) -> float:
        return time.time()

    assert (
        "helper: it gives" in refusal_of(lambda _ctx: helper(argument), watch=watch).error_message
    )
