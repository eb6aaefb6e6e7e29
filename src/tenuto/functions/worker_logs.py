"""Log records of worker processes, on their way to the host's own loggers.

A worker sends what the host would not throw away; the host hands each record to the logger of the
same name, as if it had been written there. Records of an attempt carry its instance.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Raw

from tenuto.functions.worker_messages import Log
from tenuto.model.texts import storable_text

# --- in the worker -----------------------------------------------------------------------------


class HostHandler(logging.Handler):
    """Sends log records to the host.

    Args:
        send: How.
        facts: The number of the attempt that runs, and what each of its records carries.
    """

    def __init__(
        self, send: Callable[[Log], None], facts: Callable[[], tuple[int, dict[str, object]]]
    ) -> None:
        super().__init__()
        self._send = send
        self._facts = facts
        self._plain = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Send it; whoever logs must not fail because of that."""
        try:
            self._send(self._message(record))
        except OSError:  # the host is gone, and this process is about to be
            pass
        except Exception:  # noqa: BLE001 - what was logged may fail in any way
            self.handleError(record)

    def _message(self, record: logging.LogRecord) -> Log:
        exception = record.exc_text
        if record.exc_info and not exception:
            exception = self._plain.formatException(record.exc_info)
        number, facts = self._facts()
        extra = {**facts, **vars(record)}
        return Log(
            number=number,
            name=record.name,
            level=record.levelno,
            text=storable_text(record.getMessage()),
            created=record.created,
            path=record.pathname,
            line=record.lineno,
            function=record.funcName,
            thread=record.threadName or "",
            exception=exception and storable_text(exception),
            stack=record.stack_info and storable_text(record.stack_info),
            extra={name: _raw(value) for name, value in extra.items() if name not in _STANDARD},
        )


_STANDARD: Final = {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}


def _raw(value: object) -> Raw:
    try:
        return Raw(msgspec.msgpack.encode(value))
    except BaseException:  # noqa: BLE001 - values of users may fail in any way
        return Raw(msgspec.msgpack.encode(_shown(value)))


def _shown(value: object) -> str:
    try:
        return storable_text(repr(value))
    except BaseException:  # noqa: BLE001 - as above
        return "<not available>"


# --- in the host -------------------------------------------------------------------------------


def log_settings() -> tuple[dict[str, int], int]:
    """Which records are worth sending: the levels that were set, and what is off altogether."""
    root = logging.getLogger()
    levels = {"": root.level}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and logger.level:
            levels[name] = logger.level
    return levels, root.manager.disable


def relay(message: Log, pid: int) -> None:
    """Hand a record of a worker to the logger of the same name here."""
    logger = logging.getLogger(message.name)
    if not logger.isEnabledFor(message.level):
        return
    facts: dict[str, Any] = {
        name: msgspec.msgpack.decode(value) for name, value in message.extra.items()
    }
    record = logging.makeLogRecord(
        {
            **facts,
            "name": message.name,
            "levelno": message.level,
            "levelname": logging.getLevelName(message.level),
            "msg": message.text,
            "created": message.created,
            "msecs": message.created % 1 * 1000,
            "pathname": message.path,
            "filename": Path(message.path).name,
            "lineno": message.line,
            "funcName": message.function,
            "threadName": message.thread,
            "process": pid,
            "processName": "tenuto-worker",
            "exc_text": message.exception,
            "stack_info": message.stack,
        }
    )
    logger.handle(record)
