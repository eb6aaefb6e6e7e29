"""Upkeep: the port by which people look after a store, whoever owns it.

Beside ``Storage``, which is for hosts and clients: looking a store over, and what becomes of
messages that nobody could take. Each backend has one (``storage.upkeep_of``).
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds


class Examination(Struct, frozen=True, kw_only=True):
    """A store as it was found. Times are microseconds since 1970 UTC, sizes bytes.

    Attributes:
        path: The file.
        schema: Its schema.
        known_schema: The newest that this Tenuto knows.
        faults: What its own check found; empty when it is sound.
        size: Of the file.
        log_size: Of the write-ahead log beside it.
        free_bytes: Room on its disk.
        owner: The host that owns it now, in words.
        was_left: A host has owned it and not given it back: it was killed, or still runs.
        partitions: In how many parts its instances are divided.
        counts: Instances by status.
        messages: Messages that wait to be taken in.
        waiting: The oldest of them: arrival number and instance.
        oldest_pending: When the oldest instance that should have begun was started.
        dead_letters: How many there are.
        newest_dead_letter: When the newest was given up.
        lost_histories: Numbers of instances that have a history and no row.
        without_history: Instances that have begun and have no history.
        lost_messages: Ids that messages wait for and no instance has. A host clears these within
            moments.
    """

    path: str
    schema: int
    known_schema: int
    faults: list[str]
    size: int
    log_size: int
    free_bytes: int
    owner: str | None
    was_left: bool = False
    partitions: int = 1
    counts: dict[RuntimeStatus, int] = {}
    messages: int = 0
    waiting: list[tuple[int, InstanceId]] = []
    oldest_pending: Microseconds | None = None
    dead_letters: int = 0
    newest_dead_letter: Microseconds | None = None
    lost_histories: list[int] = []
    without_history: list[InstanceId] = []
    lost_messages: list[InstanceId] = []

    @property
    def is_readable(self) -> bool:
        """Whether its tables are those of this Tenuto."""
        return self.schema == self.known_schema and not self.faults


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

    async def redrive(self, message_id: MessageId) -> InstanceId:
        """Send a dead letter to its instance again; the instance's id.

        Raises:
            InputError: there is no such letter, or it is no event.
            InstanceNotFoundError, InstanceFinishedError: still nobody can take it.
        """

    async def drop_letters(self, message_ids: Sequence[MessageId] | None) -> int:
        """Delete these dead letters, or with None all; how many there were."""
