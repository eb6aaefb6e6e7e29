"""One report for each trip, whatever comes first, and however often it is said."""

import itertools
from datetime import timedelta

import pytest

from examples.expense_report import expense_report
from examples.expense_report.expense_report import FLIGHTS, HOTELS, Report, booked
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost

ORDERS = sorted(set(itertools.permutations([FLIGHTS, HOTELS, FLIGHTS, HOTELS])))


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(expense_report.app)


async def test_whatever_comes_first_each_trip_has_one_report(
    test: TestHost, capsys: pytest.CaptureFixture[str]
) -> None:
    amounts = {FLIGHTS: 320, HOTELS: 180}
    for number, order in enumerate(ORDERS):
        for topic in order:
            await booked(test.client, topic, f"trip-{number}", amounts[topic])
    await test.advance(timedelta(seconds=1))
    for number in range(len(ORDERS)):
        handle = test.client.handle_of(
            f"expense_report:trip-{number}", expense_report.expense_report
        )
        assert await handle.result() == Report(f"trip-{number}", 500, [])
    paid = capsys.readouterr().out.splitlines()
    assert sorted(paid) == sorted(
        f"trip trip-{number}: 500 to be paid, missing: nothing" for number in range(len(ORDERS))
    )


async def test_what_never_comes_is_missing(test: TestHost) -> None:
    await booked(test.client, HOTELS, "lyon", 180)
    await test.advance(timedelta(seconds=1))
    await test.advance(timedelta(days=29))
    handle = test.client.handle_of("expense_report:lyon", expense_report.expense_report)
    assert not (await handle.status()).runtime_status.is_finished
    await test.advance(timedelta(days=2))
    assert await handle.result() == Report("lyon", 180, [FLIGHTS])
