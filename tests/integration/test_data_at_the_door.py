"""Data that do not fit the type that waits are refused where they enter, and change nothing."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from tenuto import App, Context, PayloadError
from tenuto.model.events import EventRaised, EventRefused
from tenuto.testing import TestHost
from tests.support.histories import kinds, of_type
from tests.support.http_in_process import http_to


@dataclass
class Decision:
    approved: bool
    amount: int


@pytest.fixture
def deciding(app: App) -> str:
    @app.orchestrator
    async def deciding(ctx: Context) -> int:
        decision = await ctx.wait_for_external_event("decision", Decision, timedelta(days=60))
        return decision.amount

    return deciding.name


async def test_bad_input_is_refused_whole_a_wrong_event_is_told_its_sender_and_leaves_no_trace(
    test: TestHost, deciding: str
) -> None:
    """A4: after sixty days nothing may end the wait but the right answer."""
    handle = await test.start(deciding)
    await test.advance(timedelta(days=59))
    before = await test.client.history(handle.instance_id)
    for data in (None, "yes", {"approved": True}, {"approved": True, "amount": "much"}):
        with pytest.raises(PayloadError, match="event 'decision'"):
            await handle.raise_event("decision", data)
    with pytest.raises(PayloadError, match=r"value at \$\.amount does not fit: Expected `int`"):
        await handle.raise_event("decision", {"approved": True, "amount": "much"})
    assert await test.client.history(handle.instance_id) == before
    assert await test.host.engine.storage.dead_letters() == []
    await test.restart()
    await handle.raise_event("decision", {"approved": True, "amount": 7})
    assert await handle.result() == 7
    await test.check_replay(handle.instance_id)


async def test_each_event_of_a_turn_is_held_against_the_wait_that_it_is_for(
    app: App, test: TestHost
) -> None:
    @app.orchestrator
    async def parent(ctx: Context) -> list[object]:
        first = await ctx.wait_for_external_event("go", int)
        second = await ctx.wait_for_external_event("go", str)
        return [first, second, await ctx.wait_for_external_event("end")]

    handle = await test.start(parent)
    await test.idle()
    sent = [handle.raise_event("go", data) for data in (1, 2, "two", 3)]
    answers = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(one) for one in answers] == [type(None), PayloadError, type(None), type(None)]
    await handle.raise_event("end")
    assert await handle.result() == [1, "two", None]
    await test.check_replay(handle.instance_id)


async def test_one_that_came_before_the_wait_is_looked_at_when_it_begins(
    app: App, test: TestHost
) -> None:
    """In the turn that takes it in its sender is told, afterwards it is a dead letter."""

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        await ctx.wait_for_external_event("open")
        return await ctx.wait_for_external_event("go", int)

    handle = await test.start(parent)
    await handle.raise_event("go", "early")
    await test.idle()
    same_turn, opens = await asyncio.gather(
        handle.raise_event("go", "with it"), handle.raise_event("open"), return_exceptions=True
    )
    assert (type(same_turn), opens) == (PayloadError, None)
    history = await test.client.history(handle.instance_id)
    assert [one.input for one in of_type(history, EventRaised)] == ['"early"', None]
    (refused,) = of_type(history, EventRefused)
    assert "Expected `int`, found `str`" in refused.reason
    await test.crash()
    await handle.raise_event("go", 5)
    assert await handle.result() == 5
    await test.check_replay(handle.instance_id)
    assert len(test.problems) == 1
    test.problems.clear()


async def test_no_silent_drop_what_was_accepted_while_suspended_is_a_dead_letter(
    test: TestHost, deciding: str
) -> None:
    handle = await test.start(deciding)
    await test.idle()
    await handle.suspend()
    await handle.raise_event("decision", "yes")
    await handle.resume()
    await handle.raise_event("decision", Decision(approved=True, amount=2))
    assert await handle.result() == 2
    (letter,) = await test.host.engine.storage.dead_letters()
    assert "does not fit" in letter.reason
    assert "EventRefused" in kinds(await test.client.history(handle.instance_id))
    test.problems.clear()


async def test_a_wrong_event_of_another_orchestration_is_a_dead_letter(
    app: App, test: TestHost, deciding: str
) -> None:
    @app.orchestrator
    async def sender(ctx: Context) -> None:
        ctx.send_event("the-one", "decision", "yes")

    handle = await test.start(deciding, instance_id="the-one")
    await test.idle()
    await test.run(sender)
    await test.idle()
    assert len(await test.host.engine.storage.dead_letters()) == 1
    await handle.raise_event("decision", {"approved": False, "amount": 1})
    assert await handle.result() == 1
    test.problems.clear()


async def test_a_type_of_users_may_refuse_in_any_way(app: App, test: TestHost) -> None:
    @dataclass
    class Even:
        number: int

        def __post_init__(self) -> None:
            if self.number % 2:
                raise RuntimeError(f"{self.number} is odd" + "!" * 2_000)

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        return (await ctx.wait_for_external_event("go", Even)).number

    handle = await test.start(parent)
    await test.idle()
    with pytest.raises(PayloadError, match="3 is odd!") as caught:
        await handle.raise_event("go", {"number": 3})
    assert len(str(caught.value)) < 1_200
    await handle.raise_event("go", {"number": 4})
    assert await handle.result() == 4


@pytest.mark.parametrize(
    "path",
    [
        "/runtime/webhooks/durabletask/instances/one/raiseEvent/decision",
        "/admin/instances/one/raise-event",
    ],
)
async def test_over_http_it_is_400_with_the_place_in_the_value(
    app: App, test: TestHost, deciding: str, path: str
) -> None:
    async with http_to(test, app) as http:
        handle = await test.start(deciding, instance_id="one")
        await test.idle()
        data = {"approved": True, "amount": "much"}
        body = {"name": "decision", "input": data} if path.startswith("/admin") else data
        answer = await http.post(path, json=body)
        assert answer.status_code == 400
        assert "value at $.amount" in answer.json()["message"]
        await handle.raise_event("decision", {"approved": True, "amount": 1})
        assert await handle.result() == 1
