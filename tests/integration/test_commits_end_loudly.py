"""A bug in what follows a commit must not end commits in silence."""

import asyncio

import pytest

from tenuto import App, Context, Host, StorageError, StorageUnavailableError
from tenuto.telemetry.log_observer import LogObserver


class Broken(LogObserver):
    """Raises where the host is not kept from it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def crash_point(self, name: str) -> None:
        if name == "after_commit":
            raise ZeroDivisionError("a bug")

    def problem(self, instance_id: str | None, text: str) -> None:
        self.problems.append(text)


async def test_no_silent_drop_a_bug_after_a_commit_is_told_to_everyone_who_waits() -> None:
    app = App()

    @app.orchestrator
    async def hello(ctx: Context) -> str:
        return "hello"

    observer = Broken()
    async with Host(app, storage="sqlite://", observer=observer) as host:
        with pytest.raises(StorageError, match="ended by a bug"):
            await asyncio.wait_for(host.client.start(hello), 10)
        assert isinstance(await asyncio.wait_for(host.until_lost(), 10), StorageError)
        with pytest.raises(StorageUnavailableError):
            await host.client.start(hello)
    assert any("ZeroDivisionError" in text for text in observer.problems)
