"""``tenuto link`` and ``tenuto links``: links between the hub of a store and others.

A link stands in the store of each end; whatever host runs on that keeps it up. Works beside a host,
which sees a change soon.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, place_options, within
from tenuto.cli.instances.documents import Document, encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.nearby import storage_of
from tenuto.engine.linking import LinkStore
from tenuto.http.admin.links import LinkBody
from tenuto.insight.wording import iso, moment, one_line
from tenuto.link.dialling import PATH, Line
from tenuto.link.links import dialled, let_in, link_store, put
from tenuto.model.errors import ConnectionFailedError, InputError, NoSuchLinkError
from tenuto.model.linking import LinkedHub, Parcel
from tenuto.model.shown_urls import shown_url
from tenuto.storage import is_postgres, open_storage, owner_of

T = TypeVar("T")

_storage_option = click.option("--storage", help="Storage URL; by default that of the settings.")


@click.command()
@click.argument("url")
@click.option("--name", required=True, help="How that hub calls this one: `links add NAME` there.")
@click.option(
    "--key-file",
    required=True,
    type=click.Path(path_type=Path),
    help="A file with the key that `links add` gave; - for standard input.",
)
@click.option(
    "--as", "called", default="hub", show_default=True, help="How that hub is called here."
)
@click.option(
    "--allow-http",
    is_flag=True,
    help="Send the key over a network in clear, to a URL that is not https.",
)
@_storage_option
@json_option
def link(
    url: str,
    name: str,
    key_file: Path,
    called: str,
    storage: str | None,
    *,
    allow_http: bool,
    as_json: bool,
) -> None:
    """Link this store to the hub at URL, which it dials from now on.

    Ids that begin with the hub's name, such as hub/order-7, are instances of that hub then: what is
    started there, or told, waits in the store until the hub has it. The key is kept in the store.
    """
    key = _key(key_file)

    hub = dialled(called, url, name, key, allow_http=allow_http)

    async def make(store: LinkStore) -> str | None:
        problem = await _tried(store, hub)
        await put(store, hub)
        return problem

    where = _url(storage)
    problem = _with_store(where, make)
    has_host = owner_of(where) is not None
    if as_json:
        document = {"name": called, "url": url, "store": shown_url(where), "problem": problem}
        terminal.say(encoded(document | {"hostRuns": has_host}))
        return
    terminal.say(f"linked to {url} as {name}; instances there are called {called}/ID here")
    if problem is not None:
        terminal.note(f"that hub does not answer now, and is dialled until it does: {problem}")
    if not has_host:
        terminal.note("no host runs on this store; the link is up when one does")


async def _tried(store: LinkStore, hub: LinkedHub) -> str | None:
    """Why the hub cannot be reached; None when the key opens the link there.

    Raises:
        HttpError, LinkError: the hub refuses it: nothing is kept.
    """
    assert hub.url is not None, "it is dialled"
    line = Line(hub.url, hub.called, hub.key)
    try:
        await line.bring(Parcel(life=await store.life()))
    except ConnectionFailedError as error:
        return f"{error.code} {error}"
    finally:
        await line.close()
    return None


@click.command()
@click.argument("name")
@_storage_option
@json_option
def add(name: str, storage: str | None, *, as_json: bool) -> None:
    """Let a hub in that dials, and call it NAME. Again, it gets another key.

    Standard output is the key alone; how to use it is said on standard error.
    """
    where = _url(storage)
    key = _with_store(where, lambda store: let_in(store, name))
    if as_json:
        terminal.say(encoded({"name": name, "key": key, "store": where}))
        return
    terminal.say(key)
    for line in (
        "this key opens that link and nothing else; it is shown once. On the device, with the key",
        f"in a file: tenuto link URL --name {name} --key-file FILE",
    ):
        terminal.say(line, sys.stderr)


@click.command("list")
@place_options
@json_option
def list_(*, place: Place, as_json: bool) -> None:
    """List the links of this hub: how far each is, what waits, when it was last heard of."""
    links = within(place, _listed)
    if as_json:
        terminal.say(encoded([_document(one) for one in links]))
        return
    for one in links:
        terminal.say(one.name)
        terminal.say(f"  {'dials':8}  {one.url}" if one.dials else "  is dialled by it")
        waits = "1 message waits" if one.waiting == 1 else f"{one.waiting:,} messages wait"
        terminal.say(f"  {'to send':8}  {waits}, {one.waiting_bytes:,} bytes")
        if one.held_bytes:
            terminal.say(f"  {'coming':8}  a part of a message, {one.held_bytes:,} bytes")
        heard = "never" if one.heard_at is None else moment(one.heard_at)
        terminal.say(f"  {'heard':8}  {heard}")
        if one.problem is not None:
            terminal.say(f"  {'problem':8}  {one_line(one.problem)}")
    if not links:
        terminal.note("no links")


async def _listed(connection: Connection) -> list[LinkBody]:
    if connection.storage is not None:
        hubs = await link_store(connection.storage).hubs()
        return [LinkBody.of(hub) for hub in hubs]
    return await connection.read(PATH, list[LinkBody])


@click.command()
@click.argument("name")
@click.option(
    "--force",
    is_flag=True,
    help="Also when something waits: calls fail, what else there is becomes dead letters.",
)
@_storage_option
@json_option
def remove(name: str, storage: str | None, *, force: bool, as_json: bool) -> int:
    """Remove the link NAME."""

    async def drop(store: LinkStore) -> int:
        found = {hub.name: hub for hub in await store.hubs()}
        if name not in found:
            raise NoSuchLinkError(name, found)
        waiting = found[name].waiting
        if not waiting or force:
            await store.drop(name, time.time_ns() // 1000)
        return waiting

    waiting = _with_store(_url(storage), drop)
    is_removed = not waiting or force
    if as_json:
        terminal.say(encoded({"removed": is_removed, "waiting": waiting}))
    elif is_removed:
        terminal.say(f"removed the link {json.dumps(name)}")
        if waiting == 1:
            terminal.note(
                "1 message that waited is given up: a call fails, else it is a dead letter"
            )
        elif waiting:
            terminal.note(
                f"{waiting:,} messages that waited are given up: calls fail, the others are dead "
                "letters"
            )
    else:
        waits = "1 message waits" if waiting == 1 else f"{waiting:,} messages wait"
        terminal.complain(
            f"{waits} for {name!r}; --force removes the link, fails calls and makes dead letters"
        )
    return 0 if is_removed else FAILED


def _key(file: Path) -> str:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the key cannot be read from {str(file)!r}: {error}") from None
    return text.strip()


def _url(storage: str | None) -> str:
    return storage_of(storage).values.storage


def _with_store(url: str, act: Callable[[LinkStore], Awaitable[T]]) -> T:
    async def acting() -> T:
        # A link may be made in a file before its first host; what hosts share only hosts change.
        storage = open_storage(url, create=not is_postgres(url))
        await storage.open()
        try:
            return await act(link_store(storage))
        finally:
            await storage.close()

    return asyncio.run(acting())


def _document(one: LinkBody) -> Document:
    document: dict[str, Any] = msgspec.to_builtins(one)
    del document["heardAt"]
    document["heardTime"] = None if one.heard_at is None else iso(one.heard_at)
    return document
