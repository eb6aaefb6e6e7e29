"""Files of a folder as they run: in which order, how many at once, and what becomes of each.

Owns the attempts. That a file runs is noted before it does. One that is tried again has its pause
beside the others; those that have seen the end of a host run one at a time, so that the one that
ends hosts is told from those that ran beside it.
"""

from collections import deque
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, cast

import msgspec

from tenuto.engine.ports import TimerHandle
from tenuto.engine.program import Delivery, FileTrigger, TriggeredFunction
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.messaging.complaints import Complaints
from tenuto.messaging.file_notes import FileNotes
from tenuto.messaging.folder import FoundFile
from tenuto.messaging.listening import (
    NO_ATTEMPT,
    STORE_PAUSE,
    ListenerMeans,
    Tasks,
    attempt_of,
    failure_text,
)
from tenuto.model.arrived_files import FileContent, FileStanding, KnownFile, file_id
from tenuto.model.causes import file_cause
from tenuto.model.errors import (
    FencedError,
    StorageError,
    StorageUnavailableError,
    TenutoError,
)
from tenuto.model.timing import Microseconds
from tenuto.model.topics import StoredEvent

STORE: Final = "store"
"""Of this it is complained when the store is away."""


def store_words(error: StorageError) -> str:
    """What is said then."""
    return f"the store does not answer, and is asked again soon: {error}"


