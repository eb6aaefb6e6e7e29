"""What coverage measures: nearly all of the code, by the tests that reach it for little.

Being measured costs a process of Python code as much again as it does. So tests that start many
processes, or do much, and reach no line that others do not reach, are run without. A process that
is killed leaves no figures anyway.

``tests/conftest.py`` takes the hooks from here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

__all__ = ["pytest_collection_modifyitems", "unmeasured_children"]

_TESTS: Final = Path(__file__).parent.parent

_UNMEASURED: Final = (
    "cluster",
    "docs",
    "examples",
    "faults",
    "integration/test_demo.py",
    "integration/test_foreign_pages.py",
    "integration/test_http_openapi.py",
    "interop/test_azure_apps_on_two_hosts.py",
    "ui",
    "unit/bench",
)
"""Neither the test's own process nor those that it starts are measured."""

_UNMEASURED_CHILDREN: Final = (
    *_UNMEASURED,
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests are not measured."""
    for item in items:
        if _is_one_of(item.path, _UNMEASURED):
            item.add_marker(pytest.mark.no_cover)


def _is_one_of(path: Path, names: tuple[str, ...]) -> bool:
    return any(path.is_relative_to(_TESTS / name) for name in names)


@pytest.fixture(autouse=True)
def unmeasured_children(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whether the processes that a test starts are measured."""
    with pytest.MonkeyPatch.context() as patch:
        if _is_one_of(request.path, _UNMEASURED_CHILDREN):
            for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
                patch.delenv(name, raising=False)
        yield
