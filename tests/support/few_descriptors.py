"""A server that may have few file descriptors: ``few_descriptors.py PORT MOST``."""

import asyncio
import resource
import sys

from tenuto import App, Settings
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.telemetry.log_setup import configure_logging


async def main() -> None:
    most = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    settings = Settings(storage="sqlite://", http=HttpSettings(port=int(sys.argv[1])))
    async with Server(App(), settings=settings):
        await asyncio.Event().wait()


configure_logging("text", "info")
asyncio.run(main())
