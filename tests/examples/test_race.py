"""The first good answer wins, the losers are called off, nobody waits for ever."""

import asyncio
from datetime import timedelta

import pytest

from examples.race import race
from examples.race.race import Carrier, Offer, Outcome, Request, find_carrier
from tenuto.model.events import TaskCanceled
from tenuto.testing import TestHost
from tests.integration.conftest import OpenHost
from tests.support.waiting import until

REQUEST = Request("Lyon to Prague")


@pytest.fixture
async def test(open_host: OpenHost) -> TestHost:
    return await open_host(race.app)


def set_carriers(monkeypatch: pytest.MonkeyPatch, *carriers: Carrier) -> None:
    monkeypatch.setattr(race, "CARRIERS", {one.name: one for one in carriers})


async def test_the_first_good_offer_wins_and_the_rest_is_called_off(
    test: TestHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_carriers(
        monkeypatch,
        Carrier("swift", 0, None),
        Carrier("golden", 0.1, 900),
        Carrier("solid", 0.2, 250),
        Carrier("sleepy", 3600, 100),
    )
    handle = await test.start(find_carrier, REQUEST)
    assert await handle.result() == Outcome(
        Offer("solid", 250), ["swift does not answer", "golden wants 900"]
    )
    await until(lambda: "sleepy: never mind about Lyon to Prague" in caplog.text)
    await test.idle()
    assert "solid: never mind" not in caplog.text
    history = await test.client.history(handle.instance_id)
    # The question to the sleepy one, and the timer of the timeout.
    assert len([event for event in history if isinstance(event, TaskCanceled)]) == 2


async def test_a_good_offer_wins_even_when_a_better_one_comes_later(
    test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_carriers(monkeypatch, Carrier("solid", 0.1, 250), Carrier("cheap", 0.4, 10))
    assert (await test.run(find_carrier, REQUEST)).winner == Offer("solid", 250)


async def test_without_a_good_offer_there_is_no_winner_and_a_reason_for_each(
    test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_carriers(monkeypatch, Carrier("swift", 0, None), Carrier("golden", 0.1, 900))
    outcome = await test.run(find_carrier, REQUEST)
    assert outcome == Outcome(None, ["swift does not answer", "golden wants 900"])


async def test_who_does_not_answer_in_time_is_not_waited_for(
    test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_carriers(monkeypatch, Carrier("sleepy", 3600, 100))
    handle = await test.start(find_carrier, REQUEST)
    waiting = asyncio.create_task(handle.result())
    await test.advance(timedelta(seconds=11), with_activities=False)
    assert await waiting == Outcome(None, ["no more answers within 0:00:10"])
    await test.idle()  # the activity has stopped by itself


async def test_after_a_power_cut_the_race_is_run_again_where_it_was(
    test: TestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_carriers(monkeypatch, Carrier("golden", 0, 900), Carrier("solid", 0.5, 250))
    handle = await test.start(find_carrier, REQUEST)
    await test.idle(with_activities=False)
    await test.crash()
    outcome = await handle.result()
    assert outcome == Outcome(Offer("solid", 250), ["golden wants 900"])
