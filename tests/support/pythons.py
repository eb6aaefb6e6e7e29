"""The other Pythons of this machine, and questions to them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / ".venvs" / "pythons.json"


def this_python() -> tuple[int, int]:
    """The minor version that runs the tests."""
    return sys.version_info[:2]


def other_pythons() -> dict[tuple[int, int], str]:
    """Interpreters of other supported versions, by version; ``make pythons`` prepares them.

    With ``CI=true`` there must be one: replay across versions is a promise.
    """
    listed: dict[str, str] = json.loads(LIST.read_text()) if LIST.exists() else {}
    if os.environ.get("CI") == "true":
        assert listed, f"CI needs a second Python to replay on: run `make pythons` ({LIST})"
    found = {}
    for name, python in listed.items():
        major, minor = map(int, name.split("."))
        found[major, minor] = python
    found.pop(this_python(), None)  # `make matrix` runs the tests on those of the list
    return found


def ask(
    python: str, script: str, request: object, *, timeout_seconds: float = 50, **environment: str
) -> Any:  # noqa: ANN401 - JSON
    """Run a script of ``tests/support`` that reads JSON and writes JSON."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    asked = subprocess.run(
        [python, "-W", "error", str(ROOT / "tests" / "support" / script)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        env={**os.environ, "PYTHONPATH": path, **environment},
        check=False,
    )
    # Warnings at the end of an object's life are only printed.
    assert (asked.returncode, asked.stderr) == (0, ""), asked.stderr[-4000:]
    return json.loads(asked.stdout)
