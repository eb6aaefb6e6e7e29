"""Events that nobody has asked for are named once, in the log, when their instance ends."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from tenuto import Context
from tenuto.model.actions import TurnActions
from tenuto.model.events import EventRaised, ExecutionStarted, OrchestratorStarted
from tenuto.model.unread import UnreadEvent, UnreadEvents
from tests.support.sessions import Driven, execution, raised


def warnings(turn: TurnActions) -> list[str]:
    return [one.getMessage() for one in turn.logs or ()]


async def pay(ctx: Context) -> str:
    return await ctx.wait_for_external_event("paid", str)


async def refuse(ctx: Context) -> None:
    await pay(ctx)
    raise ValueError("no")


async def go_on(ctx: Context) -> None:
    await pay(ctx)
    ctx.continue_as_new()


@pytest.mark.parametrize("function", [pay, refuse])
def test_a_typing_error_in_a_name_is_told_at_the_end(function: Callable[..., Any]) -> None:
    driven = Driven(function)
    assert driven.start().logs is None
    assert driven.turn(raised("piad"), raised("piad")).logs is None
    (line,) = warnings(driven.turn(raised("paid", "card"), raised("Paid", "again")))
    assert "has ended" in line
    assert "nobody has asked for 3 of the events" in line
    assert line.endswith(": 'piad' (2), 'Paid' (1)")


def test_names_beyond_five_are_counted() -> None:
    driven = Driven(pay)
    driven.start()
    (line,) = warnings(driven.turn(*(raised(f"e{n}") for n in range(7)), raised("paid", "card")))
    assert "7 of the events" in line
    assert line.endswith("'e4' (1) and 2 more names")


def test_what_was_taken_and_what_the_next_generation_gets_is_not_told() -> None:
    driven = Driven(pay)
    driven.start()
    assert driven.turn(raised("paid", "card")).logs is None
    driven = Driven(go_on)
    driven.start()
    assert driven.turn(raised("piad"), raised("paid", "card")).logs is None


def test_what_earlier_generations_have_left_counts_too() -> None:
    old = [UnreadEvent(1, raised("paid", "card")), UnreadEvent(2, raised("piad"))]
    info = structs.replace(execution(), unread=UnreadEvents(old))
    (line,) = warnings(Driven(pay, info=info).start())
    assert line.endswith("nobody has asked for 1 of the events that came for it: 'piad' (1)")


def test_replay_is_silent() -> None:
    driven = Driven(pay)
    driven.start()
    assert warnings(driven.turn(raised("piad"), raised("paid", "card")))
    session = driven.open()
    for began, *events in driven.turns:
        assert isinstance(began, OrchestratorStarted)
        incoming = [one for one in events if isinstance(one, ExecutionStarted | EventRaised)]
        assert session.run_turn(began.timestamp, incoming, replaying=True).logs is None
    session.close()
