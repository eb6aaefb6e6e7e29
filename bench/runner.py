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
from typing import Final

import msgspec

from bench.catalogue import Figure, Scale
from bench.machine import ROOT
from bench.results import FigureResult, summarize
from bench.slow_fsync import VARIABLE, NotPossibleError, compile_library

FAILED: Final = "failed"
"""How the problem of a figure begins whose process did not do its work."""

_SHOWN_LINES = 20

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
        budget: Seconds; a repetition that would not fit any more is left out. Each figure is
            measured once in any case.
        tell: Is given a line whenever there is something to say.
    """

    def __init__(self, folder: Path, scale: Scale, budget: float, tell: Tell) -> None:
        self._folder = folder
        self._scale = scale
        self._budget = budget
        self._tell = tell
        self._library: Path | None = None

    def measure(self, figures: Sequence[Figure], repetitions: int) -> list[FigureResult]:
        """Each figure, so many times, each time in a fresh process with a store of its own."""
        began = time.monotonic()
        all_progress = [_Progress(figure) for figure in figures]
        with _temporary_folder(Path(tempfile.gettempdir())) as tools:
            self._prepare(all_progress, tools)
            for number in range(repetitions):
                for progress in all_progress:
                    if progress.problem is not None:
                        continue
                    if number and progress.longest > self._left(began):
                        progress.problem = f"only {number} of {repetitions}: out of time"
                        continue
                    self._repeat(progress, f"{number + 1}/{repetitions}")
        _hold_beside(all_progress)
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

    def _left(self, began: float) -> float:
        return self._budget - (time.monotonic() - began)

    def _repeat(self, progress: _Progress, which: str) -> None:
        figure = progress.figure
        began = time.monotonic()
        try:
            values = self._in_child(figure)
        except ChildProcessError as error:
            progress.problem = f"{FAILED}: {error}"
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
        plan = msgspec.json.encode(figure.plan_for(self._scale)).decode()
        environment = dict(os.environ)
        if figure.slow_fsync:
            environment[VARIABLE] = str(self._library)
        with _temporary_folder(self._folder) as store:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "bench.child", plan, str(store)],
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
            lines = done.stderr.strip().splitlines() or ["no message"]
            self._tell("\n".join(lines[-_SHOWN_LINES:]))
            raise ChildProcessError(f"exit code {done.returncode}: {lines[-1]}")
        return msgspec.json.decode(done.stdout, type=dict[str, float])


def _hold_beside(all_progress: Sequence[_Progress]) -> None:
    """Add what is left of another figure's rate, round by round."""
    rates = {
        one.figure.name: [repetition["rate"] for repetition in one.repetitions]
        for one in all_progress
        if any(value.key == "rate" for value in one.figure.values)
    }
    for progress in all_progress:
        others = rates.get(progress.figure.beside or "", [])
        for repetition, other in zip(progress.repetitions, others, strict=False):
            repetition["kept"] = repetition["rate"] / other * 100


@contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".bench-", dir=parent))
    (folder / ".gitignore").write_text("*\n")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
