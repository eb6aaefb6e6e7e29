"""How the worker of an app in Python is started."""

from pathlib import Path
from typing import Final

WORKER_PROGRAM: Final = Path(__file__).parent / "worker" / "start.py"


def worker_command(python: Path) -> list[str]:
    """The command of a worker; the number of its file descriptor is added as the last argument."""
    return [str(python), str(WORKER_PROGRAM)]
