"""A client in the process of any host acts on the whole hub, wherever an instance is or goes.

What its owner says is what it hears (``durable_before_visible``): never a timeout, never an answer
of a host that does not know.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto import Client, TenutoError
from tenuto.engine.ports import Standing
from tenuto.engine.rows import CommitBatch
from tenuto.engine.subscription import Subscription
from tenuto.engine.update import Update
from tenuto.model.codec import decode_turn
from tenuto.model.errors import (
    InstanceExistsError,
    InstanceFinishedError,
    InstanceNotFoundError,
    InstanceStateError,
    WebhookClosedError,
)
from tenuto.model.events import EventRaised
from tenuto.model.ids import InstanceId
from tenuto.model.messages import RedeemWebhook
from tenuto.model.requests import IdReuse
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import to_datetime
from tests.support.asked_app import app, asks, collects
from tests.support.gateways import client_of, http_of, id_on, move
from tests.support.partitions import at_commit
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, Member
from tests.support.waiting import until

PARTITIONS = 8
SOON = 5.0


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster(SharedHub(PARTITIONS), app, ["a", "b"])
    await cluster.start()
    yield cluster
    await cluster.stop()


class Hosts:
    """Two hosts: ``near`` is asked, ``far`` has the instances."""

    def __init__(self, cluster: Cluster, near: httpx2.AsyncClient) -> None:
        self.cluster = cluster
        self.near, self.far = cluster.members
        self.client: Client = client_of(self.near, app)
        self.http = near
        self.there: InstanceId = id_on(cluster, self.far, "there")

    async def started(self, name: str = "collects", *, text: str = "null") -> InstanceId:
        """An instance of the far host that has begun."""
        await self.cluster.begin(name, self.there, text)
        await self.begun(self.there)
        return self.there

    async def begun(self, instance_id: str) -> None:
        async with asyncio.timeout(SOON):
            await self.client.wait(instance_id, started=True)


@pytest.fixture
async def hosts(cluster: Cluster) -> AsyncIterator[Hosts]:
    async with AsyncExitStack() as stack:
        near = cluster.members[0]
        yield Hosts(cluster, await stack.enter_async_context(http_of(near, app)))


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    """No answer is a timeout: the longest that anything here may take."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 2 * SOON


def items_of(hosts: Cluster, instance_id: str) -> list[int]:
    """The items that an instance has got, says its history."""
    record = hosts.hub.named(instance_id)
    assert record is not None
    events = [one for turn in hosts.hub.current(record) for one in decode_turn(turn)]
    return [int(one.input or "") for one in events if isinstance(one, EventRaised)]


# --- what the owner says --------------------------------------------------------------------------


async def test_an_instance_is_started_wherever_it_belongs(hosts: Hosts) -> None:
    handle = await hosts.client.start(collects, instance_id=hosts.there)
    await handle.raise_event("item", 4)
    await handle.raise_event("item", -1)
    assert await asyncio.wait_for(handle.result(), SOON) == [4]


async def test_who_starts_a_taken_id_hears_so(hosts: Hosts) -> None:
    there = await hosts.started()
    with pytest.raises(InstanceExistsError, match="already exists") as caught:
        await hosts.client.start(collects, instance_id=there)
    assert caught.value.instance_id == there
    url = f"/runtime/webhooks/durabletask/orchestrators/collects/{there}"
    answer = await hosts.http.post(url)
    assert answer.status_code == 409, answer.text


async def test_an_instance_of_another_host_is_replaced(hosts: Hosts) -> None:
    there = await hosts.started()
    await hosts.client.raise_event(there, "item", 1)
    handle = await hosts.client.start(collects, instance_id=there, reuse=IdReuse.ALWAYS)
    await handle.raise_event("item", 2)
    await handle.raise_event("item", -1)
    assert await asyncio.wait_for(handle.result(), SOON) == [2]


async def test_an_event_for_who_has_ended_is_refused(hosts: Hosts) -> None:
    there = await hosts.started()
    await hosts.client.terminate(there)
    with pytest.raises(InstanceFinishedError):
        await hosts.client.raise_event(there, "item", 1)
    with pytest.raises(InstanceNotFoundError):
        await hosts.client.raise_event("nobody", "item", 1)
    url = "/runtime/webhooks/durabletask/instances/{}/raiseEvent/item"
    assert (await hosts.http.post(url.format(there), json=1)).status_code == 410
    assert (await hosts.http.post(url.format("nobody"), json=1)).status_code == 404
    assert not hosts.cluster.hub.letters


