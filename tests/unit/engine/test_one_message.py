"""One message, by each of the ways that there are, through everything that may befall it.

A model test of ``engine.delivery``: an instance collects what it is sent by another process, by an
orchestrator, by a client of its host and by a timer, while the host reads pages with rows that it
has seen, takes the instance out of memory, pauses it, is refused batches for the content of others,
loses partitions and crashes. Whatever the order, what was durable is taken in once.
"""

import asyncio
import json
import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto import App, Context, TenutoError
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RaiseEvent, Resume, Suspend
from tenuto.model.status import RuntimeStatus
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, FussyHub, Member

ONE = InstanceId("one")

PARTITIONS = 3
OUTSIDE, ORCHESTRATOR, CLIENT = 1, 2, 3
END = -1

app = App()


@app.activity
async def work(number: int) -> int:
    for _ in range(number):
        await asyncio.sleep(0)
    return number


@app.orchestrator
async def collects(ctx: Context) -> list[int]:
    """What it is sent, and that its activity and its timer are over, until it is told to end."""
    items: list[int] = []
    answer = ctx.call_activity(work, 3)
    while (item := await ctx.wait_for_external_event("item", int)) != END:
        items.append(item)
    return [*items, await answer]


@app.orchestrator
async def sends(ctx: Context) -> None:
    ctx.send_event("one", "item", ORCHESTRATOR)


@app.orchestrator
async def spoils(ctx: Context) -> None:
    """A neighbour whose row no store can hold: every batch with it is refused."""
    ctx.set_custom_status("x")
    await ctx.call_activity(work, 1)


step = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 12)),
    st.tuples(st.just("send"), st.sampled_from([OUTSIDE, ORCHESTRATOR, CLIENT])),
    st.tuples(st.just("time"), st.integers(0, 2)),
    st.tuples(st.sampled_from(["unload", "suspend", "resume", "crash", "spoil"]), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, PARTITIONS - 1)),
)


class Story:
    """What befalls the messages."""

    def __init__(self, cluster: Cluster, hub: SharedHub) -> None:
        self.cluster = cluster
        self.hub = hub
        self.sent: set[int] = set()
        self.moving: asyncio.Task[None] | None = None
        self.asked: list[asyncio.Task[None]] = []
        self.acknowledged: set[int] = set()
        self.spoilers = 0

    @property
    def owner(self) -> Member:
        """Who has the instance's partition, by what it knows itself."""
        first, second = self.cluster.members
        return first if first.engine.find(ONE) is not None else second

    async def befall(self, kind: str, value: int) -> None:
        match kind:
            case "rounds":
                await self.cluster.rounds(value)
            case "time":
                self.cluster.pass_time(value)
            case "send" if value not in self.sent:
                self.sent.add(value)
                await self._send(value)
            case "unload":
                self._unload()
            case "suspend":
                await self.cluster.send("one", lambda key: Suspend(message_id=key))
            case "resume":
                await self.cluster.send("one", lambda key: Resume(message_id=key))
            case "spoil":
                self.spoilers += 1
                await self.cluster.begin("spoils", f"spoils-{self.spoilers}", "null")
            case "crash" if self.moving is None or self.moving.done():
                number = self.cluster.members.index(self.owner)
                self.moving = asyncio.create_task(self.cluster.crash(number))
            case "move" if self.moving is None or self.moving.done():
                self.moving = asyncio.create_task(self._move(value))
            case _:
                pass

    async def _send(self, way: int) -> None:
        if way == OUTSIDE:
            await self.cluster.tell("one", "item", str(way))
        elif way == ORCHESTRATOR:
            await self.cluster.begin("sends", "sends", "null")
        else:
            self.asked.append(asyncio.create_task(self._ask(way)))

    async def _ask(self, item: int) -> None:
        try:
            await self.owner.commands.tell(ONE, RaiseEvent(event=EventRaised("item", str(item))))
        except TenutoError:
            return  # perhaps it was taken in
        self.acknowledged.add(item)

    def _unload(self) -> None:
        """As memory does that is short, or a wait that is long."""
        engine = self.owner.engine
        for resident in list(engine.residents):
            if resident.is_idle:
                engine.retention.unload(resident)
            elif not resident.is_busy:
                engine.retention.close(resident)

    async def _move(self, partition: int) -> None:
        places = self.hub.places
        for member in self.cluster.members:
            other = next(one for one in self.cluster.members if one is not member)
            if places[partition].owner == other.name and len(other.owned) > 1:
                await member.lifecycle.take([partition])
                return

    async def end(self) -> None:
        if self.moving is not None:
            await self.moving
        for way in {OUTSIDE, ORCHESTRATOR, CLIENT} - self.sent:
            self.sent.add(way)
            await self._send(way)
        await asyncio.wait_for(asyncio.gather(*self.asked), 3)
        await self._until(lambda: self._has_ended("sends"))
        await self.cluster.send("one", lambda key: Resume(message_id=key))
        await self._until(lambda: not self.hub.inbox)
        await self.cluster.tell("one", "item", str(END))
        await self._until(lambda: self._has_ended("one") and not self.hub.inbox)

    async def _until(self, is_so: Callable[[], bool]) -> None:
        for _ in range(100):
            await self.cluster.rounds(30)
            if is_so():
                return
            self.cluster.pass_time(1)
        raise AssertionError(f"it does not come: {self.hub.instances}; {self.hub.inbox}")

    def _has_ended(self, instance_id: str) -> bool:
        record = self.hub.named(instance_id)
        return record is not None and record.status.is_finished


async def tell(seed: int, steps: list[tuple[str, int]]) -> tuple[SharedHub, set[int]]:
    chance = random.Random(seed)
    hub = FussyHub(PARTITIONS, repeats=5, rounds=lambda: chance.randrange(1, 5))
    cluster = Cluster(hub, app, ["a", "b"])
    await cluster.start()
    story = Story(cluster, hub)
    try:
        await cluster.begin("collects", "one", "null")
        for kind, value in steps:
            await story.befall(kind, value)
        await story.end()
        for member in cluster.members:
            for home in member.engine.partitions.values():
                assert home.number not in member.owned or len(home.delivery) == 0
    finally:
        await cluster.stop()
    return hub, story.acknowledged


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(seed=st.integers(0, 2**32), steps=st.lists(step, max_size=40))
def test_exactly_once_turns_whatever_befalls_a_message(
    seed: int, steps: list[tuple[str, int]]
) -> None:
    hub, acknowledged = asyncio.run(tell(seed, steps))
    record = hub.named("one")
    assert record is not None
    assert record.status is RuntimeStatus.COMPLETED, record
    items = json.loads(record.output or "")
    assert items[-1] == 3
    received = items[:-1]
    assert len(received) == len(set(received)), received
    assert {OUTSIDE, ORCHESTRATOR, *acknowledged} <= set(received)
