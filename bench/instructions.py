"""Instructions per hello sequence: a measure that a busy machine hardly blurs.

    python -m bench.instructions                     # this checkout
    python -m bench.instructions ../other-checkout   # both, and the ratio

Runs a small and a large load under valgrind (cachegrind without its caches); the difference of the
two, divided by the difference of their sizes, has neither start-up nor shutdown in it. It counts
the whole process: all threads, the client, SQLite. Told is the median of some rounds, in which the
checkouts take turns: how many turns share a commit is a matter of time, even here.
"""

import argparse
import re
import shutil
import statistics
import sys
from pathlib import Path

from bench.checkout import root_of, run_hellos
from bench.machine import ROOT

_SMALL, _LARGE, _WARM_UP, _CONCURRENCY = 100, 500, 100, 100
_COUNT = re.compile(r"I\s+refs:\s+([\d,]+)")
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def instructions_per_hello(root: Path) -> float:
    """Of the checkout in that folder."""
    small, large = (_count(root, count) for count in (_SMALL, _LARGE))
    return (large - small) / (_LARGE - _SMALL)


def _count(root: Path, count: int) -> int:
    _values, told = run_hellos(root, count, _WARM_UP, _CONCURRENCY, _VALGRIND)
    found = _COUNT.search(told)
    if found is None:
        raise ChildProcessError(f"valgrind told no count of instructions:\n{told[-2000:]}")
    return int(found[1].replace(",", ""))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("other", nargs="*", type=root_of, help="checkouts to compare with")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="3 unless told")
    parser.add_argument(
        "--at-most", type=float, metavar="RATIO", help="exit with 1 when a ratio is higher"
    )
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not on PATH (on Debian: apt-get install valgrind)")
    roots = [ROOT, *options.other]
    rounds = [[instructions_per_hello(root) for root in roots] for _ in range(options.rounds)]
    counts = [statistics.median(column) for column in zip(*rounds, strict=True)]
    for root, count, column in zip(roots, counts, zip(*rounds, strict=True), strict=True):
        spread = f"{min(column) / 1000:.1f} .. {max(column) / 1000:.1f}"
        print(f"{count / 1000:8.1f} k instructions per hello-3 ({spread})  {root}")
    ratios = [counts[0] / count for count in counts[1:]]
    for root, found in zip(options.other, ratios, strict=True):
        print(f"{found:8.4f} x  this checkout : {root}")
    return int(options.at_most is not None and max(ratios, default=0.0) > options.at_most)


if __name__ == "__main__":
    sys.exit(main())
