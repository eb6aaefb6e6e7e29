"""The hosts of a hub as people see them: who lives, who has what, what nobody serves.

Read by the command line, HTTP and the doctor alike. Never decides who gets what: that is done in
``engine.balance``. Pure, but for a look at an engine.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import Census, HostLoad, KnownHost, KnownPlace
from tenuto.engine.membership import load_of
from tenuto.insight.wording import one_line
from tenuto.model.timing import MICROSECONDS, Microseconds

_SILENT: Final = 0.45
"""A part of the lease: signs of life are given three times within one, so that one is missing."""


class HubHost(Struct, frozen=True, kw_only=True, rename="camel"):
    """A host of a hub. Times are microseconds since 1970 UTC.

    Attributes:
        host: Its id; empty where it has none.
        description: For people: process and machine.
        address: Where its HTTP server can be reached; null when it has none, or that is not known.
        app_version: Of the app that it runs; empty when that says none.
        is_newest: Whether no host that lives runs a newer one.
        is_alive: Whether its last sign of life holds.
        is_leaving: Whether it gives away what it has, to stop.
        since: When it has joined; null when that is not known.
        until: Until when its last sign of life holds or held; null where it gives none.
        silent_seconds: Its last sign of life is so old, which is longer than it should be; null
            when it is not.
        partitions: Which it serves.
        load: How busy it was a moment ago; null when that is not known.
    """

    host: str
    description: str
    address: str | None = None
    app_version: str = ""
    is_newest: bool = True
    is_alive: bool = True
    is_leaving: bool = False
    since: Microseconds | None = None
    until: Microseconds | None = None
    silent_seconds: float | None = None
    partitions: list[int] = []
    load: HostLoad | None = None


class UnservedPartitions(Struct, frozen=True, kw_only=True, rename="camel"):
    """Partitions that nobody serves now.

    Attributes:
        partitions: Which.
        since: Since when; null when nobody has served them, or that is not known.
        last_host: Who had them and did not give them back, for people; empty when they were given
            back.
    """

    partitions: list[int]
    since: Microseconds | None = None
    last_host: str = ""

    @property
    def had(self) -> str:
        """Who had them, as the end of a sentence about them."""
        what = "it" if len(self.partitions) == 1 else "them"
        return f"; {one_line(self.last_host)} had {what}" if self.last_host else ""


class HubHosts(Struct, frozen=True, kw_only=True, rename="camel"):
    """The hosts of a hub, and who has what.

    Attributes:
        at: When this was so, in microseconds since 1970 UTC.
        partitions: In how many parts the instances of the hub are divided.
        hosts: In the order in which they have joined; those that died within ten minutes, too.
        unserved: What nobody serves.
    """

    at: Microseconds
    partitions: int
    hosts: list[HubHost]
    unserved: list[UnservedPartitions]

    @property
    def alive(self) -> list[HubHost]:
        """The hosts that live."""
        return [one for one in self.hosts if one.is_alive]


def hub_hosts(census: Census) -> HubHosts:
    """What a census says, for people."""
    newest = max((one.newness for one in census.alive), default=0)
    served: dict[str | None, list[int]] = {}
    for place in census.places:
        if not place.is_free:
            served.setdefault(place.member, []).append(place.partition)
    hosts = [_host(one, newest, census.at, served.pop(one.member, [])) for one in census.hosts]
    hosts += _strangers(census, served)
    return HubHosts(
        at=census.at,
        partitions=len(census.places),
        hosts=hosts,
        unserved=_unserved(census.places),
    )


def only_host(
    engine: Engine, *, description: str, address: str | None, app_version: str, since: Microseconds
) -> HubHosts:
    """The host of a store that one host owns, as it knows itself."""
    one = HubHost(
        host="",
        description=description,
        address=address,
        app_version=app_version,
        is_leaving=engine.is_draining,
        since=since,
        partitions=sorted(engine.partitions),
        load=load_of(engine),
    )
    return HubHosts(
        at=engine.clock.now(), partitions=engine.hub_partitions, hosts=[one], unserved=[]
    )


def owned_by(owner: str | None, partitions: int, now: Microseconds) -> HubHosts:
    """The same as the store alone knows it, without its host being asked.

    Args:
        owner: Who holds the store's lock, in words; None when nobody does.
        partitions: In how many parts it is divided.
        now: The present.
    """
    everything = list(range(partitions))
    if owner is None:
        return HubHosts(
            at=now,
            partitions=partitions,
            hosts=[],
            unserved=[UnservedPartitions(partitions=everything)],
        )
    description, _, rest = owner.partition(", pid ")
    since = rest.partition(", since ")[2]
    began = None
    with suppress(ValueError):
        began = int(datetime.fromisoformat(since).timestamp()) * MICROSECONDS
    one = HubHost(host="", description=description, since=began, partitions=everything)
    return HubHosts(at=now, partitions=partitions, hosts=[one], unserved=[])


def _host(one: KnownHost, newest: int, at: Microseconds, partitions: list[int]) -> HubHost:
    silent = at - one.heard_at
    is_silent = one.is_alive and silent > (one.lives_until - one.heard_at) * _SILENT
    return HubHost(
        host=one.member,
        description=one.description,
        address=one.address,
        app_version=one.app_version,
        is_newest=one.newness == newest,
        is_alive=one.is_alive,
        is_leaving=one.is_leaving,
        since=one.joined_at,
        until=one.lives_until,
        silent_seconds=silent / MICROSECONDS if is_silent else None,
        partitions=partitions,
        load=one.load if one.is_alive else None,
    )


def _strangers(census: Census, served: dict[str | None, list[int]]) -> Iterator[HubHost]:
    """Who holds partitions and is no member any more, such as one whose lease ends in a moment."""
    known = {place.partition: place for place in census.places}
    for member, partitions in served.items():
        place = known[partitions[0]]
        yield HubHost(
            host=member or "",
            description=place.description,
            until=place.until,
            partitions=partitions,
        )


def _unserved(places: Sequence[KnownPlace]) -> list[UnservedPartitions]:
    """What nobody serves, the longest first; what a host lost at once stands together."""
    groups: dict[tuple[str, Microseconds], list[KnownPlace]] = {}
    for place in places:
        if place.is_free:
            second = -1 if place.until is None else place.until // MICROSECONDS
            groups.setdefault((place.description, second), []).append(place)
    found = [
        UnservedPartitions(
            partitions=[one.partition for one in group],
            since=group[0].until,
            last_host=group[0].description,
        )
        for group in groups.values()
    ]
    return sorted(found, key=lambda one: one.since or 0)
