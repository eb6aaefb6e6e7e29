"""Runs hello sequences on this checkout or on another one, each time in a fresh process.

The load is always this checkout's (``bench.hello_process``), and so are the interpreter and the
packages: only Tenuto's own code differs between the two.
"""

import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from bench.machine import ROOT

_TIMEOUT = 900.0


def root_of(text: str) -> Path:
    """The folder of a checkout, given on a command line."""
    path = Path(text).resolve()
    if not (path / "src" / "tenuto" / "__init__.py").is_file():
        raise ArgumentTypeError(f"{path} is no checkout of Tenuto: it has no src/tenuto")
    return path


def run_hellos(
    root: Path, count: int, warm_up: int, concurrency: int, under: Sequence[str] = ()
) -> tuple[dict[str, float], str]:
    """What the process printed, and its standard error; ``under`` is a command that runs it.

    Raises:
        ChildProcessError: it did not do its work.
    """
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as folder:
        numbers = [str(number) for number in (count, warm_up, concurrency)]
        done = subprocess.run(
            [*under, sys.executable, "-m", "bench.hello_process", folder, *numbers],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(root / "src"),
                "PYTHONHASHSEED": "0",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    if done.returncode != 0:
        raise ChildProcessError(f"{root}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout), done.stderr
