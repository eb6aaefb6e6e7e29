"""Compensations in reverse order, also of steps that never answered; the ones that fail."""

from dataclasses import replace
from pathlib import Path

import pytest

from examples.order_saga import order_saga
from examples.order_saga.order_saga import Order, Outcome, place_order
from tenuto.model.events import HistoryEvent, TaskScheduled
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

ORDER = Order("lamp", 2, card="visa", address="Main Street 1")


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(order_saga.app)


def books(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "books").glob("*"))


def calls(history: list[HistoryEvent]) -> list[str]:
    """The activities in the order in which they were first asked for."""
    names = [event.name for event in history if isinstance(event, TaskScheduled)]
    return list(dict.fromkeys(names))


async def test_an_order_goes_through_and_stands_once_in_each_book(
    test: TestHost, folder: Path
) -> None:
    assert await test.run(place_order, ORDER, instance_id="o1") == Outcome("shipped")
    assert books(folder) == ["o1.parcel", "o1.payment", "o1.reservation"]
    assert (folder / "books" / "o1.payment").read_text("utf-8") == "40 € from visa"


@pytest.mark.parametrize(
    ("order", "reason", "undone", "called"),
    [
        (
            replace(ORDER, item="unicorn"),
            "there are no unicorns in stock",
            ["reservation"],
            ["reserve", "release"],
        ),
        (
            replace(ORDER, card="declined"),
            "the card was declined",
            ["payment", "reservation"],
            ["reserve", "charge", "refund", "release"],
        ),
        (
            replace(ORDER, card="slow"),
            "the bank did not answer in time",
            ["payment", "reservation"],
            ["reserve", "charge", "refund", "release"],
        ),
        (
            replace(ORDER, address="nowhere"),
            "no carrier goes nowhere",
            ["payment", "reservation"],
            ["reserve", "charge", "ship", "refund", "release"],
        ),
    ],
    ids=["first step", "second step", "a step that was done but never answered", "last step"],
)
async def test_what_was_done_is_undone_in_reverse_order_and_nothing_is_left(
    test: TestHost, folder: Path, order: Order, reason: str, undone: list[str], called: list[str]
) -> None:
    handle = await test.start(place_order, order)
    assert await handle.result() == Outcome("canceled", reason, undone)
    assert books(folder) == []
    assert calls(await test.client.history(handle.instance_id)) == called


async def test_an_undo_that_keeps_failing_is_reported_and_the_others_are_made(
    test: TestHost, folder: Path
) -> None:
    handle = await test.start(
        place_order, replace(ORDER, item="anvil", address="nowhere"), instance_id="o1"
    )
    assert await handle.result() == Outcome(
        "needs attention",
        "no carrier goes nowhere",
        ["payment"],
        ["reservation: nobody can lift the anvil back onto its shelf"],
    )
    assert books(folder) == ["o1.reservation"]
    history = await test.client.history(handle.instance_id)
    attempts = [one for one in history if isinstance(one, TaskScheduled) and one.name == "release"]
    assert len(attempts) == order_saga.STUBBORNLY.max_attempts


async def test_an_undo_that_fails_for_a_while_is_made_in_the_end(
    test: TestHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strike_out, failures = order_saga._strike_out, 3

    def failing(name: str) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError("the books are locked")
        strike_out(name)

    monkeypatch.setattr(order_saga, "_strike_out", failing)
    outcome = await test.run(place_order, replace(ORDER, address="nowhere"))
    assert outcome.status == "canceled"
    assert books(folder) == []


async def test_a_power_cut_in_the_middle_of_undoing_does_not_stop_it(
    test: TestHost, folder: Path
) -> None:
    handle = await test.start(place_order, replace(ORDER, item="anvil", address="nowhere"))
    await test.advance(order_saga.STUBBORNLY.first_interval * 5)
    assert (await handle.status()).custom_status == "undoing: no carrier goes nowhere"
    await test.crash()
    assert (await handle.result()).status == "needs attention"
