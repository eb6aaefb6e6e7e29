"""What the doctor has to say of the hosts of a hub that several share. Pure."""

from collections.abc import Iterator
from typing import Final

from tenuto.cli.findings import Finding, Level
from tenuto.insight.hosts import HubHost, HubHosts, UnservedPartitions
from tenuto.insight.wording import duration, one_line
from tenuto.model.lines import listed_numbers
from tenuto.model.timing import MICROSECONDS, Microseconds

LONG_UPGRADE: Final[Microseconds] = 3600 * MICROSECONDS
"""Hosts of several app versions for longer than this are no upgrade under way."""

SLOW_TURN_SECONDS: Final = 60.0
"""An instance that waits longer than this for a turn is told of."""

_FEW: Final = 5
"""So many of those that died are named."""


def host_findings(found: HubHosts, lease_seconds: float) -> list[Finding]:
    """Who serves the hub: wrong is what nobody serves for longer than a lease although hosts live.

    Args:
        found: The hosts.
        lease_seconds: How long a lease is; what a dead host had is taken within moments of its end.
    """
    return [
        _alive(found),
        *_versions(found),
        *(_unserved(one, found, lease_seconds) for one in found.unserved if found.alive),
        *_dead(found),
        *_busy(found),
    ]


def _alive(found: HubHosts) -> Finding:
    alive = found.alive
    if not alive:
        return _hosts(Level.NOTE, "none runs on this hub", "nothing is lost: the next one goes on")
    hosts = "1 host runs" if len(alive) == 1 else f"{len(alive):,} hosts run"
    named = "; ".join(f"{one_line(one.description)} has {_partitions(one)}" for one in alive[:10])
    more = f"; and {len(alive) - 10:,} more" if alive[10:] else ""
    return _hosts(Level.OK, f"{hosts}: {named}{more}")


def _partitions(one: HubHost) -> str:
    count = len(one.partitions)
    leaving = ", and is leaving" if one.is_leaving else ""
    return f"{count:,} partition{'' if count == 1 else 's'}{leaving}"


def _versions(found: HubHosts) -> Iterator[Finding]:
    """Hosts of several app versions: an upgrade, or one that nobody has finished."""
    versions: dict[str, list[HubHost]] = {}
    for one in found.alive:
        versions.setdefault(one.app_version, []).append(one)
    if len(versions) < 2:  # noqa: PLR2004 - several
        return
    newest = next((one.app_version for one in found.alive if one.is_newest), "")
    counts = ", ".join(
        f"{_named(version)} on {len(hosts):,}{' (the newest)' if version == newest else ''}"
        for version, hosts in versions.items()
    )
    text = f"{len(versions)} app versions: {counts}"
    older = [one for one in found.alive if not one.is_newest]
    stop = "; ".join(one_line(one.description) for one in older[:5])
    began = min((one.since or found.at for one in versions[newest]), default=found.at)
    if found.at - began < LONG_UPGRADE:
        yield _hosts(
            Level.NOTE,
            f"{text}: an upgrade is under way",
            f"it is over when these are stopped: {stop}",
        )
        return
    yield _hosts(
        Level.WRONG,
        f"{text}, for {duration(found.at - began)}: what only the newest has waits where an older "
        "host serves it",
        f"finish the upgrade: stop {stop}; or go back: stop the newest",
    )


def _named(version: str) -> str:
    return repr(version) if version else "no version"


def _unserved(one: UnservedPartitions, found: HubHosts, lease_seconds: float) -> Finding:
    which = "partition" if len(one.partitions) == 1 else "partitions"
    text = f"no host serves {which} {listed_numbers(one.partitions)}"
    if one.since is None:
        return _hosts(Level.NOTE, text, "hosts take them within seconds; look again")
    age = max(0, found.at - one.since)
    text = f"{text} for {duration(age, least_unit='s')} now{one.had}"
    if age > lease_seconds * MICROSECONDS:
        return _hosts(
            Level.WRONG,
            f"{text}: their instances wait, although hosts run",
            "the logs of the hosts say why they do not take them; one that is started takes them",
        )
    return _hosts(Level.NOTE, text, "hosts take them within seconds; look again")


def _dead(found: HubHosts) -> Iterator[Finding]:
    dead = [one for one in found.hosts if not one.is_alive]
    if not dead:
        return
    dead.sort(key=lambda one: one.until or 0, reverse=True)
    which = "1 host has" if len(dead) == 1 else f"{len(dead):,} hosts have"
    named = "; ".join(f"{one_line(one.description)}{_gone(one, found.at)}" for one in dead[:_FEW])
    more = f"; and {len(dead) - _FEW:,} more" if dead[_FEW:] else ""
    if not found.alive:
        advice = "nothing is lost: the next host takes over what they had"
    elif found.unserved:
        advice = "nothing is lost: others take over what they had"
    else:
        advice = "nothing is lost: others have taken over what they had"
    yield _hosts(
        Level.NOTE,
        f"{which} died in the last 10 minutes, without a goodbye: {named}{more}",
        advice.replace("they had", "it had") if len(dead) == 1 else advice,
    )


def _gone(one: HubHost, now: Microseconds) -> str:
    if one.until is None:
        return ""
    return f", {duration(max(0, now - one.until), least_unit='s')} ago"


def _busy(found: HubHosts) -> Iterator[Finding]:
    for one in found.alive:
        waited = 0.0 if one.load is None else one.load.waited
        if waited > SLOW_TURN_SECONDS:
            yield _hosts(
                Level.NOTE,
                f"{one_line(one.description)} keeps an instance waiting for its turn for "
                f"{duration(int(waited * MICROSECONDS))}",
                "its log names what holds it up; another host takes a share of its partitions",
            )


def _hosts(level: Level, text: str, advice: str = "") -> Finding:
    return Finding(level=level, topic="hosts", text=text, advice=advice)
