"""The form of a write-ahead log, as SQLite documents it. Pure."""

import struct
from typing import Final, NamedTuple

LOG_HEADER: Final = 32
FRAME_HEADER: Final = 24
_HEADER: Final = struct.Struct(">8I")  # magic, version, page size, sequence, two salts, two sums
# Of a frame: its page, the pages of the store after a commit (else 0), two salts, two sums.
_PAGES_AFTER_COMMIT: Final = slice(4, 8)
_MAGIC: Final = frozenset({0x377F0682, 0x377F0683})
_SALTS: Final = slice(16, 24)


class Log(NamedTuple):
    """A log, from its first bytes. A log that begins anew has other salts."""

    header: bytes
    page_bytes: int

    @property
    def frame_bytes(self) -> int:
        """A page and what is said of it."""
        return self.page_bytes + FRAME_HEADER

    @property
    def salts(self) -> bytes:
        """What tells its frames from those that were there before."""
        return self.header[_SALTS]

    def end_of(self, frames: int) -> int:
        """Where so many frames end."""
        return LOG_HEADER + frames * self.frame_bytes

    def frames_in(self, size: int) -> int:
        """How many whole frames fit into so many bytes."""
        return max(size - LOG_HEADER, 0) // self.frame_bytes

    def holds(self, frames: bytes) -> bool:
        """Whether whole frames are all of this log."""
        size = self.frame_bytes
        salts = self.salts
        return len(frames) % size == 0 and all(
            frames[at + 8 : at + 16] == salts for at in range(0, len(frames), size)
        )

    def ends_a_commit(self, frames: bytes) -> bool:
        """Whether the last of these frames is the last of its commit."""
        return any(frames[len(frames) - self.frame_bytes :][_PAGES_AFTER_COMMIT])


def log_of(header: bytes) -> Log | None:
    """The log that begins so; None when these are no such bytes."""
    if len(header) != LOG_HEADER:
        return None
    magic, _, page_bytes, *_ = _HEADER.unpack(header)
    return Log(header, page_bytes) if magic in _MAGIC and page_bytes else None
