"""Unpacking a package that somebody has sent: safely and whole, or not at all.

Nothing that a zip says of itself is trusted: bytes are counted while they are read.
"""

import hashlib
import lzma
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import Final

from tenuto.model.errors import DeploymentError

MOST_FILES: Final = 10_000
_LONGEST_NAME: Final = 255
_LONGEST_PATH: Final = 1_024
_PIECE: Final = 1024 * 1024
_FREE_BYTES: Final = 16 * 1024 * 1024
_MOST_RATIO: Final = 100
_DIGITS: Final = 16
_END: Final = struct.Struct("<4s4H2LH")
"""The record at the end of a zip; its sixth field is how long the list of files is."""
_END_BYTES: Final = 65_536 + _END.size
_MOST_ENTRY: Final = 300
"""Of an entry of that list, on the average."""
_FOLDER: Final = 0o700
_FILE: Final = 0o600
_NO_NAME: Final = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def unpack(archive: Path, folder: Path, most_bytes: int) -> str:
    """Unpack a zip into a folder that is not there yet.

    Args:
        archive: The zip.
        folder: What is made. After an error it may be there in part; who calls removes it.
        most_bytes: How large all files together may be.

    Returns:
        The version: a digest of all names and contents.

    Raises:
        DeploymentError: it is no zip, holds what it must not, or is larger than allowed.
    """
    folder.mkdir(mode=_FOLDER, parents=True)
    _check_list(archive)
    try:
        with zipfile.ZipFile(archive) as zipped:
            return _unpacked(zipped, folder, most_bytes, archive.stat().st_size)
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        NotImplementedError,
        UnicodeError,
        ValueError,
    ) as error:
        raise DeploymentError(f"the package is no sound zip: {error}") from None


def _check_list(archive: Path) -> None:
    """See that the list of what is in a zip is not so long that reading it takes the memory.

    Raises:
        DeploymentError: it is. What is no zip is for others to find.
    """
    with archive.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _END_BYTES))
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return
    size = _END.unpack_from(tail, at)[5]
    if size > MOST_FILES * _MOST_ENTRY:
        raise DeploymentError(
            f"the package's list of files takes {size:,} bytes, as that of far more than "
            f"{MOST_FILES:,} files would"
        )


def _unpacked(zipped: zipfile.ZipFile, folder: Path, most_bytes: int, packed: int) -> str:
    members = zipped.infolist()
    if len(members) > MOST_FILES:
        raise DeploymentError(f"the package has {len(members):,} files; at most {MOST_FILES:,}")
    names = _Names()
    most = min(most_bytes, max(_FREE_BYTES, packed * _MOST_RATIO))
    digests: list[str] = []
    total = 0
    for member in members:
        parts = names.checked(member)
        place = folder.joinpath(*parts)
        if member.is_dir():
            place.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
            continue
        place.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
        with os.fdopen(descriptor, "wb") as written, zipped.open(member) as read:
            while piece := read.read(_PIECE):
                total += len(piece)
                if total > most:
                    raise DeploymentError(
                        f"the package has more than {most:,} bytes when it is unpacked "
                        "(setting deploy.unpacked_bytes, and at most 100 times its own size)"
                    )
                digest.update(piece)
                written.write(piece)
            written.flush()
            os.fsync(written.fileno())
        digests.append(f"{'/'.join(parts)}\x00{digest.hexdigest()}")
    if not digests:
        raise DeploymentError("the package is empty")
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:_DIGITS]


class _Names:
    """The names of a package: none twice, in whichever case or form of Unicode."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: dict[str, str] = {}

    def checked(self, member: zipfile.ZipInfo) -> list[str]:
        """The parts of a member's path.

        Raises:
            DeploymentError: it leads out of the folder, or is not the name of one file.
        """
        name = member.orig_filename
        parts = name.removesuffix("/").split("/")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise DeploymentError(f"{name!r} in the package is a link or a device")
        if member.flag_bits & 0x1:
            raise DeploymentError(f"{name!r} in the package is encrypted")
        if len(name.encode()) > _LONGEST_PATH or not all(map(_is_name, parts)):
            raise DeploymentError(
                f"{name[:_LONGEST_PATH]!r} in the package is no name that is safe: relative, "
                "with / between its parts, none of them '..', and short"
            )
        for number in range(1, len(parts)):
            self._add_folder("/".join(parts[:number]))
        whole = "/".join(parts)
        if member.is_dir():
            self._add_folder(whole)
        elif _folded(whole) in self._files or _folded(whole) in self._folders:
            raise DeploymentError(f"{name!r} is in the package twice, perhaps in another case")
        else:
            self._files.add(_folded(whole))
        return parts

    def _add_folder(self, path: str) -> None:
        folded = _folded(path)
        if folded in self._files or self._folders.setdefault(folded, path) != path:
            raise DeploymentError(f"{path!r} is in the package twice, perhaps in another case")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _is_name(part: str) -> bool:
    return (
        part not in {"", ".", ".."}
        and len(part.encode()) <= _LONGEST_NAME
        and not part.endswith((" ", "."))
        and _NO_NAME.search(part) is None
        and _DEVICES.fullmatch(part) is None
    )
