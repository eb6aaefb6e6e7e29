"""Events of topics find the instances that wait, on two engines that die and lose partitions.

Whatever comes first, an event that counts is taken, and once (``no_silent_drop``,
``exactly_once_turns``): by instances that wait for two topics, that give up and wait again, that
begin new generations, that wait twice for one key, that are suspended meanwhile. Published by
clients of the store and of a host, and by instances; often twice.
"""

import asyncio
import json
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final, Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tenuto import App, Context, StorageError, TenutoError
from tenuto.model.messages import Resume, Suspend
from tenuto.model.status import RuntimeStatus
from tenuto.model.topics import EventHead, PublishedEvent, content_of
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster
from tests.unit.engine.test_two_hosts import check_memory, history_of, until_idle

PARTITIONS: Final = 4
FLIGHTS, HOTELS = "flights", "hotels"

app = App()


@app.activity
async def note(number: int) -> int:
    await asyncio.sleep(0)
    return number


@app.orchestrator
async def report(ctx: Context, trip: str) -> list[int]:
    """Flight and hotel of one trip, in any order."""
    flight = ctx.wait_for_event(FLIGHTS, match=trip)
    hotel = ctx.wait_for_event(HOTELS, match=trip)
    both = await asyncio.gather(flight, hotel)
    return [one.data for one in both]


@app.orchestrator
async def impatient(ctx: Context, key: str) -> list[int]:
    """Gives up, and waits again: what comes between two waits is for the next."""
    found: list[int] = []
    while len(found) < 3:
        with suppress(TimeoutError):
            wait = ctx.wait_for_event(FLIGHTS, match=key, timeout=timedelta(seconds=1))
            found.append((await wait).data)
        await ctx.call_activity(note, len(found))
    return found


@app.orchestrator
async def eternal(ctx: Context, key: str, found: list[int]) -> list[int]:
    """One generation for each event, and one for each time that none comes."""
    with suppress(TimeoutError):
        wait = ctx.wait_for_event(HOTELS, match=key, timeout=timedelta(seconds=1))
        found = [*found, (await wait).data]
    if len(found) < 3:
        ctx.continue_as_new(key, found)
    return found


@app.orchestrator
async def twice(ctx: Context, key: str) -> list[int]:
    """Two waits for one topic and key at once: each gets an event of its own."""
    both = await asyncio.gather(*(ctx.wait_for_event(FLIGHTS, match=key) for _ in range(2)))
    last = await ctx.wait_for_event(FLIGHTS, match=key)
    return [*sorted(one.data for one in both), last.data]


@app.orchestrator
async def picky(ctx: Context, key: str) -> list[int]:
    """One event does not fit, wherever it comes: it is put aside, and the wait goes on."""
    first = await ctx.wait_for_event(HOTELS, Literal[1, 2], match=key)
    second = await ctx.wait_for_event(HOTELS, Literal[1, 2], match=key)
    return [first.data, second.data]


@app.orchestrator
async def publishes(ctx: Context, posts: list[tuple[str, str, int]]) -> None:
    for topic, key, number in posts:
        await ctx.publish(topic, number, key=key)
        await ctx.call_activity(note, number)


WAITING: Final[dict[str, tuple[str, object]]] = {
    "trip": ("report", "trip"),
    "soon": ("impatient", "soon"),
    "ever": ("eternal", {"key": "ever", "found": []}),
    "two": ("twice", "two"),
    "some": ("picky", "some"),
}
"""By the key, which is the instance's id as well: who waits, and its input."""
TOPICS: Final = {
    "soon": (FLIGHTS,),
    "ever": (HOTELS,),
    "two": (FLIGHTS,),
    "some": (HOTELS,),
    "trip": (FLIGHTS, HOTELS),
}
POSTS: Final = [
    (topic, key, number)
    for number in range(3)
    for key, topics in TOPICS.items()
    for topic in topics
]
"""What is published at least; of a trip only the first counts."""

step = st.one_of(
    st.tuples(st.just("rounds"), st.integers(1, 25)),
    st.tuples(st.just("time"), st.integers(0, 2)),
    st.tuples(st.just("begin"), st.sampled_from([*WAITING, "posts"])),
    st.tuples(st.just("outside"), st.sampled_from(POSTS)),
    st.tuples(st.just("outside"), st.sampled_from(POSTS)),
    st.tuples(st.just("ask"), st.tuples(st.integers(0, 1), st.sampled_from(POSTS))),
    st.tuples(st.just("pause"), st.sampled_from([*WAITING])),
    st.tuples(st.just("go on"), st.sampled_from([*WAITING])),
    st.tuples(st.just("take"), st.tuples(st.integers(0, 1), st.integers(0, PARTITIONS - 1))),
    st.tuples(st.just("crash"), st.integers(0, 1)),
    st.tuples(st.just("fail"), st.tuples(st.integers(0, 1), st.integers(1, 4))),
)


