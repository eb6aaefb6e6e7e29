"""What stands on the pages runs: Python blocks, commands, requests."""

import asyncio
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx2
import pytest

import tenuto
from tenuto import App, Context, Host
from tenuto.cli.command import tenuto as command_line
from tenuto.cli.group import LazyCommand
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tenuto.testing import TestHost

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "decisions" not in path.parts)


def blocks(name: str, language: str = "python") -> list[str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def run_page(name: str) -> dict[str, Any]:
    """All Python blocks of a page, one after the other."""
    scope: dict[str, Any] = {"__name__": name}
    exec(compile("\n".join(blocks(name)), name, "exec"), scope)
    return scope


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, for stores with relative names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_workflow_passes_the_tests_of_the_testing_page(elsewhere: Path) -> None:
    (reminder,) = blocks("start.md")
    (tests,) = blocks("testing.md")
    (elsewhere / "reminder.py").write_text(reminder, encoding="utf-8")
    (elsewhere / "test_reminder.py").write_text(tests, encoding="utf-8")
    (elsewhere / "pytest.ini").write_text(blocks("testing.md", "ini")[0], encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{tests.count('async def test_')} passed" in run.stdout


async def test_the_errors_page_tells_a_declined_card_from_a_fault() -> None:
    scope = run_page("errors.md")
    async with TestHost(scope["app"]) as host:
        assert await host.run(scope["order"], "4711") == "declined: 51"


def test_the_page_on_azure_has_a_native_function_of_blobs() -> None:
    scope = run_page("azure-functions.md")
    assert list(scope["app"].triggered) == ["recognise"]


async def test_the_usage_page_tells_customers_apart_and_has_plans(elsewhere: Path) -> None:
    (elsewhere / "tenuto.toml").write_text("\n".join(blocks("usage.md", "toml")), encoding="utf-8")
    settings = load_settings(environment={}, storage="sqlite://").values
    assert settings.usage.plan("consumption").per_gigabyte_second == 0.000016
    assert settings.usage.plan("machine").currency == "EUR"
    scope = run_page("usage.md")
    async with Host(scope["app"], settings=settings) as host:
        assert await scope["make_album"](host) == "small sea.png"
        rows = await host.engine.storage.usage(0, 1_000_000)
    assert {(row.function, row.tag, row.executions) for row in rows} == {
        ("resize", "ada", 1),
        ("album", "ada", 2),
    }


async def test_the_timers_page_has_a_report_each_morning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scope = run_page("timers.md")
    await scope["test_each_morning_has_its_report"]()
    assert capsys.readouterr().out.count("nothing new") == 36 * 12


async def test_the_queues_page_puts_aside_what_is_no_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scope = run_page("queues.md")
    await scope["test_an_address_that_is_none_is_put_aside"]()
    async with TestHost(scope["app"]) as host:
        assert await host.run(scope["upload"], "dog.jpg") == "dog.jpg"
        await scope["from_outside"](host.client)
        await host.idle()
    printed = capsys.readouterr().out
    assert "dog.jpg -> 200, attempt 1" in printed
    assert "cat.jpg -> 100, attempt 1" in printed


async def test_the_topics_page_delivers_tries_again_and_correlates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scope = run_page("topics.md")
    await scope["test_each_subscription_gets_what_it_wants"]()
    assert sorted(capsys.readouterr().out.splitlines()) == [
        "parcel 1 is on its way to de",
        "parcel 3 is on its way to fr",
    ]
    await scope["test_flight_and_hotel_meet"]()


async def test_the_files_page_imports_orders(elsewhere: Path) -> None:
    await run_page("files.md")["test_orders_are_imported"]()


async def test_the_cloud_events_page_takes_what_it_sends(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scope = run_page("cloud-events.md")
    monkeypatch.setenv("BILLING_TOKEN", "secret")
    app: App = scope["app"]
    assert list(app.triggered) == ["orders.note", "blob_created", "billing"]
    plain = App()
    plain.subscribe("orders", filter={"type": "order.placed"})(scope["note"])
    settings = load_settings(folder=elsewhere, storage="sqlite://", http_port=0).values
    async with Server(plain, settings=settings) as server:
        printed = ""
        for command in blocks("cloud-events.md", "sh")[0].split("\n\n"):
            words = shlex.split(
                command.replace("\\\n", " ").replace("http://127.0.0.1:7071", server.url)
            )
            done = await asyncio.to_thread(
                subprocess.run, [*words, "-sf"], check=True, capture_output=True, timeout=20
            )
            assert b'"events"' in done.stdout
        while printed.count("order") < 2:
            await asyncio.sleep(0.001)
            printed += capsys.readouterr().out
    assert sorted(printed.splitlines()) == ["order 7 from /shop", "order 8 from /shop"]


async def test_the_client_page_runs_in_process_on_a_store_and_over_http(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scope = run_page("client.md")
    await scope["main"]()
    assert "Tokyo, paid by card" in capsys.readouterr().out
    await scope["approve"]()
    settings = load_settings(folder=elsewhere, storage="sqlite:///travel.db", http_port=0).values
    async with Server(scope["app"], settings=settings) as server:
        assert await server.host.client.handle("trip-2").result() == "Rome, paid in cash"
        scope = at_server(run_page("client.md"), server.url)
        await scope["from_afar"]()
        await asyncio.to_thread(scope["from_a_script"])
    printed = capsys.readouterr().out
    assert "Oslo, paid by card" in printed
    assert "Lima, paid by card" in printed


def at_server(scope: dict[str, Any], url: str) -> dict[str, Any]:
    """The functions of a page, with this server's address for the one on the page."""
    text = "\n".join(blocks("client.md")).replace("http://127.0.0.1:7071", url)
    exec(compile(text, "client.md", "exec"), scope)
    return scope


async def test_the_functions_of_the_trigger_page_answer_as_it_says(elsewhere: Path) -> None:
    app: App = run_page("http-triggers.md")["app"]
    settings = load_settings(folder=elsewhere, storage="sqlite://", http_port=0).values
    async with Server(app, settings=settings) as server, httpx2.AsyncClient() as http:
        orders = f"{server.url}/api/orders/7"
        begun = await http.post(orders, json=[{"article": "pen", "count": 2}])
        assert begun.text == '{"instance":"order-7"}'
        assert await server.host.client.handle("order-7").result() == "order 7: 1 items"
        assert (await http.get(orders)).text == '{"status":"Completed"}'
        assert (await http.get(f"{server.url}/api/orders/seven")).json()["code"] == "TN-1703"
        assert (await http.post(f"{server.url}/api/trips/3")).status_code == 202
        waited = await http.post(f"{server.url}/api/quick-trips/3")
        assert (waited.status_code, waited.json()) == (200, "order 3: 0 items")


async def test_the_app_of_the_trigger_page_runs_inside_another_one(elsewhere: Path) -> None:
    scope = run_page("http-triggers.md")
    durable = scope["durable"]
    async with durable.lifespan():
        inside = httpx2.ASGITransport(app=scope["web"])
        async with httpx2.AsyncClient(transport=inside, base_url="http://localhost") as http:
            assert (await http.get("/tenuto/healthz")).json()["ready"] is True
            begun = await http.post("/tenuto/api/orders/9", json=[])
            assert begun.json() == {"instance": "order-9"}
        assert await durable.client.handle("order-9").result() == "order 9: 0 items"


@pytest.mark.timeout(180)  # it starts pytest twice
def test_the_check_of_the_page_on_changing_code_finds_a_change(elsewhere: Path) -> None:
    test, app = blocks("changing-code.md")[0], changing_app()
    (elsewhere / "trips.py").write_text(app, encoding="utf-8")
    (elsewhere / "test_changes.py").write_text(test, encoding="utf-8")
    (elsewhere / "pytest.ini").touch()

    async def begin() -> None:
        scope: dict[str, Any] = {"__name__": "trips"}
        exec(compile(app, "trips.py", "exec"), scope)
        async with tenuto.Host(scope["app"], storage="sqlite:///tenuto.db") as host:
            await host.client.start("trip", "Oslo", instance_id="trip-1")
            async with asyncio.timeout(30):
                said = ""
                while not said.startswith("waits for event 'paid'"):
                    said = (await host.explain("trip-1")).sentence

    asyncio.run(begin())
    for words in (["instances", "export", "--to", "histories"], ["check-replay", "trips.py"]):
        run = [sys.executable, "-m", "tenuto", *words]
        subprocess.run(run, check=True, capture_output=True, timeout=120)
    checked = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(checked, check=True, capture_output=True, timeout=120)
    changed = app.replace("ctx.call_activity(book, city)", "ctx.call_activity(insure, city)")
    (elsewhere / "trips.py").write_text(changed, encoding="utf-8")
    failed = subprocess.run(checked, check=False, capture_output=True, text=True, timeout=120)
    assert failed.returncode == 1
    assert "produced  TaskScheduled #1 'insure' at " in failed.stdout


def changing_app() -> str:
    """The app of the page, which stands in a list and is indented."""
    text = (DOCS / "changing-code.md").read_text(encoding="utf-8")
    (app,) = re.findall(r"^  ```python\n(.*?)^  ```", text, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(app)


@pytest.mark.parametrize("page", ["settings.md", "security.md"])
def test_the_python_blocks_of_a_page_run(page: str, elsewhere: Path) -> None:
    run_page(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_blocks_use_what_exists(page: Path) -> None:
    for block in blocks(str(page.relative_to(DOCS))):
        compile(block, page.name, "exec")
        for name in re.findall(r"\bctx\.(\w+)", block):
            assert hasattr(Context, name), f"ctx.{name}"
        for names in re.findall(r"^from tenuto import (.+)$", block, re.MULTILINE):
            for name in names.split(", "):
                assert hasattr(tenuto, name), name


@pytest.mark.parametrize(
    "settings", [*blocks("settings.md", "toml"), *blocks("security.md", "toml")]
)
def test_settings_on_the_pages_are_allowed(settings: str, tmp_path: Path) -> None:
    (tmp_path / "tenuto.toml").write_text(settings.replace('"97c1..."', f'"{"k" * 16}"'))
    assert load_settings(folder=tmp_path, environment={}).values.http.port == 7071


def commands() -> Iterator[str]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        in_blocks = re.findall(r"^(?:\$ )?(tenuto .+)$", text, re.MULTILINE)
        in_lines = re.findall(r"`(tenuto [a-z][^`]*)`", text)
        yield from (line for line in (*in_blocks, *in_lines) if not line.endswith("..."))


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_commands_on_the_pages_exist_with_their_flags(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0].partition("      (")[0])[1:]
    command: click.Command = command_line
    while words and isinstance(command, click.Group) and words[0] in command.commands:
        found = command.commands[words.pop(0)]
        command = found.load() if isinstance(found, LazyCommand) else found
    if isinstance(command, click.Group):
        assert [word for word in words if not word.startswith("--")] == [], line
    known = {flag for one in command.params for flag in one.opts} | {"--help"}
    if command is command_line:
        known.add("--version")
    assert {word for word in words if word.startswith("--")} <= known, line
