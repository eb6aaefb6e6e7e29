"""What is tried again and again, and fails for a while: said when that begins and when it ends."""

import logging

from tenuto.model.errors import StorageError


class Failing:
    """Says it once, however often it is tried.

    Args:
        fails: Said when it begins to fail, with the reason.
        works: Said when it works again.
        logger: Where.

    Attributes:
        error: Why the last try has failed; None when it has not.
    """

    def __init__(self, fails: str, works: str, logger: logging.Logger) -> None:
        self._fails = fails
        self._works = works
        self._logger = logger
        self.error: StorageError | None = None

    def failed(self, error: StorageError) -> None:
        """A try has failed."""
        if self.error is None:
            self._logger.warning("%s, tried again: %s", self._fails, error)
        self.error = error

    def works(self) -> None:
        """A try has not."""
        if self.error is not None:
            self._logger.warning("%s", self._works)
        self.error = None
