"""``tenuto backup --follow``: keeps a folder up to date with a store, whoever runs on it.

Copies new frames five times a second, so that the copy lags well below a second behind. Whatever
goes wrong (the disk of the copy is full, the store is away), the store is let go at once, so that
its log does not grow because of us, and tried again. May be killed at any moment.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event
from typing import Final

import apsw

from tenuto.engine.upkeep import FollowedTo, Following
from tenuto.model.errors import SettingsError, StorageError
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite.errors import translate
from tenuto.storage.sqlite.following.folder import Folder, Origin, Reach, store_mark
from tenuto.storage.sqlite.following.frames import Log
from tenuto.storage.sqlite.following.generation import Generation
from tenuto.storage.sqlite.following.source import End, Source
from tenuto.storage.sqlite.placing import check_room, writing

_POLL_SECONDS: Final = 0.2
_IDLE_NOTE: Final[Microseconds] = 1_000_000
_LONG_LOG_FRAMES: Final = 4_096  # 16 MiB
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 10.0


class _GapError(Exception):
    """The store's log has begun anew, and frames may have been in it that nobody has copied."""


def _until(stop: Event, pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if stop.is_set():
            raise _GapError
        yield piece


class Follower:
    """Follows a store.

    Args:
        path: The store's file.
        folder: Where the copy goes.
        now: Tells the present.
        told: Called when something changes.
    """

    def __init__(
        self,
        path: str,
        folder: str,
        now: Callable[[], Microseconds],
        told: Callable[[Following], None],
    ) -> None:
        self._path = path
        self._folder = Folder(folder)
        self._now = now
        self._told = told
        self._reached: Microseconds | None = None
        self._noted: tuple[tuple[int, int], Microseconds] | None = None
        self._freed: tuple[int, int] | None = None
        self._had_stopped: bool | None = None

    def run(self, stop: Event) -> FollowedTo:
        """Follow until told to stop; how far the copy goes then.

        Raises:
            SettingsError: the folder cannot be used, or holds the copy of another store.
            StorageOwnedError: another process follows into it.
            StorageError: there is no store that can be followed.
        """
        self._folder.make()
        Source(self._path).close()  # a store that is not there at the beginning is a mistake
        pause = _SHORTEST_PAUSE
        with self._folder.followed():
            while not stop.is_set():
                before = self._reached
                try:
                    self._follow(stop)
                except (StorageError, _GapError) as error:
                    if self._reached != before:
                        pause = _SHORTEST_PAUSE
                    self._say_behind(error)
                    stop.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
        return FollowedTo(reaches_to=self._reached, host_had_stopped=bool(self._had_stopped))

    def _say_behind(self, error: Exception) -> None:
        if isinstance(error, StorageError):
            self._had_stopped = None
            self._told(Following(state="behind", text=str(error), reaches_to=self._reached))

    def _follow(self, stop: Event) -> None:
        try:
            with writing(self._folder.path):
                source = Source(self._path)
                try:
                    self._follow_opened(source, stop)
                finally:
                    source.close()
        except apsw.Error as error:
            raise translate(error, self._path, "follow") from error

    def _follow_opened(self, source: Source, stop: Event) -> None:
        generation = self._taken_up(source)
        try:
            if generation is None:
                generation = self._begun(source, stop)
            self._folder.drop_others(generation.number)
            self._say_following(source, generation)
            while not stop.wait(_POLL_SECONDS):
                source.check_is_there()
                self._catch_up(source, generation)
                self._keep_short(source, generation)
            self._catch_up(source, generation)
        finally:
            if generation is not None:
                generation.close()

    # --- generations ---------------------------------------------------------------------------

    def _taken_up(self, source: Source) -> Generation | None:
        """The newest generation, if nothing is missing after it.

        The log that it ends with must be the store's still, and be so once its frames are copied:
        before that it may begin anew, over frames that came while nobody followed.
        """
        number, reach, hub = self._folder.newest, self._folder.reach(), source.hub
        if number is None:
            return None
        origin = self._folder.origin(number)
        if origin.store != store_mark(hub.secret):
            raise SettingsError(
                f"the folder {str(self._folder.path)!r} holds the copy of another store "
                f"({origin.path}); give another folder"
            )
        if origin.incarnation != hub.incarnation or reach is None:
            return None
        generation = Generation(self._folder, number)
        last = generation.open(reach)
        if last is not None and generation.log is not None:
            end = source.look()
            if end.log == generation.log and source.has_frame(end.log, reach.frames, last):
                self._noted, self._reached = None, reach.at
                with suppress(_GapError):
                    self._catch_up(source, generation, only=end.log)
                    return generation
        generation.close()
        return None

    def _begun(self, source: Source, stop: Event) -> Generation:
        """A new generation: the file, and the log from its beginning.

        Crash points: until it is complete, the one before is what a store is made of.
        """
        self._told(Following(state="copying", text="the store is copied as a whole"))
        self._folder.drop_half_made()
        check_room(self._folder.generation(0), source.size)
        generation = Generation(self._folder, max(self._folder.numbers, default=0) + 1)
        hub, begun_at = source.hub, self._now()
        try:
            generation.begin(_until(stop, source.pages()))
            self._ship(source, generation, source.look())
            generation.sync()
            source.settle()
            generation.complete(
                Origin(
                    store=store_mark(hub.secret),
                    incarnation=hub.incarnation,
                    path=self._path,
                    begun_at=begun_at,
                )
            )
        except BaseException:
            generation.close()
            self._folder.drop_half_made()  # on a full disk its room is needed
            raise
        self._noted = None
        self._note(generation, begun_at)
        return generation

    # --- frames --------------------------------------------------------------------------------

    def _catch_up(self, source: Source, generation: Generation, *, only: Log | None = None) -> None:
        """Copy what is new; ``only`` frames of this log."""
        at = self._now()  # all that was committed before is in the log by now
        before = generation.position
        end = source.look()
        if only is not None and end.log != only:
            raise _GapError
        self._ship(source, generation, end)
        if generation.position != before:
            generation.sync()
        source.settle()
        self._note(generation, at)
        self._watch_host(source, generation)

    def _ship(self, source: Source, generation: Generation, end: End) -> None:
        """Copy what is new in the log; one that has begun anew into another file."""
        if end.log is None:
            return
        if end.log != generation.log:
            generation.begin_log(end.log)
        elif end.frames < generation.frames:
            raise _GapError
        for piece in source.frames(end.log, generation.frames, end.frames):
            generation.append(piece)

    def _keep_short(self, source: Source, generation: Generation) -> None:
        """Bound what the copy takes, and what it makes the store's log take."""
        if generation.frames > _LONG_LOG_FRAMES and generation.position != self._freed:
            self._free_log(source, generation)
        generation.fold()

    def _free_log(self, source: Source, generation: Generation) -> None:
        """Let the store begin its log anew; writers wait for the few frames that are new."""
        if not source.lock():
            return
        try:
            self._ship(source, generation, source.look())
            source.free_log()
        finally:
            source.unlock()
        generation.sync()
        self._freed = generation.position

    def _note(self, generation: Generation, at: Microseconds) -> None:
        """Note how far the copy goes: after what is new is durable; else once a second."""
        self._reached = at
        if self._noted is not None:
            position, noted_at = self._noted
            if position == generation.position and at - noted_at < _IDLE_NOTE:
                return
        log, frames = generation.position
        self._folder.note_reach(Reach(generation=generation.number, log=log, frames=frames, at=at))
        self._noted = generation.position, at

    # --- telling -------------------------------------------------------------------------------

    def _watch_host(self, source: Source, generation: Generation) -> None:
        if self._had_stopped is not None and source.host_had_stopped != self._had_stopped:
            self._say_following(source, generation)

    def _say_following(self, source: Source, generation: Generation) -> None:
        self._had_stopped = source.host_had_stopped
        text = "the host has stopped, and the copy holds all of it"
        if not self._had_stopped:
            text = "the copy is up to date"
        self._told(
            Following(
                state="following",
                text=f"{text} (generation {generation.number})",
                reaches_to=self._reached,
            )
        )
