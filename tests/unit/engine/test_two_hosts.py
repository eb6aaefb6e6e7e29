"""Two engines on one store: each owns partitions, and takes some from the other at any moment.

Nothing is lost, done twice or stuck (ENGINE rules 12, 15 and 39): whoever owns
a partition goes on from what is durable, and whoever has lost it keeps nothing of it.
"""

import asyncio
import json
import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto import App, Context, StorageError, TenutoError
from tenuto.model.codec import decode_turn
from tenuto.model.events import EventRaised, HistoryEvent
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RaiseEvent
from tenuto.model.status import RuntimeStatus
from tests.support.histories import check_invariants, of_type
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster

PARTITIONS = 8

app = App()


@app.activity
async def add(first: int, second: int) -> int:
    await asyncio.sleep(0)
    return first + second


@app.orchestrator
async def tree(ctx: Context, depth: int) -> int:
    """Children under ids of ours, in whatever partitions; each adds one."""
    if depth == 0:
        return await ctx.call_activity(add, 0, 1)
    below = await asyncio.gather(*(ctx.call_sub_orchestrator(tree, depth - 1) for _ in range(2)))
    await ctx.create_timer(timedelta(seconds=depth))
    return await ctx.call_activity(add, sum(below), 1)


@app.orchestrator
async def collects(ctx: Context, count: int) -> list[int]:
    return [await ctx.wait_for_external_event("item", int) for _ in range(count)]


@app.orchestrator
async def collects_all(ctx: Context) -> list[int]:
    """All items until a negative one."""
    items: list[int] = []
    while (item := await ctx.wait_for_external_event("item", int)) >= 0:
        items.append(item)
    return items


@app.orchestrator
async def sends(ctx: Context, ids: list[str]) -> None:
    for number, one in enumerate(ids):
        ctx.send_event(one, "item", number)
        await ctx.call_activity(add, number, number)


@app.orchestrator
async def chosen(ctx: Context, name: str) -> list[int]:
    """A child under an id that somebody chose."""
    child = ctx.call_sub_orchestrator(collects.options(instance_id=f"{name}-child"), 1)
    await ctx.call_activity(add, 1, 1)
    ctx.send_event(f"{name}-child", "item", 7)
    return await child


step = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 25)),
    st.tuples(st.just("take"), st.tuples(st.integers(0, 1), st.integers(0, PARTITIONS - 1))),
    st.tuples(st.just("time"), st.integers(0, 2)),
    st.tuples(st.just("tell"), st.integers(0, 1)),
    st.tuples(st.just("ask"), st.integers(0, 1)),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("fail"), st.tuples(st.integers(0, 1), st.integers(1, 4))),
)


