"""``tenuto topics`` and ``tenuto flow`` on a store and on a host; the doctor on topics."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from tenuto import App, Client, Context, Event, Host, RetryPolicy
from tenuto.cli.command import run_command_line
from tenuto.engine.topic_ports import TrimPoint
from tenuto.host.server import Server
from tenuto.host.settings import Settings
from tenuto.http.options import HttpSettings
from tenuto.storage import open_storage
from tests.support.terminal import on_terminal

ONCE = RetryPolicy(max_attempts=1, first_interval=timedelta(seconds=1))
app = App()
SUBSCRIPTIONS = (
    "there is no subscription 'nobody'; there are 'orders.bill', 'orders.ship', 'shipped.tell'"
)


@app.orchestrator
async def box(ctx: Context, number: int) -> None: ...


@app.subscribe("orders")
@app.orchestrator
async def ship(ctx: Context, number: int) -> None:
    await ctx.call_sub_orchestrator(box, number)
    await ctx.publish("shipped", number, key="k", type="order.shipped")
    if number == 2:
        raise ValueError("cannot be shipped")


@app.subscribe("shipped")
async def tell(event: Event, client: Client) -> None:
    await client.publish("mails", event.data, event_id=f"mail-{event.data}")


@app.subscribe("orders", retry=ONCE)
async def bill(event: Event) -> None:
    raise ValueError("cannot be billed")


async def two_orders(url: str) -> None:
    async with Host(app, storage=url) as host:
        for number in (1, 2):
            await host.client.publish("orders", number, event_id=f"o-{number}")
        while not await _is_over(host):  # noqa: ASYNC110 - the store is asked
            await asyncio.sleep(0.005)


async def _is_over(host: Host) -> bool:
    storage = host.engine.storage
    mails = await storage.events("mails", 0, 9, 999)
    failed = await storage.failed_deliveries()
    return len(mails) == len(failed) == 2 and host.engine.is_idle


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    asyncio.run(two_orders("sqlite:///tenuto.db"))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    found = run_command_line(list(arguments))
    captured = capsys.readouterr()
    assert found == code, captured.out + captured.err
    return captured.out, captured.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(run(capsys, *arguments, "--json")[0])


def test_topics_are_listed_with_their_subscriptions(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = run(capsys, "topics", "list")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["TOPIC", "EVENTS", "SIZE", "OLDEST", "LAG", "WAITS", "FAILED"]
    assert [line[0] for line in lines[1:]] == [
        "mails",
        "orders",
        "orders.bill",
        "orders.ship",
        "shipped",
        "shipped.tell",
    ]
    assert lines[3] == ["orders.bill", "0", "2"]
    found = document(capsys, "topics", "list")
    assert [(one["name"], one["events"]) for one in found["topics"]] == [
        ("mails", 2),
        ("orders", 2),
        ("shipped", 2),
    ]
    assert {one["name"]: (one["lag"], one["failed"]) for one in found["subscriptions"]} == {
        "orders.bill": (0, 2),
        "orders.ship": (0, 0),
        "shipped.tell": (0, 0),
    }


def test_a_topic_is_counted_page_by_page(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = document(capsys, "topics", "list")
    monkeypatch.setattr("tenuto.client.topics._PAGE_EVENTS", 1)
    assert document(capsys, "topics", "list") == whole


def test_events_are_published_and_shown(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    said = run(
        capsys, "topics", "publish", "orders", '{"n": 3}', "--id", "o-3", "--event-key", "k",
        "--type", "order.placed",
    )  # fmt: skip
    assert said[0] == "o-3\n"
    assert "it happens when a host runs on it" in said[1]
    out, _ = run(capsys, "topics", "show", "orders", "--limit", "1")
    assert out.splitlines()[:4] == [
        "o-3",
        "  type      order.placed",
        "  key       k",
        '  data      {"n":3}',
    ]
    (shown, *_) = document(capsys, "topics", "show", "orders")
    assert (shown["id"], shown["data"], shown["type"], shown["cause"]) == (
        "o-3",
        {"n": 3},
        "order.placed",
        None,
    )
    assert document(capsys, "topics", "publish", "orders", "1", "--id", "o-3") == {"id": "o-3"}
    assert len(document(capsys, "topics", "show", "orders")) == 3


def test_what_was_put_aside_is_shown_given_back_dropped_and_forgotten(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = run(capsys, "topics", "failed", "orders.bill")
    assert "1  o-1\n  of        topic orders, for orders.bill\n" in out
    assert "  error     ValueError: cannot be billed\n" in out
    assert document(capsys, "topics", "failed", "shipped.tell") == []
    assert run(capsys, "topics", "redrive", "1")[0] == "gave back 1 delivery\n"
    assert [one["number"] for one in document(capsys, "topics", "failed")] == [2]
    assert run(capsys, "topics", "drop", "2")[0] == "deleted 1 delivery\n"
    assert document(capsys, "topics", "failed") == []
    assert run(capsys, "topics", "remove", "orders.bill", "--yes")[0] == "removed orders.bill\n"
    names = [one["name"] for one in document(capsys, "topics", "list")["subscriptions"]]
    assert names == ["orders.ship", "shipped.tell"]


def test_wrong_input_is_refused_clearly(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for arguments, words in (
        (("topics", "publish", "a/b/c", "1"), "cannot be the name of a topic"),
        (("topics", "publish", "a/b", "1"), "no link 'a' here"),
        (("topics", "publish", "a", "x"), "is not JSON"),
        (("topics", "show", "a#b"), "cannot be the name of a topic"),
        (("topics", "redrive"), "give --all"),
        (("topics", "redrive", "9"), "there is no failed delivery 9 of"),
        (("topics", "remove", "nobody", "--yes"), SUBSCRIPTIONS),
        (("topics", "redrive", "--all", "--subscription", "nobody"), SUBSCRIPTIONS),
        (("topics", "drop", "--all", "--yes", "--subscription", "nobody"), SUBSCRIPTIONS),
        (("topics", "failed", "nobody"), SUBSCRIPTIONS),
        (
            ("topics", "show", "none"),
            "nobody subscribes to it; there are 'mails', 'orders', 'shipped'",
        ),
        (
            ("topics", "show", "hub/x"),
            "'hub/x' is a topic of the linked hub 'hub', which has its events; look at it there",
        ),
        (("queues", "redrive", "no", "--all"), "queue 'no' has no messages, and none that were"),
        (("queues", "drop", "no", "--all", "--yes"), "put aside, nor any other"),
        (("queues", "purge", "no", "--all", "--yes"), "put aside, nor any other"),
        (("files", "redrive", "--all", "--function", "no"), "no files of function 'no' were put"),
        (("topics", "remove", "orders.ship"), "give --yes to do so"),
        (("topics", "lost"), "did you mean 'list'?"),
        (("flow", "orders/none"), "topic 'orders' has no event 'none'"),
        (("flow", "nobody"), "instance 'nobody' does not exist"),
        (("flow", "a", "--limit", "0"), "--limit"),
    ):
        assert words in run(capsys, *arguments, code=2)[1], arguments


# --- flows -----------------------------------------------------------------------------------


def forms(out: str) -> list[str]:
    """The lines without what differs from run to run."""
    lines = []
    for line in out.splitlines():
        words = line.partition("  ")[0] if not line.startswith(("├", "└", "│", " ")) else line
        lines.append(words.partition("  +")[0].rstrip())
    return lines


def test_a_flow_is_one_tree_from_any_place_in_it(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = run(capsys, "flow", "orders/o-2")
    assert "<- asked for" in out.splitlines()[0]
    lines = forms(out)
    assert lines[0] == "event orders/o-2"
    for words in (
        "PUT ASIDE by orders.bill after 1 attempt: ValueError: cannot be billed",
        "instance orders.ship-o-2 (ship) Failed: ValueError: cannot be shipped",
    ):
        assert any(words in one for one in lines)
    assert any("(box) Completed" in one and one.startswith(("│  ├─", "   ├─")) for one in lines)
    assert any("event mails/mail-2" in one for one in lines)
    assert len(lines) == 6
    for other in ("mails/mail-2", "orders.ship-o-2"):
        found, _ = run(capsys, "flow", other)
        assert forms(found)[0] == "event orders/o-2"
        assert sum("<- asked for" in one for one in found.splitlines()) == 1
        assert len(found.splitlines()) == 6
    found = document(capsys, "flow", "mails/mail-2")
    assert (found["asked"], found["root"]) == ("event:mails/mail-2", "event:orders/o-2")
    assert {one["kind"] for one in found["items"]} == {"event", "instance", "failed"}
    cut, note = run(capsys, "flow", "orders/o-2", "--limit", "3")
    assert len(cut.splitlines()) == 3
    assert "--limit shows more than 3" in note


def test_a_flow_whose_beginning_is_gone_says_so(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    asyncio.run(_forget_orders())
    out, _ = run(capsys, "flow", "mails/mail-1")
    assert out.splitlines()[0].startswith("event orders/o-1 (gone: ")
    assert "instance orders.ship-o-1 (ship) Completed" in out


async def _forget_orders() -> None:
    storage = open_storage("sqlite:///tenuto.db", create=False)
    await storage.open()
    numbers = [one.number for one in await storage.failed_deliveries()]
    await storage.drop_failed(numbers)
    assert (await storage.trim("orders", TrimPoint(position=99), 100)).events == 2
    await storage.close()


# --- over HTTP -------------------------------------------------------------------------------


@pytest.fixture
def served(folder: Path) -> Iterator[str]:
    """A host on that store, in a thread of its own: commands of this one ask it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    settings = Settings(storage="sqlite:///tenuto.db", http=HttpSettings(port=0))
    server = Server(app, settings=settings)
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(20)
        yield server.url
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_host_answers_the_same(capsys: pytest.CaptureFixture[str], served: str) -> None:
    place = ("--url", served)
    by_store = document(capsys, "topics", "list", "--storage", "sqlite:///tenuto.db")
    assert document(capsys, "topics", "list", *place) == by_store
    shown = document(capsys, "topics", "show", "mails", *place)
    assert shown == document(capsys, "topics", "show", "mails", "--storage", "sqlite:///tenuto.db")
    out, _ = run(capsys, "flow", "orders/o-2", *place)
    assert out == run(capsys, "flow", "orders/o-2", "--storage", "sqlite:///tenuto.db")[0]
    run(capsys, "flow", "nobody", *place, code=2)
    run(capsys, "flow", "orders/none", *place, code=2)
    assert run(capsys, "topics", "redrive", "--all", *place)[0] == "gave back 2 deliveries\n"

    deadline = time.monotonic() + 10
    while len(document(capsys, "topics", "failed", *place)) < 2:  # given back, and tried again
        assert time.monotonic() < deadline
    assert run(capsys, "topics", "drop", "--all", "--yes", *place)[0] == "deleted 2 deliveries\n"
    run(capsys, "topics", "remove", "nobody", "--yes", *place, code=2)
    run(capsys, "topics", "remove", "shipped.tell", "--yes", *place)
    names = [one["name"] for one in document(capsys, "topics", "list", *place)["subscriptions"]]
    assert names == ["orders.bill", "orders.ship"]
    assert run(capsys, "topics", "publish", "x", "1", "--id", "x-1", *place)[0] == "x-1\n"


