"""``tenuto deploy``, ``tenuto deployments`` and ``tenuto rollback``: versions on running servers.

The work is the server's, and goes on when this command is gone.
"""

import asyncio
import functools
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import msgspec

from tenuto.cli import terminal
from tenuto.cli.command import FAILED, KEY_VARIABLE
from tenuto.cli.connection import Connection, Place, within
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.package import package_of
from tenuto.http.admin.deployments import PATH
from tenuto.insight.wording import iso, size
from tenuto.model.deployments import RUNS, Deployment, DeploymentList
from tenuto.model.errors import (
    ConnectionFailedError,
    DeploymentError,
    ForbiddenError,
    HttpError,
    UnauthorizedError,
)

T = TypeVar("T")
AnyFunction = Callable[..., Any]

_READING: Final = timedelta(minutes=2)
_POLL_SECONDS: Final = 0.2
_AWAY_SECONDS: Final = 120.0
_PIECE: Final = 256 * 1024
_REFUSALS: Final[dict[int, type[HttpError]]] = {401: UnauthorizedError, 403: ForbiddenError}

_key_option = click.option(
    "--key",
    envvar=KEY_VARIABLE,
    show_envvar=True,
    help="An admin key of that server; in the variable no list of processes shows it.",
)
_to_option = click.option("--to", "url", required=True, metavar="URL", help="The server.")


@click.command()
@click.argument("package", type=click.Path(exists=True, path_type=Path), metavar="FOLDER|ZIP")
@click.option(
    "--to", "urls", required=True, multiple=True, metavar="URL", help="The server; may be repeated."
)
@_key_option
@click.option("--label", default="", help="What this version is called.")
@click.option("--force", is_flag=True, help="Deploy even if instances would be held.")
@json_option
def deploy(
    package: Path, urls: tuple[str, ...], key: str | None, label: str, *, force: bool, as_json: bool
) -> int:
    """Let a new version of an app run on servers that take deployments, one after the other.

    It is unpacked beside the version that runs, what it requires is installed, and what is
    unfinished is replayed with it; then it takes over. Stops at the first server that refuses. The
    exit code is 0 when it runs everywhere, 1 when a server has refused it, 2 when nothing was sent.
    """
    given = {"label": label, "commit": _commit(package), "force": "true" if force else ""}
    query = {name: text for name, text in given.items() if text}
    done: list[str] = []
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        zipped = package_of(package, Path(folder) / "package.zip")
        for url in urls:
            act = functools.partial(_send, zipped=zipped, query=query)
            deployment = within(Place(url=url, key=key), act)
            found.append({"url": url, **msgspec.to_builtins(deployment)})
            if deployment.state != RUNS:
                if len(urls) > 1:
                    terminal.note(
                        f"it runs on {', '.join(done) or 'none'}; the others keep what they had"
                    )
                break
            done.append(url)
    if as_json:
        terminal.say(encoded(found))
    return 0 if len(done) == len(urls) else FAILED


@click.command()
@click.argument("version", required=False)
@_to_option
@_key_option
@json_option
def rollback(version: str | None, url: str, key: str | None, *, as_json: bool) -> int:
    """Let the version run again that ran before, or the one that is named.

    VERSION is one that `tenuto deployments` lists, or `original` for the files that the server was
    started with. The exit code is 0 when it runs, 1 when it does not.
    """
    query = {} if version is None else {"version": version}

    async def act(connection: Connection) -> Deployment:
        path = f"{PATH}/rollback"
        begun = await _ask(connection, Deployment, "POST", path, query=query)
        return await _followed(connection, begun)

    deployment = within(Place(url=url, key=key), act)
    if as_json:
        terminal.say(encoded(msgspec.to_builtins(deployment)))
    return 0 if deployment.state == RUNS else FAILED


