"""Files that arrive in a folder: looks for them, and delivers each to its function.

Owns when the folder is looked at (in a thread, about once a second) and in which order its files
run. A file that has not changed for a while is whole, and is delivered: exactly once, as long as no
host dies; after a death once more. One whose host has died several times while it ran is put aside
like one that fails, so that it cannot end one host after another. A file that is tried again, or
takes long, holds up no other; those that have seen the end of a host run one at a time.
"""

import asyncio
import os
from collections import deque
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tenuto.engine.ports import TimerHandle
from tenuto.engine.program import Delivery, FileTrigger, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.messaging.complaints import Complaints
from tenuto.messaging.file_notes import FileNotes
from tenuto.messaging.folder import Folder, FoundFile, Look
from tenuto.messaging.listening import ListenerMeans, Tasks
from tenuto.model.arrived_files import FileStanding, FileVersion, KnownFile, file_id
from tenuto.model.causes import file_cause
from tenuto.model.errors import FencedError, RegistrationError, StorageError, TenutoError
from tenuto.model.texts import storable_text
from tenuto.model.timing import MICROSECONDS, Microseconds

_INTERVAL: Final = MICROSECONDS
_AGAIN: Final = 5 * MICROSECONDS
"""Until a store that did not answer is asked again."""
_LEAST_REST: Final = 10
"""A look may take this part of the time: a folder with very many files is looked at less often."""
_REDELIVERIES: Final = 1_000
_FOLDER: Final = "folder"
_STORE: Final = "store"


class FileListener:
    """Delivers the files of a folder to a function.

    Args:
        function: Has a ``FileTrigger``.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        self._function = function
        self._means = means
        self._watch: FolderWatch | None = None
        self._is_stopping = False
        means.engine.looks.append(self._look)

    @staticmethod
    def check(function: TriggeredFunction) -> None:
        """See that there is a folder.

        Raises:
            RegistrationError: there is none, or it cannot be read.
        """
        trigger = _trigger_of(function)
        try:
            with os.scandir(trigger.folder):
                return
        except OSError as error:
            raise RegistrationError(
                f"function {function.name!r} waits for files in the folder {trigger.folder!r} "
                f"({Path(trigger.folder).absolute()}), which cannot be read: {error.strerror}; "
                "create it, or name another one"
            ) from None

    def take_up(self) -> None:
        """See whether the folder is ours."""
        lease = self._means.lease_for(self._function.name)
        if self._is_stopping or (self._watch is not None and self._watch.lease == lease):
            return
        if self._watch is not None:
            self._watch.leave()
            self._watch = None
        if lease is not None:
            self._watch = FolderWatch(self._function, self._means, lease)
            self._watch.begin()

    def fed(self) -> None:
        """No message says that a file is there."""

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, wait for what runs, and note how far it is."""
        self._end()
        if self._watch is not None:
            await self._watch.stop(seconds)

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._end()
        if self._watch is not None:
            self._watch.leave()
            await self._watch.tasks.end(0)

    def _end(self) -> None:
        self._is_stopping = True
        if self._look in self._means.engine.looks:
            self._means.engine.looks.remove(self._look)

    async def _look(self) -> Microseconds | None:
        return None if self._watch is None else await self._watch.look()


