"""What is known of the machine: its processors, its disk, what else it does, our own memory."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import apsw
from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent

_KIB_PER_MIB = 1024


class Machine(Struct, frozen=True, kw_only=True):
    """Where and of what the figures were taken."""

    date: str
    revision: str
    python: str
    sqlite: str
    system: str
    processor: str
    cores: int
    load: list[float]
    fsync_ms: float
    folder: str


def describe(folder: Path) -> Machine:
    return Machine(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        revision=_revision(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        sqlite=apsw.sqlite_lib_version(),
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=_cores(),
        load=load_average(),
        fsync_ms=fsync_ms(folder),
        folder=str(folder),
    )


def load_average() -> list[float]:
    """Of 1, 5 and 15 minutes; empty where the system has none."""
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else []


def fsync_ms(folder: Path, samples: int = 200) -> float:
    """Median milliseconds to append 4 KiB to a file in the folder and have it on the disk."""
    sync = getattr(os, "fdatasync", os.fsync)
    seconds = []
    path = folder / "fsync"
    with path.open("wb", buffering=0) as file:
        for _ in range(samples):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            sync(file.fileno())
            seconds.append(time.perf_counter() - began)
    path.unlink()
    return round(statistics.median(seconds) * 1000, 3)


def busy_seconds() -> float | None:
    """Processor seconds that the machine has spent so far, stolen ones included."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib() -> dict[str, float]:
    """Of this process: resident, proportional, and the peak of resident; empty without /proc."""
    try:
        status = _fields("/proc/self/status")
        rollup = _fields("/proc/self/smaps_rollup")
    except OSError:
        return {}
    return {
        "rss_mib": status["VmRSS"] / _KIB_PER_MIB,
        "peak_mib": status["VmHWM"] / _KIB_PER_MIB,
        "pss_mib": rollup["Pss"] / _KIB_PER_MIB,
    }


def _fields(path: str) -> dict[str, int]:
    """The lines ``Name:  123 kB`` of a file."""
    found = {}
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1])
    return found


def _cores() -> int:
    """Those that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return (os.cpu_count() or 1) if affinity is None else len(affinity(0))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _revision() -> str:
    """The commit, and whether files differ from it."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "unknown"
    return f"{commit}, changed" if _git("status", "--porcelain", "--", "src", "bench") else commit


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
