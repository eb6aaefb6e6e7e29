"""Where a command looks and acts: a store, or a host that answers HTTP.

The only place of the command line that opens either. A store is never created here, and its owner
goes on undisturbed: a command beside it owns nothing.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource
from msgspec import Struct, json, structs

from tenuto.cli import terminal
from tenuto.cli.command import KEY_VARIABLE
from tenuto.cli.nearby import host_on, storage_of
from tenuto.client.connection import ConnectionOptions, is_loopback
from tenuto.client.gateway import Gateway
from tenuto.client.http_gateway import HttpGateway
from tenuto.client.starting import HOSTS_OWN_LIMITS
from tenuto.client.store_gateway import StoreGateway
from tenuto.engine.member_ports import Census, HasMembers
from tenuto.engine.ports import Storage
from tenuto.host.settings import load_settings
from tenuto.insight.explanation import told
from tenuto.insight.inquiry import inquire
from tenuto.insight.reading import GatewayReader, RunReader, StoreReader
from tenuto.insight.surroundings import Surroundings
from tenuto.model.errors import (
    ConnectionFailedError,
    ForbiddenError,
    InputError,
    UnauthorizedError,
)
from tenuto.model.explanation import Explanation
from tenuto.model.ids import InstanceId
from tenuto.model.requests import InstanceQuery
from tenuto.model.shown_urls import shown_url
from tenuto.model.status import InstanceRecord
from tenuto.storage import is_postgres, open_storage, owner_of

if TYPE_CHECKING:
    import httpx2

_PATIENCE: Final = timedelta(seconds=1)
"""A person who mistyped an address should not wait long; a host that restarts is soon back."""

_READING: Final = timedelta(seconds=20)
"""For what a host reads of its store."""

_CONNECT_SECONDS: Final = 10.0

T = TypeVar("T")
AnyFunction = Callable[..., Any]


class Place(Struct, frozen=True, kw_only=True):
    """A store or a host, as the options name it.

    Attributes:
        storage: The store's URL; None for that of the settings.
        url: The host's address; None for a store.
        key: What opens that host.
        asks_host: Where none is named: rather the host that runs in this folder than its store,
            since that host knows whether what is asked for fits its code.
        is_checked_by_hosts: Whether what is asked for is such that only a host can check it.
    """

    storage: str | None = None
    url: str | None = None
    key: str | None = None
    asks_host: bool = False
    is_checked_by_hosts: bool = False

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name it, for commands in advice: without a password."""
        if self.url is not None:
            return ("--url", self.url)
        return () if self.storage is None else ("--storage", shown_url(self.storage))

    @property
    def payload_bytes(self) -> int:
        """How long a payload may be that goes into a store, by the settings; a host has its own.

        Raises:
            SettingsError: the settings are wrong.
        """
        if self.url is not None:
            return HOSTS_OWN_LIMITS.payload_bytes
        settings = load_settings(storage=self.storage, given_as="option --{}")
        return settings.values.limits.payload_bytes

    def __repr__(self) -> str:
        return f"Place(options={self.options!r})"


