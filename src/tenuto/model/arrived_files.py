"""What is known of the files of a folder that start a function: as texts of the store. Pure.

A file is known by its path below the folder, and is another one when its size, its time or its
inode has changed. What is known is spread over many notes by path, so that a change of one file
writes a short one, however many files lie in the folder.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Final
from zlib import crc32

import msgspec
from msgspec import Struct, structs

NOTES: Final = 1_024
"""Over so many notes the files of a folder are spread."""


class FileVersion(Struct, frozen=True, array_like=True, gc=False):
    """What makes a file the one that it is, besides its path.

    Attributes:
        size: In bytes.
        modified_ns: When its content was last changed, in nanoseconds since 1970.
        inode: Its number in its file system.
    """

    size: int
    modified_ns: int
    inode: int


class FileStanding(StrEnum):
    """How a file stands."""

    WAITING = "w"
    RUNNING = "r"
    DONE = "d"
    FAILED = "f"


class KnownFile(Struct, frozen=True, array_like=True, gc=False):
    """What is known of a file.

    Attributes:
        version: Of the file that it is known of.
        standing: How it stands.
        failures: How many attempts have failed.
        deaths: How many hosts have died while its function ran.
    """

    version: FileVersion
    standing: FileStanding = FileStanding.WAITING
    failures: int = 0
    deaths: int = 0

    def now(self, standing: FileStanding) -> "KnownFile":
        """The same file, standing so."""
        return structs.replace(self, standing=standing)

    def failed(self, standing: FileStanding) -> "KnownFile":
        """The same after one more attempt that has failed."""
        return structs.replace(self, standing=standing, failures=self.failures + 1)

    def taken_up(self) -> "KnownFile":
        """The same as the next host finds it: one that ran has seen the end of the host before."""
        if self.standing is not FileStanding.RUNNING:
            return self
        return structs.replace(self, standing=FileStanding.WAITING, deaths=self.deaths + 1)


KnownFiles = dict[str, KnownFile]
"""What is known of files, by their paths in the form of ``path_text``."""

_decode: Final = msgspec.json.Decoder(KnownFiles).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def note_of(path: str) -> int:
    """Which of the notes a file is in."""
    return crc32(path.encode()) % NOTES


def note_key(function: str, number: int) -> str:
    """The key of a note."""
    return f"files/{number:x}/{function}"


def device_key(function: str) -> str:
    """The key of the note that says on which device the folder was."""
    return f"files/device/{function}"


def encode_files(files: KnownFiles) -> str:
    """What is known of some files, as a note."""
    return _encode(files).decode()


def decode_files(text: str) -> KnownFiles | None:
    """What a note says; None when it is none."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class FileContent(Struct, frozen=True):
    """What is kept of a file that was put aside.

    Attributes:
        path: Below the folder, in the form of ``path_text``.
        size: In bytes.
    """

    path: str
    size: int = 0


_decode_content: Final = msgspec.json.Decoder(FileContent).decode


def path_in(content: bytes) -> str | None:
    """The path of a file that was put aside, out of the JSON form of ``FileContent``; None when it
    is none.
    """
    try:
        return _decode_content(content).path
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def path_text(path: str) -> str:
    """A path below a folder as a text that a store can keep: itself, if it is one.

    Names need not be UTF-8; those that are not come in a form that no path has.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"/{path.encode('utf-8', 'surrogateescape').hex()}"
    return path


def file_id(path: str, version: FileVersion) -> str:
    """The id under which a file is delivered: the same for each attempt, another when it changes.

    Args:
        path: In the form of ``path_text``.
        version: Of the file.
    """
    parts = f"{version.size}/{version.modified_ns}/{version.inode}/{path}"
    return sha256(parts.encode()).hexdigest()[:32]
