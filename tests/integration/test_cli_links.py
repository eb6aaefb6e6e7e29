"""``tenuto link`` and ``tenuto links``: links are made, looked at and removed beside hosts."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tenuto import App, Context, OrchestrationFailedError, Settings
from tenuto.cli.command import run_command_line
from tenuto.host.host import Host
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tests.support.waiting import until_given

app = App()
HUB, BOX = "sqlite:///hub.db", "sqlite:///box.db"


@app.orchestrator
async def collect(ctx: Context) -> str:
    return await ctx.wait_for_external_event("reading", str)


@app.orchestrator
async def ask(ctx: Context) -> str:
    return str(await ctx.call_sub_orchestrator("judge", on="hub"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Commands:
    """The command line, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """In a thread, as a process would: hosts of the test go on meanwhile."""
        found = await asyncio.to_thread(run_command_line, list(arguments))
        captured = self._capsys.readouterr()
        assert found == code, captured.out + captured.err
        return captured.out, captured.err

    async def read(self, *arguments: str) -> Any:  # noqa: ANN401 - any JSON
        return json.loads((await self.run(*arguments, "--json"))[0])


@pytest.fixture
def commands(capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(capsys)


async def key_of(commands: Commands, folder: Path) -> None:
    key, told = await commands.run("links", "add", "box", "--storage", HUB)
    assert "tenuto link URL --name box" in told
    (folder / "key").write_text(key)


async def test_a_link_made_beside_two_hosts_carries_at_once(
    commands: Commands, folder: Path
) -> None:
    settings = Settings(storage=HUB, http=HttpSettings(port=0))
    async with Server(app, settings=settings) as server, Host(app, BOX) as box:
        await key_of(commands, folder)
        arguments = (server.url, "--name", "box", "--key-file", "key", "--storage", BOX)

        async def is_let_in() -> bool:
            return bool(server.host.engine.outside.waiting())

        await until_given(is_let_in)
        out, _ = await commands.run("link", *arguments)
        assert "called hub/ID here" in out

        async def is_linked() -> bool:
            return bool(box.engine.outside.waiting())

        await until_given(is_linked)
        handle = await server.host.client.start(collect, instance_id="x")
        await box.client.raise_event("hub/x", "reading", "21")
        assert await handle.result() == "21"
        (of_hub,) = await commands.read("links", "list", "--url", server.url)
        (of_box,) = await commands.read("links", "list", "--storage", BOX)
        assert (of_hub["name"], of_hub["dials"]) == ("box", False)
        assert (of_box["name"], of_box["dials"], of_box["url"]) == ("hub", True, server.url)
        assert of_hub["received"] >= 1
        assert "key" not in of_box
        await commands.run("links", "remove", "box", "--storage", HUB)
        assert await commands.read("links", "list", "--storage", HUB) == []


async def test_what_waits_is_seen_and_not_dropped_silently(
    commands: Commands, folder: Path
) -> None:
    (folder / "key").write_text("a key")
    url = "http://127.0.0.1:9"
    out, told = await commands.run(
        "link", url, "--name", "box", "--key-file", "key", "--storage", BOX, "--as", "cloud"
    )
    assert "cloud/ID" in out
    assert "does not answer now" in told
    assert "no host runs on this store" in told
    async with Host(app, BOX) as box:
        await box.client.raise_event("cloud/x", "reading", 1)

        async def is_told() -> bool:
            return any(hub.problem for hub in await box.links.store.hubs())

        await until_given(is_told)
    out, _ = await commands.run("links", "list", "--storage", BOX)
    assert "to send   1 message waits" in out
    assert "TN-1706" in out
    out, _ = await commands.run("doctor", "--storage", BOX, code=1)
    assert "cloud: 1 message (" in out
    _, told = await commands.run("links", "remove", "cloud", "--storage", BOX, code=1)
    assert "--force" in told
    await commands.run("links", "remove", "cloud", "--storage", BOX, "--force")
    (letter,) = await commands.read("dead-letters", "list", "--storage", BOX)
    assert letter["instanceId"] == "cloud/x"
    assert "TN-1801" in letter["reason"]
    _, told = await commands.run("dead-letters", "redrive", letter["id"], "--storage", BOX, code=2)
    assert "TN-1801" in told
    await commands.run(
        "link", url, "--name", "box", "--key-file", "key", "--storage", BOX, "--as", "cloud"
    )
    await commands.run("dead-letters", "redrive", letter["id"], "--storage", BOX)
    (link,) = await commands.read("links", "list", "--storage", BOX)
    assert link["waiting"] == 1


async def test_a_call_that_waited_for_a_link_that_is_removed_fails(
    commands: Commands, folder: Path
) -> None:
    (folder / "key").write_text("a key")
    arguments = ("http://127.0.0.1:9", "--name", "box", "--key-file", "key", "--storage", BOX)
    await commands.run("link", *arguments)
    async with Host(app, BOX) as box:
        handle = await box.client.start(ask, instance_id="boss")

        async def waits() -> bool:
            (link,) = await box.links.list()
            return link.waiting == 1 and link.problem is not None

        await until_given(waits)
        out, _ = await commands.run("instances", "show", "boss", "--storage", BOX)
        assert "on the linked hub hub, to which nothing goes now (TN-1706" in " ".join(out.split())
        _, told = await commands.run("links", "remove", "hub", "--storage", BOX, code=1)
        assert "fails calls" in told
        await commands.run("links", "remove", "hub", "--storage", BOX, "--force")
        with pytest.raises(OrchestrationFailedError, match="TN-1801"):
            await handle.result()
        assert await box.client.dead_letters() == []


async def test_an_instance_that_has_called_over_a_link_is_looked_at_from_everywhere(
    commands: Commands, folder: Path
) -> None:
    (folder / "key").write_text("a key")
    arguments = ("http://127.0.0.1:9", "--name", "box", "--key-file", "key", "--storage", BOX)
    await commands.run("link", *arguments)
    settings = Settings(storage=BOX, http=HttpSettings(port=0))
    async with Server(app, settings=settings) as server:
        await server.host.client.start(ask, instance_id="boss")

        async def has_called() -> bool:
            return bool(server.host.engine.outside.waiting()["hub"].messages)

        await until_given(has_called)
        await server.host.client.wait("boss", started=True)
        out, _ = await commands.run("instances", "show", "boss", "--url", server.url)
        assert "hub/" in out
        _, told = await commands.run(
            "instances", "raise-event", "hub/x", "reading", "--url", server.url, code=2
        )
        assert "TN-1804" in told
        _, told = await commands.run(
            "link", f"{server.url}/path", "--name", "b", "--key-file", "key"
        )
        assert "TN-1710" in told


async def test_wrong_input_is_refused_and_nothing_is_kept(commands: Commands, folder: Path) -> None:
    (folder / "key").write_text("wrong\n")
    settings = Settings(storage=HUB, http=HttpSettings(port=0))
    async with Server(app, settings=settings) as server:
        for arguments, told_of in (
            ((server.url, "--name", "box", "--key-file", "key"), "TN-1701"),
            ((server.url, "--name", "box", "--key-file", "none"), "cannot be read"),
            (("http://hub", "--name", "box", "--key-file", "key"), "--allow-http"),
            (("ftp://hub", "--name", "box", "--key-file", "key"), "http:// or https://"),
            ((server.url, "--name", "a/b", "--key-file", "key"), "name of a linked hub"),
        ):
            _, told = await commands.run("link", *arguments, "--storage", BOX, code=2)
            assert told_of in told
        assert await commands.read("links", "list", "--url", server.url) == []
    _, told = await commands.run("links", "add", "a b", "--storage", HUB, code=2)
    assert "name of a linked hub" in told
    _, told = await commands.run("links", "remove", "box", "--storage", HUB, code=2)
    assert "TN-1801" in told
