"""Hold the parts that carry the promises to full coverage, beyond the average of the whole.

Reads the JSON report of `coverage`, adds up lines and branches under each path of `MINIMUM`, and
fails with the places that no test reached. It never runs tests itself.

    python tools/coverage_gate.py build/coverage/coverage.json
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Path prefix -> percentage of lines and branches that tests must reach.
MINIMUM = {
    "src/tenuto/": 95.0,
    "src/tenuto/model/": 100.0,
    "src/tenuto/orchestration/": 100.0,
    "src/tenuto/engine/turns/orchestration.py": 100.0,
}


@dataclass(frozen=True)
class FileCoverage:
    """What the tests reached in one file."""

    path: str
    reached: int
    total: int
    missing_lines: list[int]
    missing_branches: list[tuple[int, int]]

    def gaps(self) -> str:
        """The lines and branches not reached, as a person would look for them."""
        lines = [str(line) for line in self.missing_lines]
        branches = [f"{start}->{end}" for start, end in self.missing_branches]
        return ", ".join(lines + branches)


def main(arguments: list[str]) -> int:
    """Print one line per gate, and the gaps of those that fail."""
    if len(arguments) != 1:
        print("usage: coverage_gate.py COVERAGE_JSON", file=sys.stderr)
        return 2
    files = list(read_report(Path(arguments[0])))
    results = [check(prefix, minimum, files) for prefix, minimum in MINIMUM.items()]
    return 0 if all(results) else 1


def read_report(report: Path) -> Iterator[FileCoverage]:
    """The files of a JSON report that have anything to cover."""
    for path, entry in json.loads(report.read_text())["files"].items():
        summary = entry["summary"]
        yield FileCoverage(
            path=path.replace("\\", "/"),
            reached=summary["covered_lines"] + summary.get("covered_branches", 0),
            total=summary["num_statements"] + summary.get("num_branches", 0),
            missing_lines=entry["missing_lines"],
            missing_branches=[(start, end) for start, end in entry.get("missing_branches", [])],
        )


def check(prefix: str, minimum: float, files: list[FileCoverage]) -> bool:
    """Whether the files under `prefix` reach `minimum` percent together."""
    chosen = [file for file in files if file.path.startswith(prefix)]
    if not chosen:
        # A renamed folder must not silently lose its gate.
        print(f"coverage gate: FAIL {prefix} is not in the report: fix the table in {__file__}")
        return False
    total = sum(file.total for file in chosen)
    percent = 100.0 * sum(file.reached for file in chosen) / total if total else 100.0
    passed = percent >= minimum
    print(f"coverage gate: {'ok  ' if passed else 'FAIL'} {prefix} {percent:.1f} % of {minimum} %")
    if not passed:
        for file in chosen:
            if file.reached < file.total:
                print(f"    {file.path}: {file.gaps()}")
    return passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
