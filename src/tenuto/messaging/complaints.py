"""What a listener complains of: once as long as it is so, however often it is looked at."""

from tenuto.engine.ports import Observer


class Complaints:
    """Those of one function, one of each subject at a time.

    Args:
        observer: Is told.
        function: The function's name.
    """

    def __init__(self, observer: Observer, function: str) -> None:
        self._observer = observer
        self._function = function
        self._standing: dict[str, str] = {}

    def of(self, subject: str, text: str) -> None:
        """Something is wrong; said when it was not so a moment ago."""
        if self._standing.get(subject) != text:
            self._standing[subject] = text
            self._observer.problem(None, f"function {self._function!r}: {text}")

    def over(self, subject: str, text: str) -> None:
        """Nothing is wrong with it any more, if anything was."""
        if self._standing.pop(subject, None) is not None:
            self._observer.notice(f"function {self._function!r}: {text}")
