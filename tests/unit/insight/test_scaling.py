"""How many hosts a hub is advised to have."""

import pytest

from tenuto.engine.member_ports import HostLoad
from tenuto.insight.hosts import HubHost, HubHosts, UnservedPartitions
from tenuto.insight.scaling import ScaleAdvice, ScaleAsked, advice

TEN = ScaleAsked(activities_each=10, instances_each=10)


def hub(*loads: HostLoad | None, partitions: int = 32, lost: tuple[int, ...] = ()) -> HubHosts:
    hosts = [
        HubHost(host=f"h{at}", description=f"host {at}", load=one) for at, one in enumerate(loads)
    ]
    unserved = [UnservedPartitions(partitions=[*lost])] if lost else []
    return HubHosts(at=0, partitions=partitions, hosts=hosts, unserved=unserved)


def told(found: HubHosts, asked: ScaleAsked = TEN) -> ScaleAdvice:
    return advice(found, asked)


def test_it_adds_up_what_all_hosts_have_to_do() -> None:
    found = told(
        hub(
            HostLoad(activities=20, ready=20, busy=2, waited=1.5),
            HostLoad(activities=10, ready=11, busy=2, waited=0.5),
        )
    )
    assert (found.hosts, found.target, found.wanted) == (2, 4, 4)
    assert (found.activities, found.instances, found.busy_partitions) == (30, 31, 4)
    assert found.oldest_seconds == 1.5
    assert (
        found.reason == "30 activities run or wait; 31 instances wait for a turn, in 4 partitions"
    )


def test_without_work_it_is_as_few_as_may_be() -> None:
    idle = hub(HostLoad(busy=0), HostLoad(busy=0))
    assert told(idle).wanted == 1
    assert told(idle).reason == "there is nothing to do; at least 1 as asked"
    assert told(idle, ScaleAsked(least=0)).wanted == 0
    assert told(hub()).wanted == 1


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (hub(HostLoad(busy=0), None, None), "2 hosts have not said how busy they are"),
        (hub(HostLoad(), HostLoad(), HostLoad(), lost=(4, 5)), "2 partitions are without a host"),
    ],
)
def test_what_nobody_knows_takes_no_host_away(found: HubHosts, why: str) -> None:
    assert told(found).wanted == 3
    assert told(found).target == 0
    assert told(found).reason == f"there is nothing to do; not fewer than now, as {why}"


def test_a_host_of_an_older_version_and_odd_figures_do_no_harm() -> None:
    found = told(hub(HostLoad(ready=5), HostLoad(activities=-3, ready=-2, busy=-1, waited=-1.0)))
    assert (found.activities, found.instances, found.busy_partitions) == (0, 5, 1)
    assert found.wanted == 1
    assert found.oldest_seconds == 0.0


def test_more_hosts_than_have_something_to_serve_are_not_wanted() -> None:
    many = HostLoad(activities=1_000, busy=0)
    assert told(hub(many, partitions=32)).wanted == 32
    assert told(hub(many, partitions=32), ScaleAsked(activities_each=10, most=8)).wanted == 8
    own = HubHosts(
        at=0, partitions=4, hosts=[HubHost(host="", description="me", load=many)], unserved=[]
    )
    assert told(own).wanted == 1
    assert told(own).target == 100
    assert told(own).reason.endswith("; not more than 1, as one host owns this store")


def test_who_leaves_is_not_counted_and_what_it_has_is() -> None:
    leaving = HubHost(
        host="b", description="b", is_leaving=True, load=HostLoad(activities=15, busy=0)
    )
    found = hub(HostLoad(activities=4, busy=0))
    found.hosts.append(leaving)
    assert (told(found).hosts, told(found).wanted) == (1, 2)
