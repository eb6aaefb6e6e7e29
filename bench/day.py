"""A simulated day of load for the controller of pools: waits, and what the workers cost.

Usage: ``python -m bench.day [SEED…]``. Time and work are simulated, the decisions are those of a
host (``tests.support.simulated_day``), so a machine's speed does not matter.
"""

import sys

from tenuto.engine.scaling import PoolBounds
from tests.support.simulated_day import DAY_SECONDS, Day

_IDLE_STARTS = 2.0
"""So many times what a start takes a worker may idle."""


def main() -> None:
    """Print a table."""
    seeds = [int(one) for one in sys.argv[1:]] or [1, 2, 3]
    print("| start | seed | jobs | p95 wait | worker-seconds | oracle's | ratio | starts | most |")
    print("|---|---|---|---|---|---|---|---|---|")
    for start_seconds in (0.5, 1.0, 2.0):
        bounds = PoolBounds(most=64, idle_seconds=_IDLE_STARTS * start_seconds)
        for seed in seeds:
            one = Day(bounds, start_seconds).run(DAY_SECONDS, seed=seed)
            print(
                f"| {start_seconds:g} s | {seed} | {one.jobs:,} | {one.p95_wait:.2f} s "
                f"| {one.worker_seconds:,.0f} | {one.oracle_seconds:,.0f} | {one.ratio:.2f} "
                f"| {one.starts:,} | {one.most} |"
            )


if __name__ == "__main__":
    main()
