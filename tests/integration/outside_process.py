"""A process of its own that is only a client of a store: ``outside_process.py URL``.

Reads one Python expression a line, awaits it with ``client`` in scope, and prints its value as
JSON, or the error.
"""

import asyncio
import json
import sys

from tenuto import Client


async def main(url: str) -> None:
    async with Client.open(url) as client:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                value = await eval(line, {"client": client})
            except Exception as error:  # noqa: BLE001 - whatever it is, the test asks for it
                value = f"{type(error).__name__}: {error}"
            sys.stdout.write(json.dumps(value, default=str) + "\n")
            sys.stdout.flush()


asyncio.run(main(sys.argv[1]))