async def test_words_of_control_are_answered_by_the_owner(hosts: Hosts) -> None:
    there, client = await hosts.started(), hosts.client
    await client.suspend(there)
    with pytest.raises(InstanceStateError):
        await client.suspend(there)
    await client.raise_event(there, "item", 1)  # waits until it goes on
    await client.resume(there)
    with pytest.raises(InstanceStateError):
        await client.resume(there)
    with pytest.raises(InstanceStateError):
        await client.purge(there)
    await client.fail(there, "enough")
    assert (await client.wait(there)).runtime_status is RuntimeStatus.FAILED
    with pytest.raises(InstanceFinishedError):
        await client.terminate(there)
    assert await client.purge(there)
    assert not await client.purge(there)


async def test_what_an_instance_has_called_ends_with_it_on_all_hosts(hosts: Hosts) -> None:
    child = id_on(hosts.cluster, hosts.near, "child")
    there = await hosts.started("parent", text=f'"{child}"')
    await until(lambda: hosts.cluster.hub.named(child) is not None)
    await hosts.client.terminate(there, recurse=True)
    ended = await asyncio.wait_for(hosts.client.wait(child), SOON)
    assert ended.runtime_status is RuntimeStatus.TERMINATED


async def test_a_child_that_has_not_begun_on_another_host_ends_as_well(hosts: Hosts) -> None:
    """Its start is in the inbox of a host that is slow to read it."""
    cluster, store, go_on = hosts.cluster, hosts.far.engine.storage, asyncio.Event()
    fetch: Callable[..., Awaitable[object]] = store.fetch_inbox

    async def slow(*cursors: object) -> object:
        await go_on.wait()
        return await fetch(*cursors)

    setattr(store, "fetch_inbox", slow)  # noqa: B010 - checkers refuse to assign it
    here = id_on(cluster, hosts.near, "here")
    await cluster.begin("parent", here, f'"{hosts.there}"')
    await hosts.begun(here)
    await hosts.client.terminate(here, recurse=True)
    go_on.set()
    await until(lambda: cluster.hub.named(hosts.there) is not None)
    ended = await asyncio.wait_for(hosts.client.wait(hosts.there), SOON)
    assert ended.runtime_status is RuntimeStatus.TERMINATED


async def test_a_question_is_answered_once(hosts: Hosts) -> None:
    there = await hosts.started("asks")
    with pytest.raises(TenutoError, match="does not fit"):
        await hosts.client.answer(there, "perhaps")
    await hosts.client.answer(there, True)
    assert (await asyncio.wait_for(hosts.client.wait(there), SOON)).output is True
    with pytest.raises(InstanceFinishedError):
        await hosts.client.answer(there, True)


async def test_a_webhook_is_used_once(hosts: Hosts) -> None:
    there = await hosts.started("hook")
    await until(lambda: _status_of(hosts, there) is not None)
    path = str(_status_of(hosts, there)).partition("7071")[2].rstrip('"')
    assert path.startswith("/"), _status_of(hosts, there)
    used = await hosts.http.post(path, json="one")
    assert used.status_code in {200, 202}, (path, used.text)
    assert (await hosts.http.post(path, json="two")).status_code == 410
    assert (await asyncio.wait_for(hosts.client.wait(there), SOON)).output == "one"
    assert await hosts.client.purge(there)
    assert (await hosts.http.post(path, json="two")).status_code == 404


def _status_of(hosts: Hosts, instance_id: str) -> str | None:
    record = hosts.cluster.hub.named(instance_id)
    return None if record is None else record.custom_status


