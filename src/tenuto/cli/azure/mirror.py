"""``tenuto azure mirror``: a store, shown to Azure's own tools."""

import asyncio
import signal
import time
from contextlib import suppress
from typing import Final

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.azure.account import account_options
from tenuto.cli.command import FAILED
from tenuto.cli.instances.looking import json_option
from tenuto.cli.nearby import storage_of
from tenuto.insight.wording import moment
from tenuto.interop.azure_storage.account import opened
from tenuto.interop.azure_storage.task_hub.layout import TaskHub, task_hub
from tenuto.interop.azure_storage.task_hub.mirror import Mirror, MirrorNews
from tenuto.interop.azure_storage.task_hub.mirrored_hub import MirroredHub
from tenuto.storage import open_storage

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command()
@account_options
@click.option("--storage", help="Storage URL; by default that of the settings.")
@click.option("--once", is_flag=True, help="Bring it up to date and end.")
@json_option
def mirror(
    connection_string: str, hub_name: str, storage: str | None, *, once: bool, as_json: bool
) -> int:
    """Write instances and histories into a task hub of Azure Storage, and keep it up to date.

    One way: nothing comes back, and no host of Azure may be started on that hub. Runs beside a
    host, or without one, until Ctrl-C. While Azure Storage is away it tries again, ever more
    rarely; with --once that is an error. The exit code is 1 when an instance was left out, because
    Azure Storage cannot hold it.
    """
    url = storage_of(storage).values.storage
    told = _Telling(as_json=as_json)
    return asyncio.run(_mirrored(connection_string, task_hub(hub_name), url, told, once=once))


async def _mirrored(
    connection_string: str, hub: TaskHub, url: str, told: "_Telling", *, once: bool
) -> int:
    store = open_storage(url, create=False)
    facts = await store.open()
    try:
        async with opened(connection_string) as account:
            mirrored = MirroredHub(account, hub)
            mirror = Mirror(store, mirrored, hub.name, told)
            if once:
                await mirrored.prepare(facts.secret)
                await mirror.look()
            else:
                with suppress(asyncio.CancelledError):
                    await _until_a_signal(mirror, facts.secret)
            return FAILED if mirror.left_out else 0
    finally:
        await store.close()


async def _until_a_signal(mirror: Mirror, secret: str) -> None:
    """What is cut off is done again by the next mirror."""
    following = asyncio.ensure_future(mirror.follow(secret))
    loop = asyncio.get_running_loop()
    for one in _SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:
            with suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends it
                loop.add_signal_handler(one, following.cancel)
    await following


class _Telling:
    """Says what becomes of the mirror: lines for people, or JSON."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def __call__(self, news: MirrorNews) -> None:
        if self._as_json:
            terminal.say(msgspec.json.encode(news).decode())
        elif news.state == "up to date":
            terminal.say(f"{moment(time.time_ns() // 1000)}  {news.text}")
        else:
            terminal.note(f"{moment(time.time_ns() // 1000)}  {news.text}")
