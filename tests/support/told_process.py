"""A host that runs the mixture of ``usage_process`` and posts what becomes of it.

Arguments: storage URL, an address, a word for its instances, or ``finish``: run to the end what
there is, and until all of it is told. Prints ``up`` once it serves.
"""

import asyncio
import sys

from tenuto import Host, InstanceFilter, RuntimeStatus
from tenuto.host.notifications.options import NotificationSettings, NotificationTarget
from tenuto.host.notifications.targets import PREFIX
from tenuto.host.settings import Settings
from tests.support.usage_process import app, mixture

COUNT = 40
_OPEN = InstanceFilter(statuses=(RuntimeStatus.PENDING, RuntimeStatus.RUNNING), payloads=False)


async def _all_is_told(host: Host) -> bool:
    if [one async for one in host.client.query(_OPEN)]:
        return False
    places = await host.engine.storage.subscriptions()
    return all(one.lag == 0 for one in places if one.name.startswith(PREFIX))


async def main(url: str, address: str, word: str) -> None:
    target = NotificationTarget(
        webhook=address, secret_variable="OPS_SECRET", children=True, first_seconds=0.05
    )
    told = NotificationSettings(targets={"ops": target})
    settings = Settings(storage=url, notifications=told)
    async with Host(app, settings=settings) as host:
        print("up", flush=True)  # noqa: T201 - what the test reads
        if word == "finish":
            while not await _all_is_told(host):  # noqa: ASYNC110 - asked
                await asyncio.sleep(0.05)
            return
        for number in range(COUNT):
            await host.client.start(mixture, number, instance_id=f"{word}-{number}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