# --- the doctor ------------------------------------------------------------------------------


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[str, str]]:
    run_command_line(["doctor", "--json", *arguments])
    found = json.loads(capsys.readouterr().out)["findings"]
    return [(one["level"], one["text"]) for one in found if one["topic"] == "topics"]


def test_what_is_drawn_keeps_to_a_narrow_terminal(folder: Path) -> None:
    for command in (("flow", "orders/o-2"), ("doctor",)):
        _, text = on_terminal(folder, *command, env={"COLUMNS": "50"})
        lines = click.unstyle(text).splitlines()
        assert max(map(len, lines)) <= 50, text
        assert len(lines) > 6


def test_the_doctor_names_what_was_put_aside(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert findings(capsys) == [("wrong", "orders.bill of topic orders has put aside 2 events")]
    run(capsys, "topics", "drop", "--all", "--yes")
    assert findings(capsys) == [("ok", "3 subscriptions, none behind, nothing put aside")]


def test_an_event_that_is_too_long_for_the_store_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "long.json").write_text(json.dumps("x" * 4 * 1024 * 1024))
    for words in (("topics", "publish", "orders"), ("queues", "send", "mails")):
        _, said = run(capsys, *words, "@long.json", code=2)
        assert "TN-1502" in said
        assert "limits.payload_bytes" in said
    assert document(capsys, "queues", "list") == []