class FolderWatch:
    """A folder, as long as its function is ours: under one lease.

    Args:
        function: The function.
        means: The host.
        lease: Of the partition of the function.

    Attributes:
        tasks: What runs of it.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans, lease: Lease) -> None:
        self.lease: Lease = lease
        self.tasks: Tasks = Tasks()
        self._function = function
        self._trigger = _trigger_of(function)
        self._means = means
        self._clock = means.clock
        self._observer = means.observer
        self._folder = Folder(self._trigger)
        self._notes = FileNotes(means.storage, lease, function.name)
        self._is_loaded = False
        self._has_left = False
        self._found: dict[str, FoundFile] = {}
        self._unsettled: dict[str, tuple[FileVersion, Microseconds]] = {}
        self._ready: deque[str] = deque()
        self._suspects: list[str] = []
        self._running: set[str] = set()
        self._suspect: str | None = None
        self._pauses: dict[str, TimerHandle] = {}
        self._looking = asyncio.Lock()
        self._alarm: TimerHandle | None = None
        self._interval: Microseconds = _INTERVAL
        self._complaints = Complaints(means.observer, function.name)

    # --- life ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look for the first time."""
        self._ring()

    def leave(self) -> None:
        """Look no more, and begin nothing more; what runs goes on."""
        self._has_left = True
        if self._alarm is not None:
            self._alarm.cancel()
        for pause in self._pauses.values():
            pause.cancel()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more, wait for what runs, and note how far it is."""
        self.leave()
        given_up = await self.tasks.end(seconds)
        if given_up:
            self._observer.problem(
                None,
                f"function {self._function.name!r}: {given_up} files did not end in {seconds:g} s "
                "and were given up; they are delivered again",
            )
        try:
            await self._notes.write()
        except FencedError:
            return  # it is another host's by now, which finds out by itself
        except StorageError as error:
            self._observer.problem(
                None, f"how far function {self._function.name!r} is could not be noted: {error}"
            )

    # --- looking ---------------------------------------------------------------------------------

    def _ring(self) -> None:
        if not self._has_left:
            name = f"folder of {self._function.name}"
            self.tasks.add(self._means.begin(self._guarded(), name))

    async def _guarded(self) -> None:
        """Look; whatever comes of it, there is a next time."""
        pause = None
        try:
            with self._means.busy():
                await self._pass()
        except FencedError:
            self.leave()  # it is another host's by now
        except StorageError as error:
            self._complaints.of(
                _STORE, f"the store does not answer, and is asked again soon: {error}"
            )
            pause = _AGAIN
        finally:
            self._arm(pause)

    async def _pass(self) -> None:
        if not self._is_loaded:
            await self._notes.load(self._observer)
            self._is_loaded = True
        async with self._looking:
            await self._see()
            self._take_settled()
        await self._take_redelivered()
        await self._notes.write()
        self._complaints.over(_STORE, "the store answers again")
        self._begin_more()

    async def look(self) -> Microseconds | None:
        """Look now, and begin nothing; the moment when a file that was found is whole."""
        if self._has_left or not self._is_loaded:
            return None
        async with self._looking:
            await self._see()
        self._arm()
        return self._due()

    def _arm(self, pause: Microseconds | None = None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        if self._has_left:
            return
        if pause is None:
            due = self._due()
            pause = self._interval
            if due is not None:
                pause = min(pause, max(0, due - self._clock.monotonic()))
        self._alarm = self._clock.call_later(pause, self._ring)

    def _due(self) -> Microseconds | None:
        settled = self._trigger.settled
        moments = [
            since + settled
            for path, (_, since) in self._unsettled.items()
            if path not in self._running
        ]
        return min(moments, default=None)

    async def _see(self) -> None:
        """Find out what lies there, and what has changed since."""
        began = self._clock.monotonic()
        try:
            look = await asyncio.to_thread(self._folder.look)
        except OSError as error:
            # Nothing is forgotten: it may be back soon, as a share of a network is.
            self._complaints.of(
                _FOLDER, f"the folder {self._folder.path!r} cannot be read: {error.strerror}"
            )
            return
        now = self._clock.monotonic()
        self._interval = max(_INTERVAL, _LEAST_REST * (now - began))
        if self._is_away(look):
            self._complaints.of(
                _FOLDER,
                f"the folder {self._folder.path!r} is empty, and on another device than before: "
                "something that is usually mounted there may not be",
            )
            return
        self._complain_of(look)
        self._notes.device = look.device
        self._found = look.files
        self._unsettled = {
            path: self._since(path, one.version, now)
            for path, one in look.files.items()
            if not self._is_known(path, one.version)
        }
        for path in [path for path, _ in self._notes if not look.may_have(path)]:
            if path not in self._running:
                self._notes.forget(path)

    def _is_away(self, look: Look) -> bool:
        return not look.files and self._notes.device not in {None, look.device}

    def _since(
        self, path: str, version: FileVersion, now: Microseconds
    ) -> tuple[FileVersion, Microseconds]:
        """Since when a file has been what it is."""
        seen = self._unsettled.get(path)
        return seen if seen is not None and seen[0] == version else (version, now)

    def _is_known(self, path: str, version: FileVersion) -> bool:
        known = self._notes.get(path)
        return known is not None and known.version == version

    def _complain_of(self, look: Look) -> None:
        if look.unread:
            path, error = min(look.unread.items())
            where = f"{self._folder.path}/{path}"
            self._complaints.of(_FOLDER, f"the folder {where!r} cannot be read: {error.strerror}")
        else:
            self._complaints.over(_FOLDER, f"the folder {self._folder.path!r} can be read again")

    def _take_settled(self) -> None:
        """Have files run that have not changed for long enough, the oldest first."""
        now = self._clock.monotonic()
        for path, (version, since) in list(self._unsettled.items()):
            if path not in self._running and now - since >= self._trigger.settled:
                del self._unsettled[path]
                self._end_pause(path)
                self._notes.set_loosely(path, KnownFile(version))
        self._queue()

    def _queue(self) -> None:
        """All that wait and have no pause, in the order in which they are to run."""
        waiting = [
            (known, path)
            for path, known in self._notes
            if known.standing is FileStanding.WAITING
            and path in self._found
            and path not in self._running
            and path not in self._pauses
        ]
        waiting.sort(key=lambda one: (one[0].deaths, one[0].version.modified_ns, one[1]))
        self._suspects = [path for known, path in waiting if known.deaths]
        self._ready = deque(path for known, path in waiting if not known.deaths)

    async def _take_redelivered(self) -> None:
        """Have files run again that were put aside, and that somebody has given back."""
        failed = {
            file_id(path, known.version): path
            for path, known in self._notes
            if known.standing is FileStanding.FAILED
        }
        if not failed:
            return
        given = await self._means.storage.redeliveries(
            f"files/{self._function.name}", _REDELIVERIES
        )
        for one in given:
            path = failed.get(one.event_id)
            known = None if path is None else self._notes.get(path)
            if path is not None and known is not None:
                self._notes.set(path, KnownFile(known.version))
        if given:
            self._notes.took_back([one.position for one in given])
            self._queue()

    # --- running ---------------------------------------------------------------------------------

    def _begin_more(self) -> None:
        while not self._has_left and len(self._running) < self._trigger.concurrency:
            path = self._next()
            if path is None:
                return
            self._running.add(path)
            name = f"function {self._function.name}"
            self.tasks.add(self._means.begin(self._run(path), name))

    def _next(self) -> str | None:
        """The file to run next. Of those that have seen the end of a host one runs at a time."""
        if self._suspects and self._suspect is None:
            self._suspect = self._suspects.pop(0)
            return self._suspect
        return self._ready.popleft() if self._ready else None

    async def _run(self, path: str) -> None:
        """Run the function for a file, once."""
        try:
            with self._means.busy():
                await self._run_once(path)
        except FencedError:
            self.leave()
        except StorageError as error:
            # What could not be noted before it began is tried anew; that it has ended is known
            # here, and noted with the next look. The others wait for that as well.
            self._ready.clear()
            self._suspects.clear()
            self._complaints.of(
                _STORE, f"the store does not answer, and is asked again soon: {error}"
            )
        finally:
            self._running.discard(path)
            if self._suspect == path:
                self._suspect = None
            self._begin_more()

    async def _run_once(self, path: str) -> None:
        known = self._notes.get(path)
        found = self._found.get(path)
        if known is None or found is None or known.standing is not FileStanding.WAITING:
            return  # it is gone by now
        if found.version != known.version:
            return  # it has changed, and runs when it is whole again
        deaths = self._means.engine.options.max_deliveries
        if known.deaths >= deaths:
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
        pause = self._trigger.redelivery.pause_before(known.failures + 2)
        if pause is None:
            self._put_aside(path, known.failed(FileStanding.FAILED), failure)
            return
        self._notes.set(path, known.failed(FileStanding.WAITING))
        self._observer.notice(
            f"function {self._function.name!r} is tried again for {path!r} in "
            f"{pause / MICROSECONDS:g} s (attempt {known.failures + 2} of "
            f"{self._trigger.redelivery.attempts})"
        )
        if not self._has_left:
            self._pauses[path] = self._clock.call_later(pause, partial(self._again, path))

    def _again(self, path: str) -> None:
        """The pause of a file is over."""
        self._end_pause(path)
        self._queue()
        self._begin_more()

    def _end_pause(self, path: str) -> None:
        pause = self._pauses.pop(path, None)
        if pause is not None:
            pause.cancel()

    def _put_aside(self, path: str, known: KnownFile, error: BaseException) -> None:
        number = file_id(path, known.version)
        content = {"path": path, "size": known.version.size}
        failed = FailedDelivery(
            number=0,
            source="files",
            name=self._folder.path,
            function=self._function.name,
            message_id=number,
            attempts=known.failures + known.deaths,
            failed_at=self._clock.now(),
            error=storable_text(f"{type(error).__name__}: {error}"),
            cause=file_cause(self._function.name, path, number),
            key=None,
            content=msgspec.json.encode(content).decode(),
        )
        self._notes.put_aside(path, known, failed)
        self._observer.delivery_failed(self._function.name, number, error)


def _trigger_of(function: TriggeredFunction) -> FileTrigger:
    trigger = function.trigger
    assert isinstance(trigger, FileTrigger), "the table of listeners says so"
    return trigger
