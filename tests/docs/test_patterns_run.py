"""The pages of patterns run as they stand; what they leave out is written here."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import tenuto
from tenuto import App, Context, InstanceFilter, Settings, current_activity
from tenuto.http.options import HttpSettings
from tenuto.testing import TestHost

PATTERNS = Path(__file__).parents[2] / "docs" / "patterns"


@dataclass
class Cart:
    item: str


@dataclass
class Payment:
    number: int


@dataclass
class Bill:
    amount: int


@dataclass
class Report:
    manager: str
    amount: int
    purpose: str


@dataclass
class Quote:
    provider: str
    is_good: bool


def app_of(page: str, *activities: Callable[..., object], **names: object) -> App:
    """The app of a page, with the activities and classes that it takes for granted."""
    app = App()
    run_page(page, app, **{one.__name__: app.activity(one) for one in activities}, **names)
    return app


def run_page(page: str, app: App, **names: object) -> None:
    """All Python blocks of a page, one after the other."""
    scope: dict[str, Any] = {name: getattr(tenuto, name) for name in tenuto.__all__}
    scope |= {"app": app, "asyncio": asyncio, "timedelta": timedelta, "Callable": Callable, **names}
    text = (PATTERNS / page).read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    # A body for what the page only names.
    code = code.replace("-> bool: ...", "-> bool: return True")
    code = code.replace("-> Payment: ...", "-> Payment: return Payment(7)")
    exec(compile(code, page, "exec"), scope)


async def test_sequence() -> None:
    def pack(cart: Cart) -> str:
        return cart.item

    def send(parcel: str, payment: Payment) -> str:
        return f"{parcel}, paid by {payment.number}"

    app = app_of("sequence.md", pack, send, Cart=Cart, Payment=Payment, Receipt=str)
    async with TestHost(app) as host:
        assert await host.run("order", Cart("pen")) == "pen, paid by 7"
        assert await host.run("pay", Cart("pen")) == Payment(7)


async def test_fan_out() -> None:
    async with TestHost(app_of("fan-out.md")) as host:
        assert await host.run("mailing", ["a", "b", "c"]) == 3


async def test_waiting() -> None:
    done: list[str] = []

    def remind(customer: str) -> None:
        done.append(f"remind {customer}")

    def escalate(customer: str) -> None:
        done.append(f"escalate {customer}")

    async with TestHost(app_of("waiting.md", remind, escalate)) as host:
        assert await host.run("bill", "Ada") == "escalated"
        assert done == ["remind Ada", "escalate Ada"]
        assert (
            host.clock.current_time.astimezone(ZoneInfo("Europe/Berlin")).strftime("%a %H")
            == "Fri 17"
        )


def approval() -> tuple[App, list[str]]:
    """The page's app, and what its activities have done."""
    done: list[str] = []

    def mail(manager: str, link: str) -> None:
        done.append(link)

    def escalate(report: Report) -> None:
        done.append(f"escalated to the boss of {report.manager}")

    names = {"Report": Report, "dataclass": dataclass, "Enum": Enum, "date": date}
    return app_of("approval.md", mail, escalate, **names), done


TRAIN = Report("Ada", 120, "a train")


async def test_approval() -> None:
    app, done = approval()
    settings = Settings(http=HttpSettings(base_url="https://flows.example.com"))
    async with TestHost(app, settings=settings) as host:
        handle = await host.start("expense", TRAIN)
        await host.answer(handle.instance_id, "approve")
        assert await handle.result() == "approved"
        assert await host.run("expense", TRAIN) == "refused"
        handle = await host.start("careful_expense", TRAIN)
        await host.answer(handle.instance_id, {"verdict": "reject", "amount": 3})
        assert await handle.result() == "reject: 3"
    assert done[0].startswith("https://flows.example.com/callbacks/")
    assert done[2] == "escalated to the boss of Ada"


async def test_monitor() -> None:
    looks: list[str] = []

    def is_done(job: str) -> bool:
        looks.append(job)
        return len(looks) == 4

    async with TestHost(app_of("monitor.md", is_done)) as host:
        began = host.clock.current_time
        assert await host.run("watch", "job-1") == "done"
        assert host.clock.current_time - began >= timedelta(seconds=5 + 10 + 20)


