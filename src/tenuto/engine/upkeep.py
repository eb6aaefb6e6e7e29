"""Upkeep: the port by which people look after a store, whoever owns it.

Beside ``Storage``, which is for hosts and clients: looking a store over, and what becomes of
messages that nobody could take. Each backend has one (``storage.upkeep_of``).
"""

from collections.abc import Callable, Sequence
from threading import Event
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds


class RedrivenLetters(Struct, frozen=True, kw_only=True):
    """What has become of dead letters that were to be sent again.

    Attributes:
        sent: Those that were, the oldest first: letter, and whom it is for.
        left: Those that stay, and why.
    """

    sent: list[tuple[MessageId, InstanceId]]
    left: list[tuple[MessageId, str]]


class Remark(Struct, frozen=True, kw_only=True):
    """What is worth saying of a store's surroundings.

    Attributes:
        is_wrong: Whether it keeps hosts from working, or breaks a promise.
        text: What was found.
        advice: What to do.
    """

    is_wrong: bool
    text: str
    advice: str


class Examination(Struct, frozen=True, kw_only=True):
    """A store as it was found. Times are microseconds since 1970 UTC, sizes bytes.

    Attributes:
        path: The file, or the URL without its password.
        schema: Its schema.
        known_schema: The newest that this Tenuto knows.
        faults: What its own check found; empty when it is sound.
        size: Of the file.
        log_size: Of the write-ahead log beside it.
        free_bytes: Room on its disk; None where that is not seen from here.
        owner: The host that owns it now, in words.
        was_left: A host has owned it and not given it back: it was killed, or still runs.
        partitions: In how many parts its instances are divided.
        counts: Instances by status.
        messages: Messages that wait to be taken in.
        waiting: The oldest of them: arrival number and instance.
        oldest_pending: When the oldest instance that should have begun was started.
        copied_at: It is a copy that nobody has started yet, and reaches up to then.
        is_sealed: It was imported to be looked at, and nothing ever runs on it.
        dead_letters: How many there are.
        newest_dead_letter: When the newest was given up.
        unseen_dead_letters: How many of them nobody has acknowledged.
        lost_histories: Numbers of instances that have a history and no row.
        without_history: Instances that have begun and have no history.
        lost_messages: Ids that messages wait for and no instance has. A host clears these within
            moments.
        unserved_partitions: Those in which messages wait, and that the hub has not.
        unknown_types: What waiting messages say that they are, and this Tenuto does not know.
        remarks: What else is worth saying: of the server that keeps it, or what is before that.
    """

    path: str
    schema: int
    known_schema: int
    faults: list[str]
    size: int
    log_size: int
    free_bytes: int | None
    owner: str | None
    was_left: bool = False
    partitions: int = 1
    counts: dict[RuntimeStatus, int] = {}
    messages: int = 0
    waiting: list[tuple[int, InstanceId]] = []
    oldest_pending: Microseconds | None = None
    copied_at: Microseconds | None = None
    is_sealed: bool = False
    dead_letters: int = 0
    newest_dead_letter: Microseconds | None = None
    unseen_dead_letters: int = 0
    lost_histories: list[int] = []
    without_history: list[InstanceId] = []
    lost_messages: list[InstanceId] = []
    unserved_partitions: list[int] = []
    unknown_types: list[str] = []
    remarks: list[Remark] = []

    @property
    def is_readable(self) -> bool:
        """Whether its tables are those of this Tenuto."""
        return self.schema == self.known_schema and not self.faults


Told: TypeAlias = Callable[[int, int], None]
"""Told how much is done, of how much."""


class Copy(Struct, frozen=True, kw_only=True):
    """A copy of a store that was made.

    Attributes:
        path: Its file.
        size: Its bytes.
        instances: How many are in it.
        reaches_to: All that was committed before this moment is in it.
        host_had_stopped: The host of the original had stopped by then, or there was none: then a
            host on the copy takes up just what that one left.
        kept_aside: Files that stood in its place, by their new names.
    """

    path: str
    size: int
    instances: int
    reaches_to: Microseconds
    host_had_stopped: bool
    kept_aside: list[str] = []