class FileRuns:
    """The files of one function that wait and run.

    Args:
        function: Has a ``FileTrigger``.
        means: The host.
        notes: What is known of its files.
        tasks: Where what runs is counted.
        complaints: What was said already.

    Attributes:
        found: What lies in the folder.
    """

    def __init__(
        self,
        function: TriggeredFunction,
        means: ListenerMeans,
        notes: FileNotes,
        tasks: Tasks,
        complaints: Complaints,
    ) -> None:
        self.found: Mapping[str, FoundFile] = {}
        self._function = function
        self._trigger = cast("FileTrigger", function.trigger)
        self._means = means
        self._clock = means.clock
        self._observer = means.observer
        self._notes = notes
        self._tasks = tasks
        self._complaints = complaints
        self._has_left = False
        self._ready: deque[str] = deque()
        self._most_deaths = means.engine.options.max_deliveries
        self._suspects: deque[str] = deque()
        self._running: set[str] = set()
        self._suspect: str | None = None
        self._pauses: dict[str, TimerHandle] = {}

    def leave(self) -> None:
        """Begin nothing more; what runs goes on."""
        self._has_left = True
        for pause in self._pauses.values():
            pause.cancel()

    def is_running(self, path: str) -> bool:
        """Whether the function runs for a file."""
        return path in self._running

    def queue(self) -> None:
        """Have all run that wait and have no pause, in the order in which they are to run."""
        waiting = [
            (known, path)
            for path, known in self._notes
            if known.standing is FileStanding.WAITING
            and path in self.found
            and path not in self._running
            and path not in self._pauses
        ]
        waiting.sort(key=lambda one: (one[0].deaths, one[0].version.modified_ns, one[1]))
        self._suspects = deque(path for known, path in waiting if known.deaths)
        self._ready = deque(path for known, path in waiting if not known.deaths)

    def begin_more(self) -> None:
        """Begin as many as may run at once."""
        while not self._has_left and len(self._running) < self._trigger.concurrency:
            path = self._next()
            if path is None:
                return
            self._running.add(path)
            name = f"function {self._function.name}"
            self._tasks.add(self._means.begin(self._run(path), name))

    def _next(self) -> str | None:
        """The file to run next. Of those that have seen the end of a host one runs at a time."""
        if self._suspects and self._suspect is None:
            self._suspect = self._suspects.popleft()
            return self._suspect
        return self._ready.popleft() if self._ready else None

    async def _run(self, path: str) -> None:
        """Run the function for a file, once; one that has seen the end of a host in its turn."""
        try:
            with self._means.busy():
                if self._suspect == path:
                    known = self._notes.get(path)
                    deaths = 0 if known is None else known.deaths
                    is_decisive = deaths == self._most_deaths - 1
                    turn = self._means.suspects.turn(
                        deaths, partial(self._passes, path), is_decisive=is_decisive
                    )
                    async with turn:
                        await self._run_once(path)
                else:
                    await self._run_once(path)
        except FencedError:
            self.leave()
        except StorageError as error:
            # What could not be noted before it began is tried anew; that it has ended is known
            # here, and noted with the next look. The others wait for that as well.
            self._ready.clear()
            self._suspects.clear()
            self._complaints.of(STORE, store_words(error))
        finally:
            self._running.discard(path)
            if self._suspect == path:
                self._suspect = None
            self.begin_more()

    async def _passes(self, path: str) -> None:
        """A suspect runs on, and has had its turn: the next one may begin."""
        if self._suspect == path:
            self._suspect = None
            self.begin_more()

    async def _run_once(self, path: str) -> None:
        known = self._notes.get(path)
        found = self.found.get(path)
        if known is None or found is None or known.standing is not FileStanding.WAITING:
            return  # it is gone by now
        if found.version != known.version:
            return  # it has changed, and runs when it is whole again
        if known.deaths >= self._most_deaths:
            error = TenutoError(f"the host has died {known.deaths} times while the function ran")
            self._put_aside(path, known.now(FileStanding.FAILED), error)
            await self._notes.write()
            return
        self._notes.set(path, known.now(FileStanding.RUNNING))
        try:
            await self._notes.write()
            failure = await self._means.attempt(self._function, self._delivery(path, found, known))
        except BaseException:  # given up, or the store is away: nothing has come of it
            self._notes.set(path, known)
            raise
        self._ended(path, known, failure)
        await self._notes.write()

    def _delivery(self, path: str, found: FoundFile, known: KnownFile) -> Delivery:
        number = file_id(path, known.version)
        attempt = known.failures + 1
        return Delivery(
            id=number,
            attempt=attempt + known.deaths,
            last_attempt=self._trigger.redelivery.pause_before(attempt + 1) is None,
            data=None,
            facts={
                "path": Path(found.path),
                "size": known.version.size,
                "modified_at": known.version.modified_ns // 1_000,
            },
            cause=file_cause(self._function.name, path, number),
        )

    def _ended(self, path: str, known: KnownFile, failure: BaseException | None) -> None:
        """Know what has become of a file."""
        if failure is None:
            self._notes.set(path, known.now(FileStanding.DONE))
            return
        if isinstance(failure, StorageUnavailableError):
            # No fault of the file: the store, or the host, is not there now.
            self._notes.set(path, known)
            self._means.tell_again(self._function, path, failure, STORE_PAUSE, NO_ATTEMPT)
            self._pause(path, STORE_PAUSE)
            return
        pause = self._trigger.redelivery.pause_before(known.failures + 2)
        if pause is None:
            self._put_aside(path, known.failed(FileStanding.FAILED), failure)
            return
        self._notes.set(path, known.failed(FileStanding.WAITING))
        which = attempt_of(known.failures + 1, self._trigger.redelivery.attempts)
        self._means.tell_again(self._function, path, failure, pause, which)
        self._pause(path, pause)

    def _pause(self, path: str, pause: Microseconds) -> None:
        """Have a file wait for so long before it is tried again."""
        if not self._has_left:
            self._pauses[path] = self._clock.call_later(pause, partial(self._again, path))

    def _again(self, path: str) -> None:
        """The pause of a file is over."""
        self.end_pause(path)
        self.queue()
        self.begin_more()

    def end_pause(self, path: str) -> None:
        """A file is not to wait any more before it is tried again."""
        pause = self._pauses.pop(path, None)
        if pause is not None:
            pause.cancel()

    def _put_aside(self, path: str, known: KnownFile, error: BaseException) -> None:
        number = file_id(path, known.version)
        content = FileContent(path, known.version.size)
        failed = FailedDelivery(
            number=0,
            source="files",
            name=self._trigger.folder,
            function=self._function.name,
            message_id=number,
            attempts=known.failures + known.deaths,
            failed_at=self._clock.now(),
            error=failure_text(error),
            cause=file_cause(self._function.name, path, number),
            key=None,
            content=msgspec.json.encode(content).decode(),
        )
        self._notes.put_aside(path, known, failed)
        self._observer.delivery_failed(self._function.name, number, error)

    def put_back(self, given: StoredEvent, error: TenutoError) -> None:
        """A file that was given back, and cannot be run, is put aside again as it was."""
        failed = FailedDelivery(
            number=0,
            source="files",
            name=given.topic,
            function=self._function.name,
            message_id=given.event_id,
            attempts=0,
            failed_at=self._clock.now(),
            error=failure_text(error),
            cause=given.cause,
            key=given.key,
            content=bytes(given.event).decode(),
        )
        self._notes.put_back(failed)
        self._observer.delivery_failed(self._function.name, given.event_id, error)
