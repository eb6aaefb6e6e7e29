"""Reminders, payments by event, escalation after three days or on Friday at five."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from examples.bill_reminders import bill_reminders
from examples.bill_reminders.bill_reminders import Bill, BillRun, Payment, collect, remind_all
from tenuto import InstanceFinishedError, PayloadError
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

BILL = Bill("Ada", 50)
THREE_DAYS = timedelta(days=3)


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(bill_reminders.app)


def letters(folder: Path) -> list[str]:
    return sorted(file.read_text("utf-8") for file in (folder / "outbox").iterdir())


async def test_all_are_reminded_and_those_who_do_not_pay_are_escalated(
    test: TestHost, folder: Path, mode: str
) -> None:
    customers = 500 if mode == "hot" else 50  # replaying 500 after each commit takes a while
    handle = await test.start(remind_all, BillRun(customers), instance_id="may")
    await test.advance(timedelta(days=1))
    assert len(letters(folder)) == customers
    payers = customers - 10
    for number in range(1, payers + 1):
        await test.client.raise_event(f"may-customer-{number:03}", "paid", Payment(100))
    await test.advance(timedelta(days=1))
    assert (await handle.status()).custom_status == {"paid": payers, "escalated": 0}

    report = await handle.result()

    assert (report.reminded, report.paid) == (customers, payers)
    assert report.escalated == [
        f"customer-{number:03}" for number in range(payers + 1, customers + 1)
    ]
    assert test.clock.current_time - datetime(2026, 1, 4, tzinfo=UTC) < timedelta(seconds=1)
    collections = [letter for letter in letters(folder) if letter.startswith("Debt collection")]
    assert len(collections) == 10
    assert f"Debt collection: customer-{customers:03} still owes" in collections[-1]


async def test_part_of_the_money_is_not_enough(test: TestHost, folder: Path) -> None:
    handle = await test.start(collect, BILL, THREE_DAYS)
    await handle.raise_event("paid", Payment(30))
    assert not await handle.result()
    assert "Debt collection: Ada still owes 20 €." in letters(folder)


async def test_two_parts_are_enough(test: TestHost, folder: Path) -> None:
    handle = await test.start(collect, BILL, THREE_DAYS)
    await handle.raise_event("paid", Payment(30))
    await test.advance(timedelta(days=2, hours=23))
    await handle.raise_event("paid", Payment(20))
    assert await handle.result()
    assert letters(folder) == ["Dear Ada, please pay 50 €."]


async def test_what_is_no_payment_counts_as_nothing(test: TestHost) -> None:
    handle = await test.start(collect, BILL, THREE_DAYS)
    await test.idle()
    message = r"^event 'paid': value at \$ does not fit: Expected `object`"
    with pytest.raises(PayloadError, match=message):
        await handle.raise_event("paid", "a lot")
    await handle.raise_event("paid", Payment(50))
    assert await handle.result()


async def test_money_that_comes_too_late_is_refused_where_it_is_booked(test: TestHost) -> None:
    handle = await test.start(collect, BILL, THREE_DAYS)
    await handle.result()
    with pytest.raises(InstanceFinishedError, match="Completed"):
        await handle.raise_event("paid", Payment(50))


@pytest.mark.parametrize(
    ("monday", "friday_at_five"),
    [
        (datetime(2026, 3, 23, 8, tzinfo=UTC), datetime(2026, 3, 27, 16, tzinfo=UTC)),
        (datetime(2026, 3, 30, 8, tzinfo=UTC), datetime(2026, 4, 3, 15, tzinfo=UTC)),
    ],
    ids=["winter time", "summer time"],
)
async def test_friday_at_five_is_meant_as_the_clocks_in_berlin_show_it(
    open_host: OpenHost, monday: datetime, friday_at_five: datetime
) -> None:
    test = await open_host(bill_reminders.app, start=monday)
    assert not await test.run(collect, BILL, "friday")
    assert test.clock.current_time == friday_at_five


async def test_a_power_cut_during_the_wait_changes_nothing_and_repeats_no_letter(
    test: TestHost, folder: Path
) -> None:
    handle = await test.start(collect, BILL, THREE_DAYS)
    await test.advance(timedelta(days=1))
    await test.crash()
    await test.advance(timedelta(days=1))
    await handle.raise_event("paid", Payment(50))
    assert await handle.result()
    assert letters(folder) == ["Dear Ada, please pay 50 €."]


async def test_a_post_office_that_is_closed_is_tried_again(
    test: TestHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.write_text("a file, where a folder should be")
    monkeypatch.setattr(bill_reminders, "OUTBOX", closed)
    handle = await test.start(collect, BILL, THREE_DAYS)
    await test.advance(timedelta(minutes=2))
    closed.unlink()
    await test.advance(timedelta(minutes=2))
    assert [file.read_text("utf-8") for file in closed.iterdir()] == ["Dear Ada, please pay 50 €."]
    await handle.raise_event("paid", Payment(50))
    assert await handle.result()


async def test_a_letter_whose_posting_nobody_could_note_is_not_posted_twice(
    test: TestHost, folder: Path, answers_that_get_lost: set[str]
) -> None:
    assert not await test.run(collect, BILL, THREE_DAYS)
    assert len(answers_that_get_lost) == 2
    assert letters(folder) == [
        "Dear Ada, please pay 50 €.",
        "Debt collection: Ada still owes 50 €.",
    ]
