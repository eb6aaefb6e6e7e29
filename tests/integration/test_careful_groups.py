"""A careful start in one process: who may run when, and what is noted before (ENGINE rule 32)."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec import Raw

from tenuto import App, Context, RuntimeStatus, StorageUnavailableError
from tenuto.engine import careful
from tenuto.engine.rows import InboxRow
from tenuto.host.last_word import LastWord
from tenuto.model.codec import encode
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId
from tenuto.model.messages import Resume, Terminate
from tests.support.deployments import Deployments, deployments, untried
from tests.support.waiting import until

FIRST = InstanceId("i0")
STOP = MessageId("stop-1")
ASKED_1 = MessageId("asked-1")

Noted = list[dict[int, int]]


class Gate:
    """What the activities of these tests wait for."""

    def __init__(self) -> None:
        self.is_open = False
        self.begun = 0
        self.app = App()

        @self.app.activity
        async def wait() -> int:
            self.begun += 1
            while not self.is_open:  # noqa: ASYNC110 - of several loops, one after another
                await asyncio.sleep(0.001)
            return 1

        @self.app.orchestrator
        async def busy(ctx: Context) -> int:
            return await ctx.call_activity(wait) + await ctx.call_activity(wait)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def one(gate: Gate) -> AsyncIterator[Deployments]:
    async with deployments(gate.app) as opened:
        yield opened
        gate.is_open = True


@pytest.fixture
def noted(one: Deployments, monkeypatch: pytest.MonkeyPatch) -> Noted:
    """What the store has been told of tries, oldest first."""
    calls: Noted = []
    storage = one.storage
    whole = storage.set_deliveries

    async def note(deliveries: dict[int, int]) -> None:
        await whole(deliveries)
        calls.append(deliveries)

    monkeypatch.setattr(storage, "set_deliveries", note)
    return calls


async def start(one: Deployments, count: int) -> None:
    for number in range(count):
        await one.test.start("busy", instance_id=f"i{number}")
    await one.test.idle(with_activities=False)


async def next_note(one: Deployments, noted: Noted) -> list[int]:
    """Another host dies young; what the next one notes first."""
    before = len(noted)
    await one.test.crash()
    await until(lambda: len(noted) > before)
    return list(noted[before].values())


async def test_one_death_changes_nothing_two_do(
    one: Deployments, noted: Noted, caplog: pytest.LogCaptureFixture
) -> None:
    await start(one, 3)
    await one.test.crash()
    assert one.test.host.engine.careful is None
    assert await next_note(one, noted) == [-1] * 3
    assert "2 hosts in a row have died young" in caplog.text


async def test_groups_become_smaller_from_death_to_death(one: Deployments, noted: Noted) -> None:
    await start(one, 100)
    await one.test.crash()
    assert await next_note(one, noted) == [-1] * 100
    assert await next_note(one, noted) == [-2] * 64
    # Those without a second mark come before those with one.
    assert await next_note(one, noted) == [-2] * 36
    assert await next_note(one, noted) == [-3] * 16
    assert await next_note(one, noted) == [-3] * 16
    assert len(set(noted[3]) & set(noted[4])) == 0


async def test_with_a_word_each_runs_alone_and_who_is_not_to_blame_is_soon_clear(
    one: Deployments,
    noted: Noted,
    monkeypatch: pytest.MonkeyPatch,
    gate: Gate,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(LastWord, "read", lambda _self: "Fatal Python error: Segmentation fault")
    await start(one, 4)
    await one.test.crash()
    gate.is_open = True
    await one.test.crash()
    for number in range(4):
        assert await one.test.client.handle(f"i{number}").result() == 2
    await until(lambda: one.test.host.engine.careful is None)
    assert [list(call.values()) for call in noted] == [[1], [0]] * 4
    assert "its last word" in caplog.text
    assert "everything runs again, as ever" in caplog.text


async def test_who_only_takes_long_passes_and_new_ones_run_as_well(
    one: Deployments, noted: Noted, gate: Gate
) -> None:
    await start(one, 2)
    await one.test.crash()
    await one.test.crash()
    await one.test.start("busy", instance_id="new")
    await until(lambda: one.test.host.engine.careful is None)
    marks: defaultdict[int, list[int]] = defaultdict(list)
    for call in noted:
        for iid, number in call.items():
            marks[iid].append(number)
    assert list(marks.values()) == [[-1, 0]] * 3
    gate.is_open = True
    for name in ("i0", "i1", "new"):
        assert await one.test.client.handle(name).result() == 2
        assert (await one.row(name)).deliveries == 0


async def test_who_comes_later_joins_the_group_that_runs(
    one: Deployments, noted: Noted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(careful, "_PATIENCE_SECONDS", 600.0)
    monkeypatch.setattr(careful, "_LONGEST_PATIENCE_SECONDS", 600.0)
    await start(one, 2)
    await one.test.crash()
    assert await next_note(one, noted) == [-1] * 2
    before = len(noted)
    await one.test.start("busy", instance_id="new")
    await until(lambda: len(noted) > before)
    assert list(noted[before].values()) == [-1]
    assert one.test.host.engine.careful is not None


@pytest.mark.parametrize("before", [2, 3])
async def test_who_was_tried_alone_often_enough_is_held_with_all_it_was_sent(
    one: Deployments, noted: Noted, gate: Gate, before: int
) -> None:
    await start(one, 1)
    iid = (await one.row("i0")).iid
    await one.test.crash()
    await one.storage.set_deliveries({iid: before})
    noted.clear()
    assert await next_note(one, noted) == [before + 1]
    await until(lambda: one.test.host.engine.careful is None)
    gate.is_open = True
    if before == 2:
        assert await one.test.client.handle("i0").result() == 2
        return
    await one.test.client.raise_event("i0", "e", 1)
    hold = await one.check_held("i0", HoldReason.CRASHED)
    assert "died 3 times while it ran alone" in hold.message
    row = await one.row("i0")
    assert (row.status, row.deliveries) == (RuntimeStatus.RUNNING, 0)
    # No start of a host tries it again.
    await one.test.restart()
    assert untried(await one.check_held("i0", HoldReason.CRASHED)) == hold
    await one.test.client.resume("i0")
    assert await one.test.client.handle("i0").result() == 2


async def test_a_resume_that_died_with_its_host_is_not_tried_without_end(
    one: Deployments, noted: Noted
) -> None:
    """The message is in the store, and so is the hold: the host died before it had committed."""
    await start(one, 1)
    engine = one.test.host.engine
    resident = engine.residents.named(FIRST)
    assert resident is not None
    iid = resident.state.iid
    before = Hold(HoldReason.CRASHED, "crashed before", 5)
    engine.holding.hold(resident, before)
    await until(lambda: engine.pipeline.is_idle and not engine.has_ready)
    await one.test.crash()
    await one.storage.set_deliveries({iid: 3})
    event = encode(Resume(message_id=ASKED_1, awaits_answer=True))
    partition = resident.state.partition
    await one.storage.append([InboxRow(ASKED_1, partition, FIRST, Raw(event))])
    noted.clear()
    assert await next_note(one, noted) == [4]
    await until(lambda: one.test.host.engine.careful is None)
    hold = await one.check_held("i0", HoldReason.CRASHED)
    assert hold.since == 5
    assert await one.inbox("i0") == []


async def test_who_is_to_end_does_not_run_for_that(
    one: Deployments, noted: Noted, gate: Gate
) -> None:
    """Who ends the process of its host can be terminated while no host lives long."""
    await start(one, 2)
    await one.test.crash()
    await until(lambda: gate.begun == 4)
    event = encode(Terminate(message_id=STOP, reason='"enough"'))
    partition = one.test.host.engine.number_of(FIRST)
    await one.storage.append([InboxRow(STOP, partition, FIRST, Raw(event))])
    begun = gate.begun
    await next_note(one, noted)
    await until(lambda: one.test.host.engine.careful is None)
    assert (await one.row("i0")).status is RuntimeStatus.TERMINATED
    assert gate.begun == begun + 1  # the other's


async def test_the_end_of_another_execution_keeps_nobody_from_running(
    one: Deployments, noted: Noted, gate: Gate
) -> None:
    """Somebody gave up a child whose id is another's by now."""
    await start(one, 1)
    await one.test.crash()
    stale = Terminate(
        message_id=STOP, reason='"given up"', child_of=ExecutionId("another"), task_id=3
    )
    partition = one.test.host.engine.number_of(FIRST)
    await one.storage.append([InboxRow(STOP, partition, FIRST, Raw(encode(stale)))])
    await next_note(one, noted)
    await until(lambda: one.test.host.engine.careful is None)
    gate.is_open = True
    assert await one.test.client.handle("i0").result() == 2


