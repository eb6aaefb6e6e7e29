"""``at_least_once_activities``: calls of a last turn run also on a host that starts carefully."""

import asyncio
from pathlib import Path

from tenuto import App, Context
from tenuto.host.host import Host


async def die(host: Host) -> None:
    """Go as a process goes that dies."""
    assert host._lifecycle is not None
    await host._lifecycle.abandon()


async def test_calls_of_a_last_turn_run_after_hosts_have_died_young(tmp_path: Path) -> None:
    app = App()
    ran: list[str] = []
    may_run = asyncio.Event()

    @app.activity
    async def note(key: str) -> None:
        await may_run.wait()
        ran.append(key)

    @app.orchestrator
    async def last(ctx: Context, key: str) -> str:
        _ = ctx.call_activity(note, key)
        return key

    url = f"sqlite:///{tmp_path / 'store.db'}"
    for number in range(2):
        host = Host(app, storage=url)
        await host.start()
        await (await host.client.start(last, str(number), instance_id=f"i{number}")).result()
        await die(host)
    may_run.set()
    async with Host(app, storage=url):
        async with asyncio.timeout(20):
            while sorted(set(ran)) != ["0", "1"]:  # noqa: ASYNC110 - two may end it
                await asyncio.sleep(0.01)
