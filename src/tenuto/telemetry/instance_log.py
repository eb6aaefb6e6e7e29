"""Keeps what is logged while functions of an instance run, for people who look at it.

A handler of Python's logging beside those of the host and of the app: whoever does not log pays
nothing. It changes no record, shows none, and leaves logging as it would be without it. Owns the
lock of what it keeps; called from all threads.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from msgspec import structs

from tenuto.engine.engine import Engine
from tenuto.model.cuts import beginning
from tenuto.model.ids import InstanceId, partition_of
from tenuto.model.timing import MICROSECONDS
from tenuto.telemetry.host_log import without_password
from tenuto.telemetry.kept_lines import LONGEST_LINE, KeptLine, KeptLines, KeptPage
from tenuto.telemetry.log_context import facts_of
from tenuto.telemetry.log_options import InstanceLogSettings
from tenuto.telemetry.log_text import message_of, safe_text

_PLAIN: Final = logging.Formatter()


class InstanceLog(logging.Handler):
    """Keeps the last lines of the instances that a host serves.

    Args:
        settings: How much is kept.
        engine: Of the host.
    """

    def __init__(self, settings: InstanceLogSettings, engine: Engine) -> None:
        super().__init__()
        self._keeps = bool(settings.lines and settings.all_lines)
        self._serves = _serving(engine)
        # Real time, as that of records: numbers go on after a restart.
        self._number = time.time_ns() // 1_000
        self._kept = KeptLines(settings, self._number)

    # --- its life --------------------------------------------------------------------------------

    def attach(self) -> None:
        """Hear of what is logged from now on; again, where an app has set its logging up anew."""
        root = logging.getLogger()
        if self._keeps and self not in root.handlers:
            root.addHandler(self)

    def detach(self) -> None:
        """Hear of nothing more."""
        logging.getLogger().removeHandler(self)

    # --- what logging calls ----------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, if it is of an instance of this host; who logs must not fail for that."""
        _show_as_without(self, record)
        try:
            self._keep(record)
        except Exception:  # noqa: BLE001 - what was logged may fail in any way
            self.handleError(record)

    def _keep(self, record: logging.LogRecord) -> None:
        facts = facts_of(record)
        if facts is None:
            return
        told = {**vars(record), **facts}
        instance_id = told.get("instance_id")
        if not isinstance(instance_id, str) or not self._serves(InstanceId(instance_id)):
            return
        self._number += 1
        function = told.get("activity") or told.get("orchestrator") or told.get("function")
        attempt = told.get("attempt")
        line = KeptLine(
            number=self._number,
            at=round(record.created * MICROSECONDS),
            level=safe_text(record.levelname).lower(),
            logger=safe_text(record.name),
            message=_text_of(record),
            function=None if function is None else safe_text(function),
            attempt=attempt if isinstance(attempt, int) else None,
        )
        self._kept.add(instance_id, line)

    # --- what people ask -------------------------------------------------------------------------

    def page(self, instance_id: str, after: int | None, limit: int) -> KeptPage:
        """Lines of an instance, without the passwords of addresses: see ``KeptLines.page``."""
        self.attach()
        self.acquire()
        try:
            page = self._kept.page(instance_id, after, limit)
        finally:
            self.release()
        return KeptPage(list(map(_without_password, page.lines)), page.dropped, page.since)


def _serving(engine: Engine) -> Callable[[InstanceId], bool]:
    """Whether an instance is this host's: another one may run in the same process."""

    def serves(instance_id: InstanceId) -> bool:
        return partition_of(instance_id, engine.hub_partitions) in engine.partitions

    return serves


def _without_password(line: KeptLine) -> KeptLine:
    message = without_password(line.message)
    return line if message == line.message else structs.replace(line, message=message)


def _text_of(record: logging.LogRecord) -> str:
    """The text of a line, with what has failed; so much of it as is kept."""
    text = message_of(record)
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text}\n{record.exc_text or _PLAIN.formatException(record.exc_info)}"
    elif record.exc_text:  # of another process
        text = f"{text}\n{record.exc_text}"
    if len(text) > LONGEST_LINE:
        kept = beginning(text, LONGEST_LINE)
        text = f"{kept}… ({len(text) - len(kept):,} characters were left out)"
    return safe_text(text)


def _show_as_without(handler: InstanceLog, record: logging.LogRecord) -> None:
    """Where nobody has set logging up, Python shows warnings by itself, unless there is a handler:
    there is this one, so it has that done.
    """
    root = logging.getLogger()
    if not all(isinstance(one, InstanceLog) for one in root.handlers):
        return
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger is not root:
        if logger.handlers:
            return
        logger = logger.parent
    last = logging.lastResort
    if root.handlers[:1] == [handler] and last is not None and record.levelno >= last.level:
        last.handle(record)
