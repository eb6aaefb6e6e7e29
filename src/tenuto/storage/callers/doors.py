"""What leads into the inbox of a hub, whoever's the connection is. Pure but for names of files.

Keeps a hub apart from others of its form: the first connection says which one it is, and every
statement asks for that one.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import apsw

from tenuto.engine.rows import InboxRow
from tenuto.model.errors import InputError, SettingsError, StorageError, StorageVersionError
from tenuto.storage import is_postgres, path_of
from tenuto.storage.callers.statements import Statement
from tenuto.storage.sqlite import MEMORY, NEWEST_FILE_SCHEMA, is_open_here

Rows: TypeAlias = Sequence[Sequence[Any]]
Asking: TypeAlias = Generator[Statement, Rows, None]

_MISSING_STATES: Final = frozenset({"3F000", "42P01", "42703"})
_NO_RIGHT: Final = "42501"
_OLDEST_FILE_SCHEMA: Final = 2
"""From this one on a file has a secret, by which it is known."""


def carried(asking: Asking, run: Callable[[Statement], Rows]) -> None:
    """Run statements one after the other, each told what the one before has found."""
    statement = next(asking, None)
    while statement is not None:
        found = run(statement)
        try:
            statement = asking.send(found)
        except StopIteration:
            return


async def carried_there(asking: Asking, run: Callable[[Statement], Awaitable[Rows]]) -> None:
    """The same where each is awaited."""
    statement = next(asking, None)
    while statement is not None:
        found = await run(statement)
        try:
            statement = asking.send(found)
        except StopIteration:
            return


class MakesRow(Protocol):
    """A message, once it is known how many partitions there are."""

    def __call__(self, partitions: int, /) -> InboxRow: ...


class Door(ABC):
    """Into one hub.

    Attributes:
        url: Of the store, as people are shown it.
        kind: Of the database, as SQLAlchemy calls it.
    """

    kind: str
    url: str
    _facts: str
    _insert: str
    _schema: str

    def __init__(self) -> None:
        self._known: tuple[int, str] | None = None

    def put(self, make_row: MakesRow) -> Asking:
        """The statements that put a message into the inbox; each is sent what it has found.

        One statement, but for the first message: that asks first which hub it is.

        Raises:
            InputError: the connection is to another hub than the first one.
            StorageVersionError: the hub is of a version that this Tenuto does not know.
        """
        if self._known is None:
            found = yield Statement(self._facts, self._schema, {})
            if not found:
                raise self.no_hub()
            schema, partitions, life = found[0]
            self._check_version(schema)
            self._known = partitions, life
        partitions, life = self._known
        values = {**self._pack(make_row(partitions)), "partitions": partitions, "life": life}
        found = yield Statement(self._insert, self._schema, values)
        if not found:
            raise InputError(
                f"nothing was handed over: this connection is to another hub than the one that "
                f"this outbox has seen first in {self.url!r}; make an outbox for each"
            )

    @abstractmethod
    def no_hub(self) -> InputError:
        """The error of a connection to a database in which the hub is not."""

    @abstractmethod
    def refusal(self, state: str | None, text: str) -> InputError | StorageError | None:
        """The error of ours for one of the database's; None: it is the caller's own affair.

        Args:
            state: The code, where the database has such.
            text: What it says.
        """

    @abstractmethod
    def check_texts(self, *texts: str | None) -> None:
        """See that texts fit into columns; the owner of the hub would refuse them, after a commit.

        Raises:
            InputError: one does not.
        """

    @abstractmethod
    def check_file(self, files: Sequence[tuple[str, str]]) -> None:
        """See that a connection has the hub's file open.

        Args:
            files: Names and files of its databases; the first one is the main one.
        """

    @abstractmethod
    def _check_version(self, schema: int) -> None: ...

    @abstractmethod
    def _pack(self, row: InboxRow) -> dict[str, Any]: ...


class PostgresDoor(Door):
    """Into a hub in PostgreSQL: a schema of the database that the connection is to.

    Args:
        url: The storage URL.
    """

    kind = "postgresql"
    _facts = "SELECT schema, partitions, incarnation FROM hub.hub"
    _insert = (
        "INSERT INTO hub.inbox (partition, awaits_answer, message_id, instance_id, kind, message) "
        "SELECT CAST(:partition AS int), CAST(:awaits_answer AS boolean), "
        "CAST(:message_id AS text), CAST(:instance_id AS text), CAST(:kind AS text), "
        "CAST(:message AS bytea) FROM hub.hub "
        "WHERE incarnation = CAST(:life AS text) AND partitions = CAST(:partitions AS int) "
        "RETURNING partition"
    )

    def __init__(self, url: str) -> None:
        super().__init__()
        path_of(url)  # the extra is there, and the URL is one
        from tenuto.storage.postgres import address_of  # noqa: PLC0415 - an extra, imported late
        from tenuto.storage.postgres.statements import quoted  # noqa: PLC0415 - the same

        address = address_of(url)
        self.url = address.url
        self._name = address.schema
        self._schema = quoted(address.schema)

    def no_hub(self) -> InputError:
        return InputError(
            f"nothing was handed over: the database of this connection has no hub in the schema "
            f"{self._name!r}; connect to the database of {self.url!r}, or start a host, which "
            "makes it"
        )

    def refusal(self, state: str | None, text: str) -> InputError | None:
        if state in _MISSING_STATES:
            return self.no_hub()
        if state == _NO_RIGHT:
            return InputError(
                f"nothing was handed over: the user of this connection may not put messages into "
                f"the hub {self._name!r} ({text}); docs/transactions.md lists the rights"
            )
        return None

    def check_texts(self, *texts: str | None) -> None:
        """See that none has a NUL."""
        found = next((text for text in texts if text is not None and "\x00" in text), None)
        if found is not None:
            raise InputError(
                f"nothing was handed over: {found[:80]!r} holds a NUL character, which PostgreSQL "
                "cannot keep in a name, a key or an id"
            )

    def check_file(self, files: Sequence[tuple[str, str]]) -> None:
        """It is in none."""

    def _check_version(self, schema: int) -> None:
        from tenuto.storage.postgres.statements import NEWEST_SCHEMA  # noqa: PLC0415 - as above

        # No older one has another inbox.
        if schema > NEWEST_SCHEMA:
            raise _too_new(self.url, schema)

    def _pack(self, row: InboxRow) -> dict[str, Any]:
        from tenuto.storage.postgres import packing  # noqa: PLC0415 - as above

        columns = packing.messages([row])
        return {name.removeprefix("m_"): column[0] for name, column in columns.items()}


class FileDoor(Door):
    """Into a hub in a file: of the connection that has that file open.

    Args:
        url: The storage URL.
    """

    kind = "sqlite"
    _facts = "SELECT user_version, partitions, secret FROM hub.hub, pragma_user_version"
    _insert = (
        "INSERT INTO hub.inbox (message_id, partition, instance_id, message) "
        "SELECT :message_id, :partition, :instance_id, :message FROM hub.hub "
        "WHERE secret = :life AND partitions = :partitions RETURNING partition"
    )
    _schema = "main"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._path = path_of(url)
        if self._path == MEMORY:
            raise SettingsError(
                "no connection but Tenuto's own reaches a store in memory; give the store a file"
            )
        self.url = f"sqlite:///{self._path}"

    def check_texts(self, *texts: str | None) -> None:
        """A file keeps any."""

    def check_file(self, files: Sequence[tuple[str, str]]) -> None:
        """See that it is the main file, and that no SQLite but the caller's has it open here."""
        if not any(_is_same(file, self._path) for _, file in files[:1]):
            attached = any(_is_same(file, self._path) for _, file in files)
            why = (
                "it has the hub's file attached, and SQLite commits to several files one after the "
                "other: a power failure between could keep half. Keep your tables in the hub's file"
                if attached
                else f"it is to {files[0][1] or MEMORY!r}; the hub is in {self._path!r}"
            )
            raise InputError(f"nothing was handed over with this connection: {why}")
        if is_open_here(self._path) and apsw.using_amalgamation:
            raise InputError(
                f"nothing was handed over: this process has a host or a client of Tenuto on "
                f"{self._path!r}, with an SQLite of its own. Two of them in one process do not see "
                "each other's locks, and one would overwrite what the other has committed. Run the "
                "host in a process of its own (tenuto start), or move the hub into PostgreSQL"
            )

    def no_hub(self) -> InputError:
        return InputError(
            f"nothing was handed over: {self._path!r} has no hub yet, or one of an older Tenuto; "
            "start a host on it first"
        )

    def refusal(self, state: str | None, text: str) -> InputError | None:  # noqa: ARG002 - no states
        # A caller's own statements have been understood already.
        is_form = text.startswith(("no such table", "no such column"))
        return self.no_hub() if is_form else None

    def _check_version(self, schema: int) -> None:
        if schema > NEWEST_FILE_SCHEMA:
            raise _too_new(self.url, schema)
        if schema < _OLDEST_FILE_SCHEMA:
            raise self.no_hub()

    def _pack(self, row: InboxRow) -> dict[str, Any]:
        return {
            "message_id": row.message_id,
            "partition": row.partition,
            "instance_id": row.instance_id,
            "message": bytes(row.message).decode(),
        }


def door_of(url: str) -> Door:
    """The door of the store behind a storage URL.

    Raises:
        SettingsError: it is no such URL, or is in memory.
    """
    return PostgresDoor(url) if is_postgres(url) else FileDoor(url)


def _is_same(file: str, path: str) -> bool:
    try:
        return bool(file) and Path(file).samefile(path)
    except OSError:
        return False


def _too_new(url: str, schema: int) -> StorageVersionError:
    return StorageVersionError(
        f"nothing was handed over: the hub in {url!r} has schema {schema}, written by a newer "
        "Tenuto; upgrade this one"
    )
