"""Processor time per hello sequence, of this checkout and of another one, in turn.

    python -m bench.compare ../other-checkout

Fresh processes alternate, so that what else the machine does meets both alike; the one that begins
alternates too. The medians, and the median of the ratios of neighbours, are what to look at: rates
and single runs mean little on a machine that others use.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from bench.checkout import root_of, run_hellos
from bench.machine import ROOT

_VALUES = {"loop_us": "loop thread, µs", "cpu_us": "all threads, µs", "rate": "hello-3 per second"}

Runs = list[dict[str, float]]


def alternate(other: Path, rounds: int, count: int, tell: Callable[[str], None]) -> list[Runs]:
    """The values of each round: ours, then those of the other checkout."""
    runs: list[Runs] = [[], []]
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            values, _ = run_hellos((ROOT, other)[side], count, count // 10, 1_000)
            runs[side].append(values)
        tell(
            f"{number + 1}/{rounds}: loop thread "
            f"{runs[0][-1]['loop_us']:.1f} µs here, {runs[1][-1]['loop_us']:.1f} there"
        )
    return runs


def ratio(ours: Runs, theirs: Runs, key: str) -> float:
    """Median of what each round gives."""
    return statistics.median(a[key] / b[key] for a, b in zip(ours, theirs, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("other", type=root_of, help="the checkout to compare with")
    parser.add_argument("--rounds", type=int, default=11, metavar="N", help="11 unless told")
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="hellos in each run")
    parser.add_argument(
        "--at-most", type=float, metavar="RATIO", help="exit with 1 when more processor time"
    )
    options = parser.parse_args()
    ours, theirs = alternate(
        options.other,
        options.rounds,
        options.count,
        lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(f"{'median of ' + str(options.rounds):20} {'here':>9} {'there':>9}  medians   rounds")
    for key, label in _VALUES.items():
        here, there = (statistics.median(run[key] for run in runs) for runs in (ours, theirs))
        medians, rounds = here / there, ratio(ours, theirs, key)
        print(f"{label:20} {here:9.1f} {there:9.1f}  {medians:.3f} x  {rounds:.3f} x")
    if options.at_most is None:
        return 0
    return int(max(ratio(ours, theirs, key) for key in ("loop_us", "cpu_us")) > options.at_most)


if __name__ == "__main__":
    sys.exit(main())
