"""The typing suite: mypy and pyright find in the files beside this one exactly what these say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FILES = sorted(str(path) for path in HERE.glob("*.py") if path.name != Path(__file__).name)

pytestmark = pytest.mark.timeout(300)  # checkers without a cache take their time


def check(*command: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_there_are_files_to_check() -> None:
    assert len(FILES) >= 2


def test_mypy_infers_and_refuses_what_the_files_say() -> None:
    check("mypy", "--no-error-summary", "--follow-imports=silent", *FILES)


def test_pyright_infers_and_refuses_what_the_files_say() -> None:
    check("pyright", "--project", str(HERE), "--pythonpath", sys.executable)
