"""Runs the programs of ``asyncio_programs`` in a session and on the stock event loop.

Reads a list of names as JSON, writes for each name what happened in both.
"""

import asyncio
import json
import sys
from typing import Any

from tests.support.asyncio_programs import PROGRAMS, Program
from tests.support.program_interpreter import shape
from tests.support.sessions import Driven


def main() -> None:
    """Answer one request."""
    names: list[str] = json.load(sys.stdin)
    json.dump({name: both_ways(PROGRAMS[name]) for name in names}, sys.stdout)


def both_ways(program: Program) -> dict[str, list[Any]]:
    """What a program does in a session and on the stock loop, as JSON has it."""
    ways = {"session": _in_session(program), "stock": _on_stock_loop(program)}
    as_json: dict[str, list[Any]] = json.loads(json.dumps(ways))
    return as_json


async def _noted(program: Program, notes: list[object]) -> None:
    try:
        notes.append(["returned", await program.run(notes.append)])
    except (Exception, asyncio.CancelledError) as error:
        notes.append(["raised", shape(error)])
        raise


def _in_session(program: Program) -> list[object]:
    notes: list[object] = []

    async def orchestrator(_ctx: object) -> None:
        await _noted(program, notes)

    driven = Driven(orchestrator)
    driven.start()
    assert driven.ending is not None, f"it waits for something: {notes}"
    seen = list(notes)
    assert driven.close() == 0
    return seen


def _on_stock_loop(program: Program) -> list[object]:
    notes: list[object] = []
    seen: list[object] = []

    async def main() -> None:
        # Tasks that are left have errors that nobody looks at; that is part of the game.
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        try:
            await _noted(program, notes)
        finally:
            seen.extend(notes)

    asyncio.run(main())
    return seen


if __name__ == "__main__":
    main()
