"""The replay-safe logger: lines are held until their turn is committed."""

import logging
from collections.abc import Callable


class SessionLogger(logging.Logger):
    """A ``logging.Logger`` for one instance; records carry ``instance_id``."""

    def __init__(self, hold: Callable[[logging.LogRecord], None], instance_id: str) -> None:
        super().__init__("tenuto.orchestration")
        self._hold = hold
        self._instance_id = instance_id

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's name
        """As configured for the logger ``tenuto.orchestration``."""
        return logging.getLogger(self.name).isEnabledFor(level)

    def handle(self, record: logging.LogRecord) -> None:
        """Hold the record."""
        record.instance_id = self._instance_id
        self._hold(record)
