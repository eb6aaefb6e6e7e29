"""Async generators of sessions and of the host's own loop, side by side in one thread."""

import asyncio
import gc
from collections.abc import AsyncGenerator

import pytest

from tenuto import Context
from tenuto.orchestration import generator_hooks
from tests.support.sessions import Driven, raised
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def nothing_is_left_of_other_tests() -> None:
    gc.collect()
    generator_hooks._owners.clear()


async def numbers(ended: list[str], name: str = "") -> AsyncGenerator[int]:
    try:
        for number in range(3):
            yield number
    finally:
        ended.append(name)


async def test_the_hosts_own_generators_stay_with_the_hosts_loop() -> None:
    ended: list[str] = []

    async def orchestrator(ctx: Context) -> None:
        await ctx.wait_for_external_event("never")

    before = numbers(ended, "before")
    await anext(before)
    driven = Driven(orchestrator)
    driven.start()
    after = numbers(ended, "after")
    await anext(after)
    driven.close()
    del before, after
    gc.collect()
    await until(lambda: len(ended) == 2)  # asyncio closes them in tasks of its own
    assert sorted(ended) == ["after", "before"]
    assert not generator_hooks._owners


def test_a_thread_without_a_loop_keeps_its_generators_to_itself() -> None:
    ended: list[str] = []

    async def orchestrator(ctx: Context) -> None:
        await ctx.wait_for_external_event("never")

    driven = Driven(orchestrator)
    driven.start()
    driven.close()
    generator = numbers(ended)
    with pytest.raises(StopIteration):
        generator.asend(None).send(None)
    del generator
    gc.collect()
    assert ended == [""], "without hooks it is just closed"


async def test_generators_that_have_ended_are_forgotten_while_the_session_goes_on() -> None:
    async def orchestrator(ctx: Context) -> int:
        total = 0
        for _ in range(5):
            together = [numbers([]) for _ in range(100)]  # at a hundred addresses
            for one in together:
                async for number in one:
                    total += number
            del one, together
        await ctx.wait_for_external_event("go")
        return total

    driven = Driven(orchestrator)
    driven.start()
    assert len(generator_hooks._owners) < 200
    driven.turn(raised("go"))
    assert driven.result == 1_500
    driven.close()
    assert not generator_hooks._owners


async def test_an_address_belongs_to_who_came_last() -> None:
    ended: list[str] = []

    async def orchestrator(ctx: Context) -> None:
        async for _ in numbers([]):
            pass
        await ctx.wait_for_external_event("never")

    first, second = Driven(orchestrator), Driven(orchestrator)
    first.start()
    owners = generator_hooks._owners
    (address,) = [one for one, owner in owners.items() if owner is first.session.loop]
    second.start()
    owners[address] = second.session.loop  # as when a generator is made where that one stood
    first.close()
    assert owners[address] is second.session.loop, "it is not the first one's any more"
    generator = numbers(ended, "host")
    owners[id(generator)] = second.session.loop
    await anext(generator)
    assert id(generator) not in owners
    await generator.aclose()
    second.close()
    assert ended == ["host"]


async def test_a_generator_that_outlives_its_session_is_nobodys_business() -> None:
    ended: list[str] = []
    kept: list[AsyncGenerator[int]] = []

    async def orchestrator(ctx: Context) -> None:
        generator = stubborn(ended)
        kept.append(generator)
        await anext(generator)
        await ctx.wait_for_external_event("never")

    driven = Driven(orchestrator)
    driven.start()
    assert driven.close() == 1, "it refused to end"
    kept.clear()
    gc.collect()
    await asyncio.sleep(0)
    assert "task" not in ended


async def stubborn(ended: list[str]) -> AsyncGenerator[int]:
    while True:
        try:
            yield 1
        except BaseException:  # noqa: BLE001 - whatever is thrown in
            if asyncio.current_task() is not None:
                ended.append("task")
