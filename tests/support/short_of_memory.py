"""A host whose memory is limited, with an instance that takes more, among others that do not.

Arguments: kind (``async`` or ``sync`` activities), how many results of one MiB the instance takes
in, and the store's file. Says in one line what became of it under the limit, ends the limit,
resumes it where it is held, and says what became of it then. Fails when a neighbour is hurt.
"""

import asyncio
import resource
import sys

from tenuto import Context, Host, InstanceStatus
from tests.support.fan_in_process import LENGTH, app, memory_of_process

_MORE = 256 << 20
_NEIGHBOURS = 20
_ID = "greedy"


@app.activity
async def double(number: int) -> int:
    """What a neighbour does."""
    return 2 * number


@app.orchestrator
async def greedy(ctx: Context, count: int, activity: str) -> int:
    """Takes all results in at once."""
    parts = await asyncio.gather(*(ctx.call_activity(activity, n) for n in range(count)))
    return sum(map(len, parts))


@app.orchestrator
async def modest(ctx: Context, number: int) -> int:
    """Works before and after."""
    first = await ctx.call_activity(double, number)
    await asyncio.sleep(1)
    return first + await ctx.call_activity(double, number)


def _limit(more: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if more is None:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        return
    limit = memory_of_process("VmSize") + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


async def _standing(host: Host) -> InstanceStatus:
    while True:
        status = await host.client.get_status(_ID)
        assert status is not None
        if status.runtime_status.is_finished or status.hold is not None:
            return status
        await asyncio.sleep(0.05)


def _say(status: InstanceStatus) -> None:
    held = "" if status.hold is None else f" held {status.hold.reason}"
    sys.stdout.write(f"{status.runtime_status.label}{held}\n")


async def main(kind: str, count: int, path: str) -> None:
    """Run them."""
    name = "text" if kind == "async" else "text_of_thread"
    async with Host(app, storage=f"sqlite:///{path}") as host:
        neighbours = [await host.client.start(modest, n) for n in range(_NEIGHBOURS)]
        _limit(_MORE)
        await host.client.start(greedy, count, name, instance_id=_ID)
        status = await _standing(host)
        _say(status)
        for number, handle in enumerate(neighbours):
            assert await handle.result() == 4 * number
        _limit(None)
        if status.hold is not None:
            await host.client.resume(_ID)
            record = await host.client.wait(_ID)
            assert record.output in (None, count * LENGTH)
            _say(record)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
