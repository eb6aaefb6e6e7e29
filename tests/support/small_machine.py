"""Programs on a machine with little memory: what its service manager would set, for one process."""

import sys
from pathlib import Path
from typing import Literal

from tests.support.terminal import Program

MEBI = 1 << 20

Loop = Literal["uvloop", "asyncio"]

# Settings of docs/small-machines.md. A limit on the stack holds for threads of who is started anew,
# so there are two. Without `site` the first one is not measured, nor is the second one then, whose
# memory would be that of the measuring too.
_START = """
import os, resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    os.environ["MALLOC_ARENA_MAX"] = "2"
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "131072"
for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
    os.environ.pop(name, None)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

_WITHOUT_UVLOOP = """
import sys
sys.modules["uvloop"] = None
from tenuto.cli import main
main()
"""


def unmeasured(
    folder: Path, *arguments: str | Path, limit_bytes: int = 0, loop: Loop = "uvloop"
) -> Program:
    """The command ``tenuto``, without what measures tests.

    Args:
        folder: Where it runs.
        *arguments: Its own.
        limit_bytes: What it may have of memory; 0 for no limit.
        loop: ``asyncio``: uvloop cannot be imported.
    """
    command = ("-m", "tenuto") if loop == "uvloop" else ("-c", _WITHOUT_UVLOOP)
    return unmeasured_python(folder, *command, *arguments, limit_bytes=limit_bytes)


def unmeasured_python(folder: Path, *arguments: str | Path, limit_bytes: int = 0) -> Program:
    """The same for Python itself."""
    return Program(folder, sys.executable, "-S", "-c", _START, str(limit_bytes), *arguments)


def memory_bytes(pid: int, kind: str, of: str = "status") -> int:
    """As Linux counts it: ``VmHWM``, the most so far; ``Rss`` or ``Pss`` of ``smaps_rollup``."""
    lines = Path(f"/proc/{pid}/{of}").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(kind))