# --- partitions that move -------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["near", "far"])
@pytest.mark.parametrize("started", [False, True])
async def test_who_waits_hears_of_it_wherever_the_instance_goes(
    hosts: Hosts, to: str, started: bool
) -> None:
    owner, other = (hosts.far, hosts.near) if to == "near" else (hosts.near, hosts.far)
    name = id_on(hosts.cluster, owner, "moves")
    if started:  # at a time that has not come
        moment = hosts.cluster.clock.now() + 3_600_000_000
        await hosts.client.start(collects, instance_id=name, start_at=to_datetime(moment))
    else:
        await hosts.cluster.begin("collects", name, "null")
        await hosts.begun(name)
    waiting = asyncio.create_task(hosts.client.wait(name, started=started))
    await asyncio.sleep(0.02)
    await move(hosts.cluster, name, other)
    assert not waiting.done()
    if started:
        hosts.cluster.pass_time(4_000)
    else:
        await client_of(other, app).raise_event(name, "item", -1)
    assert (await asyncio.wait_for(waiting, SOON)).instance_id == name


async def test_long_polls_hear_of_an_instance_that_goes(hosts: Hosts) -> None:
    there = await hosts.started()
    waiting = asyncio.create_task(hosts.http.get(f"/admin/instances/{there}?wait=30"))
    await asyncio.sleep(0.02)
    await move(hosts.cluster, there, hosts.near)
    await hosts.client.raise_event(there, "item", -1)
    answer = await asyncio.wait_for(waiting, SOON)
    assert (answer.status_code, answer.json()["status"]) == (200, RuntimeStatus.COMPLETED)


@pytest.mark.parametrize("lands", [False, True])
async def test_a_request_is_done_once_though_its_partition_goes_meanwhile(
    hosts: Hosts, lands: bool
) -> None:
    """Whether the batch that has it lands before the partition has gone, or after."""
    cluster, near, far = hosts.cluster, hosts.near, hosts.far
    here = id_on(cluster, near, "here")
    await hosts.client.start(collects, instance_id=here)
    number = near.engine.number_of(here)
    moving: list[asyncio.Task[None]] = []

    def lose() -> None:
        if lands:  # it is on its way, and arrives
            near.engine.drop(number)
            moving.append(asyncio.create_task(_take_late(far, number)))
        else:
            cluster.hub.places[number].take("thief", near.engine.storage)  # type: ignore[arg-type]
            moving.append(asyncio.create_task(_take_late(far, number)))

    at_commit(near, _has_event, lose)
    await asyncio.wait_for(hosts.client.raise_event(here, "item", 5), SOON)
    await asyncio.gather(*moving)
    await asyncio.wait_for(hosts.client.raise_event(here, "item", -1), SOON)
    assert (await asyncio.wait_for(hosts.client.wait(here), SOON)).output == [5]
    assert items_of(cluster, here) == [5, -1]


def _has_event(batch: CommitBatch) -> bool:
    return any(b"EventRaised" in bytes(row.events) for row in batch.history)


async def _take_late(member: Member, number: int) -> None:
    await asyncio.sleep(0.05)
    await member.lifecycle.take([number])


@pytest.mark.parametrize("verb", ["append", "start_instance"])
async def test_what_is_stored_while_the_partition_comes_here_is_done_at_once(
    hosts: Hosts, verb: str
) -> None:
    """The store tells nobody what he has written himself, and the take has read before."""
    cluster, there = hosts.cluster, hosts.there
    if verb == "append":
        await hosts.started()
    store = hosts.near.engine.storage
    write: Callable[..., Awaitable[object]] = getattr(store, verb)

    async def late(*rows: object) -> object:
        await move(cluster, there, hosts.near)
        await until(lambda: hosts.near.engine.is_idle)
        return await write(*rows)

    setattr(store, verb, late)
    if verb == "append":
        await asyncio.wait_for(hosts.client.raise_event(there, "item", -1), SOON)
    else:
        await hosts.client.start(collects, instance_id=there)
        await asyncio.wait_for(hosts.client.wait(there, started=True), SOON)


async def test_a_webhook_of_nobody_is_closed(hosts: Hosts) -> None:
    message = RedeemWebhook(digest="x", requested_at=hosts.client.gateway.now())
    with pytest.raises(WebhookClosedError):
        await hosts.client.gateway.tell(hosts.there, message)


# --- live updates, and what looking costs ---------------------------------------------------------


async def next_of(listener: Subscription) -> Update:
    return await asyncio.wait_for(anext(listener), SOON)


