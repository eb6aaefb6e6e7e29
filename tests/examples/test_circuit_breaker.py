"""A failing service is spared, the shop goes on with estimates, and looks again later."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from examples.circuit_breaker import circuit_breaker
from examples.circuit_breaker.circuit_breaker import (
    FAILING,
    Breaker,
    BreakerOpenError,
    Quote,
    price_service,
    quote,
)
from tenuto import InstanceFilter
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(circuit_breaker.app)


@pytest.fixture
def breaker(test: TestHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Breaker]:
    breaker = Breaker(now=lambda: test.clock.now() / 1_000_000)
    monkeypatch.setattr(circuit_breaker, "breaker", breaker)
    FAILING.clear()
    yield breaker
    FAILING.clear()


def test_a_breaker_opens_after_failures_in_a_row_and_lets_one_call_try() -> None:
    now = [0.0]
    breaker = Breaker(now=lambda: now[0])

    def fails(_item: str) -> int:
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            breaker.call(fails, "tea")
    assert breaker.call(price_service, "tea") == 310  # not in a row
    for _ in range(3):
        with pytest.raises(ConnectionError):
            breaker.call(fails, "tea")
    assert breaker.state == "open"
    with pytest.raises(BreakerOpenError):
        breaker.call(price_service, "tea")
    now[0] = 30.0
    assert breaker.state == "half open"
    with pytest.raises(ConnectionError):
        breaker.call(fails, "tea")
    assert breaker.state == "open"
    now[0] = 60.0
    assert breaker.call(price_service, "tea") == 310
    assert breaker.state == "closed"


async def test_a_service_that_works_is_asked_once(test: TestHost, breaker: Breaker) -> None:
    assert await test.run(quote, "tea") == Quote("tea", 310)
    assert breaker.calls == ["tea"]


async def test_the_shop_goes_on_with_estimates_and_looks_again(
    test: TestHost, breaker: Breaker
) -> None:
    FAILING.add("tea")
    for _ in range(5):
        assert await test.run(quote, "tea") == Quote("tea", 300, is_estimate=True)
    assert breaker.state == "open"
    assert len(breaker.calls) <= 4, "an open breaker spares the service"
    FAILING.clear()
    await test.advance(timedelta(hours=2))
    again = [status.output async for status in test.client.query(InstanceFilter(name="look_again"))]
    assert again == [{"item": "tea", "price": 310, "is_estimate": False}] * 5


async def test_what_does_not_come_back_within_a_day_is_let_be(
    test: TestHost, breaker: Breaker
) -> None:
    FAILING.add("honey")
    await test.run(quote, "honey")
    await test.advance(timedelta(days=2))
    again = [status.output async for status in test.client.query(InstanceFilter(name="look_again"))]
    assert again == [None]
