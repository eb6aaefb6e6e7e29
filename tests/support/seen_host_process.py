"""A host that somebody looks at while it is killed. Arguments: its store and its port."""

import asyncio
import sys

from tenuto import Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tests.support.steered_app import steered_app


async def main(store: str, port: str) -> None:
    settings = Settings(storage=f"sqlite:///{store}", http=HttpSettings(port=int(port)))
    async with Server(steered_app(), settings=settings):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
