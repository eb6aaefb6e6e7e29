"""One line of the log for each function that has run, as Core Tools has it.

``Executed 'Functions.pay' (Succeeded, Id=..., Duration=12ms)``, by the logger
``tenuto.function.pay``: what ``logging.logLevel`` says of ``Function.pay`` is its level. Nothing is
put together where nobody listens.
"""

import logging
from typing import Final

from tenuto.model.timing import MICROSECONDS, Microseconds

FUNCTIONS: Final = "tenuto.function"
"""The logger above those of functions."""


class FunctionLog:
    """Says that functions have run.

    Args:
        level: Of a line about one that has succeeded. Those that failed are told from INFO on.

    Example:
        ``FunctionLog(logging.INFO).executed("pay", "5f1c", 12_000)``
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._loggers: dict[str, logging.Logger] = {}

    def executed(
        self,
        function: str,
        invocation: str,
        took: Microseconds,
        *,
        error: str | None = None,
        instance_id: str | None = None,
    ) -> None:
        """A function has run.

        Args:
            function: Its name.
            invocation: The id of the call.
            took: How long it ran, in microseconds.
            error: What it failed with, in words; None when it has succeeded.
            instance_id: The orchestration that has called it.
        """
        logger = self._loggers.get(function)
        if logger is None:
            logger = logging.getLogger(f"{FUNCTIONS}.{function}")
            self._loggers[function] = logger
        level = self._level if error is None else max(self._level, logging.INFO)
        if not logger.isEnabledFor(level):
            return
        extra = {"invocation": invocation, "function": function}
        if instance_id is not None:
            extra["instance_id"] = instance_id
        logger.log(
            level,
            "Executed 'Functions.%s' (%s, Id=%s, Duration=%dms)%s",
            function,
            "Succeeded" if error is None else "Failed",
            invocation,
            took * 1000 // MICROSECONDS,
            "" if error is None else f": {error}",
            extra=extra,
        )
