"""What coverage measures: the process of the tests, and most of those that they start.

Being measured costs a process of Python code as much again as it does. So the processes of tests
that start many, and reach no line that others do not reach, are run without. A process that is
killed leaves no figures anyway.

``tests/conftest.py`` takes the fixture from here.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, Final

import pytest

__all__ = ["unmeasured_children"]

_TESTS: Final = Path(__file__).parent.parent

_UNMEASURED_CHILDREN: Final = (
    "cluster",
    "faults",
    "integration/test_cli_changing_code.py",
    "integration/test_cli_doctor.py",
    "integration/test_cli_instances.py",
    "integration/test_cli_nearby.py",
    "integration/test_deploy_drill.py",
    "integration/test_memory.py",  # it takes memory, too
    "integration/test_small_machines.py",
    "integration/test_stopping.py",
    "interop/test_bad_apps.py",
    "interop/test_odd_apps.py",
    "interop/test_samples_of_the_package.py",
    "interop/test_start_an_app.py",
)
"""The processes that these start are not measured."""


@pytest.fixture(autouse=True)
def unmeasured_children(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether the processes that a test starts are measured."""
    with pytest.MonkeyPatch.context() as patch:
        if any(request.path.is_relative_to(_TESTS / name) for name in _UNMEASURED_CHILDREN):
            for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
                patch.delenv(name, raising=False)
        yield


class _Patient(SimpleNamespace):
    """``sys``, as ``threading`` has it, but for one thing."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute
        return getattr(sys, name)

    @staticmethod
    def settrace(function: FunctionType | None) -> None:
        """Trace a thread that begins.

        In CPython 3.11 one of two threads that begin at once is refused ("Cannot install a trace
        function while another trace function is being installed"): it ended without having run,
        and whoever waited for it waited for ever.
        """
        while True:
            try:
                sys.settrace(function)
            except RuntimeError:
                continue
            return


if sys.version_info < (3, 12):
    threading._sys = _Patient()  # type: ignore[attr-defined]
