"""A host that runs a mixture of functions for ever and sends its spans, for tests that kill it.

Arguments: storage URL, where spans go, a word for its instances, or ``finish``: run to the end what
there is. Prints ``up`` once it serves.
"""

import asyncio
import sys

from tenuto import Host, InstanceFilter, RuntimeStatus
from tenuto.host.settings import Settings
from tenuto.telemetry.export_settings import TelemetrySettings
from tests.support.usage_process import app, mixture

COUNT = 60


async def main(url: str, endpoint: str, word: str) -> None:
    telemetry = TelemetrySettings(endpoint=endpoint, seconds=0.02, send=("traces",))
    async with Host(app, settings=Settings(storage=url, telemetry=telemetry)) as host:
        print("up", flush=True)  # noqa: T201 - what the test reads
        if word == "finish":
            unfinished = InstanceFilter(
                statuses=(RuntimeStatus.PENDING, RuntimeStatus.RUNNING), payloads=False
            )
            while [one async for one in host.client.query(unfinished)]:  # noqa: ASYNC110 - asked
                await asyncio.sleep(0.02)
            return
        for number in range(COUNT):
            await host.client.start(mixture, number, instance_id=f"{word}-{number}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
