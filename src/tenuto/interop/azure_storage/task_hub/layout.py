"""Names, keys and long values of a task hub, as the Azure Storage provider has them. Pure."""

import gzip
import re
import zlib
from datetime import datetime
from typing import Final, TypeAlias
from urllib.parse import quote

from msgspec import Struct

from tenuto.model.errors import TaskHubError
from tenuto.model.ids import InstanceId

Value: TypeAlias = str | int | bool | datetime
Row: TypeAlias = dict[str, Value]
"""An entity of a table: what stands in its columns. None is left out."""

SENTINEL: Final = "sentinel"
"""The key of the row behind all events of an instance: whose they are."""

MOST_CHARACTERS: Final = 30 * 1024
"""UTF-16 units of a text in a column; what is longer goes into a blob."""

_NAME: Final = re.compile("[A-Za-z][A-Za-z0-9]{2,44}")
_SPELLED: Final = {"^": "^^", "/": "^0", "\\": "^1", "#": "^2", "?": "^3"} | {
    chr(code): f"^{chr(0xC0 + code)}" for code in (*range(0x20), *range(0x7F, 0xA0))
}
_SPELLING: Final = str.maketrans(_SPELLED)
_MEANT: Final = {spelled: character for character, spelled in _SPELLED.items()}
_ESCAPE: Final = re.compile(r"\^.", re.DOTALL)


class TaskHub(Struct, frozen=True):
    """What belongs to a hub in an account."""

    name: str

    @property
    def instances(self) -> str:
        """The table with a row for each instance."""
        return f"{self.name}Instances"

    @property
    def history(self) -> str:
        """The table with a row for each event."""
        return f"{self.name}History"

    @property
    def partitions(self) -> str:
        """The table in which its hosts say that they run."""
        return f"{self.name}Partitions"

    @property
    def leases(self) -> str:
        """The container whose leases older hosts hold while they run."""
        return f"{self.name.lower()}-leases"

    @property
    def large(self) -> str:
        """The container of what is too long for a table."""
        return f"{self.name.lower()}-largemessages"

    @property
    def mark(self) -> str:
        """The container that says that it is a mirror, and of which store: ours alone."""
        return f"{self.name.lower()}-mirror"


def task_hub(name: str) -> TaskHub:
    """A hub by its name.

    Raises:
        TaskHubError: that is none.
    """
    if not _NAME.fullmatch(name):
        raise TaskHubError(
            f"{name!r} is no name of a task hub: 3 to 45 letters and digits, a letter first"
        )
    return TaskHub(name)


def escaped(instance_id: InstanceId) -> str:
    """An instance id as the key of a partition of its tables."""
    return instance_id.translate(_SPELLING)


def unescaped(key: str) -> InstanceId:
    """The instance id behind a key."""
    return InstanceId(_ESCAPE.sub(lambda match: _MEANT.get(match[0], match[0]), key))


def row_key(index: int) -> str:
    """The key of an event by its place in the execution, from 0."""
    return f"{index:016X}"


def is_long(text: str) -> bool:
    """Whether a text goes into a blob."""
    return len(text) * 2 > MOST_CHARACTERS and len(text.encode("utf-16-le")) > 2 * MOST_CHARACTERS


def moved(row: Row, kind: str, columns: tuple[str, ...]) -> dict[str, bytes]:
    """Take the long texts out of a row; the blobs they go into, by name.

    The name has what the text amounts to in it, so that a text written again is the same blob.

    Args:
        row: With its keys; changed here.
        kind: What it is: the type of its event.
        columns: Those that may be moved.
    """
    blobs: dict[str, bytes] = {}
    for column in columns:
        text = row.get(column)
        if isinstance(text, str) and is_long(text):
            name = long_name(str(row["PartitionKey"]), str(row["RowKey"]), kind, column, text)
            blobs[name] = packed(text)
            row[column] = ""
            row[f"{column}BlobName"] = name
    return blobs


def long_name(key: str, row: str, kind: str, column: str, text: str) -> str:
    """The name of the blob with a long text."""
    return f"{key}/history-{row}-{kind}-{zlib.crc32(text.encode()):08X}-{column}.json.gz"


def address_of(root: str, container: str, blob: str) -> str:
    """Where a blob is, as the column of an instance says it."""
    return f"{root}/{container}/{quote(blob, safe='/')}"


def packed(text: str) -> bytes:
    """A long text as a blob holds it."""
    return gzip.compress(text.encode(), mtime=0)


def unpacked(blob: bytes) -> str:
    """The text in a blob."""
    return gzip.decompress(blob).decode()