@click.command()
@_to_option
@_key_option
@json_option
def deployments(*, url: str, key: str | None, as_json: bool) -> None:
    """List the versions on a server, which one runs, and what came of each deployment."""

    async def act(connection: Connection) -> DeploymentList:
        return await _ask(connection, DeploymentList, "GET", PATH)

    found = within(Place(url=url, key=key), act)
    if as_json:
        terminal.say(encoded(msgspec.to_builtins(found)))
        return
    terminal.say(f"runs    {found.runs}")
    terminal.say(f"before  {found.before or 'none'}")
    terminal.say(f"there   {', '.join(found.versions) or 'none'}")
    for one in found.deployments:
        words = [f"{one.number:>4}", iso(one.at), one.kind, one.version, one.state, one.label]
        terminal.say("  ".join(word for word in words if word))
        if one.message:
            terminal.say("\n".join(f"      {line}" for line in one.message.splitlines()))


async def _send(connection: Connection, *, zipped: Path, query: Mapping[str, str]) -> Deployment:
    whole = zipped.stat().st_size  # noqa: ASYNC240 - a file that was just written
    # Asked first: a key that does not do, and a package too large, cost no upload.
    most = (await _ask(connection, DeploymentList, "GET", PATH)).most_bytes
    if most and whole > most:
        raise DeploymentError(
            f"the package has {whole:,} bytes, and {connection.where} takes {most:,} at most "
            "(its setting deploy.archive_bytes); name what is not needed in .tenutoignore"
        )
    terminal.note(f"{connection.where}: sending the package ({size(whole)})")
    with terminal.percent("sent") as told:
        pieces = _pieces(zipped, whole, told)
        begun = await _ask(connection, Deployment, "POST", PATH, query=query, content=pieces)
    return await _followed(connection, begun)


async def _pieces(file: Path, whole: int, told: Callable[[int, int], None]) -> AsyncIterator[bytes]:
    sent = 0
    with file.open("rb") as opened:
        while piece := await asyncio.to_thread(opened.read, _PIECE):
            yield piece
            sent += len(piece)
            told(sent, whole)


async def _followed(connection: Connection, deployment: Deployment) -> Deployment:
    """See what becomes of it, over the moments in which versions change."""
    seen, since = "", time.monotonic()
    while True:
        if deployment.state != seen:
            seen = deployment.state
            what = f"{deployment.kind} {deployment.number} {deployment.version}".rstrip()
            text = f"{connection.where}: {what}: {seen}"
            if deployment.gap_seconds is not None:
                text += f" (callers waited {deployment.gap_seconds:g} s at most)"
            terminal.note(f"{text}\n{deployment.message}" if deployment.message else text)
        if deployment.is_over:
            return deployment
        await asyncio.sleep(_POLL_SECONDS)
        try:
            deployment = await _ask(connection, Deployment, "GET", f"{PATH}/{deployment.number}")
            since = time.monotonic()
        except ConnectionFailedError:
            if time.monotonic() - since > _AWAY_SECONDS:
                raise


async def _ask(
    connection: Connection,
    kind: type[T],
    method: str,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    content: AsyncIterator[bytes] | None = None,
) -> T:
    import httpx2

    async with connection.http_client(reading=_READING) as client:
        try:
            answer = await client.request(
                method, f"{connection.where}{path}", params=query, content=content
            )
        except httpx2.TransportError as error:
            raise ConnectionFailedError(f"cannot reach {connection.where}: {error}") from None
    if not answer.is_success:
        try:
            text = str(msgspec.json.decode(answer.content)["message"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            text = answer.text[:200]
        refusal = _REFUSALS.get(answer.status_code, HttpError)
        raise refusal(f"{connection.where} refuses: {text}", status=answer.status_code)
    return msgspec.json.decode(answer.content, type=kind)


def _commit(package: Path) -> str:
    """The Git commit of a folder; empty without one."""
    if not package.is_dir():
        return ""
    try:
        told = subprocess.run(  # noqa: S603 - a fixed command
            ["git", "-C", str(package), "rev-parse", "--short=12", "HEAD"],  # noqa: S607
            capture_output=True,
            check=False,
            text=True,
        )
    except OSError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