async def test_what_cannot_be_noted_is_said_and_stops_nobody(
    one: Deployments, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    async def refuse(_deliveries: dict[int, int]) -> None:
        raise StorageUnavailableError("disk is full")

    await start(one, 1)
    await one.test.crash()
    gate.is_open = True
    monkeypatch.setattr(one.storage, "set_deliveries", refuse)
    await one.test.crash()
    assert await one.test.client.handle("i0").result() == 2
    assert any("tries could not be noted: disk is full" in text for _, text in one.test.problems)


async def test_who_was_read_anew_while_its_try_is_noted_takes_no_turn_twice(
    one: Deployments, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a fence is lost at that moment: the one that was let go is nobody any more."""
    arrived, goes_on = asyncio.Event(), asyncio.Event()
    whole = one.storage.set_deliveries

    async def note(deliveries: dict[int, int]) -> None:
        arrived.set()
        await goes_on.wait()
        await whole(deliveries)

    await start(one, 1)
    await one.test.crash()
    monkeypatch.setattr(one.storage, "set_deliveries", note)
    await one.test.crash()
    await arrived.wait()
    engine = one.test.host.engine
    before = engine.residents.named(FIRST)
    assert before is not None
    engine.forget_everyone()
    assert engine.takeback.reload is not None
    await engine.takeback.reload()
    await until(lambda: engine.residents.named(FIRST) is not None)
    gate.is_open = True
    goes_on.set()
    assert await one.test.client.handle(FIRST).result() == 2
    assert not before.works, "the one of before has run nothing"


async def test_graceful_stops_are_no_deaths(one: Deployments) -> None:
    for _ in range(4):
        await one.test.crash()
        assert one.test.host.engine.careful is None
        await one.test.restart()
    assert one.test.host.engine.careful is None


async def test_who_has_served_for_a_minute_did_not_die_young(one: Deployments) -> None:
    for _ in range(3):
        await one.test.crash()
        await until(lambda: one.test.host.engine.careful is None)
        await one.test.clock.advance(timedelta(minutes=2), with_activities=False)
        assert (await one.storage.load_partition(0, None, 1)).deaths == 0
    assert one.test.problems == []
