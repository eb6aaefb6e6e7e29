"""Messages of one engine in orders that are rare: each test holds a guard of delivery.

``make mutations`` takes these guards away, one by one.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest
from msgspec import Raw, structs

from tenuto import App, Context, InstanceExistsError, InstanceFinishedError
from tenuto.engine.ports import InboxPage
from tenuto.engine.rows import InboxRow
from tenuto.engine.starts import _REPLACED
from tenuto.model.codec import decode_turn, encode
from tenuto.model.events import EventRaised, ExecutionStarted
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.messages import RaiseEvent, Resume, Suspend, Terminate
from tenuto.model.payload import encode as encode_value
from tenuto.model.requests import StartRequest
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tests.support.facts import asks
from tests.support.shared_store import SharedHub
from tests.support.two_hosts import Cluster, FussyHub, Member

ONE = InstanceId("one")
ASTRAY = MessageId("astray")

app = App()
runs: Counter[str] = Counter()
told = asyncio.Event()


@app.activity
async def work(name: str) -> str:
    runs[name] += 1
    await asyncio.sleep(0)
    return name


@app.activity
async def work_until_told(name: str) -> str:
    runs[name] += 1
    await told.wait()
    return name


@app.orchestrator
async def works_long(ctx: Context, name: str) -> str:
    return await ctx.call_activity(work_until_told, name)


@app.orchestrator
async def works(ctx: Context, name: str) -> str:
    return await ctx.call_activity(work, name)


@app.orchestrator
async def calls(ctx: Context, name: str) -> str:
    return await ctx.call_sub_orchestrator(works.options(instance_id="one"), name)


@app.orchestrator
async def waits(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def waits_twice(ctx: Context) -> list[str]:
    return [await ctx.wait_for_external_event("go", str) for _ in range(2)]


@app.orchestrator
async def spoils(ctx: Context) -> None:
    await ctx.wait_for_external_event("go")
    ctx.set_custom_status("no store can hold this")
    await ctx.wait_for_external_event("go")


class Slowness:
    """How many rounds of the loop a store takes for each thing that is asked of it."""

    def __init__(self) -> None:
        self.rounds = 1

    def __call__(self) -> int:
        return self.rounds


@pytest.fixture
def slowness() -> Slowness:
    runs.clear()
    told.clear()
    return Slowness()


@pytest.fixture
async def cluster(slowness: Slowness) -> AsyncIterator[Cluster]:
    cluster = Cluster(FussyHub(1, rounds=slowness), app, ["a"])
    await cluster.start()
    yield cluster
    await cluster.stop()


@pytest.fixture
def member(cluster: Cluster) -> Member:
    return cluster.members[0]


async def until_idle(cluster: Cluster) -> None:
    while not cluster.members[0].engine.is_idle:
        await cluster.rounds(5)


async def test_what_waits_in_a_paused_instance_costs_no_memory(
    cluster: Cluster, member: Member
) -> None:
    await cluster.begin("waits", "one", "null")
    await cluster.rounds(50)
    await cluster.send("one", lambda key: Suspend(message_id=key))
    await cluster.tell("one", "go", '"on"')
    await cluster.rounds(50)
    assert len(member.engine.residents) == 0
    assert len(member.engine.partitions[0].delivery) == 0
    await cluster.send("one", lambda key: Resume(message_id=key))
    await cluster.settle()
    record = cluster.hub.named("one")
    assert record is not None
    assert record.output == '"on"'


async def test_work_whose_answer_waits_for_a_resume_does_not_run_again(
    cluster: Cluster, member: Member, slowness: Slowness
) -> None:
    await cluster.begin("works", "one", '"once"')
    while not member.engine.running:
        await cluster.rounds(1)
    await cluster.send("one", lambda key: Suspend(message_id=key))
    await cluster.rounds(100)
    assert runs == {"once": 1}
    await cluster.send("one", lambda key: Resume(message_id=key))
    await cluster.settle()
    assert runs == {"once": 1}


async def test_work_whose_answer_was_taken_back_does_not_run_again(
    cluster: Cluster, member: Member, slowness: Slowness
) -> None:
    """The batch with the answer is refused for what another instance has in it."""
    await cluster.begin("works_long", "one", '"once"')
    await cluster.begin("spoils", "spoiler", "null")
    while not member.engine.running or not member.engine.is_settled:
        await cluster.rounds(1)
    slowness.rounds = 20
    asked = asyncio.create_task(
        member.commands.tell(InstanceId("spoiler"), RaiseEvent(event=EventRaised("go", "null")))
    )
    told.set()
    await asked
    await until_idle(cluster)
    record = cluster.hub.named("one")
    assert record is not None
    assert record.output == '"once"'
    assert runs == {"once": 1}
    spoiler = cluster.hub.named("spoiler")
    assert spoiler is not None
    assert spoiler.hold is not None


async def test_a_page_that_was_read_before_its_message_was_used_up_brings_nothing(
    cluster: Cluster, member: Member, slowness: Slowness
) -> None:
    await member.commands.start(start("waits_twice"))
    storage = member.engine.storage
    fetch = storage.fetch_inbox
    returned = asyncio.Event()

    async def late(cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        page = await fetch(cursors, after)
        if any(row.message_id == "outside-2" for row in page.rows):
            await returned.wait()
        return page

    storage.fetch_inbox = late  # type: ignore[method-assign]
    slowness.rounds = 40
    await cluster.tell("one", "go", '"first"')
    one = member.engine.residents.named(ONE)
    assert one is not None
    while one.state.next_turn < 2:
        await cluster.rounds(1)
    await cluster.rounds(3)
    slowness.rounds = 1  # the commit of that turn, under way by now, takes its time all the same
    await cluster.tell("nobody", "go", "null")
    await cluster.rounds(10)
    assert "outside-1" in {row.message_id for row in cluster.hub.inbox.values()}
    await cluster.rounds(200)
    assert "outside-1" not in {row.message_id for row in cluster.hub.inbox.values()}
    returned.set()
    await cluster.rounds(200)
    await cluster.tell("one", "go", '"second"')
    await cluster.settle()
    record = cluster.hub.named("one")
    assert record is not None
    assert record.output == '["first","second"]'


def start(name: str, text: str | None = None) -> StartRequest:
    return asks(
        instance_id="one",
        execution_id=f"execution-of-{name}",
        name=name,
        input=text,
        reuse=FINISHED,
    )


async def test_a_successor_begins_when_the_one_before_has_answered(
    cluster: Cluster, member: Member, slowness: Slowness
) -> None:
    await member.commands.start(start("waits"))
    slowness.rounds = 30
    going = asyncio.create_task(
        member.commands.tell(ONE, RaiseEvent(event=EventRaised("go", '"on"')))
    )
    one = member.engine.residents.named(ONE)
    assert one is not None
    while not one.state.is_finished:
        await cluster.rounds(1)
    assert one.in_flight, "its end is on its way to the store"
    late = asyncio.create_task(
        member.commands.tell(ONE, RaiseEvent(event=EventRaised("go", '"again"')))
    )
    successor = asyncio.create_task(member.commands.start(start("works", '"next"')))
    await asyncio.wait([going, late, successor], timeout=5)
    assert going.result() is None
    assert isinstance(late.exception(), InstanceFinishedError)
    assert successor.result() is None
    await until_idle(cluster)
    record = cluster.hub.named("one")
    assert record is not None
    assert (record.status, record.output) == (RuntimeStatus.COMPLETED, '"next"')
    assert runs == {"next": 1}
    assert len(member.engine.residents) == 0


async def test_an_id_that_was_looked_up_in_vain_is_looked_up_again_if_its_instance_came_and_went(
    cluster: Cluster, member: Member
) -> None:
    """The look-up says that there is nobody. Meanwhile it was started, and has left memory."""
    storage = member.engine.storage
    find = storage.find
    held = asyncio.Event()

    async def late(instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        found = await find(instance_ids)
        if not found:
            await held.wait()
        return found

    storage.find = late  # type: ignore[method-assign]
    await cluster.tell("one", "go", '"first"')
    await cluster.rounds(20)
    storage.find = find  # type: ignore[method-assign]
    await member.commands.start(start("waits_twice"))
    one = member.engine.residents.named(ONE)
    assert one is not None
    while not (one.is_idle and one.state.next_turn == 1):
        await cluster.rounds(1)
    member.engine.retention.unload(one)
    await cluster.tell("one", "go", '"second"')
    await cluster.rounds(20)
    held.set()
    await cluster.settle()
    record = cluster.hub.named("one")
    assert record is not None
    assert record.output == '["first","second"]'
    assert not cluster.hub.letters


@pytest.mark.parametrize(
    ("reason", "gives_way"),
    [(_REPLACED, True), (encode_value("replaced"), False), (encode_value("enough"), False)],
)
async def test_whoever_was_ended_for_a_successor_gives_way_also_when_its_host_has_died_since(
    cluster: Cluster, member: Member, reason: str, *, gives_way: bool
) -> None:
    """Its end is durable, its replacement is not, and its end is not among the statuses."""
    await member.commands.start(start("waits"))
    await member.commands.tell(ONE, Terminate(reason=reason))
    await cluster.crash(0)
    commands = cluster.members[0].commands
    again = structs.replace(start("works", '"next"'), reuse=frozenset({RuntimeStatus.RUNNING}))
    if gives_way:
        await commands.start(again)
        await cluster.settle()
        assert runs == {"next": 1}
    else:
        with pytest.raises(InstanceExistsError):
            await commands.start(again)


async def test_the_history_of_a_child_that_replaces_an_instance_has_the_id_of_its_row(
    cluster: Cluster, member: Member
) -> None:
    """Its execution id is a new one: answers to whoever stood there must not count for it."""
    await member.commands.start(start("works", '"first"'))
    await cluster.settle()
    await cluster.begin("calls", "parent", '"second"')
    await cluster.settle()
    record = cluster.hub.named("one")
    assert record is not None
    assert (record.generation, record.output) == (1, '"second"')
    events = [event for turn in cluster.hub.current(record) for event in decode_turn(turn)]
    (begun,) = [event for event in events if isinstance(event, ExecutionStarted)]
    assert begun.execution_id == record.execution_id


async def test_a_message_in_the_wrong_partition_is_refused_and_moves_nobody(
    slowness: Slowness,
) -> None:
    """An instance is never in memory twice, whatever somebody has written into an inbox."""
    cluster = Cluster(SharedHub(8, rounds=slowness), app, ["a"])
    await cluster.start()
    engine = cluster.members[0].engine
    await cluster.begin("waits", "one", "null")
    await cluster.rounds(50)
    wrong = (engine.number_of(ONE) + 1) % 8
    event = EventRaised("go", '"astray"')
    message = RaiseEvent(message_id=ASTRAY, event=event)
    cluster.hub.add([InboxRow(ASTRAY, wrong, ONE, Raw(encode(message)))])
    await cluster.tell("one", "other", "null")
    await cluster.rounds(100)
    assert sum(resident.state.instance_id == "one" for resident in engine.residents) <= 1
    assert [letter.message_id for letter in cluster.hub.letters] == ["astray"]
    await cluster.tell("one", "go", '"on"')
    await cluster.settle()
    record = cluster.hub.named("one")
    assert record is not None
    assert record.output == '"on"'
    await cluster.stop()


async def test_a_partition_may_be_let_go_of_while_it_is_given_back(slowness: Slowness) -> None:
    cluster = Cluster(SharedHub(2, rounds=slowness), app, ["a"])
    await cluster.start()
    member = cluster.members[0]
    pipeline = member.engine.pipeline
    slowness.rounds = 20
    pipeline.batch.released.add(1)
    pipeline.kick()
    await cluster.rounds(5)
    member.engine.drop(1)
    await pipeline.flush()
    assert member.owned == [0]
    assert not member.lost
    await cluster.stop()
