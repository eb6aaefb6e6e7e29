"""What was measured, as data: one JSON line about the run, then one per figure."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

from bench.catalogue import Figure, Plan, Scale, Target
from bench.machine import Machine


class Summary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value over all repetitions; ``reached`` is None without a target."""

    median: float
    min: float
    max: float
    all: list[float]
    unit: str = ""
    target: Target | None = None
    reached: bool | None = None


class FigureResult(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All repetitions of a figure; ``problem`` says why some or all are missing."""

    figure: str
    title: str
    plan: Plan
    repetitions: int
    values: dict[str, Summary] = field(default_factory=dict)
    problem: str | None = None


class Run(Struct, frozen=True, kw_only=True):
    """One call of the benchmarks."""

    machine: Machine
    scale: Scale
    command: str
    seconds: float
    load_at_end: list[float]


def summarize(
    figure: Figure,
    scale: Scale,
    repetitions: Sequence[dict[str, float]],
    problem: str | None,
) -> FigureResult:
    """Median, lowest and highest of each value, held against its target but in a smoke run."""
    known = {value.key: value for value in figure.values}
    keys = dict.fromkeys(key for repetition in repetitions for key in repetition)
    values = {}
    for key in keys:
        numbers = [repetition[key] for repetition in repetitions if key in repetition]
        target = known[key].target if key in known and scale is not Scale.QUICK else None
        median = statistics.median(numbers)
        values[key] = Summary(
            median=_rounded(median),
            min=_rounded(min(numbers)),
            max=_rounded(max(numbers)),
            all=[_rounded(number) for number in numbers],
            unit=known[key].unit if key in known else "",
            target=target,
            reached=None if target is None else target.is_reached(median),
        )
    return FigureResult(
        figure=figure.name,
        title=figure.title,
        plan=figure.plan_for(scale),
        repetitions=len(repetitions),
        values=values,
        problem=problem,
    )


def _rounded(number: float) -> float:
    return float(f"{number:.5g}")


def to_lines(run: Run, figures: Sequence[FigureResult]) -> list[str]:
    return [msgspec.json.encode(line).decode() for line in (run, *figures)]


def from_file(path: Path) -> tuple[Run, list[FigureResult]]:
    """Read what ``to_lines`` gave.

    Raises:
        OSError, msgspec.DecodeError: it is not there, or something else.
    """
    head, *lines = path.read_bytes().splitlines()
    return (
        msgspec.json.decode(head, type=Run),
        [msgspec.json.decode(line, type=FigureResult) for line in lines],
    )