async def test_eternal() -> None:
    rounds: list[str] = []

    def remove_old_files(folder: str) -> None:
        rounds.append(folder)

    async with TestHost(app_of("eternal.md", remove_old_files)) as host:
        handle = await host.start("clean_up", "/exports")
        await host.advance(timedelta(hours=3, minutes=1))
        assert len(rounds) == 4
        assert len(await host.client.history(handle.instance_id)) < 10


async def test_race() -> None:
    async def ask(provider: str, request: str) -> Quote:
        if provider == "slow":
            await current_activity().cancellation.wait()
        return Quote(provider, is_good=provider == "good")

    names = {"Quote": Quote, "Request": str, "PROVIDERS": ["slow", "quick", "good"]}
    async with TestHost(app_of("race.md", ask, **names)) as host:
        assert await host.run("quote", "a bike") == Quote("good", is_good=True)


async def test_saga() -> None:
    done: list[str] = []

    def reserve(cart: Cart) -> str:
        return cart.item

    def charge(cart: Cart) -> Payment:
        return Payment(7)

    def ship(cart: Cart) -> None:
        raise LookupError("no lorry")

    def refund(payment: Payment) -> None:
        done.append(f"refund {payment.number}")

    def release(stock: str) -> None:
        done.append(f"release {stock}")

    app = app_of("saga.md", reserve, charge, ship, refund, release, Cart=Cart)
    async with TestHost(app) as host:
        assert await host.run("order", Cart("pen")) == "cancelled"
    assert done == ["refund 7", "release pen"]


async def test_pipeline() -> None:
    def recognise(image: str) -> str:
        return image.removesuffix(".png")

    def publish(plate: str) -> None: ...

    def store(plate: str) -> str:
        return f"{plate} stored"

    async with TestHost(app_of("pipeline.md", recognise, publish, store)) as host:
        assert await host.run("gate", "B-AR 7.png") == "B-AR 7 stored"


async def test_correlation() -> None:
    async with TestHost(app_of("correlation.md", Bill=Bill)) as host:
        await host.client.publish("hotels", "no bill", key="lyon", event_id="bad")
        await host.client.publish("hotels", {"amount": 180}, key="lyon")
        await host.client.publish("flights", {"amount": 320}, key="lyon", event_id="flight-lyon-7")
        await host.client.publish("flights", {"amount": 320}, key="lyon", event_id="flight-lyon-7")
        await host.advance(timedelta(seconds=1))
        handle = host.client.handle("expense_report:lyon")
        assert await handle.result() == 500
        assert [one.name for one in await host.client.dead_letters()] == ["hotels/bad"]


async def test_events_or_orchestrator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    lines: list[str] = []
    said: list[str] = []

    def write_line(_event_id: str, plate: str) -> None:
        if plate == "BAD1":
            raise IsADirectoryError(plate)
        lines.append(plate)

    app = App()
    run_page("events-or-orchestrator.md", app, write_line=write_line, say=said.append)
    async with TestHost(app) as host:
        for number, plate in enumerate(("LAX427", "BAD1")):
            (tmp_path / "pictures" / f"car-{number}.txt").write_text(plate)
        await host.advance(timedelta(minutes=1))
        failed = await host.host.engine.storage.failed_deliveries()
    assert lines == ["LAX427"]
    assert sorted(said) == ["welcome, BAD1", "welcome, LAX427"]
    assert [(one.function, one.attempts) for one in failed] == [("plates.store", 5)]


class BreakerOpenError(Exception):
    """Nobody asks now."""


async def test_circuit_breaker() -> None:
    answers: list[Exception | int] = [
        ConnectionError(),
        BreakerOpenError(),
        BreakerOpenError(),
        310,
    ]

    class Breaker:
        def call(self, _service: object, _item: str) -> int:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    def last_known_price(item: str) -> int:
        return 300

    app = app_of("circuit-breaker.md", last_known_price, breaker=Breaker(), price_service=None)
    async with TestHost(app) as host:
        assert await host.run("quote", "tea") == 300
        await host.advance(timedelta(hours=1))
        found = [one async for one in host.client.query(InstanceFilter(name="look_again"))]
        assert [one.output for one in found] == [310]
    assert answers == []


async def test_sub_orchestrations() -> None:
    app = App()

    @app.orchestrator
    async def book_trip(ctx: Context, trip: str) -> str:
        return f"to {trip}"

    run_page("sub-orchestrations.md", app, book_trip=book_trip, Trip=str, Itinerary=str)
    async with TestHost(app) as host:
        assert await host.run("conference_season", ["Oslo", "Lima"]) == ["to Oslo", "to Lima"]
