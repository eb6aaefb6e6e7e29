"""An observer that makes a host forget its live sessions after every commit."""

from collections.abc import Callable

from tenuto.engine.engine import Engine
from tenuto.testing import RecordingObserver


class ForgetfulObserver(RecordingObserver):
    """Closes each session as soon as its turn is durable, so that the next turn replays.

    Attributes:
        engine: Gives the engine; set once there is one.
        forgotten: Sessions closed so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.engine: Callable[[], Engine] | None = None
        self.forgotten = 0

    def crash_point(self, name: str) -> None:
        """After the effects of a commit are out, forget."""
        if name != "after_release" or self.engine is None:
            return
        try:
            engine = self.engine()
        except RuntimeError:  # the host is starting
            return
        for resident in list(engine.residents.oldest()):
            if resident.session is not None and not resident.in_flight and not resident.is_queued:
                engine.retention.close(resident)
                self.forgotten += 1
