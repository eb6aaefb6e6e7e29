"""``one_never_takes_all``: what a host has in hand of events and messages, of all together."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tenuto import App, Event, Settings
from tenuto.messaging.budget import Budget
from tenuto.testing import TestHost
from tests.support.waiting import until

LENGTH = 10_000
MOST = 200_000
SUBSCRIPTIONS = 12
EVENTS = 60
LONGEST = LENGTH + 500
"""Of an event with what is around its data."""


class Watched(Budget):
    """Remembers how much it was at most."""

    made: "list[Watched]" = []  # noqa: RUF012 - cleared by the test

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.highest = 0
        self.made.append(self)

    def __setattr__(self, name: str, given: object) -> None:
        super().__setattr__(name, given)
        if name == "in_hand" and isinstance(given, int):
            super().__setattr__("highest", max(given, getattr(self, "highest", 0)))


@pytest.fixture
def budgets(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    Watched.made.clear()
    monkeypatch.setattr("tenuto.messaging.listening.Budget", Watched)
    return Watched.made


@pytest.mark.parametrize("keys", [0, 3])
async def test_many_subscriptions_of_long_events_keep_to_the_budget_and_get_all(
    budgets: list[Watched], keys: int
) -> None:
    app, seen, running = App(), Counter[tuple[int, int]](), Counter[int]()
    go_on = asyncio.Event()

    def subscribe(number: int) -> None:
        @app.subscribe("orders", name=f"s{number}", concurrency=4)
        async def note(event: Event) -> None:
            running[number] += 1
            await go_on.wait()
            seen[number, event.data["number"]] += 1

    for number in range(SUBSCRIPTIONS):
        subscribe(number)
    async with TestHost(app, settings=Settings(delivery_bytes=MOST)) as test:
        for number in range(EVENTS):
            data = {"number": number, "padding": "x" * LENGTH}
            await test.client.publish("orders", data, key=f"k{number % keys}" if keys else None)
        await until(lambda: len(running) == SUBSCRIPTIONS)
        budget = budgets[0]
        go_on.set()
        await test.idle()
        assert len(seen) == SUBSCRIPTIONS * EVENTS
        assert set(seen.values()) == {1}
        # Beyond it each has one, and of keys that were let go of one for each that is worked on.
        each = 1 + keys
        assert LONGEST < budget.highest <= MOST + SUBSCRIPTIONS * each * LONGEST
        assert budget.in_hand == 0
        assert test.problems == []


async def test_a_queue_of_long_messages_keeps_to_the_budget_and_gets_all(
    budgets: list[Watched],
) -> None:
    app, seen, running = App(), Counter[int](), list[int]()
    go_on = asyncio.Event()

    @app.queue("long", concurrency=1_000)
    async def work(data: dict[str, Any]) -> None:
        running.append(data["number"])
        await go_on.wait()
        seen[data["number"]] += 1

    async with TestHost(app, settings=Settings(delivery_bytes=MOST)) as test:
        for number in range(EVENTS):
            await test.client.enqueue("long", {"number": number, "padding": "x" * LENGTH})
        await until(lambda: bool(running))
        go_on.set()
        await test.idle()
        assert set(seen.values()) == {1}
        assert len(seen) == EVENTS
        assert LONGEST < budgets[0].highest <= MOST + LONGEST
        assert budgets[0].in_hand == 0


async def test_a_queue_whose_messages_do_not_end_leaves_something_to_another(
    budgets: list[Watched],
) -> None:
    app, seen = App(), list[int]()
    never, begun = asyncio.Event(), list[int]()

    @app.queue("stuck", concurrency=1_000)
    async def stick(data: dict[str, Any]) -> None:
        begun.append(data["number"])
        await never.wait()

    @app.queue("busy")
    async def work(data: dict[str, Any]) -> None:
        seen.append(data["number"])

    async with TestHost(app, settings=Settings(delivery_bytes=MOST)) as test:
        for queue in ("stuck", "busy"):
            for number in range(EVENTS):
                data = {"number": number, "padding": "x" * LENGTH}
                await test.client.enqueue(queue, data)
        await until(lambda: len(seen) == EVENTS)
        assert len(begun) < EVENTS
        # As soon as what the other has run is noted, and its bytes are given back.
        await until(lambda: budgets[0].in_hand <= MOST // 2 + LONGEST)
        assert len(begun) < EVENTS
        never.set()
        await test.idle()
        assert len(begun) == EVENTS
