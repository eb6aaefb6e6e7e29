"""A disk that is slow to be sure: a library that adds 2 ms to every fsync of a process."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

VARIABLE: Final = "LD_PRELOAD"
ADDED_SECONDS: Final = 0.002
"""As slow_fsync.c says."""

_SOURCE = Path(__file__).with_name("slow_fsync.c")


class NotPossibleError(Exception):
    """The library cannot be made here; the message says why."""


def compile_library(folder: Path) -> Path:
    """Compile the library into the folder.

    Raises:
        NotPossibleError: this is not Linux, or there is no C compiler that works.
    """
    if sys.platform != "linux":
        raise NotPossibleError("fsync can be slowed down on Linux only")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotPossibleError("no C compiler (cc) on PATH")
    library = folder / "slow_fsync.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise NotPossibleError(f"{compiler} failed: {reason}")
    return library
