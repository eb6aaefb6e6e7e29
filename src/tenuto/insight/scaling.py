"""How many hosts a hub should have, for what starts and ends hosts: KEDA, a script, people.

Reads what the hosts say of themselves, so that whichever is asked answers for all. Decides
nothing: nobody is started or ended here. Pure.
"""

from typing import Final

from msgspec import Struct

from tenuto.engine.member_ports import HostLoad
from tenuto.engine.scaling import target_workers
from tenuto.insight.hosts import HubHosts
from tenuto.model.timing import Microseconds

ACTIVITIES_EACH: Final = 32
"""Activities that one host is expected to run at once, where nobody says otherwise."""

INSTANCES_EACH: Final = 1_000
"""Instances that may wait for their turn on one host: it takes about a second to run them."""


class ScaleAsked(Struct, frozen=True, kw_only=True):
    """What hosts bear, and between what their number may be.

    Attributes:
        activities_each: Activities that one host runs at once.
        instances_each: Instances that may wait for a turn on one host.
        least: Hosts at least; with 0, timers wait while nobody is there, and nobody answers HTTP.
        most: Hosts at most; None for as many as have something to serve.
    """

    activities_each: int = ACTIVITIES_EACH
    instances_each: int = INSTANCES_EACH
    least: int = 1
    most: int | None = None


class HostDemand(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one host has to do.

    Attributes:
        description: For people: process and machine.
        is_known: Whether it has said how busy it is.
        activities: That run or wait for room.
        instances: That wait for a turn.
        busy_partitions: Which they belong to.
        oldest_seconds: For how long the oldest of them has waited.
    """

    description: str
    is_known: bool
    activities: int
    instances: int
    busy_partitions: int
    oldest_seconds: float


class ScaleAdvice(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many hosts there should be, and why.

    Attributes:
        at: When this was so, in microseconds since 1970 UTC.
        hosts: That live now; those that leave are not among them.
        wanted: That there should be.
        target: What the formula says, before anything else is considered.
        activities: That run or wait for room, on all hosts.
        instances: That wait for a turn, on all hosts.
        busy_partitions: Which they belong to.
        partitions: Of the hub.
        unserved_partitions: Of these, without a host.
        oldest_seconds: For how long the instance has waited that waits longest.
        activities_each: Activities that one host runs at once, as asked.
        instances_each: Instances that may wait for a turn on one host, as asked.
        reason: Why so many, in words.
        by_host: What each host has to do.
    """

    at: Microseconds
    hosts: int
    wanted: int
    target: int
    activities: int
    instances: int
    busy_partitions: int
    partitions: int
    unserved_partitions: int
    oldest_seconds: float
    activities_each: int
    instances_each: int
    reason: str
    by_host: list[HostDemand]


def advice(hub: HubHosts, asked: ScaleAsked) -> ScaleAdvice:
    """How many hosts there should be.

    Who has not said how busy it is counts as having nothing to do, but then there is no advice to
    have fewer hosts than there are. The same holds while partitions are without a host: what waits
    there nobody knows.

    Args:
        hub: Who is there.
        asked: What hosts bear.
    """
    staying = [one for one in hub.alive if not one.is_leaving]
    demands = [_demand(one.description, one.load) for one in hub.alive]
    activities = sum(one.activities for one in demands)
    instances = sum(one.instances for one in demands)
    busy = sum(one.busy_partitions for one in demands)
    target = target_workers(
        activities,
        instances,
        busy,
        activities_each=asked.activities_each,
        instances_each=asked.instances_each,
    )
    unserved = sum(len(one.partitions) for one in hub.unserved)
    wanted, reason = target, _work_words(activities, instances, busy)
    silent = sum(not one.is_known for one in demands)
    if (silent or unserved) and wanted < max(len(staying), 1):
        wanted = max(len(staying), 1)
        what = f"{silent} hosts have not said how busy they are" if silent else ""
        what = what or f"{unserved} partitions are without a host"
        reason = f"{reason}; not fewer than now, as {what}"
    if wanted < asked.least:
        wanted, reason = asked.least, f"{reason}; at least {asked.least} as asked"
    is_own = bool(hub.hosts) and not any(one.host for one in hub.hosts)
    useful = 1 if is_own else hub.partitions
    if wanted > useful:
        why = "one host owns this store" if is_own else f"there are {useful} partitions to serve"
        wanted, reason = useful, f"{reason}; not more than {useful}, as {why}"
    if asked.most is not None and wanted > asked.most:
        wanted, reason = asked.most, f"{reason}; at most {asked.most} as asked"
    return ScaleAdvice(
        at=hub.at,
        hosts=len(staying),
        wanted=wanted,
        target=target,
        activities=activities,
        instances=instances,
        busy_partitions=busy,
        partitions=hub.partitions,
        unserved_partitions=unserved,
        oldest_seconds=max((one.oldest_seconds for one in demands), default=0.0),
        activities_each=asked.activities_each,
        instances_each=asked.instances_each,
        reason=reason,
        by_host=demands,
    )


def _demand(description: str, load: HostLoad | None) -> HostDemand:
    known = HostLoad() if load is None else load
    busy = known.busy
    return HostDemand(
        description=description,
        is_known=load is not None,
        activities=max(0, known.activities),
        instances=max(0, known.ready),
        # A host of an older version does not say: what waits there is at one partition at least.
        busy_partitions=int(known.ready > 0) if busy is None else max(0, busy),
        oldest_seconds=max(0.0, known.waited),
    )


def _work_words(activities: int, instances: int, busy: int) -> str:
    if not activities and not instances:
        return "there is nothing to do"
    many = f"{activities:,} activities run or wait"
    if activities == 1:
        many = "1 activity runs or waits"
    ones = "1 instance waits" if instances == 1 else f"{instances:,} instances wait"
    places = "1 partition" if busy == 1 else f"{busy:,} partitions"
    return f"{many}; {ones} for a turn, in {places}"
