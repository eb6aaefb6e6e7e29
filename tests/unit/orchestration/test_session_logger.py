"""Lines of ``ctx.logger``: put into words in their turn, decide nothing, fail nobody."""

import asyncio
import logging
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tenuto import Context
from tests.support.sessions import Driven, answered, names, work


class Spoken:
    """An object whose words are users' code."""

    def __init__(self, words: Callable[[], str]) -> None:
        self.words = words

    def __str__(self) -> str:
        return self.words()

    __repr__ = __str__


def lines(logs: list[logging.LogRecord] | None) -> list[str]:
    return [record.getMessage() for record in logs or ()]


@pytest.mark.parametrize(
    "error",
    [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, MemoryError],
)
@pytest.mark.parametrize("where", ["args", "named", "message"])
def test_words_that_raise_are_told_of_and_decide_nothing(
    error: type[BaseException], where: str
) -> None:
    def words() -> str:
        raise error

    async def chatty(ctx: Context) -> str:
        if where == "args":
            ctx.logger.warning("it is %s", Spoken(words))
        elif where == "named":
            ctx.logger.warning("it is %(what)r", {"what": Spoken(words)})
        else:
            ctx.logger.warning(Spoken(words))
        await ctx.call_activity(work)
        return "went on"

    driven = Driven(chatty)
    told = lines(driven.start().logs)
    template = {"args": "it is %s", "named": "it is %(what)r", "message": "Spoken"}[where]
    assert told == [f"{template} (its arguments cannot be shown: {error.__name__})"]
    driven.turn(answered(1))
    assert driven.result == "went on"
    driven.replayed().close()
    driven.close()


def test_words_may_decide_nothing_because_no_replay_asks_for_them() -> None:
    async def chatty(ctx: Context) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: ctx.call_activity(work),
            lambda: ctx.set_custom_status("decided"),
            lambda: ctx.send_event("other", "name"),
            lambda: asyncio.get_running_loop().call_soon(print),
        ]
        for call in calls:
            ctx.logger.warning("%s", Spoken(lambda call=call: str(call())))  # type: ignore[misc]
        await ctx.call_activity(work)

    driven = Driven(chatty)
    answer = driven.start()
    assert names(answer.actions) == ["TaskScheduled"]
    assert lines(answer.logs) == ["%s (its arguments cannot be shown: GuardError)"] * 4
    driven.turn(answered(1))
    driven.replayed().close()
    driven.close()


def test_a_line_says_what_was_so_when_it_was_written() -> None:
    async def chatty(ctx: Context) -> None:
        seen = ["before"]
        ctx.logger.warning("seen %s", seen)
        seen.append("after")

    driven = Driven(chatty)
    assert lines(driven.start().logs) == ["seen ['before']"]
    driven.close()


def test_lines_of_plain_values_keep_their_template_for_tools_that_sort_by_it() -> None:
    async def chatty(ctx: Context) -> None:
        ctx.logger.warning("%s of %d", "one", 2)
        ctx.logger.warning("%(one)s", {"one": 1})
        ctx.logger.warning("none")

    driven = Driven(chatty)
    logs = driven.start().logs
    assert logs is not None
    assert [record.msg for record in logs] == ["%s of %d", "%(one)s", "none"]
    assert lines(logs) == ["one of 2", "1", "none"]
    driven.close()


def test_arguments_that_do_not_fit_are_told_of() -> None:
    async def chatty(ctx: Context) -> None:
        ctx.logger.warning("%d", [])

    driven = Driven(chatty)
    assert lines(driven.start().logs) == ["%d (its arguments cannot be shown: TypeError)"]
    driven.close()


def test_a_ctrl_c_in_the_middle_of_it_still_ends_the_program() -> None:
    def words() -> str:
        signal.raise_signal(signal.SIGINT)
        return "never"

    async def chatty(ctx: Context) -> None:
        ctx.logger.warning("%s", Spoken(words))

    driven = Driven(chatty)
    with pytest.raises(KeyboardInterrupt):
        driven.start()
    driven.close()
