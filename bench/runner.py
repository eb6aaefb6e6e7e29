"""The parent: measures each figure in fresh child processes, round after round.

The repetitions of all figures are interleaved, so that what else the machine does is spread over
all of them.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.catalogue import Figure, Plan, Scale
from bench.machine import ROOT
from bench.results import FigureResult, summarize
from bench.slow_fsync import VARIABLE, NotPossibleError, compile_library

Tell = Callable[[str], None]


class _Progress:
    """One figure while it is being measured."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.repetitions: list[dict[str, float]] = []
        self.problem: str | None = None
        self.longest = 0.0


class Runner:
    """Measures figures.

    Args:
        folder: Each process gets a folder in it, for its store.
        scale: How much to measure.
        budget: Seconds after which no further repetition begins; None for no limit. Each figure
            is measured once in any case.
        tell: Is given a line whenever there is something to say.
    """

    def __init__(self, folder: Path, scale: Scale, budget: float | None, tell: Tell) -> None:
        self._folder = folder
        self._scale = scale
        self._budget = budget
        self._tell = tell
        self._library: Path | None = None

    def measure(self, figures: Sequence[Figure], repetitions: int | None) -> list[FigureResult]:
        """All figures; ``repetitions`` overrides their own numbers."""
        began = time.monotonic()
        all_progress = [_Progress(figure) for figure in figures]
        with _temporary_folder(Path(tempfile.gettempdir())) as tools:
            self._prepare(all_progress, tools)
            wanted = [repetitions or one.repetitions_for(self._scale) for one in figures]
            for number in range(max(wanted, default=0)):
                for progress, most in zip(all_progress, wanted, strict=True):
                    if number >= most or progress.problem is not None:
                        continue
                    left = self._left(began)
                    if number and left is not None and progress.longest > left:
                        progress.problem = f"stopped after {number} of {most}: out of time"
                        continue
                    self._repeat(progress, f"{number + 1}/{most}")
        return [
            summarize(one.figure, self._scale, one.repetitions, one.problem) for one in all_progress
        ]

    def _prepare(self, all_progress: Sequence[_Progress], tools: Path) -> None:
        slow = [progress for progress in all_progress if progress.figure.slow_fsync]
        if not slow:
            return
        try:
            self._library = compile_library(tools)
        except NotPossibleError as error:
            for progress in slow:
                progress.problem = f"skipped: {error}"
                self._tell(f"{progress.figure.name}: {progress.problem}")

    def _left(self, began: float) -> float | None:
        return None if self._budget is None else self._budget - (time.monotonic() - began)

    def _repeat(self, progress: _Progress, which: str) -> None:
        figure = progress.figure
        began = time.monotonic()
        try:
            values = self._in_child(figure)
        except ChildProcessError as error:
            progress.problem = f"failed: {error}"
            self._tell(f"{figure.name} {which}: {progress.problem}")
            return
        seconds = time.monotonic() - began
        progress.longest = max(progress.longest, seconds)
        progress.repetitions.append(values)
        shown = ", ".join(
            f"{value.label} {values[value.key]:,.4g} {value.unit}"
            for value in figure.values
            if value.key in values
        )
        self._tell(f"{figure.name} {which} ({seconds:.1f} s): {shown}")

    def _in_child(self, figure: Figure) -> dict[str, float]:
        plan: Plan = figure.plan_for(self._scale)
        environment = dict(os.environ)
        if figure.slow_fsync:
            environment[VARIABLE] = str(self._library)
        with _temporary_folder(self._folder) as store:
            try:
                done = subprocess.run(
                    [
                        *(sys.executable, "-m", "bench.child"),
                        *(msgspec.json.encode(plan).decode(), str(store)),
                    ],
                    cwd=ROOT,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=figure.timeout,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ChildProcessError(f"no result within {figure.timeout:.0f} s") from None
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            sys.stderr.write(done.stderr)
            raise ChildProcessError(f"exit code {done.returncode}: {last}")
        return msgspec.json.decode(done.stdout, type=dict[str, float])


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
