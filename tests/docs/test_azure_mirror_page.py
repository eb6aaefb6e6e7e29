"""What stands on the page on Azure's tools runs against a real Azurite, and shows what it says."""

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.data.tables import TableServiceClient

from tenuto import App, Context, Host
from tenuto.cli.command import run_command_line
from tests.support.azurite import Azurite

PAGE = Path(__file__).parents[2] / "docs" / "azure-mirror.md"

app = App()


@app.activity
def book_hotel(city: str) -> str:
    return f"booked: {city}"


@app.orchestrator
async def book_trip(ctx: Context, city: str) -> str:
    return await ctx.call_activity(book_hotel, city)


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [text for kind, text in found if kind == language]


@pytest.fixture
def folder(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENUTO_AZURE_CONNECTION_STRING", azurite.connection_string)
    yield tmp_path
    with TableServiceClient.from_connection_string(azurite.connection_string) as tables:
        for name in ("TripsInstances", "TripsHistory"):
            tables.delete_table(name)


async def one_trip() -> None:
    async with Host(app, "sqlite:///trips.db") as host:
        await (await host.client.start(book_trip, "Rome", instance_id="trip-1")).result()


def test_the_commands_run_and_the_tables_show_what_the_page_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(one_trip())
    commands = [
        shlex.split(line)[1:]
        for block in blocks("")
        for line in block.splitlines()
        if line.startswith("tenuto ")
    ]
    mirror, *others = commands
    assert len(others) == 3
    assert mirror[:2] == ["azure", "mirror"]
    # By itself it would go on for ever.
    assert run_command_line([*mirror, "--once"]) == 0
    capsys.readouterr()
    exec(compile(blocks("python")[0], str(PAGE), "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]
    for one in others:
        assert run_command_line(one) == 0, one
    out = capsys.readouterr().out
    assert "book_hotel" in out
