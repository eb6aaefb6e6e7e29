"""Look once more at the few tests that failed beside others, each alone.

Thousands of tests share two processors with servers, browsers and processes that are killed; one
of them now and then waits in vain for its turn. Such a test has to pass three times in a row with
nothing beside it, and is named at the end: it stays a defect, of the test or of what it tests.
More than three are no accident, and a test that fails alone has failed. What pytest itself could
not do (an error of collection, a run that was broken off) is never looked at again.

    python tools/alone.py CACHE_DIRECTORY EXIT_CODE
"""

import json
import subprocess
import sys
from pathlib import Path

ARGUMENTS = ("CACHE_DIRECTORY", "EXIT_CODE")
MOST = 3
TIMES = 3
TESTS_FAILED = 1


def main(arguments: list[str]) -> int:
    """Run them, and say what came of it; the exit code of pytest where it cannot be mended."""
    if len(arguments) != len(ARGUMENTS):
        print("usage: alone.py", *ARGUMENTS, file=sys.stderr)
        return 2
    cache, code = arguments[0], int(arguments[1])
    failed = failed_tests(Path(cache))
    if code != TESTS_FAILED or not failed:
        return code
    if len(failed) > MOST:
        print(f"alone: {len(failed)} tests failed; with more than {MOST} none is looked at again")
        return code
    print(f"alone: {len(failed)} failed beside others; each runs {TIMES} times alone now")
    fails_alone = [test for test in failed if not all(passes(test) for _ in range(TIMES))]
    print("\nalone:")
    for test in failed:
        print(f"  {'FAILED ALONE TOO' if test in fails_alone else 'failed beside others'}: {test}")
    return code if fails_alone else 0


def failed_tests(cache: Path) -> list[str]:
    """What pytest noted of the run that used this folder."""
    try:
        return sorted(json.loads((cache / "v" / "cache" / "lastfailed").read_text()))
    except FileNotFoundError:
        return []


def passes(test: str) -> bool:
    """Whether a test passes with nothing beside it."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--no-cov", test]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
