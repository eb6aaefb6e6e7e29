"""Run all tests on every other CPython of this machine, on the oldest dependencies, and once more
with stores of eight partitions.

Reads what `tools/pythons.py --tests` has prepared, and takes further environments as arguments, as
name=interpreter. Goes on after a failure, and says at the end how each went; fails when one did, or
when there is no other CPython.

    python tools/matrix.py lowest=.venvs/lowest/bin/python
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTITIONS = "8"
LIST = ROOT / ".venvs" / "pythons.json"


def main(arguments: list[str]) -> int:
    """Run them one after the other."""
    pythons: dict[str, str] = json.loads(LIST.read_text())
    if not pythons:
        print("matrix: there is no other CPython of 3.11 to 3.14 on this machine", file=sys.stderr)
        return 1
    for argument in arguments:
        name, _, python = argument.partition("=")
        pythons[name] = python
    outcomes = {name: outcome_on(name, python, {}) for name, python in pythons.items()}
    name = f"{PARTITIONS} partitions"
    outcomes[name] = outcome_on(name, sys.executable, {"SUITE_PARTITIONS": PARTITIONS})
    print("\nmatrix:")
    for name, (code, seconds) in outcomes.items():
        words = "green" if code == 0 else f"RED, pytest ended with {code}"
        print(f"  {name:<12} {words} after {seconds:.0f} s")
    return 0 if all(code == 0 for code, _ in outcomes.values()) else 1


def outcome_on(name: str, python: str, changes: dict[str, str]) -> tuple[int, float]:
    """The exit code of all tests on an interpreter, and how long they took."""
    print(f"\n==== tests on {name} ({python})\n", flush=True)
    began = time.monotonic()
    done = subprocess.run(
        [python, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        # The tools that tests start are those of their own environment.
        env={
            **os.environ,
            "PATH": f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}",
            **changes,
        },
        check=False,
    )
    return done.returncode, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
