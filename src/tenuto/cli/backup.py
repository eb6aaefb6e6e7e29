"""``tenuto backup`` and ``tenuto restore``: copies of a store, and stores out of copies."""

import signal
import time
from threading import Event
from typing import Final

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.nearby import storage_of
from tenuto.engine.upkeep import Copy, Following, StorageUpkeep
from tenuto.insight.wording import iso, moment, size
from tenuto.storage import upkeep_of

_UNSTOPPED: Final = "a host starts on this copy only with --accept-loss"


@click.command(short_help="Copy a store, beside its host.")
@click.argument("file", metavar="FILE", required=False)
@click.option("--storage", help="Storage URL; by default that of the settings.")
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
@click.option(
    "--follow",
    "folder",
    metavar="DIR",
    help="Keep a copy in this folder up to date until stopped, instead of FILE.",
)
@json_option
def backup(
    file: str | None, storage: str | None, folder: str | None, *, force: bool, as_json: bool
) -> None:
    """Copy a store into FILE, whether or not a host runs on it.

    The copy holds all that was committed before the moment that is printed. It is checked as a
    whole before it gets its name. With --follow a copy is kept up to date: `tenuto restore` makes a
    store of it.
    """
    if (file is None) == (folder is None) or (force and folder is not None):
        raise click.UsageError("give FILE (and --force), or --follow DIR")
    upkeep = upkeep_of(storage_of(storage).values.storage)
    if folder is not None:
        _follow(upkeep, folder, as_json=as_json)
        return
    assert file is not None, "one of the two was given"
    with terminal.percent("copied") as told:
        copy = upkeep.back_up(file, _now, force=force, told=told)
    if as_json:
        terminal.say(encoded(_document(copy)))
        return
    _say(copy)
    if not copy.host_had_stopped:
        terminal.note(f"its host had not stopped: {_UNSTOPPED}")


@click.command(short_help="Make a store out of a copy.")
@click.argument("copy", metavar="COPY")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Move a store aside that is at FILE.")
@click.option(
    "--accept-loss",
    is_flag=True,
    help="Let hosts start on it though the host of the original had not stopped.",
)
@json_option
def restore(copy: str, file: str, *, force: bool, accept_loss: bool, as_json: bool) -> None:
    """Make a store at FILE out of COPY, a file of `tenuto backup` or the folder of `--follow`.

    COPY stays as it is. A store that is at FILE is left alone, or with --force moved aside.
    """
    upkeep = upkeep_of(f"sqlite:///{file}")
    with terminal.percent("restored") as told:
        found = upkeep.restore(copy, _now, force=force, accept_loss=accept_loss, told=told)
    if as_json:
        terminal.say(encoded(_document(found)))
        return
    _say(found)
    for one in found.kept_aside:
        terminal.say(f"kept aside  {one}")
    if not found.host_had_stopped and not accept_loss:
        terminal.note(
            "the host of the original had not stopped: start this one with --accept-loss, and only "
            "if the original is lost"
        )


def _follow(upkeep: StorageUpkeep, folder: str, *, as_json: bool) -> None:
    def told(news: Following) -> None:
        if as_json:
            at = None if news.reaches_to is None else iso(news.reaches_to)
            document = {"state": news.state, "text": news.text, "reachesTo": at}
            terminal.say(msgspec.json.encode(document).decode())
        else:
            terminal.note(f"{moment(_now())}  {news.text}")

    stop = Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, lambda *_: stop.set())
    found = upkeep.follow(folder, _now, stop, told)
    if as_json or found.reaches_to is None:
        return
    terminal.say(f"folder      {folder}")
    terminal.say(f"reaches to  {moment(found.reaches_to)}")
    if not found.host_had_stopped:
        terminal.note(f"its host had not stopped: {_UNSTOPPED}")


def _now() -> int:
    return time.time_ns() // 1000


def _say(copy: Copy) -> None:
    noun = "instance" if copy.instances == 1 else "instances"
    terminal.say(f"file        {copy.path}")
    terminal.say(f"holds       {copy.instances:,} {noun}, {size(copy.size)}, checked")
    terminal.say(f"reaches to  {moment(copy.reaches_to)}")


def _document(copy: Copy) -> Document:
    return {
        "file": copy.path,
        "bytes": copy.size,
        "instances": copy.instances,
        "reachesTo": iso(copy.reaches_to),
        "hostHadStopped": copy.host_had_stopped,
        "keptAside": copy.kept_aside,
    }
