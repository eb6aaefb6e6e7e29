"""Continuing as new may change the version and the tags of an instance: its row, and what follows.

Native orchestrators do not ask for it; the sessions of other programs do.
"""

from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tenuto import App, Context
from tenuto.model.events import ContinueAsNew, ExecutionStarted
from tenuto.orchestration.session import Session
from tenuto.testing import TestHost

Facts = tuple[str | None, dict[str, str]]


def change(monkeypatch: pytest.MonkeyPatch, *changes: dict[str, Any]) -> None:
    """Have each continue-as-new ask for one of these, in this order."""
    left = list(changes)
    inner = Session._ending

    def ending(self: Session) -> Any:  # noqa: ANN401 - as of the method
        found = inner(self)
        return structs.replace(found, **left.pop(0)) if isinstance(found, ContinueAsNew) else found

    monkeypatch.setattr(Session, "_ending", ending)


@pytest.fixture
def app() -> App:
    app = App()

    @app.orchestrator(version="1")
    async def loop(ctx: Context, seen: list[tuple[str | None, dict[str, str]]]) -> list[Facts]:
        await ctx.wait_for_external_event("go")
        found = [*seen, (ctx.version, dict(ctx.tags))]
        if len(found) < 4:
            ctx.continue_as_new(found)
        return found

    return app


async def test_the_row_and_what_follows_have_the_new_ones(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch, {}, {"version": "2", "tags": {"b": "c"}}, {"tags": {}})
    async with TestHost(app, storage=f"sqlite:///{tmp_path}/hub.db") as test:
        handle = await test.client.start("loop", [], instance_id="l", tags={"a": "b"})
        expected: list[Facts] = [("1", {"a": "b"}), ("1", {"a": "b"}), ("2", {"b": "c"}), ("2", {})]
        for number, (version, tags) in enumerate(expected):
            await test.idle()
            status = await handle.status()
            assert (status.version, status.tags) == (version, tags)
            (started,) = [
                event
                for event in await test.client.history("l")
                if isinstance(event, ExecutionStarted)
            ]
            assert (started.version, started.tags or {}) == (version, tags)
            if number % 2:
                await test.restart()
            await handle.raise_event("go")
        assert await handle.result() == expected
