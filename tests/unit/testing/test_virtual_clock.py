"""Virtual time moves only when told, from one due call to the next, and never backwards."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tenuto import InputError
from tenuto.testing import VirtualClock
from tenuto.testing.clock import ClockWire

SECOND = 1_000_000


async def test_it_starts_at_its_moment_and_stands_still() -> None:
    clock = VirtualClock()
    assert clock.current_time == datetime(2026, 1, 1, tzinfo=UTC)
    await asyncio.sleep(0.002)
    assert clock.current_time == datetime(2026, 1, 1, tzinfo=UTC)
    berlin = datetime(2030, 5, 1, 12, tzinfo=UTC)
    assert VirtualClock(berlin).current_time == berlin


async def test_advance_makes_each_call_at_its_own_time_in_order() -> None:
    clock = VirtualClock()
    seen: list[tuple[str, int]] = []
    origin = clock.now()

    def note(name: str) -> None:
        seen.append((name, (clock.now() - origin) // SECOND))

    clock.call_at(origin + 3 * SECOND, lambda: note("b"))
    clock.call_at(origin + 1 * SECOND, lambda: note("a"))
    clock.call_at(origin + 3 * SECOND, lambda: note("c"))
    clock.call_at(origin + 9 * SECOND, lambda: note("late"))
    await clock.advance(timedelta(seconds=5))
    assert seen == [("a", 1), ("b", 3), ("c", 3)]
    assert clock.now() == origin + 5 * SECOND
    await clock.advance(datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC))
    assert seen[-1] == ("late", 9)


async def test_a_call_made_on_the_way_is_made_too() -> None:
    clock = VirtualClock()
    seen: list[int] = []
    origin = clock.now()

    def again() -> None:
        seen.append((clock.now() - origin) // SECOND)
        clock.call_at(clock.now() + SECOND, again)

    clock.call_at(origin, again)
    await clock.advance(timedelta(seconds=4))
    assert seen == [0, 1, 2, 3, 4]


async def test_a_call_that_was_taken_back_is_not_made_and_no_step() -> None:
    clock = VirtualClock()
    seen: list[str] = []
    first = clock.call_at(clock.now() + SECOND, lambda: seen.append("first"))
    second = clock.call_at(clock.now() + 2 * SECOND, lambda: seen.append("second"))
    first.cancel()
    first.cancel()
    assert await clock.next_moment() == clock.now() + 2 * SECOND
    await clock.advance(timedelta(seconds=3))
    assert seen == ["second"]
    second.cancel()
    assert not second.is_pending


async def test_a_call_in_the_past_is_made_soon_but_never_at_once() -> None:
    clock = VirtualClock()
    seen: list[str] = []
    clock.call_at(clock.now() - SECOND, lambda: seen.append("called"))
    assert seen == []
    await asyncio.sleep(0)
    assert seen == ["called"]


async def test_time_does_not_go_back() -> None:
    clock = VirtualClock()
    with pytest.raises(InputError, match="back"):
        await clock.advance(timedelta(seconds=-1))
    with pytest.raises(InputError, match="back"):
        await clock.advance(datetime(2025, 1, 1, tzinfo=UTC))
    now = clock.now()
    clock.jump(now - 1)
    assert clock.now() == now


def test_naive_moments_are_refused() -> None:
    with pytest.raises(InputError, match="aware"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the case in point


async def test_a_cut_wire_makes_no_more_calls() -> None:
    clock = VirtualClock()
    wire = ClockWire(clock)
    seen: list[str] = []
    wire.call_at(clock.now() + SECOND, lambda: seen.append("before"))
    wire.cut()
    wire.call_at(clock.now() + SECOND, lambda: seen.append("after"))
    await clock.advance(timedelta(seconds=2))
    assert seen == []
    assert wire.now() == clock.now()
