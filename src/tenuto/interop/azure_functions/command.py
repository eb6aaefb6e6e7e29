"""How the worker of an app in Python is started: which interpreter, which program."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

WORKER_PROGRAM: Final = Path(__file__).parent / "worker" / "start.py"

# What `python -m venv` is told by most people, in this order.
_ENVIRONMENTS: Final = (".venv", "venv", "env", ".env")


def worker_command(python: Path) -> list[str]:
    """The command of a worker; the number of its file descriptor is added as the last argument."""
    return [str(python), str(WORKER_PROGRAM)]


def find_python(root: Path, environment: Mapping[str, str]) -> Path:
    """The interpreter that an app's packages are installed for.

    The environment that is active comes first, as it does for Core Tools, then one in the app's
    folder, then the first Python on PATH, and at last the one that runs Tenuto.

    Args:
        root: The app's folder.
        environment: The host's, for ``VIRTUAL_ENV`` and ``PATH``.
    """
    return next(_candidates(root, environment), Path(sys.executable))


def _candidates(root: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    folders = [root / name for name in _ENVIRONMENTS]
    if active := environment.get("VIRTUAL_ENV"):
        folders.insert(0, Path(active))
    for folder in folders:
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if python.is_file():
            yield python
    for name in ("python3", "python"):
        if found := shutil.which(name, path=environment.get("PATH", "")):
            yield Path(found)
