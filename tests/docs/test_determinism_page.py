"""The page about determinism is complete."""

from pathlib import Path

from tenuto.orchestration.guard_audit import REFUSED_EVENTS
from tenuto.orchestration.guard_names import GUARDED_NAMES

PAGE = Path(__file__).parents[2] / "docs" / "determinism.md"


def test_it_names_every_function_that_the_guard_refuses() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [str(row) for row in GUARDED_NAMES if f"`{row}" not in page] == []


def test_it_names_every_kind_of_effect_that_the_guard_refuses() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kinds = {event.partition(".")[0] for event in REFUSED_EVENTS}
    assert [kind for kind in sorted(kinds) if f"`{kind.lstrip('_')}" not in page] == []