class Connection(Struct, frozen=True, kw_only=True):
    """An open place.

    Attributes:
        where: The store's URL or the host's address, as people are shown it.
        gateway: Where requests go.
        reader: Reads runs.
        storage: The store; None behind HTTP.
        storage_url: The store's, with its password; None behind HTTP.
        key: What opens the host; None for a store.
    """

    where: str
    gateway: Gateway
    reader: RunReader
    storage: Storage | None = None
    storage_url: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return f"Connection(where={self.where!r})"

    @property
    def owner(self) -> str | None:
        """The host that owns the store now, in words; None when none does, and behind HTTP."""
        return None if self.storage_url is None else owner_of(self.storage_url)

    @property
    def label(self) -> str:
        """What ``where`` is."""
        return "host" if self.storage is None else "store"

    def has_host(self) -> bool:
        """Whether somebody carries out now what is asked for here."""
        return self.storage is None or self.owner is not None

    async def census(self) -> Census | None:
        """The hosts of a hub that several share, as its store has them; None behind HTTP."""
        storage: object = self.storage
        return await storage.members.census() if isinstance(storage, HasMembers) else None

    async def inquire(
        self, instance_id: InstanceId, around: Surroundings
    ) -> tuple[InstanceRecord, Explanation]:
        """Why an instance does not go on. A host says so itself: it knows more than its store.

        Args:
            instance_id: Which one.
            around: What is known here.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        if isinstance(self.gateway, HttpGateway):
            body = await self.gateway.inquire(instance_id)
            if body.explanation is not None:
                # The host knows neither the zone of this machine nor the address by which it was
                # asked; what is late is a matter of its clock.
                why = body.explanation
                return body, told(body, why.facts, structs.replace(around, now=why.at))
        run, explanation = await inquire(self.reader, instance_id, lambda _: around)
        return run.record, explanation

    def http_client(self, *, reading: timedelta) -> "httpx2.AsyncClient":
        """A client for what the gateway does not ask of a host.

        Args:
            reading: The longest silence of the host.
        """
        import httpx2

        return httpx2.AsyncClient(
            headers={} if self.key is None else {"x-functions-key": self.key},
            timeout=httpx2.Timeout(_CONNECT_SECONDS, read=reading.total_seconds()),
            # Reading the system's certificates takes long, and http has no use for them.
            verify=self.where.lower().startswith("https:"),
            trust_env=not is_loopback(self.where),
        )

    async def read(self, path: str, kind: type[T]) -> T:
        """What a host answers to a GET.

        Raises:
            ConnectionFailedError: it cannot be reached.
            InputError: it refuses.
        """
        import httpx2

        async with self.http_client(reading=_READING) as client:
            try:
                answer = await client.get(f"{self.where}{path}")
            except httpx2.TransportError as error:
                raise ConnectionFailedError(f"cannot reach {self.where}: {error}") from None
        if not answer.is_success:
            raise InputError(f"{self.where} refuses: {answer.status_code} {answer.text[:200]}")
        return json.decode(answer.content, type=kind)

    def say_kept(self, what: str) -> None:
        """Say that nothing happens before a host runs, if that is so."""
        if not self.has_host():
            terminal.note(f"{what} is kept in the store; it happens when a host runs on it")


def place_options(function: AnyFunction) -> AnyFunction:
    """Give a command ``--storage``, ``--url`` and ``--key``, as one argument ``place``."""
    return _with_options(function, asks_host=False)


def asking_options(function: AnyFunction) -> AnyFunction:
    """The same for a command whose input only a host can check (``Place.asks_host``)."""
    return _with_options(function, asks_host=True)


def _with_options(function: AnyFunction, *, asks_host: bool) -> AnyFunction:

    @click.option("--storage", help="Storage URL; by default that of the settings.")
    @click.option(
        "--url",
        metavar="URL",
        help="A running host instead of a store, such as http://127.0.0.1:7071.",
    )
    @click.option(
        "--key",
        envvar=KEY_VARIABLE,
        show_envvar=True,
        help="The key of that host; in the variable no list of processes shows it.",
    )
    @functools.wraps(function)
    def command(
        *arguments: Any,
        storage: str | None,
        url: str | None,
        key: str | None,
        **options: Any,
    ) -> Any:  # noqa: ANN401 - what it returns
        return function(
            *arguments, place=_checked(storage, url, key, asks_host=asks_host), **options
        )

    return command


def _checked(storage: str | None, url: str | None, key: str | None, *, asks_host: bool) -> Place:
    context = click.get_current_context()
    if url is None and storage is None and asks_host:
        return Place(key=key, asks_host=True, is_checked_by_hosts=True)
    if url is None:
        if context.get_parameter_source("key") is ParameterSource.COMMANDLINE:
            raise click.UsageError("--key opens a host: name that with --url", context)
        return Place(storage=storage, is_checked_by_hosts=asks_host)
    if storage is not None:
        raise click.UsageError("give --storage or --url, not both", context)
    return Place(url=url, key=key)


@asynccontextmanager
async def connected(place: Place) -> AsyncIterator[Connection]:
    """Open a place, and close it at the end.

    Raises:
        SettingsError: there is no such store, or the address is none.
        StorageError: the store cannot be used.
    """
    if place.url is not None:
        async with _connected_to_host(place.url, place.key) as connection:
            yield connection
        return
    url = storage_of(place.storage).values.storage
    host = host_on(url) if place.asks_host else None
    if host is not None and await _answers(host, place.key):
        async with _connected_to_host(host, place.key) as connection:
            yield connection
        return
    storage = open_storage(url, create=False)
    hub = await storage.open()
    if place.is_checked_by_hosts and is_postgres(url):
        terminal.note(
            "no host was asked, since several may share this store: nobody has checked whether one "
            "knows what is named here, or takes this input (--url asks a host)"
        )
    gateway = StoreGateway(storage, hub.partitions, lambda: owner_of(url) is not None)
    try:
        yield Connection(
            where=shown_url(url),
            gateway=gateway,
            reader=StoreReader(storage),
            storage=storage,
            storage_url=url,
        )
    finally:
        await gateway.close()


@asynccontextmanager
async def _connected_to_host(url: str, key: str | None) -> AsyncIterator[Connection]:
    gateway = _http_gateway(url, key)
    try:
        yield Connection(
            where=url.rstrip("/"), gateway=gateway, reader=GatewayReader(gateway), key=key
        )
    finally:
        await gateway.close()


async def _answers(url: str, key: str | None) -> bool:
    """Whether a host can be reached, and the key opens it."""
    gateway = _http_gateway(url, key)
    try:
        await gateway.query(InstanceQuery(limit=1, payloads=False))
    except (ConnectionFailedError, UnauthorizedError, ForbiddenError) as error:
        terminal.note(f"the store is asked, since its host at {url} cannot be: {error}")
        return False
    finally:
        await gateway.close()
    return True


def _http_gateway(url: str, key: str | None) -> Gateway:
    return HttpGateway(url, key, ConnectionOptions(retry_for=_PATIENCE))


def within(place: Place, act: Callable[[Connection], Awaitable[T]]) -> T:
    """Open a place, do something there, close it."""

    async def acting() -> T:
        async with connected(place) as connection:
            return await act(connection)

    return asyncio.run(acting())
