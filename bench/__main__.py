"""Measures Tenuto: ``python -m bench``. See docs/benchmarks.md."""

import argparse
import shlex
import sys
import time
from math import inf
from pathlib import Path

import msgspec
from rich.console import Console

from bench.catalogue import FIGURES, Figure, Scale
from bench.machine import describe, load_average
from bench.report import before_of, print_report
from bench.results import FigureResult, Run, from_file, to_lines
from bench.runner import FAILED, Runner

_BUDGET_SECONDS = 280.0
"""`make bench` takes at most 5 minutes."""

_REPETITIONS = 3
_WIDTH_OF_A_FILE = 160


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if options.list:
        _print_list()
        return 0
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_FILE
    before = before_of(_read(parser, options.compare)[1]) if options.compare else None
    if options.show:
        print_report(console, *_read(parser, options.show), before, markdown=options.markdown)
        return 0
    run, figures = _measure(options)
    print_report(console, run, figures, before, markdown=options.markdown)
    lines = "".join(f"{line}\n" for line in to_lines(run, figures))
    if options.json is None:
        sys.stdout.write(lines)
    else:
        options.json.write_text(lines)
    return 1 if any(_has_failed(one) for one in figures) else 0


def _measure(options: argparse.Namespace) -> tuple[Run, list[FigureResult]]:
    scale = Scale.QUICK if options.quick else Scale.FULL if options.full else Scale.STANDARD
    folder = options.dir.resolve()
    began = time.monotonic()
    machine = describe(folder)
    budget = _BUDGET_SECONDS if scale is Scale.STANDARD else inf
    runner = Runner(folder, scale, budget, _tell)
    repetitions = options.repetitions or (1 if scale is Scale.QUICK else _REPETITIONS)
    figures = runner.measure(_chosen(options.only, scale), repetitions)
    run = Run(
        machine=machine,
        scale=scale,
        command=shlex.join(["python", "-m", "bench", *sys.argv[1:]]),
        seconds=round(time.monotonic() - began, 1),
        load_at_end=load_average(),
    )
    return run, figures


def _chosen(only: list[str] | None, scale: Scale) -> list[Figure]:
    if only:
        return [figure for figure in FIGURES if figure.name in only]
    return [figure for figure in FIGURES if scale is not Scale.STANDARD or not figure.full_only]


def _has_failed(result: FigureResult) -> bool:
    return result.problem is not None and result.problem.startswith(FAILED)


def _read(parser: argparse.ArgumentParser, path: Path) -> tuple[Run, list[FigureResult]]:
    try:
        return from_file(path)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        parser.error(f"{path}: not a file that --json wrote ({error})")


def _print_list() -> None:
    for figure in FIGURES:
        mark = " (only with --full or --only)" if figure.full_only else ""
        print(f"{figure.name:22} {figure.title}{mark}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--full", action="store_true", help="all figures, however long it takes")
    scale.add_argument("--quick", action="store_true", help="a smoke run; its figures mean nothing")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        choices=[figure.name for figure in FIGURES],
        help="this figure; may be given several times",
    )
    parser.add_argument("--list", action="store_true", help="name the figures and stop")
    parser.add_argument("--repetitions", type=int, metavar="N", help=f"instead of {_REPETITIONS}")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(),
        help="the stores are made in a folder in it; the current folder by default",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the JSON lines here, not below the table"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="show what changed since a --json FILE"
    )
    parser.add_argument(
        "--show",
        type=Path,
        metavar="FILE",
        help="print the table of a --json FILE, measure nothing",
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
