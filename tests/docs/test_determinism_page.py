"""The page about determinism is complete, and its example does what the page says."""

import re
from pathlib import Path

import pytest

from tenuto import App, OrchestrationFailedError
from tenuto.host.settings import Settings
from tenuto.orchestration.guard.audit import REFUSED_EVENTS
from tenuto.orchestration.guard.names import GUARDED_NAMES
from tenuto.testing import TestHost

PAGE = (Path(__file__).parents[2] / "docs" / "determinism.md").read_text(encoding="utf-8")


def test_it_names_every_function_that_the_guard_refuses() -> None:
    names = [str(row) for row in GUARDED_NAMES if row.module.__name__ != "random"]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
    assert "every function of `random`" in PAGE


def test_it_names_every_kind_of_effect_that_the_guard_refuses() -> None:
    kinds = {event.partition(".")[0] for event in REFUSED_EVENTS} - {"builtins"}
    public = sorted(kind for kind in kinds if not kind.startswith("_"))
    assert [kind for kind in public if f"`{kind}" not in PAGE] == []
    assert "`input`" in PAGE


def test_it_gives_the_defaults_of_the_settings() -> None:
    assert f"one turn in {Settings().guard_every:,} is looked at" in PAGE
    assert f"more than {Settings().blocked_turn_seconds:.0f} seconds" in PAGE


async def test_its_example_fails_and_works_as_it_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scope: dict[str, object] = {"__name__": "coin"}
    exec(compile(code, "coin.py", "exec"), scope)
    app = scope["app"]
    assert isinstance(app, App)
    async with TestHost(app) as test:
        assert await test.run("right") in {"heads", "tails"}
        with pytest.raises(OrchestrationFailedError) as failed:
            await test.run("wrong")
    message = f"GuardError: {failed.value.failure.error_message}"
    assert message in " ".join(PAGE.split())
