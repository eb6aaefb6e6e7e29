"""What must be true of the final rows of a hub, whatever was done to its hosts.

Each broken rule is one sentence in the answer; an empty answer means that all is well.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tenuto.model.codec import decode_turn
from tenuto.model.status import RuntimeStatus
from tests.cluster.living_hub import Hit, LivingHub
from tests.cluster.load_process import ACCOUNTS, HOPS, STEPS
from tests.support.stored_histories import StoredInstance, StoredTurn, faults_of

_SLACK_SECONDS: Final = 0.5
_RUNS: Final = frozenset({"run", "message", "event"})


@dataclass(frozen=True)
class Line:
    """Of the journal."""

    at: float
    pid: int
    kind: str
    key: str


async def check(hub: LivingHub) -> list[str]:
    """What is wrong with a hub whose load has ended."""
    instances = await _instances(hub)
    lines = _journal(hub)
    wrong = [
        f"{fault}: {[turn.events for turn in one.turns][-2:]}"
        for one in instances.values()
        for fault in faults_of(one)
    ]
    wrong += _outcomes(hub, instances)
    wrong += _own(instances, lines)
    wrong += _runs(lines, hub.hits)
    wrong += _deliveries(hub.waves, lines)
    wrong += await _tables(hub)
    return wrong


async def _instances(hub: LivingHub) -> dict[str, StoredInstance]:
    rows = [dict(row) for row in await hub.ask("SELECT * FROM hub.instance")]
    turns: dict[int, list[StoredTurn]] = defaultdict(list)
    for row in await hub.ask("SELECT * FROM hub.history ORDER BY iid, generation, turn"):
        turn = StoredTurn(row["generation"], row["turn"], decode_turn(row["events"]))
        turns[row["iid"]].append(turn)
    orphans = turns.keys() - {row["iid"] for row in rows}
    assert not orphans, f"history rows of instances that do not exist: {sorted(orphans)}"
    return {row["instance_id"]: StoredInstance(row, turns.get(row["iid"], [])) for row in rows}


def _journal(hub: LivingHub) -> list[Line]:
    lines = []
    for text in hub.journal.read_text().splitlines():
        at, pid, kind, key = text.split(" ", 3)
        lines.append(Line(float(at), int(pid), kind, key))
    return lines


# --- instances ------------------------------------------------------------------------------------


def _expected(kind: str, n: int) -> object:
    match kind:
        case "chain":
            return n + STEPS
        case "fan":
            return [2 * (n + index + 1) for index in range(4)]
        case "timers" | "generations":
            return n + 3
        case "ping":
            return 3 * n + 3
        case _:
            return n


def _outcomes(hub: LivingHub, instances: Mapping[str, StoredInstance]) -> Iterator[str]:
    for one in instances.values():
        if one.status is not RuntimeStatus.COMPLETED:
            yield f"{one.instance_id} is {one.status.label}: {one.row['failure']}"
    for number in range(hub.waves):
        for kind in hub.kinds:
            found = instances.get(f"{kind}-{number}")
            if found is None:
                yield f"{kind}-{number} was lost"
            elif found.output != _expected(kind, number):
                yield f"{found.instance_id} has come to {found.output!r}"
    accounts = [instances[f"account-{number}"].output for number in range(ACCOUNTS)]
    if not all(isinstance(one, list) for one in accounts):
        yield f"accounts came to {accounts}"
        return
    rested, passed = (sum(one[place] for one in accounts) for place in (0, 1))  # type: ignore[index]
    if (rested, passed) != (hub.coins, HOPS * hub.coins):
        yield f"{rested} coins rest after {passed} hops: there were {hub.coins}, of {HOPS} hops"


def _own(instances: Mapping[str, StoredInstance], lines: Sequence[Line]) -> Iterator[str]:
    """What a host's own client was promised."""
    for line in lines:
        if line.kind == "started":
            found = instances.get(line.key)
            if found is None:
                yield f"{line.key} was promised and is lost"
            elif found.output != int(line.key.rpartition("-")[2]) + 1 + STEPS:
                yield f"{line.key} is {found.status.label} with {found.output!r}"


# --- runs -----------------------------------------------------------------------------------------


def _runs(lines: Sequence[Line], hits: Sequence[Hit]) -> Iterator[str]:
    """Something runs once, unless the host that had it was hit, or knows that it lost it."""
    told = [Hit(line.at, line.at, line.pid) for line in lines if line.kind == "hit"]
    runs: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line.kind in _RUNS:
            runs[line.kind, line.key].append(line)
    for (kind, key), several in runs.items():
        for first, second in itertools.pairwise(several):
            # What is delivered goes along with its partition, and may then come once more.
            has_moved = kind != "run" and first.pid != second.pid
            if not has_moved and not any(_explains(hit, first, second) for hit in (*hits, *told)):
                yield f"{kind} {key} ran twice for no reason: {first}, {second}"


def _explains(hit: Hit, first: Line, second: Line) -> bool:
    """Whether one of the two hosts was hit after it began, before it ran again.

    The second too: what its last commit before the hit has allowed it to begin, it begins when it
    goes on, and finds out only then that others have begun it meanwhile.
    """
    is_host = hit.pid in {0, first.pid, second.pid}
    return (
        is_host
        and first.at <= hit.ended + _SLACK_SECONDS
        and hit.began <= second.at + _SLACK_SECONDS
    )


def repeated(hub: LivingHub) -> int:
    """How many runs of activities were not the first of theirs."""
    keys = [line.key for line in _journal(hub) if line.kind == "run"]
    return len(keys) - len(set(keys))


def _deliveries(waves: int, lines: Sequence[Line]) -> Iterator[str]:
    everything = set(range(waves))
    for kind in ("message", "event"):
        heard = {int(line.key) for line in lines if line.kind == kind}
        if heard != everything:
            yield f"of {waves} coins as {kind}s these were not heard of: {everything - heard}"


# --- tables ---------------------------------------------------------------------------------------


async def _tables(hub: LivingHub) -> list[str]:
    wrong = []
    for table in ("inbox", "queued", "dead_letter", "failed_delivery", "topic_wait"):
        rows = await hub.ask(f"SELECT * FROM hub.{table} LIMIT 3")
        wrong += [f"left in {table}: {dict(row)}" for row in rows]
    gaps = await hub.ask(
        "SELECT owner, min(number), max(number), count(*) FROM hub.landed GROUP BY owner"
        " HAVING max(number) - min(number) + 1 <> count(*)"
    )
    wrong += [f"commits are missing of {dict(row)}" for row in gaps]
    owners = await hub.ask("SELECT partition, owner FROM hub.partition WHERE owner IS NOT NULL")
    wrong += [f"has an owner still: {dict(row)}" for row in owners]
    return wrong


def shown(wrong: Sequence[str]) -> str:
    """For a failed test: the first few."""
    return json.dumps(list(wrong[:12]), indent=1)[:6_000]
