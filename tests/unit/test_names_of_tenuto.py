"""What ``tenuto`` exports is loaded when it is asked for, all at once."""

import subprocess
import sys

import pytest

import tenuto
from tenuto import api


def loaded_by(code: str) -> set[str]:
    """The modules of ours that a fresh interpreter has after this."""
    lines = f"import sys\n{code}\nprint(*(one for one in sys.modules if one.startswith('tenuto')))"
    done = subprocess.run(
        [sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=30
    )
    return set(done.stdout.split())


def test_all_names_are_there_and_no_others() -> None:
    for name in api.__all__:
        assert getattr(tenuto, name) is getattr(api, name)
    assert tenuto.__all__ == api.__all__
    assert {*api.__all__, "__version__"} <= set(dir(tenuto))
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        tenuto.Nope  # type: ignore[attr-defined]  # noqa: B018 - that it is not there


def test_the_command_loads_no_host_for_its_help() -> None:
    found = loaded_by("import tenuto.cli.command")
    assert "tenuto.cli.command" in found
    assert not found & {"tenuto.host", "tenuto.engine", "tenuto.storage", "tenuto.client.client"}


def test_the_first_name_brings_all_of_them() -> None:
    """Were one loaded by its first use within a turn, the guard would refuse that."""
    one = loaded_by("from tenuto import RetryPolicy")
    assert {"tenuto.host.host", "tenuto.client.client", "tenuto.schedule"} <= one