async def test_each_turn_is_told_once_while_the_instance_moves(hosts: Hosts) -> None:
    """To and fro, with turns on either host, and a listener on either."""
    cluster = hosts.cluster
    there = await hosts.started()
    listeners = [member.engine.updates.subscribe(there, after="0.0") for member in cluster.members]
    for number in range(12):
        await hosts.client.raise_event(there, "item", number)
        if number % 3 == 2:
            await move(cluster, there, cluster.members[(number // 3) % 2])
    await hosts.client.raise_event(there, "item", -1)
    for listener in listeners:
        told = [await next_of(listener)]
        while not told[-1].has_ended:
            told.append(await next_of(listener))
        assert [one.turn for one in told] == [*range(1, told[-1].turn + 1)]
        assert not any(one.is_reset for one in told)
        listener.close()
    assert not any(one.engine.watch.waiting for one in cluster.members)


async def test_a_turn_of_the_host_before_is_told_by_the_next_one(hosts: Hosts) -> None:
    """It was committed shortly before the move: nobody has looked since, and nothing follows."""
    there = await hosts.started()
    listener = hosts.near.engine.updates.subscribe(there, after="0.0")
    store = hosts.near.engine.storage
    look, looked = store.standings, asyncio.Event()

    async def behind(names: Sequence[InstanceId]) -> list[Standing]:
        found = await look(names)
        await looked.wait()
        return found

    setattr(store, "standings", behind)  # noqa: B010 - checkers refuse to assign it
    reading = asyncio.create_task(next_of(listener))
    await asyncio.sleep(0.05)
    await client_of(hosts.far, app).raise_event(there, "item", 1)
    await move(hosts.cluster, there, hosts.near)
    looked.set()
    assert (await reading).turn == 1
    listener.close()


async def test_a_pause_and_the_end_of_a_far_instance_are_told(hosts: Hosts) -> None:
    there = await hosts.started()
    listener = hosts.near.engine.updates.subscribe(there, after="0.0")
    await hosts.client.suspend(there)
    update = await next_of(listener)
    assert update.record is not None
    assert update.record.status is RuntimeStatus.SUSPENDED
    await hosts.client.purge(there, force=True)
    while not (update := await next_of(listener)).is_purged:
        assert update.instance_id == there
    listener.close()


async def test_who_watches_the_list_hears_that_it_has_changed_elsewhere(hosts: Hosts) -> None:
    listener = hosts.near.engine.updates.subscribe()
    await hosts.started()
    assert (await next_of(listener)).is_reset
    listener.close()


async def test_a_stream_goes_on_over_a_move(hosts: Hosts) -> None:
    there = await hosts.started()
    reading = asyncio.create_task(hosts.http.get(f"/admin/instances/{there}/events"))
    await until(lambda: bool(hosts.near.engine.updates.listeners))
    await move(hosts.cluster, there, hosts.near)
    await hosts.client.raise_event(there, "item", 3)
    await move(hosts.cluster, there, hosts.far)
    await hosts.client.raise_event(there, "item", -1)
    text = (await asyncio.wait_for(reading, SOON)).text
    assert text.count("event: reset") == 1  # at the beginning: the caller had seen nothing
    assert '"ended":true' in text


async def test_many_who_wait_cost_as_many_looks_as_one(hosts: Hosts) -> None:
    """Of what is asked the store knows one question for all, seldom while nothing happens."""
    names = [f"{hosts.there}-{number}" for number in range(400)]
    names = [one for one in names if not hosts.near.commands.serves(InstanceId(one))]
    for name in names:
        await hosts.cluster.begin("collects", name, "null")
    storage, asked = hosts.near.engine.storage, Counter[str]()
    for verb in ("standings", "get", "find", "answers"):
        _count(storage, verb, asked)
    waiting = [asyncio.create_task(hosts.client.wait(name)) for name in names]
    await until(lambda: hosts.near.engine.watch.waiting == len(names))
    await asyncio.sleep(0.3)
    assert asked["standings"] < 60, asked
    asked.clear()
    await asyncio.sleep(1.0)
    assert asked.total() <= 6, asked
    far = client_of(hosts.far, app)
    await asyncio.gather(*(far.raise_event(name, "item", -1) for name in names))
    await asyncio.wait_for(asyncio.gather(*waiting), SOON)
    assert not hosts.near.engine.watch.waiting


def _count(storage: object, verb: str, asked: Counter[str]) -> None:
    call: Callable[..., Awaitable[object]] = getattr(storage, verb)

    async def counted(*values: object) -> object:
        asked[verb] += 1
        return await call(*values)

    setattr(storage, verb, counted)


# --- any requests, any owners ---------------------------------------------------------------------

IDS = ["first", "second", "third"]
request = st.tuples(
    st.sampled_from(IDS),
    st.sampled_from(
        [
            *("start", "start", "replace", "item", "item", "end", "suspend", "resume", "fail"),
            *("terminate", "tree", "purge", "force", "answer", "started"),
        ]
    ),
)
step = st.tuples(st.integers(0, 1), request, st.none() | st.integers(0, PARTITIONS - 1))


async def ask(client: Client, instance_id: str, what: str, item: int) -> str:
    """One request; what came of it, as far as a caller can tell."""
    try:
        match what:
            case "start":
                await (await client.start(collects, instance_id=instance_id)).started()
            case "replace":
                replaced = IdReuse.ALWAYS
                await (await client.start(asks, instance_id=instance_id, reuse=replaced)).started()
            case "item":
                await client.raise_event(instance_id, "item", item)
            case "end":
                await client.raise_event(instance_id, "item", -1)
            case "answer":
                await client.answer(instance_id, True)
            case "tree":
                await client.terminate(instance_id, recurse=True)
            case "purge" | "force":
                return str(await client.purge(instance_id, force=what == "force"))
            case "started":
                return str((await client.wait(instance_id, started=True)).runtime_status)
            case _:
                await getattr(client, what)(instance_id)
    except TenutoError as error:
        # One that was started through the store may not have begun yet.
        return f"{error.code} {str(error).replace('(Pending)', '(Running)')}"
    return "done"


async def outcomes(members: int, steps: list[tuple[int, tuple[str, str], int | None]]) -> list[str]:
    """What came of requests to the members, and how the instances stand in the end."""
    cluster = Cluster(SharedHub(PARTITIONS), app, ["a", "b"][:members])
    await cluster.start()
    try:
        clients = [client_of(one, app) for one in cluster.members]
        told: list[str] = []
        for number, (asked, (instance_id, what), partition) in enumerate(steps):
            moving = None
            if partition is not None and members > 1:
                taker = cluster.members[number % 2]
                moving = asyncio.create_task(_moved(cluster, partition, taker))
            told.append(await ask(clients[asked % members], instance_id, what, number))
            if moving is not None:
                await moving
        for instance_id in IDS:
            record = cluster.hub.named(instance_id)
            if record is not None and not record.status.is_finished:
                await clients[-1].wait(instance_id, started=True)  # else one is Pending for longer
            record = cluster.hub.named(instance_id)
            state = None if record is None else (record.status, record.name, record.output)
            told.append(f"{state} {items_of(cluster, instance_id) if record else None}")
    finally:
        await cluster.stop()
    return told


async def _moved(cluster: Cluster, partition: int, taker: Member) -> None:
    """Unless the other one would be left with nothing."""
    other = next(one for one in cluster.members if one is not taker)
    if set(other.owned) - {partition}:
        await taker.lifecycle.take([partition])
        other.engine.drop(partition)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(step, min_size=1, max_size=20))
def test_several_hosts_answer_as_one_would(
    steps: list[tuple[int, tuple[str, str], int | None]],
) -> None:
    assert asyncio.run(outcomes(2, steps)) == asyncio.run(outcomes(1, steps))


async def test_what_is_asked_while_partitions_move_is_done_once(cluster: Cluster) -> None:
    """Many at once, through both hosts, while the partition goes to and fro."""
    clients = [client_of(one, app) for one in cluster.members]
    name = id_on(cluster, cluster.members[0], "busy")
    await clients[0].start(collects, instance_id=name)
    asking = [
        asyncio.create_task(clients[number % 2].raise_event(name, "item", number))
        for number in range(60)
    ]
    for number in range(12):
        await move(cluster, name, cluster.members[1 - number % 2])
        asking += [
            asyncio.create_task(client.raise_event(name, "item", 100 + 2 * number + place))
            for place, client in enumerate(clients)
        ]
        await asyncio.sleep(0.005 * (number % 3))
    await asyncio.wait_for(asyncio.gather(*asking), 2 * SOON)
    assert Counter(items_of(cluster, name)) == Counter([*range(60), *range(100, 124)])
