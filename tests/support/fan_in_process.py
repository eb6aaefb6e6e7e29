"""A host of its own that takes in many long results: says how much memory that took.

Arguments: ``async``, ``sync`` or ``load`` (an instance that another such process has left), the
number of results of one MiB, and the store's file.
"""

import asyncio
import sys
from pathlib import Path

from tenuto import App, Context, Host
from tenuto.model.ids import InstanceId

LENGTH = 1 << 20
_ID = InstanceId("fan-in")

app = App()


@app.activity
async def text(number: int) -> str:
    """One MiB of text."""
    return chr(97 + number % 26) * LENGTH


@app.activity
def text_of_thread(number: int) -> str:
    """The same, from a thread."""
    return chr(97 + number % 26) * LENGTH


@app.orchestrator
async def fan_in(ctx: Context, count: int, activity: str) -> int:
    """Takes all results in, and keeps none."""
    total = 0
    for task in [ctx.call_activity(activity, number) for number in range(count)]:
        total += len(await task)
    await ctx.wait_for_external_event("go")
    return total


def memory_of_process(kind: str) -> int:
    """Bytes, as Linux counts them: of ``VmHWM``, ``VmSize`` or another kind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(kind))


async def _all_taken_in(host: Host) -> bool:
    resident = host.engine.residents.named(_ID)
    return resident is not None and resident.is_idle and bool(resident.state.work.awaits)


async def main(mode: str, count: int, path: str) -> None:
    """Take them in, or replay them, and print the peak in units of the results."""
    async with Host(app, storage=f"sqlite:///{path}") as host:
        before = memory_of_process("VmHWM")
        if mode == "load":
            await host.client.raise_event(_ID, "go")
            instance = await host.client.wait(_ID)
            assert instance.output == count * LENGTH
        else:
            name = "text" if mode == "async" else "text_of_thread"
            await host.client.start(fan_in, count, name, instance_id=_ID)
            while not await _all_taken_in(host):  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        sys.stdout.write(str((memory_of_process("VmHWM") - before) / (count * LENGTH)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
