"""What the doctor says of the hosts of a hub."""

from typing import Any
from unittest import mock

import pytest
from rich.console import Console

from tenuto.cli import terminal
from tenuto.cli.findings import Level
from tenuto.cli.host_findings import host_findings
from tenuto.cli.hosts import _show, _state, unserved_text
from tenuto.engine.member_ports import Census, HostLoad, KnownHost, KnownPlace
from tenuto.insight.hosts import HubHosts, hub_hosts, owned_by

SECOND = 1_000_000
NOW = 1_800_000_000 * SECOND
LEASE = 10.0


def host(name: str, **more: Any) -> KnownHost:
    given: dict[str, Any] = {
        "member": name,
        "description": f"process of {name}",
        "joined_at": NOW - 300 * SECOND,
        "heard_at": NOW - 2 * SECOND,
        "lives_until": NOW + 8 * SECOND,
    }
    return KnownHost(**(given | more))


def dead(name: str, seconds: int) -> KnownHost:
    return host(name, is_alive=False, lives_until=NOW - seconds * SECOND)


def places(*owners: str | None, since: int = 0) -> list[KnownPlace]:
    """One for each: by whom it is served; of ``-name``, who had it, so many seconds ago."""
    return [
        KnownPlace(
            partition=number,
            is_free=owner is None or owner.startswith("-"),
            member=None if owner is None else owner.removeprefix("-"),
            description="" if owner is None else f"process of {owner.removeprefix('-')}",
            until=NOW - since * SECOND,
        )
        for number, owner in enumerate(owners)
    ]


def found(hosts: list[KnownHost], serving: list[KnownPlace]) -> HubHosts:
    return hub_hosts(Census(at=NOW, hosts=hosts, places=serving))


def told(hub: HubHosts) -> list[tuple[Level, str]]:
    return [(one.level, one.text) for one in host_findings(hub, LEASE)]


def test_hosts_that_live_are_named_with_how_many_partitions_they_have() -> None:
    hub = found([host("a"), host("b", is_leaving=True)], places("a", "a", "b"))
    ((level, text),) = told(hub)
    assert level is Level.OK
    assert text == (
        "2 hosts run: process of a has 2 partitions; process of b has 1 partition, and is leaving"
    )
    assert [one.partitions for one in hub.hosts] == [[0, 1], [2]]


def test_no_host_at_all_is_no_fault() -> None:
    assert told(found([], places(None))) == [(Level.NOTE, "none runs on this hub")]


@pytest.mark.parametrize(("seconds", "level"), [(3, Level.NOTE), (30, Level.WRONG)])
def test_what_nobody_serves_is_wrong_when_it_lasts_longer_than_a_lease(
    seconds: int, level: Level
) -> None:
    hub = found([host("a"), dead("b", seconds)], places("a", "-b", "-b", "a", "-b", since=seconds))
    _, lost, gone = told(hub)
    assert lost[0] is level
    assert lost[1].startswith(
        f"no host serves partitions 1 to 2, 4 for {seconds}.0 s now; process of b had them"
    )
    who = f"process of b, {seconds}.0 s ago"
    assert gone == (
        Level.NOTE,
        f"1 host has died in the last 10 minutes, without a goodbye: {who}",
    )


def test_hosts_that_died_are_told_together() -> None:
    hub = found([host("a"), *(dead(name, 9) for name in "bcdefgh")], places("a"))
    _, gone = host_findings(hub, LEASE)
    assert gone.text.startswith("7 hosts have died in the last 10 minutes, without a goodbye: ")
    assert gone.text.endswith("; and 2 more")
    assert gone.advice == "nothing is lost: others have taken over what they had"


def test_a_host_that_is_silent_for_longer_than_it_should_be_is_told() -> None:
    hub = found(
        [host("a"), host("b", heard_at=NOW - 7 * SECOND, lives_until=NOW + 3 * SECOND)],
        places("a", "b"),
    )
    assert [one.silent_seconds for one in hub.hosts] == [None, 7.0]
    assert [_state(one, NOW) for one in hub.hosts] == [
        "runs for 5 min 00 s",
        "silent for 7.0 s, its lease ends in 3.0 s",
    ]


def test_a_host_that_is_alone_and_silent_is_told_as_well() -> None:
    """There is no other whose last sign of life would say how old its own is."""
    hub = found([host("a", heard_at=NOW - 6 * SECOND, lives_until=NOW + 4 * SECOND)], places("a"))
    assert [_state(one, NOW) for one in hub.hosts] == ["silent for 6.0 s, its lease ends in 4.0 s"]


@pytest.mark.parametrize("width", [30, 50, 80])
def test_hosts_with_long_names_are_listed_in_narrow_terminals(
    width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "process 5214 on ip-10-0-3-17"
    hub = found([host("a", description=name)], places("a"))
    with mock.patch.object(terminal, "console", return_value=Console(width=width)):
        _show(hub)
    said = capsys.readouterr().out
    for whole in (name, "runs for 5 min"):
        assert whole in said, said
    assert max(map(len, said.splitlines())) <= width


def test_partitions_that_were_lost_at_other_moments_are_told_apart() -> None:
    hub = found([host("a")], [*places("-b", since=40)[:1], places("a", "-c", since=20)[1]])
    assert [(one.partitions, one.last_host) for one in hub.unserved] == [
        ([0], "process of b"),
        ([1], "process of c"),
    ]
    assert unserved_text(hub.unserved[0], NOW) == (
        "nobody serves partition 0 for 40.0 s now; process of b had it"
    )


@pytest.mark.parametrize(("minutes", "level"), [(5, Level.NOTE), (90, Level.WRONG)])
def test_several_app_versions_are_an_upgrade_and_wrong_when_that_lasts(
    minutes: int, level: Level
) -> None:
    began = NOW - minutes * 60 * SECOND
    old = host("a", app_version="9", newness=1, joined_at=began - 3600 * SECOND)
    new = host("b", app_version="10", newness=2, joined_at=began)
    newer = host("c", app_version="10", newness=2)
    _, versions = host_findings(found([old, new, newer], places("a", "b", "c")), LEASE)
    assert versions.level is level
    assert versions.text.startswith("2 app versions: '9' on 1, '10' on 2 (the newest)")
    assert "process of a" in versions.advice
    assert "process of b" not in versions.advice


def test_a_host_that_keeps_instances_waiting_is_told() -> None:
    slow = host("a", load=HostLoad(ready=5, waited=90.0))
    _, busy = told(found([slow], places("a")))
    assert busy == (
        Level.NOTE,
        "process of a keeps an instance waiting for its turn for 1 min 30 s",
    )


def test_who_serves_without_a_row_is_listed_all_the_same() -> None:
    hub = found([], places("a", "a"))
    assert [(one.description, one.partitions) for one in hub.hosts] == [("process of a", [0, 1])]


def test_the_lock_of_a_file_tells_its_one_host() -> None:
    hub = owned_by("process 12 on box, pid 12, since 2026-11-30T12:00:00+00:00", 2, NOW)
    (one,) = hub.hosts
    assert (one.description, one.since, one.partitions) == (
        "process 12 on box",
        1_796_040_000 * SECOND,
        [0, 1],
    )
    assert owned_by("somebody", 1, NOW).hosts[0].since is None
