"""A folder that files arrive in: what lies there now. Runs in a thread, since disks may be slow."""

import fnmatch
import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tenuto.engine.program import FileTrigger
from tenuto.model.arrived_files import FileVersion, path_text

_HIDDEN = "."


class FoundFile(Struct, frozen=True, gc=False):
    """A file that lies in a folder.

    Attributes:
        path: Its own, as the operating system takes it.
        version: What makes it the one that it is.
    """

    path: str
    version: FileVersion


class Look(Struct, frozen=True):
    """What lies in a folder.

    Attributes:
        device: Which file system it is on.
        files: By their paths below it.
        unread: Folders in it that cannot be read, by their paths below it, and why.
    """

    device: int
    files: dict[str, FoundFile]
    unread: dict[str, OSError]

    def may_have(self, path: str) -> bool:
        """Whether a file may still be there: it was found, or nobody could look."""
        return path in self.files or any(path.startswith(f"{one}/") for one in self.unread)


class Folder:
    """A folder, and which of its files count.

    Args:
        trigger: Says so.
    """

    def __init__(self, trigger: FileTrigger) -> None:
        self.path: str = trigger.folder
        self._recursive = trigger.recursive
        self._with_hidden = trigger.pattern.startswith(_HIDDEN)
        self._matches = re.compile(fnmatch.translate(trigger.pattern)).match

    def look(self) -> Look:
        """What lies there now.

        Raises:
            OSError: the folder cannot be read.
        """
        device = Path(self.path).stat().st_dev
        look = Look(device, {}, {})
        waiting = [("", self.path)]
        while waiting:
            below, path = waiting.pop()
            try:
                with os.scandir(path) as entries:
                    waiting += self._folders_among(below, entries, look.files)
            except OSError as error:
                if not below:
                    raise
                look.unread[path_text(below)] = error
        return look

    def _folders_among(
        self, below: str, entries: Iterator["os.DirEntry[str]"], found: dict[str, FoundFile]
    ) -> list[tuple[str, str]]:
        """Note the files among entries; the folders in which there may be more."""
        folders = []
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            # A link to a folder may lead back to where it stands.
            if entry.is_dir(follow_symlinks=False):
                if self._recursive and not entry.name.startswith(_HIDDEN):
                    folders.append((path, entry.path))
            elif self._counts(entry):
                version = _version_of(entry)
                if version is not None:
                    found[path_text(path)] = FoundFile(entry.path, version)
        return folders

    def _counts(self, entry: "os.DirEntry[str]") -> bool:
        """Whether a name fits. Hidden ones are what tools that copy call what is not yet whole."""
        if entry.name.startswith(_HIDDEN) and not self._with_hidden:
            return False
        return self._matches(entry.name) is not None


def _version_of(entry: "os.DirEntry[str]") -> FileVersion | None:
    """Of a file; None for what is none, or is gone by now.

    A link is none: whoever may write into the folder would have a function read what they may not.
    """
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return FileVersion(status.st_size, status.st_mtime_ns, status.st_ino)
