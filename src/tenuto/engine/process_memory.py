"""How much memory this process has now."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_MEBIBYTE: Final = 1024 * 1024


def resident_mebibytes() -> int:
    """Mebibytes of this process that are in memory, rounded up.

    Where the system does not tell the present, the most that it has ever had; 0 on Windows, which
    tells neither without further packages.
    """
    with suppress(OSError, ValueError, IndexError):
        pages = int(_STATM.read_text("ascii").split()[1])
        return -(-pages * os.sysconf("SC_PAGE_SIZE") // _MEBIBYTE)
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415 - there is none on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return -(-most // _MEBIBYTE) if sys.platform == "darwin" else -(-most // 1024)
