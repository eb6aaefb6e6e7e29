"""One that asks for more memory than there is, on a server that has little.

Not among the tests of each build: where even asyncio finds no memory, nobody can promise an answer.
"""

import asyncio
from pathlib import Path

import pytest

from tests.integration.test_small_machines import (
    TEXT_LENGTH,
    TEXTS,
    folder,
    serving,
    standing,
    start,
    travel,
)
from tests.support.small_machine import MEBI

__all__ = ["folder"]

GREEDY_LIMIT_BYTES = 160 * MEBI
"""Of what is left, the others must have their turns."""


@pytest.mark.faults
@pytest.mark.parametrize("activity", ["text", "text_of_thread"])
async def test_one_never_takes_all_of_the_memory_and_the_host_serves_on_and_stops_when_asked(
    folder: Path, activity: str
) -> None:
    """The garbage of who is held is given back: the threads of others need that memory."""
    async with serving(folder, "uvloop", GREEDY_LIMIT_BYTES) as (_, http):
        await start(http, "greedy", "greedy", activity)
        # Started beside it, and asked for all the time: nobody waits for an answer for ever.
        _, status = await asyncio.gather(travel(http, range(50)), standing(http, "greedy"))
        assert status["hold"]["reason"] == "memory"
        await travel(http, range(50, 100))
    if activity != "text":  # the same code from here on
        return
    async with serving(folder, "uvloop", 0) as (_, http):  # with more memory nothing is lost
        assert (await http.post("/instances/greedy/resume")).status_code == 202
        while (status := await standing(http, "greedy")).get("hold"):
            pass
        assert (status["runtimeStatus"], status["output"]) == ("Completed", TEXTS * TEXT_LENGTH)
