"""What people are shown of a store never has its password: commands, their errors, a host."""

import asyncio
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from tenuto import App, Client, SyncClient, SyncOutbox
from tenuto.cli.command import run_command_line
from tenuto.model.errors import SettingsError
from tenuto.model.shown_urls import shown_url
from tests.support.postgres import Postgres, fresh_schema
from tests.support.terminal import TENUTO, Program

if sys.platform == "win32":
    pytest.skip("a shell of POSIX", allow_module_level=True)

MARK: Final = "pa55w0rd"
APP: Final = """
from tenuto import App, Context

app = App()


@app.orchestrator
async def waits(ctx: Context, _: None) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def quick(ctx: Context, _: None) -> str:
    return "done"
"""
COMMANDS: Final = (
    "instances start waits --id a",
    "instances start waits --id b",
    "instances list",
    "instances show a",
    "instances explain a",
    "instances show nobody",
    "instances raise-event a go --data 1",
    "instances suspend a",
    "instances resume a --json",
    "instances terminate b",
    "instances purge --status Completed",
    "hosts",
    "doctor",
    "dead-letters list",
    "dead-letters redrive --all --json",
    "dead-letters purge --all",
    "links add other http://127.0.0.1:1 --json",
    "topics list",
    "queues list",
    "links list",
    "config",
    "check-replay app.py",
    "backup copy.db",
    "run app.py:quick --id c",
    "instances watch c",
)
SLIPS: Final = (
    f"host=127.0.0.1 password={MARK} dbname=postgres",
    f"postgresql+psycopg://u:{MARK}@localhost/db",
    f"postgresql:/u:{MARK}@localhost/db",
    f"postgres:u:{MARK}@localhost/db",
    f"mysql://u:{MARK}@localhost/db",
    f"postgresql://u:{MARK}@localhost",
    f"postgresql://u:{MARK}/x@localhost/db",
    f"postgresql://u:1/{MARK}@localhost/db",
    f"postgresql://u:x@{MARK}@localhost:no/db",
    f"postgresql://localhost/db?password={MARK}&schema=pg_x",
)


@pytest.fixture
def url(safe_postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of a hub whose host runs in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("app.py").write_text(APP)
    return safe_postgres.tcp_url(fresh_schema()).replace("postgres@", f"postgres:{MARK}@", 1)


def test_no_command_shows_the_password(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*TENUTO, "start", "app.py", "--port", "0", "--storage", url)
    said = ""
    with Program(Path.cwd(), *words) as host:
        host.until("listening")
        for command in COMMANDS:
            run_command_line([*command.split(), "--storage", url])
            captured = capsys.readouterr()
            said += f"\n$ {command}\n{captured.out}{captured.err}"
    with Program(Path.cwd(), *words) as host:
        host.until("goes on with")
    with Program(Path.cwd(), *TENUTO, "instances", "watch", "--storage", url) as watch:
        watch.until("watching")
    said += host.out + host.err + watch.out + watch.err
    assert "event 'go' was handed to store postgresql://postgres@" in said
    assert MARK not in said, [line for line in said.splitlines() if MARK in line]


async def opened(url: str) -> None:
    async with Client.open(url, App()):
        pass


@pytest.mark.parametrize("slip", SLIPS)
def test_no_error_about_a_url_shows_its_password(
    slip: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = shown_url(slip)
    with pytest.raises(SettingsError) as caught:
        asyncio.run(opened(slip))
    said += str(caught.value)
    with pytest.raises(SettingsError) as caught:
        SyncOutbox(slip, App())
    said += str(caught.value)
    for opens in (SyncClient, SyncClient.open):
        with pytest.raises(SettingsError) as caught:
            opens(slip, App())
        said += str(caught.value)
    for command in ("instances list", "doctor", "config", "run nowhere.py", "start nowhere.py"):
        run_command_line([*command.split(), "--storage", slip])
        captured = capsys.readouterr()
        said += captured.out + captured.err
    assert MARK not in said, said
    assert ("without +psycopg" in said) is ("+psycopg" in slip)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"?schema": "?shema"}, "TN-1104: * Did you mean 'schema'?"),
        ({"postgres?": "none?"}, "TN-1104: * correct the user, password or database"),
        (
            {"127.0.0.1:": "127.0.0.1:1/db?database="},
            "nothing answers at 127.0.0.1:1; does PostgreSQL run",
        ),
        ({"127.0.0.1": "no.such.host.invalid"}, "no machine is found by the name in 'no.such.host"),
        ({f"{MARK}@": f"x@{MARK}@"}, "TN-1104: * In a password @ is written %40"),
    ],
)
def test_who_mistypes_an_address_is_told_what_to_do(
    url: str, change: dict[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for before, after in change.items():
        url = url.replace(before, after, 1)
    said = []
    for command in ("hosts", "doctor"):
        run_command_line([command, "--storage", url])
        captured = capsys.readouterr()
        said.append(captured.out + captured.err)
    assert fnmatch(said[0], f"*{words}*".replace("?", "[?]")), said
    assert "a defect in Tenuto" not in said[0]
    assert "a host makes it" not in said[1], said
