"""A folder as the package that is deployed: one zip, the same for the same files."""

import fnmatch
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tenuto.model.errors import DeploymentError

IGNORED: Final = (
    ".*",
    "__pycache__",
    "node_modules",
    "venv",
    "*.pyc",
    "*.db",
    "*.db-*",
    "*.db.*",
)
"""What is never in a package: names of files and folders at any depth."""

IGNORE_FILE: Final = ".tenutoignore"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_FILE_MODE: Final = 0o100600


def package_of(source: Path, into: Path) -> Path:
    """The zip to be sent: that which is given, or one made of a folder.

    Args:
        source: A zip or a folder.
        into: Where it is made.

    Raises:
        DeploymentError: there is nothing to be deployed, or a link in it.
    """
    if source.is_file():
        if not zipfile.is_zipfile(source):
            raise DeploymentError(f"{source} is neither a folder nor a zip")
        return source
    count = 0
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(_files(source, source, (*IGNORED, *_more(source)))):
            facts = zipfile.ZipInfo(path.relative_to(source).as_posix(), _EPOCH)
            facts.external_attr = _FILE_MODE << 16
            facts.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(facts, path.read_bytes())
            count += 1
    if not count:
        raise DeploymentError(f"{source} holds no files to be deployed")
    return into


def _more(source: Path) -> list[str]:
    file = source / IGNORE_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    stripped = (line.strip().rstrip("/") for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]


def _files(top: Path, folder: Path, ignored: tuple[str, ...]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        there = list(entries)
    for entry in there:
        path = Path(entry.path)
        names = entry.name, path.relative_to(top).as_posix()
        if any(fnmatch.fnmatchcase(name, one) for name in names for one in ignored):
            continue
        if entry.is_symlink():
            raise DeploymentError(f"{path} is a link; name it in {IGNORE_FILE}, or copy the file")
        if entry.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _files(top, path, ignored)
        elif entry.is_file():
            yield path