class Play:
    """What happens to two members, and what was asked of them."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.told: Counter[str] = Counter()
        self.moving: asyncio.Task[None] | None = None
        self.asked: list[asyncio.Task[int | None]] = []

    async def do(self, kind: str, value: object) -> None:
        match kind, value:
            case "rounds", int(count):
                await self.cluster.rounds(count)
            case "time", int(seconds):
                self.cluster.pass_time(seconds)
            case "take", (int(taker), int(partition)) if self._is_free():
                self.moving = asyncio.create_task(self._take(taker, partition))
            case "crash", int(number) if self._is_free():
                self.moving = asyncio.create_task(self.cluster.crash(number))
            case "tell", int(number) if self.told[f"c{number}"] < 1 + number:
                self.told[f"c{number}"] += 1
                await self.cluster.tell(f"c{number}", "item", "10")
            case "fail", (int(number), int(count)):
                self.cluster.members[number].failures = count
            case "ask", int(number):
                self.asked.append(asyncio.create_task(self._ask(number, len(self.asked))))
            case _:
                pass

    def _is_free(self) -> bool:
        """Whoever is being moved is not moved twice at once."""
        return self.moving is None or self.moving.done()

    async def _until_free(self) -> None:
        while self.moving is not None and not self.moving.done():
            await self.cluster.rounds(10)
            self.cluster.pass_time(1)
        if self.moving is not None:
            await self.moving

    async def _take(self, taker: int, partition: int) -> None:
        """Unless the other one would be left with nothing: a host that owns nothing has ended."""
        member, other = self.cluster.members[taker], self.cluster.members[1 - taker]
        if set(other.owned) - {partition}:
            with suppress(StorageError):
                await member.lifecycle.take([partition])

    async def _ask(self, number: int, item: int) -> int | None:
        """Ask a member itself; what it has acknowledged is durable, whoever owns it afterwards."""
        try:
            await self.cluster.members[number].commands.tell(
                InstanceId("open"), RaiseEvent(event=EventRaised("item", str(item)))
            )
        except TenutoError:
            return None
        return item

    async def end(self) -> list[int | None]:
        """Tell what is missing, and let everything end; what was acknowledged."""
        await self._until_free()
        await self.cluster.take_what_is_left()
        for name, least in (("c0", 1), ("c1", 2)):
            for _ in range(self.told[name], least):
                await self.cluster.tell(name, "item", "10")
        for _ in range(100):
            await self.cluster.rounds(10)
            self.cluster.pass_time(1)
        acknowledged = await asyncio.wait_for(asyncio.gather(*self.asked), 10)
        await self.cluster.tell("open", "item", "-1")
        await self.cluster.settle()
        return acknowledged


async def play(seed: int, steps: list[tuple[str, object]]) -> tuple[SharedHub, list[int | None]]:
    chance = random.Random(seed)
    hub = SharedHub(PARTITIONS, repeats=3, rounds=lambda: chance.randrange(1, 6))
    cluster = Cluster(hub, app, ["a", "b"])
    await cluster.start()
    played = Play(cluster)
    try:
        await cluster.begin("tree", "tree", "2")
        await cluster.begin("collects", "c0", "3")
        await cluster.begin("collects", "c1", "3")
        await cluster.begin("collects_all", "open", "null")
        await cluster.begin("sends", "s", '["c0", "c1", "c0"]')
        await cluster.begin("chosen", "chosen", '"chosen"')
        for kind, value in steps:
            await played.do(kind, value)
        acknowledged = await played.end()
        await until_idle(cluster)
        check_memory(cluster)
    finally:
        await cluster.stop()
    assert not any(member.lost for member in cluster.members)
    return hub, acknowledged


async def until_idle(cluster: Cluster) -> None:
    """Whoever reads again after a failure pauses first, in real time."""
    async with asyncio.timeout(30):
        while not all(member.engine.is_idle for member in cluster.members):  # noqa: ASYNC110 - many may end it
            await asyncio.sleep(0.001)


def check_memory(cluster: Cluster) -> None:
    """Each member owns what the store says, and keeps nothing of what has ended."""
    for member in cluster.members:
        engine = member.engine
        for home in list(engine.partitions.values()):
            if home.number in member.owned:
                assert len(home.delivery) == 0, home.number
                assert home.is_idle, home.number
                assert not home.open_by_root, home.number
        # Of a partition that it does not know to be another's it keeps what it had, until it hears.
        left = engine.takeback.left.values()
        assert not [one for one in left if one.partition in member.owned]
        assert not engine.retention.sessions
        assert not engine.callers.requests
        assert engine.is_idle


def history_of(hub: SharedHub, instance_id: str) -> list[HistoryEvent]:
    record = hub.named(instance_id)
    assert record is not None, instance_id
    return [event for turn in hub.current(record) for event in decode_turn(turn)]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(seed=st.integers(0, 2**32), steps=st.lists(step, max_size=40))
def test_exactly_once_turns_over_takeovers(seed: int, steps: list[tuple[str, object]]) -> None:
    hub, acknowledged = asyncio.run(play(seed, steps))
    outputs: dict[str, str | None] = {one.instance_id: one.output for one in hub.instances.values()}
    assert {one.status for one in hub.instances.values()} == {RuntimeStatus.COMPLETED}, outputs
    assert outputs["tree"] == "7"
    assert outputs["chosen"] == "[7]"
    assert len(hub.instances) == 13
    for one in hub.instances.values():
        check_invariants(history_of(hub, one.instance_id))
    for name, expected in (("c0", [0, 2, 10]), ("c1", [1, 10, 10])):
        events = of_type(history_of(hub, name), EventRaised)
        items = sorted(int(event.input or "") for event in events)
        assert items == expected, (name, items)
    received = json.loads(outputs["open"] or "")
    assert len(received) == len(set(received)), received
    assert {item for item in acknowledged if item is not None} <= set(received)
    assert not hub.letters
    assert not hub.inbox
