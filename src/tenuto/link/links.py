"""The links of a host: which there are, who dials, and how each is.

Links stand in the store. A host knows them before anything runs, so that no turn sends to a hub
that it would not know; what a command changes beside it, it sees soon.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Final

from msgspec import structs

from tenuto.client.connection import checked_key, checked_url, is_loopback
from tenuto.engine.engine import Engine
from tenuto.engine.linking import HasLinks, LinkStore
from tenuto.engine.news import EVENTS
from tenuto.engine.ports import Storage
from tenuto.link.dialling import Dialling, Line
from tenuto.link.end import LinkEnd, LinkMeans
from tenuto.link.options import LinkSettings
from tenuto.model.errors import (
    InputError,
    SettingsError,
    StorageError,
    StorageUnavailableError,
)
from tenuto.model.ids import InstanceId, check_hub_name
from tenuto.model.linking import LinkedHub

_LINKS: Final = "links could not be read"
_LOOK_SECONDS: Final = 0.25
_KEY_BYTES: Final = 32


def link_store(storage: Storage) -> LinkStore:
    """What keeps the links of a store.

    Raises:
        SettingsError: it keeps none.
    """
    if not isinstance(storage, HasLinks):
        raise SettingsError(f"a store of the kind {type(storage).__name__} keeps no links")
    return storage.linking


def digest_of(key: str) -> str:
    """What is kept of the key of who dials."""
    return hashlib.sha256(key.encode()).hexdigest()


async def let_in(store: LinkStore, name: str) -> str:
    """Make a link for a hub that dials, or give it another key.

    Args:
        store: Of this hub.
        name: How the other hub is called here.

    Returns:
        The key with which it opens the link; it is not kept.

    Raises:
        InputError: the name cannot be one.
    """
    key = secrets.token_urlsafe(_KEY_BYTES)
    hub = LinkedHub(name=check_hub_name(name), key=digest_of(key))
    await put(store, hub)
    return key


async def put(store: LinkStore, hub: LinkedHub) -> None:
    """Make a link, or change it; not which end of it dials.

    Raises:
        InputError: there is a link of that name whose other end dials.
    """
    known = {one.name: one for one in await store.hubs()}.get(hub.name)
    if known is not None and (known.url is None) != (hub.url is None):
        end = "is dialled by its other end" if known.url is None else f"dials {known.url}"
        raise InputError(
            f"there is a link {hub.name!r} already, which {end}; choose another name, or remove "
            f"that one: tenuto links remove {hub.name}"
        )
    await store.put(hub)


def dialled(name: str, url: str, called: str, key: str, *, allow_http: bool = False) -> LinkedHub:
    """A link to a hub, for the store of who dials.

    Args:
        name: How the other hub is called here.
        url: Where it is.
        called: How it calls this one.
        key: What opens the link there.
        allow_http: Whether the key may go over a network in clear, where whoever sees it can use
            it.

    Raises:
        InputError: a name cannot be one.
        SettingsError: URL or key cannot be one, or the key would go over a network in clear.
    """
    checked = checked_key(key)
    if checked is None:
        raise SettingsError("a link needs the key that `tenuto links add NAME` gave at the hub")
    where = checked_url(url)
    if not (allow_http or is_loopback(where) or where.lower().startswith("https:")):
        raise SettingsError(
            f"{where!r} is no https address: the key of the link, and all that goes over it, could "
            "be read and changed on the way. Give one that is; or, on a network that is yours "
            "alone, say so: `tenuto link --allow-http`, in a program allow_http=True"
        )
    return LinkedHub(
        name=check_hub_name(name),
        url=where,
        called=check_hub_name(called),
        key=checked,
    )


class Links:
    """The links of one host.

    Args:
        engine: The host's.
        settings: How much may wait, and how patient links are.
        arrived: Called when messages have been stored.
    """

    def __init__(self, engine: Engine, settings: LinkSettings, arrived: Callable[[], None]) -> None:
        self._engine = engine
        self._settings = settings
        self._arrived = arrived
        storage = engine.storage
        self._store = storage.linking if isinstance(storage, HasLinks) else None
        self._means: LinkMeans | None = None
        self._ends: dict[str, LinkEnd] = {}
        self._dialling: dict[str, Dialling] = {}
        self._known: dict[str, tuple[str | None, str, str]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self._has_buried = False
        self._is_running = False
        self._no_key = secrets.token_hex(_KEY_BYTES)
        """In the place of what is kept of a key; of none is this the digest, as far as known."""
        engine.outside.most_messages = settings.messages
        engine.outside.most_bytes = settings.bytes
        engine.outside.on_sent = self._has_news

    # --- life -------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Know which links there are, before anything is sent."""
        if self._store is not None:
            self._engine.outside.know(await self._store.hubs())

    async def start(self, partitions: int) -> None:
        """Begin to dial and to answer.

        Args:
            partitions: Of the store.
        """
        if self._store is None:
            return
        engine = self._engine
        self._means = LinkMeans(
            store=self._store,
            life=await self._store.life(),
            outside=engine.outside,
            pipeline=engine.pipeline,
            clock=engine.clock,
            observer=engine.observer,
            limits=engine.options.limits,
            partitions=partitions,
            arrived=self._has_arrived,
        )
        self._is_running = True
        try:
            await self.refresh()
        except StorageUnavailableError as error:
            engine.outage.failed(_LINKS, error)
            self._changed()
        engine.storage.on_change(self._changed)
        engine.moves.owned.append(self._changed)
        engine.moves.dropped.append(self._changed)
        engine.moves.giving.append(self._leave)

    async def stop(self) -> None:
        """Hang up. What waits stays in the store."""
        moves = self._engine.moves
        if self._is_running and self._changed in moves.owned:
            moves.owned.remove(self._changed)
            moves.dropped.remove(self._changed)
            moves.giving.remove(self._leave)
        self._is_running = False
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for name in list(self._dialling):
            await self._dialling.pop(name).stop()

    async def refresh(self) -> None:
        """Follow what stands in the store."""
        async with self._refreshing:  # who has read before us must not undo what we have read
            await self._refresh()

    async def _refresh(self) -> None:
        if self._means is None:
            return
        hubs = {hub.name: hub for hub in await self._means.store.hubs()}
        if not self._is_running:
            return  # nobody would hang up again
        most = self._settings.messages, self._settings.bytes
        if any((hub.most_messages, hub.most_bytes) != most for hub in hubs.values()):
            await self._means.store.bound(*most)
        self._engine.outside.know(hubs.values())
        gone = self._known.keys() - hubs.keys()
        for name in gone:
            await self._forget(name)
        if gone or not self._has_buried:
            # What was decided before the host knew: nobody else would ever look at it.
            await self._means.pipeline.passed()
            await self._means.store.bury(self._means.clock.now())
            self._has_buried = True
            self._arrived()  # who has called there may have got an answer
        for hub in hubs.values():
            facts = hub.url, hub.called, hub.key
            if self._known.get(hub.name) != facts:
                await self._forget(hub.name)
                self._begin(hub)
                self._known[hub.name] = facts
            elif hub.url is not None and self._dials(hub.name) != (hub.name in self._dialling):
                await self._forget(hub.name)  # another host dials by now, or this one has to
                self._begin(hub)
                self._known[hub.name] = facts
            elif hub.waiting:  # a command may have put something there
                self._ends[hub.name].has_news()

    async def _forget(self, name: str) -> None:
        self._known.pop(name, None)
        end = self._ends.pop(name, None)
        if end is not None:
            end.has_news()  # who waits at it has to ask once more, with the key of today
        dialling = self._dialling.pop(name, None)
        if dialling is not None:
            await dialling.stop()

    def _begin(self, hub: LinkedHub) -> None:
        assert self._means is not None, "only a host that serves has ends"
        end = self._ends[hub.name] = LinkEnd(hub, self._means)
        if hub.url is None or not self._dials(hub.name):
            return
        line = Line(hub.url, hub.called, hub.key)
        pause = self._settings.longest_pause_seconds
        dialling = self._dialling[hub.name] = Dialling(end, line, self._means.life, pause)
        dialling.start()

    def _dials(self, name: str) -> bool:
        """Whether this host keeps the link up: of several hosts one does."""
        home = self._engine.find(InstanceId(name))
        return home is not None and not home.is_closing

    async def _leave(self, partition: int, _seconds: float) -> None:
        """A partition is given away: another host keeps its links up."""
        for name in list(self._dialling):
            if self._engine.number_of(InstanceId(name)) == partition:
                await self._dialling.pop(name).stop()

    def _has_news(self, name: str) -> None:
        end = self._ends.get(name)
        if end is not None:
            end.has_news()

    def _has_arrived(self, messages: bool, events: bool) -> None:  # noqa: FBT001 - LinkMeans.arrived
        if messages:
            self._arrived()
        if events:
            self._engine.fed(EVENTS)

    def _changed(self) -> None:
        """Another process has written, perhaps a link: not looked at for each write."""
        if self._is_running and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        self._looking = None
        try:
            await self.refresh()
        except StorageError as error:
            self._engine.outage.failed(_LINKS, error)
        else:
            self._engine.outage.works(_LINKS)

    # --- making -----------------------------------------------------------------------------------

    @property
    def store(self) -> LinkStore:
        """Keeps them.

        Raises:
            SettingsError: this store keeps none.
        """
        return link_store(self._engine.storage)

    async def let_in(self, name: str) -> str:
        """Make a link for a hub that dials; the key that it needs.

        Raises:
            InputError: the name cannot be one.
            SettingsError: this store keeps no links.

        Example:
            ``key = await host.links.let_in("box-17")``
        """
        key = await let_in(self.store, name)
        await self.refresh()
        return key

    async def dial(
        self, url: str, *, called: str, key: str, name: str = "hub", allow_http: bool = False
    ) -> None:
        """Make a link to a hub, and keep it up.

        Args:
            url: Where the hub is.
            called: How it calls this one.
            key: What opens the link there.
            name: How it is called here.
            allow_http: Whether the key may go over a network in clear.

        Raises:
            InputError: a name cannot be one.
            SettingsError: URL or key cannot be one, the key would go over a network in clear, or
                this store keeps no links.

        Example:
            ``await host.links.dial("https://hub.example", called="box-17", key=key)``
        """
        await put(self.store, dialled(name, url, called, key, allow_http=allow_http))
        await self.refresh()

    # --- answering --------------------------------------------------------------------------------

    def opened(self, name: str, key: str | None) -> LinkEnd | None:
        """The end of a link for who dials with a key; None when the key does not open it.

        A link that this host dials itself is opened by nobody. Whether there is a link of that
        name is not told by how long the answer takes.
        """
        if not key:
            return None
        end = self._ends.get(name)
        if end is not None and end.hub.url is not None:
            end = None
        known = self._no_key if end is None else end.hub.key
        return end if hmac.compare_digest(known, digest_of(key)) else None

    async def list(self) -> list[LinkedHub]:
        """How each link is; keys left out."""
        if self._store is None:
            return []
        listed = []
        for hub in await self._store.hubs():
            end = self._ends.get(hub.name)
            if end is not None:
                hub = structs.replace(hub, heard_at=end.heard_at, problem=end.problem)  # noqa: PLW2901
            listed.append(structs.replace(hub, key=""))
        return listed