class Play:
    """What happens to two members, and what was published."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.begun: set[str] = set()
        self.moving: asyncio.Task[None] | None = None
        self.asked: list[asyncio.Task[bool]] = []

    async def do(self, kind: str, value: object) -> None:
        match kind, value:
            case "rounds", int(count):
                await self.cluster.rounds(count)
            case "time", int(seconds):
                self.cluster.pass_time(seconds)
            case "begin", str(name):
                await self.begin(name)
            case "outside", (str(topic), str(key), int(number)):
                await self.cluster.publish(event(topic, key, number, self.cluster.clock.now()))
            case "ask", (int(member), (str(topic), str(key), int(number))):
                row = event(topic, key, number, self.cluster.clock.now())
                self.asked.append(asyncio.create_task(self._ask(member, row)))
            case (("pause" | "go on"), str(name)) if name in self.begun:
                message = Suspend if kind == "pause" else Resume
                await self.cluster.send(name, lambda key: message(message_id=key))
            case "take", (int(taker), int(partition)) if self._is_free():
                self.moving = asyncio.create_task(self._take(taker, partition))
            case "crash", int(number) if self._is_free():
                self.moving = asyncio.create_task(self.cluster.crash(number))
            case "fail", (int(number), int(count)):
                self.cluster.members[number].failures = count
            case _:
                pass

    async def begin(self, name: str) -> None:
        if name in self.begun:
            return
        self.begun.add(name)
        function, given = WAITING.get(name, ("publishes", POSTS[1::2]))
        await self.cluster.begin(function, name, json.dumps(given))

    def _is_free(self) -> bool:
        return self.moving is None or self.moving.done()

    async def _take(self, taker: int, partition: int) -> None:
        member, other = self.cluster.members[taker], self.cluster.members[1 - taker]
        if set(other.owned) - {partition}:
            with suppress(StorageError):
                await member.lifecycle.take([partition])

    async def _ask(self, number: int, row: PublishedEvent) -> bool:
        """Of a member itself; what it has acknowledged is durable."""
        try:
            await self.cluster.members[number].commands.publish([row], [])
        except TenutoError:
            return False
        return (row.topic, row.event_id) in self.cluster.hub.topics.events

    async def end(self) -> None:
        """Publish what is missing, start who is, and let everything end."""
        while not self._is_free():
            await self.cluster.rounds(10)
            self.cluster.pass_time(1)
        if self.moving is not None:
            await self.moving
        await self.cluster.take_what_is_left()
        for name in (*WAITING, "posts"):
            await self.begin(name)
        for name in WAITING:
            await self.cluster.send(name, lambda key: Resume(message_id=key))
        for topic, key, number in POSTS:
            await self.cluster.publish(event(topic, key, number, self.cluster.clock.now()))
        await self.cluster.settle()
        answers = await asyncio.wait_for(asyncio.gather(*self.asked), 10)
        assert all(answers) or any(member.name != "a" for member in self.cluster.members)


def event(topic: str, key: str, number: int, now: int) -> PublishedEvent:
    """The same id whoever publishes it, so that it counts once."""
    content = content_of(str(number), EventHead())
    return PublishedEvent(f"{key}-{number}", topic, key, now, None, 0, Raw(bytes(content)))


async def play(seed: int, steps: list[tuple[str, object]]) -> SharedHub:
    chance = random.Random(seed)
    hub = SharedHub(PARTITIONS, repeats=3, rounds=lambda: chance.randrange(1, 6))
    cluster = Cluster(hub, app, ["a", "b"])
    await cluster.start()
    played = Play(cluster)
    try:
        for kind, value in steps:
            await played.do(kind, value)
        await played.end()
        await until_idle(cluster)
        check_memory(cluster)
        for member in cluster.members:
            waits = member.engine.correlation.waits
            assert not waits, waits
    finally:
        await cluster.stop()
    return hub


def of_key(hub: SharedHub, topic: str, key: str) -> list[int]:
    """The data of a topic's events with some key, in its order."""
    return [json.loads(bytes(one.event))["data"] for one in hub.topics.of(topic) if one.key == key]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(seed=st.integers(0, 2**32), steps=st.lists(step, max_size=40))
def test_no_event_is_lost_or_taken_twice(seed: int, steps: list[tuple[str, object]]) -> None:
    hub = asyncio.run(play(seed, steps))
    outputs: dict[str, Any] = {
        one.instance_id: json.loads(one.output or "null") for one in hub.instances.values()
    }
    statuses = {one.instance_id: one.status for one in hub.instances.values()}
    assert set(statuses.values()) == {RuntimeStatus.COMPLETED}, (statuses, outputs)
    assert len(hub.instances) == len(WAITING) + 1
    # Each takes the first events of its key, in the topic's order.
    assert outputs["trip"] == [of_key(hub, topic, "trip")[0] for topic in (FLIGHTS, HOTELS)]
    assert outputs["soon"] == of_key(hub, FLIGHTS, "soon")[:3]
    assert outputs["ever"] == of_key(hub, HOTELS, "ever")[:3]
    first, second, third = of_key(hub, FLIGHTS, "two")[:3]
    assert outputs["two"] == [*sorted([first, second]), third]
    assert not hub.topics.waits
    of_some = of_key(hub, HOTELS, "some")
    fitting = [place for place, number in enumerate(of_some) if number][:2]
    assert outputs["some"] == [of_some[place] for place in fitting]
    # What did not fit is put aside once; what came when nobody waited any more is not.
    assert len(hub.letters) == of_some[: fitting[-1]].count(0)
    assert not hub.inbox
    for one in hub.instances.values():
        assert history_of(hub, one.instance_id)
