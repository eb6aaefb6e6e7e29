"""Usage as people see it: over HTTP and on the command line, with prices, and wrong input."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto import App, Context
from tenuto.cli.command import run_command_line
from tenuto.client.http_gateway import HttpGateway
from tenuto.client.usage_bodies import usage_csv
from tenuto.host.server import Server
from tenuto.host.settings import Settings, load_settings
from tenuto.http.options import AccessKey, HttpSettings, Role
from tenuto.model.errors import SettingsError
from tenuto.model.usage import DIMENSIONS, Amounts, PricePlan, UsageLine, grouped
from tenuto.telemetry.usage_settings import UsageSettings
from tests.support.used import ALWAYS

app = App()
PLAN = PricePlan(per_million_executions=1_000_000, per_million_operations=2_000_000, currency="EUR")
READER = "reader-0123456789"
SETTINGS_FILE = """
[usage]
tag = "customer"

[usage.prices.dear]
per_million_executions = 1_000_000
per_million_operations = 2_000_000
currency = "EUR"

[usage.prices.cheap]
"""


@app.activity
def greet(name: str) -> str:
    return f"Hello {name}"


@app.orchestrator
async def hello(ctx: Context, name: str) -> list[str]:
    return [await ctx.call_activity(greet, name) for _ in range(3)]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """One that has run hello for =ada, twice for bob, and once for nobody."""
    settings = Settings(
        storage=f"sqlite:///{tmp_path / 'hub.db'}",
        http=HttpSettings(port=0, keys={"r": AccessKey(key=READER, role=Role.READ)}),
        usage=UsageSettings(
            app="shop", tag="customer", prices={"dear": PLAN, "cheap": PricePlan()}
        ),
    )
    async with Server(app, settings=settings) as server:
        for customer in ("=ada", "bob", "bob", None):
            tags = None if customer is None else {"customer": customer}
            await (await server.host.client.start(hello, "x", tags=tags)).result()
        yield server


async def ask(server: Server, query: str = "", *, key: str = READER) -> httpx2.Response:
    async with httpx2.AsyncClient(headers={"x-functions-key": key}) as client:
        return await client.get(f"{server.url}/admin/usage{query}")


async def lines(server: Server, query: str) -> list[dict[str, Any]]:
    answer = await ask(server, query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["lines"]
    return found


# --- over HTTP ------------------------------------------------------------------------------------


async def test_usage_is_told_by_function_unless_one_asks_otherwise(server: Server) -> None:
    body = (await ask(server)).json()
    told = [(one["kind"], one["function"], one["executions"]) for one in body["lines"]]
    assert told == [("activity", "greet", 12), ("orchestrator", "hello", 16)]
    assert body["by"] == ["function"]
    assert body["total"]["executions"] == 28
    assert body["plan"] is None
    assert body["lines"][0]["price"] is None
    assert body["lines"][1]["operations"] >= 16
    assert body["lines"][1]["waitingMicroseconds"] > 0


async def test_usage_is_told_apart_by_any_dimensions(server: Server) -> None:
    by_tag = {one["tag"]: one["executions"] for one in await lines(server, "?by=tag")}
    assert by_tag == {"": 7, "=ada": 7, "bob": 14}
    (only,) = await lines(server, "?by=app,day")
    assert (only["app"], only["executions"], only["function"]) == ("shop", 28, None)
    assert len(only["day"]) == len("2026-11-01")
    (only,) = await lines(server, "?by=")
    assert only["executions"] == 28
    assert await lines(server, "?from=2000-01-01&to=2000-12-31") == []


async def test_a_plan_says_what_it_would_charge(server: Server) -> None:
    body = (await ask(server, "?price=dear")).json()
    assert (body["plan"], body["currency"]) == ("dear", "EUR")
    for one in [*body["lines"], body["total"]]:
        assert one["price"] == one["executions"] + 2 * one["operations"]
    free = (await ask(server, "?price=cheap")).json()
    assert free["total"]["price"] == 0.0


async def test_csv_is_for_spreadsheets_and_runs_nothing_there(server: Server) -> None:
    answer = await ask(server, "?by=tag,function&format=csv&price=dear")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["tag"] for row in rows} == {"", "'=ada", "bob"}
    for row in rows:
        assert row["waiting_price"] == "0"
        price = float(row["executions"]) + 2 * float(row["operations"])
        assert float(row["price"]) == price
        assert row["currency"] == "EUR"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("a=1", "a=1"),
        ("-", "'-"),
        ("\n=1", "\n'=1"),
        ("\t+1", "\t'+1"),
        ("\uff1d1", "'\uff1d1"),  # a wide =
        (" \u200b\u00a0@x", "' \u200b\u00a0@x"),
        ("x;=HYPERLINK(1)", "x;'=HYPERLINK(1)"),
        (";=1;a;-2", ";'=1;a;'-2"),
        (" \u200b", " \u200b"),
    ],
)
def test_csv_has_no_formula_however_it_is_hidden(given: str, written: str) -> None:
    line = UsageLine(tag=given, used=Amounts(executions=1))
    (row,) = csv.DictReader(io.StringIO(usage_csv([line], ["tag"]), newline=""))
    assert row["tag"] == written


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?by=customer", "by must be some of day, app, function, tag"),
        ("?by=day,day", "twice"),
        ("?from=yesterday", "from must be a day such as 2026-11-01, got 'yesterday'"),
        ("?to=2026-02-30", "to must be a day"),
        ("?from=2026-11-02&to=2026-11-01", "from 2026-11-02 to 2026-11-01 there is no day"),
        ("?format=xml", "format must be json or csv, got 'xml'"),
        ("?price=azure", "no price plan 'azure'; the settings have cheap, dear"),
        ("?from=2026-11-01&from=2026-11-02", "2 times"),
    ],
)
async def test_wrong_input_is_refused_at_the_door(server: Server, query: str, words: str) -> None:
    answer = await ask(server, query)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


async def test_usage_needs_a_key_that_may_read(server: Server) -> None:
    assert (await ask(server, key="wrong-0123456789")).status_code == 401


async def test_clients_read_the_same_over_http_as_from_the_store(server: Server) -> None:
    gateway = HttpGateway(server.url, READER)
    rows = await server.host.engine.storage.usage(*ALWAYS)
    assert await gateway.usage(*ALWAYS, DIMENSIONS) == grouped(rows, DIMENSIONS)
    assert await gateway.usage(*ALWAYS, ()) == grouped(rows, ())
    await gateway.close()


# --- on the command line --------------------------------------------------------------------------


class CommandLine:
    """Runs ``tenuto usage`` in a folder with plans, on a store or on its host."""

    def __init__(self, place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        self._place = place
        self._capsys = capsys

    async def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        # It has a loop of its own.
        words = ["usage", *self._place, *arguments]
        assert await asyncio.to_thread(run_command_line, words) == code
        found = self._capsys.readouterr()
        return found.out, found.err


@pytest.fixture(params=["store", "host"])
def command_line(
    request: pytest.FixtureRequest,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    (tmp_path / "tenuto.toml").write_text(SETTINGS_FILE)
    if request.param == "store":
        return CommandLine(["--storage", f"sqlite:///{tmp_path / 'hub.db'}"], capsys)
    return CommandLine(["--url", server.url, "--key", READER], capsys)


async def test_the_command_draws_a_table_with_a_total(command_line: CommandLine) -> None:
    out, _ = await command_line.run()
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:4] == ["FUNCTION", "KIND", "EXECUTIONS", "GB-SECONDS"]
    assert [row[:3] for row in rows[1:3]] == [
        ["greet", "activity", "12"],
        ["hello", "orchestrator", "16"],
    ]
    assert rows[3][:2] == ["total", "28"]
    assert "\x1b" not in out


async def test_the_command_tells_apart_and_prices(command_line: CommandLine) -> None:
    out, err = await command_line.run("--by", "tag", "--price", "dear")
    assert out.splitlines()[0].split()[-1] == "EUR"
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["=ada", "bob", "total"]
    assert "waiting costs nothing: 0 EUR" in err
    out, _ = await command_line.run("--by", "")
    assert out.splitlines()[1].split()[:2] == ["total", "28"]


async def test_the_command_prints_json_and_csv(command_line: CommandLine) -> None:
    out, _ = await command_line.run("--json", "--by", "function", "--price", "dear")
    body = json.loads(out)
    assert body["total"]["executions"] == 28
    total = body["total"]
    assert total["price"] == total["executions"] + 2 * total["operations"]
    out, _ = await command_line.run("--csv", "--by", "tag")
    assert [row["tag"] for row in csv.DictReader(io.StringIO(out))] == ["", "'=ada", "bob"]


async def test_the_command_says_that_nothing_was_used(command_line: CommandLine) -> None:
    out, err = await command_line.run("--from", "2000-01-01", "--to", "2000-02-01")
    assert out == ""
    assert "nothing was used from 2000-01-01 to 2000-02-01" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--by", "colour"], "--by must be some of"),
        (["--from", "monday"], "--from must be a day such as 2026-11-01, got 'monday'"),
        (["--to", "2000-01-01", "--from", "2000-01-02"], "there is no day"),
        (["--price", "azure"], "no price plan 'azure'; the settings have cheap, dear"),
        (["--json", "--csv"], "not both"),
    ],
)
async def test_the_command_refuses_wrong_input(
    command_line: CommandLine, arguments: list[str], words: str
) -> None:
    out, err = await command_line.run(*arguments, code=2)
    assert out == ""
    assert words in err


# --- settings -------------------------------------------------------------------------------------


def test_plans_come_from_tables_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text(SETTINGS_FILE)
    usage = load_settings(folder=tmp_path, environment={}).values.usage
    assert usage.prices == {"dear": PLAN, "cheap": PricePlan()}
    assert usage.tag == "customer"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("per_million_executions = -1", "usage.prices"),
        ("per_execution = 1", "per_execution"),
        ("currency = 'US Dollar'", "usage.prices"),
    ],
)
def test_a_plan_that_is_none_is_refused(tmp_path: Path, entry: str, words: str) -> None:
    (tmp_path / "tenuto.toml").write_text(f"[usage.prices.mine]\n{entry}\n")
    with pytest.raises(SettingsError, match=words):
        load_settings(folder=tmp_path, environment={})
