"""Instructions per hello sequence: a measure that a busy machine cannot blur.

    python -m bench.instructions                     # this checkout
    python -m bench.instructions ../other-checkout   # both, and the ratio

Runs a small and a large load under valgrind (cachegrind without its caches); the difference of the
two, divided by the difference of their sizes, has neither start-up nor shutdown in it. It counts
the whole process: all threads, the client, SQLite. Repeatable to 0.5 %.
"""

import argparse
import re
import shutil
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
    parser.add_argument(
        "--at-most", type=float, metavar="RATIO", help="exit with 1 when a ratio is higher"
    )
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not on PATH (on Debian: apt-get install valgrind)")
    ours = instructions_per_hello(ROOT)
    print(f"{ours / 1000:8.1f} k instructions per hello-3  {ROOT}", flush=True)
    ratios = []
    for other in options.other:
        theirs = instructions_per_hello(other)
        ratios.append(ours / theirs)
        print(f"{theirs / 1000:8.1f} k instructions per hello-3  {other}")
        print(f"{ratios[-1]:8.4f} x  this checkout : {other}", flush=True)
    return int(options.at_most is not None and max(ratios, default=0.0) > options.at_most)


if __name__ == "__main__":
    sys.exit(main())
