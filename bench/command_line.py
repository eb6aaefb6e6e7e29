"""How long the command line takes to answer, in a fresh process each time."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.catalogue import Plan
from bench.loads import Values


def measure(plan: Plan, folder: Path) -> Values:
    """Medians, in milliseconds."""
    store = f"sqlite:///{folder / 'bench.db'}"
    (folder / "app.py").write_text(
        "from tenuto import App, Context\n\napp = App()\n\n\n@app.orchestrator\n"
        "async def nothing(ctx: Context) -> None: ...\n"
    )
    run = [*_TENUTO, "run", "app.py:nothing", "--storage", store]
    subprocess.run(run, cwd=folder, capture_output=True, check=True)
    return {
        "help_ms": _median(folder, plan.count, "--help"),
        "list_ms": _median(folder, plan.count, "instances", "list", "--storage", store),
    }


_TENUTO = (sys.executable, "-m", "tenuto")


def _median(folder: Path, count: int, *arguments: str) -> float:
    milliseconds = []
    for _ in range(count):
        began = time.perf_counter()
        subprocess.run([*_TENUTO, *arguments], cwd=folder, capture_output=True, check=True)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return statistics.median(milliseconds)
