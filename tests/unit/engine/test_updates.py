"""The feed of live updates: positions, coming back, slow listeners, the end."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec import structs

from tenuto.engine.batch import Batch
from tenuto.engine.partition import Partition
from tenuto.engine.resident import Resident
from tenuto.engine.state import state_of
from tenuto.engine.turns.sorting import SortedInbox
from tenuto.engine.turns.step import Step
from tenuto.engine.updates import Digest, Subscription, Update, UpdateFeed
from tenuto.model.events import OrchestratorStarted
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing.clock import VirtualClock

ONE = InstanceId("i1")


def record(number: int, *, custom_status: str | None = None) -> InstanceRecord:
    return InstanceRecord(
        iid=number,
        instance_id=InstanceId(f"i{number}"),
        partition=0,
        name="hello",
        execution_id=ExecutionId(f"e{number}"),
        created_at=1,
        root_id=InstanceId(f"i{number}"),
        input='"secret"',
        output='"secret"',
        custom_status=custom_status,
    )


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def storage() -> AsyncIterator[SqliteStorage]:
    storage = SqliteStorage(":memory:")
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
def feed(storage: SqliteStorage, clock: VirtualClock) -> UpdateFeed:
    return UpdateFeed(storage, clock, kept=4, queued=3)


def publish(feed: UpdateFeed, *numbers: int) -> None:
    for number in numbers:
        feed.publish_row(record(number))


def is_heard(feed: UpdateFeed) -> bool:
    return feed.is_heard


def has_nothing(listening: Subscription) -> bool:
    return not listening._queue and not listening._backlog


async def read(listening: Subscription, count: int) -> list[Update]:
    return [await anext(listening) for _ in range(count)]


async def test_nothing_is_published_while_nobody_listens(feed: UpdateFeed) -> None:
    assert not is_heard(feed)
    listening = feed.subscribe(ONE)
    assert is_heard(feed)
    assert feed.listeners == 1
    listening.close()
    assert not is_heard(feed)
    assert feed.listeners == 0


async def test_an_update_shows_the_row_without_payloads_and_stack_traces(feed: UpdateFeed) -> None:
    cause = FailureDetails("KeyError", "k")
    failure = FailureDetails("ValueError", "no", "a traceback", cause)
    listening = feed.subscribe()
    row = InstanceRecord(
        **{
            name: getattr(record(1), name)
            for name in record(1).__struct_fields__
            if name != "failure"
        },
        failure=failure,
    )
    feed.publish_row(row)
    shown = (await anext(listening)).record
    assert shown is not None
    assert (shown.instance_id, shown.status) == ("i1", RuntimeStatus.PENDING)
    assert (shown.input, shown.output) == (None, None)
    assert shown.failure == FailureDetails("ValueError", "no")


async def test_a_listener_of_one_instance_hears_of_no_other(feed: UpdateFeed) -> None:
    one, other = feed.subscribe(ONE), feed.subscribe(InstanceId("i2"))
    publish(feed, 1, 2)
    assert [update.instance_id for update in await read(one, 1)] == ["i1"]
    assert [update.instance_id for update in await read(other, 1)] == ["i2"]
    assert has_nothing(one)
    assert has_nothing(other)


async def test_positions_of_the_list_only_grow_and_carry_the_epoch(
    feed: UpdateFeed, storage: SqliteStorage, clock: VirtualClock
) -> None:
    listening = feed.subscribe()
    publish(feed, 1, 2, 3)
    positions = [update.position for update in await read(listening, 3)]
    epochs, numbers = zip(*(position.split("-") for position in positions), strict=True)
    assert len(set(epochs)) == 1
    assert [int(number) for number in numbers] == [1, 2, 3]
    fresh = UpdateFeed(storage, clock)
    again = fresh.subscribe()
    publish(fresh, 1)
    assert (await anext(again)).position.split("-")[0] != epochs[0]


async def test_a_listener_comes_back_without_missing_anything(feed: UpdateFeed) -> None:
    first = feed.subscribe()
    publish(feed, 1)
    position = (await anext(first)).position
    first.close()
    publish(feed, 2, 3)
    second = feed.subscribe(after=position)
    publish(feed, 4)
    assert [update.instance_id for update in await read(second, 3)] == ["i2", "i3", "i4"]


async def test_a_listener_that_is_up_to_date_is_told_nothing_twice(feed: UpdateFeed) -> None:
    first = feed.subscribe()
    publish(feed, 1)
    position = (await anext(first)).position
    second = feed.subscribe(after=position)
    assert has_nothing(second)
    publish(feed, 2)
    assert (await anext(second)).instance_id == "i2"


async def test_who_comes_back_too_late_must_read_anew_and_can_go_on_from_there(
    feed: UpdateFeed,
) -> None:
    first = feed.subscribe()
    publish(feed, 1)
    position = (await anext(first)).position
    publish(feed, 2, 3, 4, 5)
    assert [one.is_reset for one in await read(feed.subscribe(after=position), 4)] == [False] * 4
    publish(feed, 6)
    late = feed.subscribe(after=position)
    update = await anext(late)
    assert update.is_reset
    assert update.record is None
    assert has_nothing(late)
    publish(feed, 7)
    assert (await anext(late)).instance_id == "i7"
    resumed = feed.subscribe(after=update.position)
    assert (await anext(resumed)).instance_id == "i7"


@pytest.mark.parametrize(
    "position",
    ["", "x", "-", "00000000-1", "{epoch}-", "{epoch}-²", "{epoch}--1", "{epoch}-99", "{epoch}-1.0",
     "{epoch}-" + "9" * 5_000, "0.3"],
)  # fmt: skip
async def test_a_position_that_means_nothing_here_leads_to_a_reset(
    feed: UpdateFeed, position: str
) -> None:
    listening = feed.subscribe()
    publish(feed, 1)
    epoch = (await anext(listening)).position.split("-")[0]
    update = await anext(feed.subscribe(after=position.format(epoch=epoch)))
    assert update.is_reset


async def test_a_slow_listener_is_told_to_read_anew_and_others_are_not(feed: UpdateFeed) -> None:
    slow, quick = feed.subscribe(), feed.subscribe()
    for number in range(1, 4):
        publish(feed, number)
        assert (await anext(quick)).instance_id == f"i{number}"
    publish(feed, 4)
    assert not (await anext(quick)).is_reset
    publish(feed, 5)  # covered by the same word, which is not read yet
    assert (await anext(quick)).instance_id == "i5"
    update = await anext(slow)
    assert update.is_reset
    assert has_nothing(slow)
    publish(feed, 6)
    assert (await anext(slow)).instance_id == "i6"
    assert (await anext(feed.subscribe(after=update.position))).instance_id == "i6"


async def test_a_slow_listener_of_one_instance_is_reset_too(feed: UpdateFeed) -> None:
    slow = feed.subscribe(ONE)
    publish(feed, 1, 1, 1, 1)
    update = await anext(slow)
    assert (update.is_reset, update.position) == (True, "0.-1")


async def test_updates_are_kept_for_a_minute_for_who_may_come_back(
    feed: UpdateFeed, clock: VirtualClock
) -> None:
    first = feed.subscribe()
    publish(feed, 1)
    position = (await anext(first)).position
    first.close()
    assert is_heard(feed)
    await clock.advance(timedelta(seconds=59))
    publish(feed, 2)
    back = feed.subscribe(after=position)
    update = await anext(back)
    assert update.instance_id == "i2"
    back.close()
    await clock.advance(timedelta(seconds=60))
    publish(feed, 3)
    assert not is_heard(feed)
    assert (await anext(feed.subscribe(after=update.position))).is_reset


async def test_after_the_minute_a_listener_of_one_instance_still_hears(
    feed: UpdateFeed, clock: VirtualClock
) -> None:
    feed.subscribe().close()
    one = feed.subscribe(ONE)
    await clock.advance(timedelta(seconds=60))
    publish(feed, 1)
    assert is_heard(feed)
    assert (await anext(one)).instance_id == "i1"


async def test_large_custom_statuses_do_not_pile_up(
    feed: UpdateFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.engine.updates.KEPT_BYTES", 1_000)
    first = feed.subscribe()
    feed.publish_row(record(1))
    position = (await anext(first)).position
    feed.publish_row(record(2, custom_status="x" * 600))
    assert not (await anext(feed.subscribe(after=position))).is_reset
    feed.publish_row(record(3, custom_status="x" * 600))
    assert (await anext(feed.subscribe(after=position))).is_reset


async def test_waiting_may_be_cancelled_without_losing_an_update(feed: UpdateFeed) -> None:
    listening = feed.subscribe(ONE, after="0.3")
    reading = asyncio.ensure_future(anext(listening))
    await asyncio.sleep(0)
    reading.cancel()  # while the store is read
    assert (await anext(listening)).is_purged
    waiting = asyncio.ensure_future(anext(listening))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    publish(feed, 1)
    assert (await anext(listening)).instance_id == "i1"


async def test_rows_that_the_store_left_out_of_a_batch_are_not_told(feed: UpdateFeed) -> None:
    listening = feed.subscribe()
    batch = Batch(instances={1: record(1), 2: record(2)}, replaced={3: record(3)})
    feed.publish(batch, frozenset({1}))
    refused = Resident(state_of(record(4)), object.__new__(Partition))  # nothing is asked of it
    turn = Step([OrchestratorStarted(1)], 0, 0, SortedInbox())
    feed.publish(Batch(instances={4: record(4)}, turns=[(refused, turn)]), frozenset({4}))
    publish(feed, 5)
    told = [update.instance_id for update in await read(listening, 3)]
    assert told == ["i2", "i3", "i5"]


async def test_a_word_to_read_anew_replaces_what_was_missed(feed: UpdateFeed) -> None:
    listening = feed.subscribe(ONE, after="0.0")
    publish(feed, 1, 1, 1, 1)
    assert (await anext(listening)).is_reset
    assert has_nothing(listening)


async def test_a_closed_listener_hears_nothing_more(feed: UpdateFeed) -> None:
    listening = feed.subscribe()
    publish(feed, 1)
    waiting = feed.subscribe()
    end = asyncio.ensure_future(anext(waiting, None))
    await asyncio.sleep(0)
    listening.close()
    listening.close()
    waiting.close()
    publish(feed, 2)
    assert await end is None
    assert [update async for update in listening] == []


async def test_the_end_of_the_host_ends_all_listeners_after_what_waits(feed: UpdateFeed) -> None:
    everything, one = feed.subscribe(), feed.subscribe(ONE)
    publish(feed, 1)
    feed.close()
    assert not is_heard(feed)
    assert [update.instance_id async for update in everything] == ["i1"]
    assert [update.instance_id async for update in one] == ["i1"]
    assert [update async for update in feed.subscribe()] == []
    assert not is_heard(feed)


async def test_what_is_at_hand_is_taken_at_once_and_told_once(feed: UpdateFeed) -> None:
    listening = feed.subscribe(after="new")
    assert [one.is_reset for one in listening.at_hand()] == [True]
    publish(feed, 1, 2, 3)
    assert [one.instance_id for one in listening.at_hand()] == ["i1", "i2", "i3"]
    assert listening.at_hand() == []
    publish(feed, 1, 2, 3, 4)
    assert [one.is_reset for one in listening.at_hand()] == [True], "it was too slow"
    publish(feed, 4)
    assert [one.instance_id for one in listening.at_hand()] == ["i4"]
    unread = feed.subscribe(ONE, after="0.0")
    assert unread.at_hand() == [], "what it has missed stands in the store"


# --- digests -------------------------------------------------------------------------------------


async def test_a_digest_counts_what_was_written_and_sums_it_up_for_who_reads_slowly(
    feed: UpdateFeed,
) -> None:
    listening = feed.subscribe_digests()
    assert is_heard(feed)
    assert feed.listeners == 1
    hold = Hold(HoldReason.DECISIONS, "it differs", 1)
    rows = {
        1: record(1),
        2: structs.replace(record(2), status=RuntimeStatus.FAILED),
        3: structs.replace(record(3), hold=hold),
        4: record(4),
    }
    replaced = {1: structs.replace(record(1), status=RuntimeStatus.TERMINATED)}
    feed.publish(Batch(instances=rows, replaced=replaced, purged=[8, 9]), frozenset({4}))
    assert await anext(listening) == Digest(changed=5, ended=2, failed=1, held=1, purged=2)
    feed.publish(Batch(), frozenset())
    publish(feed, 5)
    publish(feed, 6, 7)
    assert await anext(listening) == Digest(changed=3)
    waiting = asyncio.ensure_future(anext(listening, None))
    await asyncio.sleep(0)
    assert not waiting.done(), "a batch that changes no instance is no news"
    listening.close()
    listening.close()
    assert await waiting is None
    assert not is_heard(feed)


async def test_nothing_is_kept_or_made_for_who_needs_digests_only(feed: UpdateFeed) -> None:
    before = feed.subscribe_digests()
    publish(feed, 1)
    assert (await anext(feed.subscribe(after="new"))).is_reset
    feed.close()
    assert [one async for one in before] == []
    assert [one async for one in feed.subscribe_digests()] == []


async def test_a_change_at_another_host_is_told_as_one(feed: UpdateFeed) -> None:
    digests, listening = feed.subscribe_digests(), feed.subscribe()
    feed.let_go(lambda _: True)
    assert await anext(digests) == Digest(elsewhere=True)
    assert (await anext(listening)).is_reset
