"""``tenuto azure import``: a stopped task hub of Azure Storage, as a store to look at."""

import asyncio
from pathlib import Path

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.azure.account import account_options
from tenuto.cli.instances.looking import json_option
from tenuto.interop.azure_storage.account import opened
from tenuto.interop.azure_storage.task_hub.importing import Imported, import_hub
from tenuto.interop.azure_storage.task_hub.layout import TaskHub, task_hub
from tenuto.interop.azure_storage.task_hub.stopped_hub import StoppedHub


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@account_options
@json_option
def import_(file: Path, connection_string: str, hub_name: str, *, as_json: bool) -> None:
    """Make a store at FILE of a task hub that no host runs on any more, to look at it.

    The hub is only read. What is in the store can be listed and shown, and nothing of it is ever
    executed: hosts refuse the file, and so does whoever wants to steer an instance in it. Entities
    are left out, and messages that wait in queues.
    """
    found = asyncio.run(_imported(connection_string, task_hub(hub_name), file))
    if as_json:
        terminal.say(msgspec.json.encode(found).decode())
        return
    terminal.say(f"file       {found.file}")
    terminal.say(f"holds      {found.instances:,} instances, {found.events:,} events")
    if found.entities:
        terminal.note(f"{found.entities:,} entities were left out")
    terminal.note(f"look at it: tenuto instances list --storage sqlite:///{found.file}")


async def _imported(connection_string: str, hub: TaskHub, file: Path) -> Imported:
    async with opened(connection_string) as account:
        return await import_hub(StoppedHub(account, hub), file)