class Following(Struct, frozen=True, kw_only=True):
    """What becomes of a continuous copy.

    Attributes:
        state: The store is copied as a whole; the copy is up to date; it falls behind.
        text: The same in words, with the reason.
        reaches_to: All that was committed before this moment is in the copy; None: there is none.
    """

    state: Literal["copying", "following", "behind"]
    text: str
    reaches_to: Microseconds | None = None


class FollowedTo(Struct, frozen=True, kw_only=True):
    """How far a continuous copy goes.

    Attributes:
        reaches_to: All that was committed before this moment is in it; None: there is no copy.
        host_had_stopped: The host had stopped by then, so that nothing is missing.
    """

    reaches_to: Microseconds | None
    host_had_stopped: bool


class StorageUpkeep(Protocol):
    """Looks after a store, also while a host owns it."""

    @property
    def owner(self) -> str | None:
        """The host that owns it now, in words; None when none does."""

    async def examine(self, now: Microseconds, *, full: bool = False) -> Examination:
        """Look it over without touching it.

        Args:
            now: The present, in microseconds since 1970 UTC.
            full: Read all of it, which takes long for a large store.

        Raises:
            SettingsError: there is no such store.
            StorageError: it cannot be read, or is none.
        """

    async def waiting(self) -> list[tuple[int, InstanceId]]:
        """The oldest messages that nobody has taken in: arrival number and instance."""

    async def redrive_letters(self, message_ids: Sequence[MessageId] | None) -> RedrivenLetters:
        """Send dead letters to their instances again, the oldest first: as they came.

        Those that are named all or none. With None all that there are; those that still nobody can
        take stay.

        Raises:
            InputError: there is no such letter, or it is no event.
            InstanceNotFoundError, InstanceFinishedError: still nobody can take one that is named.
        """

    async def acknowledge_letters(
        self, message_ids: Sequence[MessageId] | None, now: Microseconds
    ) -> int:
        """Note that somebody has seen to these dead letters, or with None to all.

        They stay, and are listed. Of how many that was not known yet.
        """

    async def drop_letters(self, message_ids: Sequence[MessageId] | None) -> int:
        """Delete these dead letters, or with None all; how many there were."""

    def back_up(
        self, target: str, now: Callable[[], Microseconds], *, force: bool, told: Told
    ) -> Copy:
        """Copy it into a file; blocks until that is done.

        Args:
            target: The file to be made.
            now: Tells the present.
            force: Whether a file that is there is replaced.
            told: Called with how much is done, of how much.

        Raises:
            SettingsError: there is no store, or the file cannot go there.
            StorageError: one of them cannot be read or written, or the store is damaged.
        """

    def follow(
        self,
        folder: str,
        now: Callable[[], Microseconds],
        stop: Event,
        told: Callable[[Following], None],
    ) -> FollowedTo:
        """Keep a folder up to date with it; blocks until told to stop.

        Args:
            folder: Where the copy goes; made when it is not there.
            now: Tells the present.
            stop: Set from outside when it shall end.
            told: Called when something changes.

        Raises:
            SettingsError: the folder cannot be used, or holds the copy of another store.
            StorageOwnedError: another process writes to it.
            StorageError: there is no such store.
        """

    def restore(
        self,
        source: str,
        now: Callable[[], Microseconds],
        *,
        force: bool,
        accept_loss: bool,
        told: Told,
    ) -> Copy:
        """Make this store out of a copy; blocks until that is done.

        Args:
            source: The copy.
            now: Tells the present.
            force: Whether to move a store aside that is there.
            accept_loss: Let it be started though the host of the original had not stopped.
            told: Called with how much is done, of how much.

        Raises:
            SettingsError: there is no copy, or the store cannot go there.
            StorageOwnedError: a host runs on the store that would be moved aside.
            StorageError: one of them cannot be read or written, or the copy is damaged.
        """

    def accept_loss(self) -> Microseconds | None:
        """Let a copy be started though its host had not stopped; up to when it reaches.

        A store that is no copy is left as it is: then None.

        Raises:
            SettingsError: there is no store.
            StorageError: it cannot be used.
        """

    def seal(self) -> None:
        """Make it a store that is looked at and no more, for ever: nobody owns it or asks anything
        of it (``StorageImportedError``), and neither of its copies.

        Raises:
            SettingsError: there is no store.
            StorageError: it cannot be used.
        """
