"""Files that arrive in a folder: looks for them, and delivers each to its function.

Owns when the folder is looked at: in a thread, about once a second. A file that has not changed for
a while is whole, and is delivered: exactly once, as long as no host dies; after a death once more.
One whose host has died several times while it ran is put aside like one that fails, so that it
cannot end one host after another.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

from tenuto.engine.ports import TimerHandle
from tenuto.engine.program import FileTrigger, TriggeredFunction
from tenuto.engine.rows import Lease
from tenuto.messaging.complaints import Complaints
from tenuto.messaging.file_notes import FileNotes
from tenuto.messaging.file_runs import STORE, FileRuns, store_words
from tenuto.messaging.folder import Folder, Look
from tenuto.messaging.listening import ListenerMeans, Tasks
from tenuto.model.arrived_files import FileStanding, FileVersion, KnownFile, file_id, path_in
from tenuto.model.errors import FencedError, RegistrationError, StorageError, TenutoError
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.topics import StoredEvent

_INTERVAL: Final = MICROSECONDS
_AGAIN: Final = 5 * MICROSECONDS
"""Until a store that did not answer is asked again."""
_LEAST_REST: Final = 10
"""A look may take this part of the time: a folder with very many files is looked at less often."""
_REDELIVERIES: Final = 1_000
_REDELIVERIES_BYTES: Final = 4 * 1024 * 1024
_FOLDER: Final = "folder"


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
        self.place: str = function.name
        means.engine.looks.append(self._look)
        means.given_back.append(self._take_back)

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

    def _take_back(self) -> None:
        if self._watch is not None:
            self._watch.wants_given_back = True

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
        engine, means = self._means.engine, self._means
        if self._look in engine.looks:
            engine.looks.remove(self._look)
            means.given_back.remove(self._take_back)

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
        wants_given_back: Whether to see with the next look what was given back.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans, lease: Lease) -> None:
        self.lease: Lease = lease
        self.tasks: Tasks = Tasks()
        self.wants_given_back: bool = True
        self._function = function
        self._trigger = _trigger_of(function)
        self._means = means
        self._clock = means.clock
        self._observer = means.observer
        self._folder = Folder(self._trigger)
        self._notes = FileNotes(means.storage, lease, function.name)
        self._is_loaded = False
        self._has_left = False
        self._unsettled: dict[str, tuple[FileVersion, Microseconds]] = {}
        self._looking = asyncio.Lock()
        self._alarm: TimerHandle | None = None
        self._interval: Microseconds = _INTERVAL
        self._complaints = Complaints(means.observer, function.name)
        self._runs = FileRuns(function, means, self._notes, self.tasks, self._complaints)

    # --- life ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Look for the first time."""
        self._ring()

    def leave(self) -> None:
        """Look no more, and begin nothing more; what runs goes on."""
        self._has_left = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._runs.leave()

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
            self._complaints.of(STORE, store_words(error))
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
        self._complaints.over(STORE, "the store answers again")
        self._runs.begin_more()

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
            if not self._runs.is_running(path)
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
        self._runs.found = look.files
        self._unsettled = {
            path: self._since(path, one.version, now)
            for path, one in look.files.items()
            if not self._is_known(path, one.version)
        }
        for path in [path for path, _ in self._notes if not look.may_have(path)]:
            if not self._runs.is_running(path):
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
            if not self._runs.is_running(path) and now - since >= self._trigger.settled:
                del self._unsettled[path]
                self._runs.end_pause(path)
                self._notes.set_loosely(path, KnownFile(version))
        self._runs.queue()

    async def _take_redelivered(self) -> None:
        """Have files run again that were put aside, and that somebody has given back."""
        has_failed = any(known.standing is FileStanding.FAILED for _, known in self._notes)
        if not (has_failed or self.wants_given_back):
            return
        given = await self._means.storage.redeliveries(
            f"files/{self._function.name}", 0, _REDELIVERIES, _REDELIVERIES_BYTES
        )
        self.wants_given_back = bool(given)
        for one in given:
            if not self._notes.is_taken_back(one.position):
                self._take_one_back(one)
        if given:
            self._runs.queue()

    def _take_one_back(self, given: StoredEvent) -> None:
        """A file that was given back runs again if it is what it was; else it is put aside again,
        with the reason (``no_silent_drop``).
        """
        path = path_in(bytes(given.event))
        known = None if path is None else self._notes.get(path)
        if path is not None and known is not None:
            if file_id(path, known.version) == given.event_id:
                if known.standing is FileStanding.FAILED:
                    self._notes.set(path, KnownFile(known.version))
                self._notes.took_back(given.position)
                return
            why = "it has changed, and is another file now"
        else:
            why = "it is not in the folder any more"
        self._notes.took_back(given.position)
        self._runs.put_back(given, TenutoError(f"it was given back, but {why}"))


def _trigger_of(function: TriggeredFunction) -> FileTrigger:
    trigger = function.trigger
    assert isinstance(trigger, FileTrigger), "the table of listeners says so"
    return trigger
