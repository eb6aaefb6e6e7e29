"""What every store promises, sentence by sentence of the Storage port.

A backend's test file derives from ``StorageSuite`` and ``TopicsSuite`` and gives a ``backend``
fixture, nothing more.
Long on purpose: the port is one contract, and whoever writes a backend reads it here from top to
bottom.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec
import pytest
from msgspec import Raw, structs

from tenuto.engine.ports import HostIdentity, LoadedInstance, PartitionPage, Storage, Wake
from tenuto.engine.rows import (
    Answer,
    CommitBatch,
    CommitResult,
    ForgetBelow,
    HistoryRow,
    InboxRow,
    InstanceUpdate,
    Lease,
    UnreadRow,
)
from tenuto.engine.topic_ports import FailedDelivery, Redriven
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import (
    FencedError,
    InputError,
    InstanceNotFoundError,
    LimitError,
    RowsRefusedError,
    StorageError,
)
from tenuto.model.events import EventRaised, ExecutionStarted
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId, MessageId, partition_of
from tenuto.model.messages import RaiseEvent, Start
from tenuto.model.requests import DeadLetter, InstanceQuery, ListingOrder
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tenuto.model.trace import TraceContext
from tests.support.inboxes import waiting_in

MIB = 1024 * 1024

DAY = 86_400_000_000
FINISHED = [
    RuntimeStatus.COMPLETED,
    RuntimeStatus.FAILED,
    RuntimeStatus.CANCELED,
    RuntimeStatus.TERMINATED,
]
ONE, TWO, X = InstanceId("instance-1"), InstanceId("instance-2"), InstanceId("x")
PARENT = ParentInstance(InstanceId("p"), ExecutionId("pe"), "pn", 5)
AWKWARD_IDS = [
    "it's",
    'say "hi"',
    "100%",
    "a_b",
    "back\\slash",
    "star*",
    "[x]",
    "über",
    "\U0001f3b5\u2028",
    "a",
    "A",
    "~",
    " ",
    "x" * 256,
]
FAILURE = FailureDetails(
    "ValueError",
    "no\x00 'quotes' \U0001f3b5",
    "line 1\nline 2",
    None,
    True,
    (),
    {"code": 7, "": ["\u2028", None, 0.5, {"a": True}]},
)


class Backend(Protocol):
    """Gives handles on one hub.

    ``shared`` says whether a second handle sees the first's hub, ``partitions`` how many the hub
    has unless a test wants a certain number.
    """

    shared: bool
    partitions: int

    def handle(self, partitions: int | None = None) -> Storage: ...


class Places:
    """Where instances belong in the hub of the test that runs."""

    partitions = 1

    @classmethod
    def of(cls, instance_id: str) -> int:
        return partition_of(InstanceId(instance_id), cls.partitions)


_PENDING, _RUNNING = RuntimeStatus.PENDING, RuntimeStatus.RUNNING


def record(iid: int, instance_id: str | None = None, **changes: Any) -> InstanceRecord:
    name = InstanceId(f"instance-{iid}" if instance_id is None else instance_id)
    fresh = InstanceRecord(
        iid=iid,
        instance_id=name,
        partition=Places.of(name),
        name="hello",
        execution_id=ExecutionId(f"execution-{iid}"),
        created_at=1_000 + iid,
        root_id=name,
    )
    return msgspec.structs.replace(fresh, **changes)


def update(
    iid: int, status: RuntimeStatus = RuntimeStatus.RUNNING, **changes: Any
) -> InstanceUpdate:
    row = InstanceUpdate(iid, status, None, 5, None, None, None, None)
    return msgspec.structs.replace(row, **changes)


def turn(iid: int, number: int, generation: int = 0, events: bytes | None = None) -> HistoryRow:
    return HistoryRow(iid, generation, number, Raw(events or b'[{"turn":%d}]' % number))


def message(
    message_id: str,
    instance_id: str = "instance-1",
    text: str = "1",
    partition: int | None = None,
    *,
    awaits_answer: bool = False,
) -> InboxRow:
    event = structs.replace(raised(message_id, text), awaits_answer=awaits_answer)
    place = Places.of(instance_id) if partition is None else partition
    return InboxRow(MessageId(message_id), place, InstanceId(instance_id), Raw(encode(event)))


def raised(message_id: str, text: str = "1") -> RaiseEvent:
    return RaiseEvent(message_id=MessageId(message_id), event=EventRaised("e", text))


def strange(body: bytes, partition: int = 0) -> InboxRow:
    """A message that no store can hold."""
    return InboxRow(MessageId("bad"), partition, X, Raw(body))


def asked(name: object) -> MessageId:
    """The id of a message whose sender waits for an answer."""
    return MessageId(f"asked-{name}")


def used(message_id: str, instance_id: str = "instance-1") -> tuple[int, MessageId]:
    """A message of an instance, as consumed."""
    return Places.of(instance_id), MessageId(message_id)


def letter(number: int, created_at: int = 5, body: bytes = b"{}") -> DeadLetter:
    key, to = MessageId(f"m{number}"), InstanceId("nobody")
    return DeadLetter(key, to, "finished", created_at, Raw(body))


class Owner:
    """An open store that owns all partitions, touches them all, and counts its commits."""

    def __init__(self, storage: Storage, leases: list[Lease]) -> None:
        self.storage = storage
        self.leases = leases
        self.number = 0

    @classmethod
    async def of(cls, storage: Storage, owner: str = "first") -> "Owner":
        await storage.open()
        return cls(storage, await storage.acquire(HostIdentity(owner=owner, description=owner)))

    def batch(self, batch_id: str = "b", **changes: Any) -> CommitBatch:
        """The next one."""
        no_field = {"batch_id", "owner", "number", "fences", "usage_without"}
        rows: dict[str, Any] = {
            name: [] for name in CommitBatch.__struct_fields__ if name not in no_field
        }
        rows |= {
            "owner": self.leases[0].owner,
            "number": self.number + 1,
            "fences": self.leases,
        }
        return CommitBatch(batch_id=batch_id, **rows | changes)

    async def commit(self, batch_id: str = "b", **changes: Any) -> CommitResult:
        return await self.send(self.batch(batch_id, **changes))

    async def send(self, batch: CommitBatch) -> CommitResult:
        result = await self.storage.commit(batch)
        self.number = batch.number
        return result

    async def find(self, *instance_ids: str) -> list[InstanceRecord]:
        return await self.storage.find([InstanceId(one) for one in instance_ids])

    async def loaded(self, iid: int) -> LoadedInstance:
        (found,) = await self.storage.load_instances([iid])
        return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells of a file's size
            await asyncio.sleep(0.01)


async def everything(storage: Storage) -> object:
    """All that can be seen of a hub."""
    found = await storage.query(InstanceQuery(limit=1000))
    instances = await storage.load_instances([row.iid for row in found.records])
    # A cursor is no content: a store may move it by the moment.
    pages = [
        structs.replace(await first_page(storage, number), cursor=0)
        for number in range(Places.partitions)
    ]
    letters = await storage.dead_letters(1000)
    return msgspec.json.encode((instances, pages, letters))


async def first_page(storage: Storage, partition: int) -> PartitionPage:
    return await storage.load_partition(partition, None, 1_000)


async def fetched(
    storage: Storage, cursors: Mapping[int, int] | None = None
) -> tuple[list[InboxRow], dict[int, int]]:
    """What has arrived after the cursors, and the new ones; without any, after the beginning."""
    wanted = dict.fromkeys(range(Places.partitions), 0) if cursors is None else cursors
    page = await storage.fetch_inbox(wanted)
    assert page.cursors.keys() == wanted.keys()
    assert all(page.cursors[partition] >= cursor for partition, cursor in wanted.items())
    return page.rows, page.cursors


async def cursors_of(storage: Storage) -> dict[int, int]:
    return {
        number: (await first_page(storage, number)).cursor for number in range(Places.partitions)
    }


def due(storage: Storage, after: int, until: int) -> Awaitable[list[Wake]]:
    return storage.due(range(Places.partitions), after, until)


class StorageFixtures:
    """What the suites have in common."""

    @pytest.fixture(autouse=True)
    def _places(self, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Places, "partitions", backend.partitions)

    @pytest.fixture
    async def storage(self, backend: Backend) -> AsyncIterator[Storage]:
        storage = backend.handle()
        yield storage
        await storage.close()

    @pytest.fixture
    async def owner(self, storage: Storage) -> Owner:
        return await Owner.of(storage)


class StorageSuite(StorageFixtures):
    """The promises; those about topics and queues are in ``topics_suite``."""

    # --- life ----------------------------------------------------------------------------------

    async def test_open_tells_the_partitions(self, storage: Storage) -> None:
        info = await storage.open()
        assert info.partitions == Places.partitions
        assert await storage.open() == info

    async def test_close_is_safe_to_call_twice(self, storage: Storage) -> None:
        await storage.open()
        await storage.close()
        await storage.close()
        with pytest.raises(StorageError, match="not open"):
            await storage.get(X)

    async def test_acquire_takes_every_partition_in_a_new_epoch(self, backend: Backend) -> None:
        storage = backend.handle(partitions=3)
        assert (await storage.open()).partitions == 3
        leases = await storage.acquire(HostIdentity(owner="me", description="me"))
        assert leases == [Lease(number, "me", 1) for number in range(3)]
        again = await storage.acquire(HostIdentity(owner="other", description="other"))
        assert again == [Lease(number, "other", 2) for number in range(3)]
        await storage.close()

    async def test_acquire_takes_those_that_are_named_and_no_others(self, backend: Backend) -> None:
        storage = backend.handle(partitions=3)
        await storage.open()
        first = await Owner.of(storage)
        taker = HostIdentity(owner="taker", description="taker")
        second = Owner(storage, await storage.acquire(taker, [2, 0]))
        assert second.leases == [Lease(0, "taker", 2), Lease(2, "taker", 2)]
        with pytest.raises(FencedError) as caught:
            await first.commit(history=[turn(1, 0)])
        assert caught.value.partitions == {0, 2}
        await first.commit(fences=[first.leases[1]], history=[turn(1, 0)])
        await second.commit(history=[turn(2, 0)])
        # Who takes more goes on counting its commits.
        second.leases += await storage.acquire(taker, [1])
        await second.commit(history=[turn(2, 1)])
        assert await storage.acquire(taker, []) == []
        await storage.close()

    async def test_release_gives_partitions_back(self, owner: Owner) -> None:
        storage = owner.storage
        last = owner.batch("last")
        await owner.send(last)
        await storage.release(owner.leases)
        assert await storage.landed(last) == CommitResult()
        with pytest.raises(FencedError):
            await owner.commit()
        second = await storage.acquire(HostIdentity(owner="second", description=""))
        assert {(lease.owner, lease.epoch) for lease in second} == {("second", 2)}

    async def test_a_commit_gives_partitions_back_with_what_it_writes(
        self, backend: Backend
    ) -> None:
        storage = backend.handle(partitions=3)
        owner = await Owner.of(storage)
        last = owner.batch("last", released=[0, 2], history=[turn(1, 0)])
        await owner.send(last)
        with pytest.raises(FencedError) as caught:
            await owner.commit(history=[turn(1, 1)])
        assert caught.value.partitions == {0, 2}
        assert await storage.landed(last) == CommitResult()
        await owner.commit(fences=[owner.leases[1]], released=[1], instances=[record(1)])
        assert len((await owner.loaded(1)).turns) == 1
        second = await Owner.of(storage, "second")
        # Who was given the partitions does not count as the heir of a dead one.
        assert [(await first_page(storage, number)).deaths for number in range(3)] == [0, 0, 0]
        await second.commit(history=[turn(1, 1)])
        await storage.close()

    async def test_a_stale_lease_releases_nothing(self, owner: Owner) -> None:
        stale = owner.leases
        again = await Owner.of(owner.storage, "second")
        await owner.storage.release(stale)
        await again.commit(history=[turn(1, 0)])

    # --- one_owner: fences ---------------------------------------------------------------------

    @pytest.mark.parametrize(
        "changes",
        [
            {"number": 1},
            {"number": 3},
            {"owner": "other"},
            {"fences": [Lease(0, "first", 0)]},
            {"fences": [Lease(0, "first", 2)]},
            {"fences": [Lease(0, "other", 1)]},
            {"fences": [Lease(70, "first", 1)]},
        ],
        ids=["same number", "skipped", "stranger", "stale", "later", "owner", "no partition"],
    )
    async def test_one_owner_a_commit_behind_its_fence_writes_nothing(
        self, owner: Owner, changes: dict[str, Any]
    ) -> None:
        await owner.commit("first", instances=[record(1)], inbox=[message("m1")])
        before = await everything(owner.storage)
        batch = owner.batch(
            "second",
            **changes,
            instances=[record(2)],
            updates=[update(1)],
            history=[turn(1, 0)],
            inbox=[message("m2")],
            consumed=[used("m1")],
            purged=[1],
            dead_letters=[letter(1)],
            released=[0],
        )
        with pytest.raises(FencedError) as caught:
            await owner.storage.commit(batch)
        fences = changes.get("fences", [])
        assert caught.value.partitions == {fence.partition for fence in fences}
        assert await everything(owner.storage) == before
        await owner.commit("second")

    async def test_one_owner_every_partition_that_a_batch_touches_is_fenced(
        self, backend: Backend
    ) -> None:
        storage = backend.handle(partitions=2)
        owner = await Owner.of(storage)
        good, bad = owner.leases
        bad = msgspec.structs.replace(bad, epoch=9)
        with pytest.raises(FencedError) as caught:
            await storage.commit(owner.batch(fences=[good, bad], history=[turn(1, 0)]))
        assert caught.value.partitions == {1}
        await owner.commit("both", history=[turn(1, 0)])
        # Numbers are counted over all partitions, whichever a batch touches.
        await owner.commit("one", fences=owner.leases[1:])
        await owner.commit("other", fences=owner.leases[:1])
        await owner.commit("none", fences=[], inbox=[message("m", partition=1)])
        await storage.close()

    async def test_exactly_once_a_batch_sent_again_is_seen_to_have_landed(
        self, owner: Owner
    ) -> None:
        storage = owner.storage
        batch = owner.batch("in doubt", instances=[record(1)], history=[turn(1, 0)])
        assert await storage.landed(batch) is None
        await storage.commit(batch)
        with pytest.raises(FencedError) as caught:
            await storage.commit(batch)
        assert caught.value.partitions == frozenset()
        assert await storage.landed(batch) == CommitResult()
        assert len((await owner.loaded(1)).turns) == 1

    async def test_landed_gives_the_answers_per_row(self, owner: Owner) -> None:
        """Whatever has become of these rows since."""
        await owner.commit(instances=[record(1, "taken")])
        rows = [record(2, "taken"), record(3, "free"), record(4, "short")]
        batch = owner.batch("in doubt", instances=rows, purged=[4])
        result = await owner.send(batch)
        assert result.refused == {2}
        await owner.storage.start_instance(record(0, "short"))
        assert await owner.storage.landed(batch) == result

    async def test_landed_tells_what_can_never_land(self, backend: Backend) -> None:
        storage = backend.handle(partitions=2)
        owner = await Owner.of(storage)
        landed = owner.batch("landed", fences=owner.leases[:1], instances=[record(1, partition=0)])
        await owner.send(landed)
        lost = owner.batch("lost")
        other = msgspec.structs.replace(lost, batch_id="other", number=1)
        with pytest.raises(FencedError) as caught:  # its number is another's
            await storage.landed(other)
        assert caught.value.partitions == {0, 1}
        taker = HostIdentity(owner="taker", description="taker")
        second = Owner(storage, await storage.acquire(taker, [0]))
        with pytest.raises(FencedError) as caught:
            await storage.landed(lost)
        assert caught.value.partitions == {0}
        # What has landed has landed, whoever owns its partition now.
        assert await storage.landed(landed) == CommitResult()
        await second.commit(history=[turn(1, 0)])
        assert await storage.landed(landed) == CommitResult()
        assert await storage.landed(owner.batch("kept", fences=owner.leases[1:])) is None
        await storage.close()

    async def test_one_owner_the_owner_before_is_fenced(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1)])
        second = await Owner.of(owner.storage, "second")
        with pytest.raises(FencedError):
            await owner.commit(history=[turn(1, 0)])
        await second.commit(history=[turn(1, 0)])

    # --- commit: instances ---------------------------------------------------------------------

    async def test_an_instance_comes_back_as_it_was_written(self, owner: Owner) -> None:
        full = InstanceRecord(
            iid=7,
            instance_id=InstanceId("full"),
            partition=Places.of("full"),
            name='na"me\U0001f3b5',
            execution_id=ExecutionId("e"),
            created_at=11,
            root_id=InstanceId("root"),
            version="v1",
            generation=3,
            status=RuntimeStatus.FAILED,
            wake_at=17,
            updated_at=12,
            completed_at=13,
            scheduled_at=14,
            parent=PARENT,
            depth=2,
            input='{"a": [1, 2.50, "\\u0000\\ud83d"]}',
            output="null",
            failure=msgspec.structs.replace(FAILURE, inner_failure=FAILURE),
            custom_status='"half  way"',
            tags={"k": "v", "": "\u2028"},
            trace=TraceContext("00-1-2-03", "v=1"),
        )
        bare = record(8)
        await owner.commit(instances=[full, bare])
        assert await owner.storage.get(full.instance_id) == full
        assert await owner.find(bare.instance_id, "?", "full") == [bare, full]
        assert (await owner.loaded(7)).record == full

    @pytest.mark.parametrize("wake_at", [None, 0, 1, 2**62])
    async def test_wake_at_tells_hot_from_never(self, owner: Owner, wake_at: int | None) -> None:
        await owner.commit(instances=[record(1, wake_at=wake_at)])
        found = await owner.storage.get(ONE)
        assert found is not None
        assert found.wake_at == wake_at

    @pytest.mark.parametrize("payload", ["0", '""', "false", "null", "[]", "{}", "", None])
    async def test_falsy_payloads_are_kept(self, owner: Owner, payload: str | None) -> None:
        await owner.commit(instances=[record(1, input=payload)])
        changed = update(1, RuntimeStatus.COMPLETED, output=payload, custom_status=payload)
        await owner.commit(updates=[changed])
        found = await owner.storage.get(ONE)
        assert found is not None
        assert (found.input, found.output, found.custom_status) == (payload,) * 3

    async def test_big_payloads_are_kept_to_the_byte(self, owner: Owner) -> None:
        text = msgspec.json.encode('ü"\\\x01' * 600_000).decode()
        assert len(text.encode()) > 4 * 1024 * 1024
        events = msgspec.json.encode([{"type": "TaskCompleted", "result": text}])
        await owner.commit(
            instances=[record(1, input=text)],
            updates=[update(1, output=text)],
            history=[turn(1, 0, events=events)],
            inbox=[message("m", text=text)],
            dead_letters=[letter(1, body=events)],
        )
        loaded = await owner.loaded(1)
        assert (loaded.record.input, loaded.record.output) == (text, text)
        assert loaded.turns == [events]
        found = decode_message(bytes(loaded.inbox[0].message))
        assert found == raised("m", text)
        assert bytes((await owner.storage.dead_letters())[0].message) == events

    async def test_an_update_writes_the_changing_part_whole(self, owner: Owner) -> None:
        before = record(1, input='"in"', custom_status='"old"', tags={"a": "b"})
        await owner.commit(instances=[before, record(2)])
        row = InstanceUpdate(1, RuntimeStatus.FAILED, 9, 8, 7, '"out"', FAILURE, None)
        await owner.commit(updates=[row])
        assert await owner.storage.get(ONE) == msgspec.structs.replace(
            before,
            status=RuntimeStatus.FAILED,
            wake_at=9,
            updated_at=8,
            completed_at=7,
            output='"out"',
            failure=FAILURE,
            custom_status=None,
        )
        assert await owner.storage.get(TWO) == record(2)

    async def test_a_new_instance_is_updated_in_its_own_batch(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1)], updates=[update(1, output="1")])
        found = await owner.storage.get(ONE)
        assert found is not None
        assert (found.status, found.output) == (RuntimeStatus.RUNNING, "1")

    async def test_a_taken_id_is_refused_with_every_row_of_its_iid(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, "taken")], inbox=[message("old", "taken")])
        result = await owner.commit(
            "second",
            instances=[record(2, "taken"), record(3, "free"), record(4, "free")],
            updates=[update(2, output="2"), update(3, output="3"), update(4, output="4")],
            history=[turn(1, 0), turn(2, 0), turn(3, 0), turn(4, 0)],
            forget=[ForgetBelow(2, 1)],
            inbox=[message("new", "taken"), message("else", "free")],
            consumed=[used("old", "taken")],
            purged=[2],
        )
        assert result.refused == {2, 4}
        taken, free = await owner.find("taken", "free")
        assert taken == record(1, "taken")
        assert (free.iid, free.output) == (3, "3")
        loaded = await owner.storage.load_instances([1, 2, 3, 4])
        assert [(one.record.iid, len(one.turns)) for one in loaded] == [(1, 1), (3, 1)]
        # no_silent_drop: what was sent to the id waits for the instance that has it, and what
        # only the refused instance has taken in is not gone.
        assert [row.message_id for row in loaded[0].inbox] == ["old", "new"]
        # The id was never free, so a third attempt is refused as well.
        assert (await owner.commit(instances=[record(5, "taken")])).refused == {5}

    async def test_a_refusal_does_not_get_past_the_fence(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, "taken")])
        stale = owner.batch(number=1, instances=[record(2, "taken"), record(3)])
        before = await everything(owner.storage)
        with pytest.raises(FencedError):
            await owner.storage.commit(stale)
        assert await everything(owner.storage) == before

    async def test_an_instance_that_stands_under_its_own_iid_is_left_alone(
        self, owner: Owner
    ) -> None:
        await owner.commit(instances=[record(1, input="1")])
        result = await owner.commit(instances=[record(1, input="2")], history=[turn(1, 0)])
        assert result.refused == frozenset()
        loaded = await owner.loaded(1)
        assert (loaded.record.input, len(loaded.turns)) == ("1", 1)

    async def test_replaced_writes_the_row_whole(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, input="1", output="2")], history=[turn(1, 0)])
        again = record(1, generation=1, execution_id="next", tags={"a": "b"})
        await owner.commit(replaced=[again], history=[turn(1, 0, 1), turn(1, 1, 1)])
        loaded = await owner.loaded(1)
        assert loaded.record == again
        assert len(loaded.turns) == 2

    async def test_replaced_under_a_new_iid_takes_the_id_over(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, "id"), record(2)], history=[turn(1, 0)])
        await owner.commit(replaced=[record(9, "id")], history=[turn(9, 0)])
        assert await owner.find("id", "instance-2") == [record(9, "id"), record(2)]
        assert await owner.storage.load_instances([1]) == []

    async def test_purged_deletes_instance_history_and_messages(self, owner: Owner) -> None:
        await owner.commit(
            instances=[record(1), record(2)],
            history=[turn(1, 0), turn(2, 0)],
            inbox=[message("m1", "instance-1"), message("m2", "instance-2")],
        )
        await owner.commit(purged=[1, 77])
        assert await owner.storage.get(ONE) is None
        assert await owner.storage.history(ONE) == []
        assert [row.message_id for row in await waiting_in(owner.storage)] == ["m2"]
        assert len(await owner.storage.history(TWO)) == 1
        # The iid's history is really gone, not only out of sight.
        await owner.commit(instances=[record(1)])
        assert (await owner.loaded(1)).turns == []

    async def test_a_start_for_an_id_outlives_the_purge_of_who_has_it_with_what_comes_after_it(
        self, owner: Owner
    ) -> None:
        def start(message_id: str, execution: str) -> InboxRow:
            event = ExecutionStarted("hello", ExecutionId(execution))
            body = Start(message_id=MessageId(message_id), event=event)
            return InboxRow(MessageId(message_id), Places.of(ONE), ONE, Raw(encode(body)))

        rows = [
            start("its own", "execution-1"),
            message("for the old one"),
            start("another", "execution-7"),
            message("for the new one", awaits_answer=True),
        ]
        await owner.commit(instances=[record(1)], inbox=rows)
        await owner.commit(purged=[1])
        waiting = [row.message_id for row in await waiting_in(owner.storage)]
        assert waiting == ["another", "for the new one"]
        assert await owner.storage.answers([MessageId("for the new one")]) == []

    async def test_unread_events_stay_until_they_are_taken_or_their_instance_goes(
        self, owner: Owner
    ) -> None:
        def kept(iid: int, *numbers: int) -> list[UnreadRow]:
            return [UnreadRow(iid, number, Raw(b'{"n":%d}' % number)) for number in numbers]

        ids = {1: "a", 2: "b", 3: "c"}
        rows = [record(iid, name, generation=1) for iid, name in ids.items()]
        await owner.commit(
            instances=rows, unread=[*kept(1, 10, 9, 11), *kept(2, 1), *kept(3, 1, 2)]
        )
        await owner.commit(
            replaced=[record(1, "a", generation=2)], unread=[UnreadRow(1, 10, None), *kept(1, 12)]
        )
        found = await owner.loaded(1)
        assert found.unread == [(9, b'{"n":9}'), (11, b'{"n":11}'), (12, b'{"n":12}')]
        await owner.commit(replaced=[record(7, "b", generation=1)], purged=[3])
        await owner.commit(instances=[record(2, "x", generation=1), record(3, "y", generation=1)])
        for iid in (2, 3, 7):
            assert (await owner.loaded(iid)).unread == []

    async def test_an_id_is_purged_and_started_anew_in_one_batch(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, "id")], inbox=[message("old", "id")])
        result = await owner.commit(
            purged=[1], instances=[record(2, "id")], inbox=[message("new", "id")]
        )
        assert result.refused == frozenset()
        loaded = await owner.loaded(2)
        assert [row.message_id for row in loaded.inbox] == ["new"]

    async def test_an_instance_is_started_and_purged_in_one_batch(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1)], history=[turn(1, 0)], purged=[1])
        assert await owner.storage.get(ONE) is None

    async def test_a_batch_of_every_kind_in_pieces_is_the_same(self, owner: Owner) -> None:
        """A refusal takes the slow way for the whole batch; nothing gets lost on it."""
        await owner.commit(
            instances=[record(1, "taken"), record(2), record(3)],
            history=[turn(2, 0), turn(2, 0, 1), turn(3, 0)],
            inbox=[message("m1"), message("m2", "instance-2")],
        )
        await owner.commit(
            instances=[record(10, "taken"), record(11)],
            replaced=[record(2, generation=1)],
            updates=[update(1, output="1")],
            history=[turn(2, 1, 1)],
            forget=[ForgetBelow(2, 1)],
            inbox=[message("m3")],
            consumed=[used("m1")],
            purged=[3],
            dead_letters=[letter(1)],
        )
        found = await owner.storage.query(InstanceQuery(order="oldest"))
        assert [(row.iid, row.generation, row.output) for row in found.records] == [
            (1, 0, "1"),
            (2, 1, None),
            (11, 0, None),
        ]
        assert len((await owner.loaded(2)).turns) == 2
        left = await waiting_in(owner.storage)
        assert sorted(str(row.message_id) for row in left) == ["m2", "m3"]
        assert len(await owner.storage.dead_letters()) == 1

    # --- held ----------------------------------------------------------------------------------

    async def test_why_an_instance_is_held_comes_back_as_it_was_written(self, owner: Owner) -> None:
        hold = Hold(HoldReason.DECISIONS, "it's \U0001f3b5 \x00", 2**53 + 1, "a 'b'", '"c"')
        bare = Hold(HoldReason.NOT_SERVED, "not here", 0)
        new = record(1, hold=hold, status=RuntimeStatus.RUNNING, wake_at=None, deliveries=-2)
        await owner.commit(instances=[new, record(2), record(3, hold=bare)])
        assert await owner.storage.get(ONE) == new
        assert (await owner.loaded(1)).record == new
        # An update says the whole truth: held, held otherwise, held no more.
        for iid, expected in ((2, hold), (2, bare), (2, None), (1, None)):
            await owner.commit(updates=[update(iid, hold=expected)])
            assert (await owner.loaded(iid)).record.hold == expected
        assert (await owner.loaded(1)).record.deliveries == -2
        again = record(3, generation=1, hold=hold)
        await owner.commit(replaced=[again])
        assert (await owner.loaded(3)).record == again
        await owner.commit(replaced=[record(3, generation=2)])
        assert (await owner.loaded(3)).record.hold is None
        found = await owner.storage.query(InstanceQuery(order="oldest", payloads=False))
        assert [row.hold for row in found.records] == [None, None, None]

    async def test_who_has_not_ended_is_counted_by_status_up_to_a_bound(self, owner: Owner) -> None:
        hold = Hold(HoldReason.GUARD, "why", 5)
        open_ones = dict(enumerate([*[_RUNNING] * 3, _PENDING, RuntimeStatus.SUSPENDED], 1))
        rows = [record(iid, status=status) for iid, status in open_ones.items()]
        ended = record(6, status=RuntimeStatus.COMPLETED, completed_at=9, wake_at=None)
        held = record(7, status=_RUNNING, hold=hold, wake_at=None)
        await owner.commit(instances=[*rows, ended, held])
        counts = await owner.storage.open_counts(10)
        assert counts == {_PENDING: 1, _RUNNING: 3, RuntimeStatus.SUSPENDED: 1}
        assert (await owner.storage.open_counts(2))[_RUNNING] == 2
        failed = update(1, status=RuntimeStatus.FAILED, completed_at=9)
        await owner.commit(updates=[failed, update(2, hold=hold), update(7)])
        assert (await owner.storage.open_counts(10))[_RUNNING] == 2
        await owner.commit(purged=[3, 4])
        assert await owner.storage.open_counts(10) == {
            _PENDING: 0, _RUNNING: 1, RuntimeStatus.SUSPENDED: 1
        }  # fmt: skip

    async def test_misfits_are_held_for_what_another_host_may_change(
        self, backend: Backend
    ) -> None:
        storage = backend.handle(partitions=2)
        owner = await Owner.of(storage)
        rows = [
            record(number, partition=0, hold=Hold(reason, "why", 5), wake_at=None)
            for number, reason in enumerate(HoldReason, 1)
        ]
        expected = [row.iid for row in rows if row.hold and not row.hold.reason.is_harmful]
        other = record(20, partition=1, hold=Hold(HoldReason.GUARD, "why", 5))
        assert await storage.misfits([0, 1]) == []
        await owner.commit(instances=[*reversed(rows), record(10, partition=0), other])
        assert await storage.misfits([0]) == expected
        assert await storage.misfits([1]) == [20]
        await owner.commit(updates=[update(expected[0])])
        assert await storage.misfits([0]) == expected[1:]
        assert sorted(await storage.misfits([1, 0])) == [*expected[1:], 20]
        assert await storage.misfits([7]) == []
        found = [await storage.misfits([0, 1], reason) for reason in HoldReason]
        assert sorted(iid for some in found for iid in some) == sorted([*expected[1:], 20])
        await storage.close()

    async def test_how_often_instances_were_tried_is_kept(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1), record(2), record(3)])
        await owner.storage.set_deliveries({1: 2, 3: -4, 99: 1})
        assert [(await owner.loaded(iid)).record.deliveries for iid in (1, 2, 3)] == [2, 0, -4]
        # What a turn writes leaves it alone; an instance that begins anew has its own.
        await owner.commit(updates=[update(1)], replaced=[record(3, generation=1)])
        assert [(await owner.loaded(iid)).record.deliveries for iid in (1, 2, 3)] == [2, 0, 0]
        await owner.storage.set_deliveries({1: 0})
        await owner.storage.set_deliveries({})
        assert (await owner.loaded(1)).record.deliveries == 0

    async def test_notes_are_kept_for_the_owners_that_follow(self, owner: Owner) -> None:
        storage, lease = owner.storage, owner.leases[0]
        assert await storage.notes(["timer/one"]) == {}
        await storage.write_note(lease, "timer/one", '{"last": 1}')
        await storage.write_note(lease, "timer/One", "ä \n no JSON")
        await storage.write_note(lease, "timer/one", '{"last": 2}')
        await storage.write_note(lease, "", "")
        kept = {"timer/one": '{"last": 2}', "timer/One": "ä \n no JSON"}
        assert await storage.notes(["timer/one", "timer/none", "timer/One"]) == kept
        assert await storage.notes([""]) == {"": ""}
        assert await storage.notes([]) == {}
        await storage.release(owner.leases)
        heir = await Owner.of(storage, "second")
        assert await storage.notes([*kept]) == kept
        await storage.write_note(heir.leases[0], "timer/one", "3")
        assert (await storage.notes([*kept]))["timer/one"] == "3"

    async def test_notes_are_written_with_what_is_put_aside_and_given_back(
        self, owner: Owner
    ) -> None:
        storage, lease = owner.storage, owner.leases[0]
        failed = FailedDelivery(
            0,
            "files",
            "/inbox",
            "recognise",
            "f1",
            3,
            5,
            "no plate",
            "file:x",
            None,
            '{"path":"a"}',
        )
        await storage.write_notes(lease, {"files/0": "1", "files/1": "2"}, [failed])
        assert await storage.notes(["files/0", "files/1"]) == {"files/0": "1", "files/1": "2"}
        (kept,) = await storage.failed_deliveries(source="files", name="/inbox")
        assert structs.replace(kept, number=0) == failed
        assert await storage.redrive([kept.number], 9) == Redriven(1)
        assert await storage.failed_deliveries() == []
        assert await storage.redeliveries("recognise", 0, 10, MIB) == []
        (again,) = await storage.redeliveries("files/recognise", 0, 10, MIB)
        assert (again.event_id, again.topic, again.published_at) == ("f1", "/inbox", 5)
        heir = await Owner.of(storage, "second")
        with pytest.raises(FencedError):
            await storage.write_notes(lease, {"files/0": "3"}, [failed], [again.position])
        assert await storage.notes(["files/0"]) == {"files/0": "1"}
        assert await storage.failed_deliveries() == []
        await storage.write_notes(heir.leases[0], {}, (), [again.position])
        assert await storage.redeliveries("files/recognise", 0, 10, MIB) == []

    async def test_one_owner_writes_a_note(self, owner: Owner) -> None:
        storage, lease = owner.storage, owner.leases[0]
        await storage.write_note(lease, "timer/one", "before")
        heir = await Owner.of(storage, "second")
        for stale in (lease, structs.replace(heir.leases[0], epoch=lease.epoch)):
            with pytest.raises(FencedError) as raised:
                await storage.write_note(stale, "timer/one", "after")
            assert raised.value.partitions == {lease.partition}
        assert await storage.notes(["timer/one"]) == {"timer/one": "before"}
        # What came of it disturbs nobody's commits.
        await heir.commit(instances=[record(1)])

    async def test_deaths_of_owners_in_a_row_that_had_not_served(self, storage: Storage) -> None:
        async def deaths(name: str, end: Literal["dies", "serves", "stops"]) -> int:
            owner = await Owner.of(storage, name)
            found = (await first_page(storage, 0)).deaths
            if end == "serves":
                await storage.mark_served(owner.leases)
                assert (await first_page(storage, 0)).deaths == 0
            if end == "stops":
                await storage.release(owner.leases)
            return found

        assert [await deaths(f"owner-{n}", "dies") for n in range(3)] == [0, 1, 2]
        assert await deaths("old", "serves") == 3
        assert [await deaths(f"second-{n}", "dies") for n in range(2)] == [1, 2]
        assert await deaths("careful", "stops") == 3
        assert [await deaths(f"third-{n}", "dies") for n in range(2)] == [0, 1]

    async def test_who_takes_again_what_it_has_did_not_die(self, storage: Storage) -> None:
        await Owner.of(storage, "first")
        for _ in range(3):
            await Owner.of(storage, "second")
            assert (await first_page(storage, 0)).deaths == 1

    async def test_only_the_owner_says_that_it_has_served(self, storage: Storage) -> None:
        first = await Owner.of(storage, "first")
        await Owner.of(storage, "second")
        await storage.mark_served(first.leases)
        assert (await first_page(storage, 0)).deaths == 1
        await Owner.of(storage, "third")
        assert (await first_page(storage, 0)).deaths == 2

    # --- what cannot be stored -----------------------------------------------------------------

    @pytest.mark.parametrize(
        ("lists", "instances", "messages", "letters"),
        [
            ({"history": [turn(7, 0, events=b"[{")]}, {7}, set(), set()),
            ({"history": [turn(7, 0, events=b"[1}"), turn(7, 1)]}, {7}, set(), set()),
            ({"history": [turn(7, 0), turn(7, 0)]}, {7}, set(), set()),
            ({"history": [turn(1, 0)]}, {1}, set(), set()),
            ({"history": [turn(7, 2**70)]}, {7}, set(), set()),
            ({"updates": [update(1, output='"\ud800"')]}, {1}, set(), set()),
            ({"updates": [update(1, wake_at=2**64)]}, {1}, set(), set()),
            ({"instances": [record(8, input="\udfff")]}, {8}, set(), set()),
            ({"instances": [record(8, "\ud800")]}, {8}, set(), set()),
            ({"instances": [record(1, "other id")]}, {1}, set(), set()),
            ({"instances": [record(8, created_at=2**63)]}, {8}, set(), set()),
            ({"replaced": [record(1, tags={"k": "\ud800"})]}, {1}, set(), set()),
            ({"inbox": [strange(b'{"a":')]}, set(), {"bad"}, set()),
            ({"inbox": [strange(b"{}", 2**70)]}, set(), {"bad"}, set()),
            ({"consumed": [(0, "m\ud800")]}, set(), {"m\ud800"}, set()),
            ({"answers": [Answer(MessageId("bad"), None, "\ud800")]}, set(), {"bad"}, set()),
            ({"dead_letters": [letter(1), letter(2, body=b"{]")]}, set(), set(), {1}),
            (
                {
                    "instances": [record(8, input="\udfff"), record(9)],
                    "history": [turn(8, 0), turn(9, 0, events=b"nonsense"), turn(10, 0)],
                    "inbox": [strange(b"{"), message("good")],
                },
                {8, 9},
                {"bad"},
                set(),
            ),
        ],
    )
    async def test_what_cannot_be_stored_is_named_and_the_rest_is_taken_without_it(
        self,
        owner: Owner,
        lists: dict[str, list[Any]],
        instances: set[int],
        messages: set[str],
        letters: set[int],
    ) -> None:
        """And whose it is: one instance must not take the others of its batch with it."""
        await owner.commit(
            instances=[record(1), record(2, "purged"), record(3, "taken")], history=[turn(1, 0)]
        )
        before = await everything(owner.storage)
        innocent: dict[str, list[Any]] = {
            "purged": [2],
            "instances": [record(number) for number in range(20, 30)]
            + [record(30, "purged"), record(31, "taken")],
            "history": [turn(number, 0) for number in range(20, 32)],
            "inbox": [message(f"m{number}") for number in range(20, 30)],
            "dead_letters": [],
        }
        whole = {name: [*rows] for name, rows in innocent.items()}
        for name, rows in lists.items():
            whole[name] = [*whole.get(name, []), *rows] if name != "dead_letters" else rows
        with pytest.raises(RowsRefusedError) as caught:
            await owner.storage.commit(owner.batch("b", **whole))
        refused = caught.value
        assert set(refused.instances) == instances
        assert set(refused.messages) == messages
        assert set(refused.letters) == letters
        assert all([*refused.instances.values(), *refused.messages.values()])
        assert await everything(owner.storage) == before

        # The fences have not moved: the same commit goes, without what was named.
        left = {
            name: [
                row
                for place, row in enumerate(rows)
                if getattr(row, "iid", None) not in instances
                and (row[1] if name == "consumed" else getattr(row, "message_id", None))
                not in messages
                and not (name == "dead_letters" and place in letters)
            ]
            for name, rows in whole.items()
        }
        assert (await owner.commit("b", **left)).refused == {31}
        found = await owner.find("instance-20", "purged", "taken")
        assert [row.iid for row in found] == [20, 30, 3]

    async def test_a_refusal_for_content_does_not_get_past_the_fence(self, owner: Owner) -> None:
        stale = owner.batch(number=2, history=[turn(1, 0, events=b"[")])
        with pytest.raises(FencedError):
            await owner.storage.commit(stale)

    async def test_what_comes_from_outside_is_refused_by_name_too(self, owner: Owner) -> None:
        with pytest.raises(RowsRefusedError, match="cannot hold this"):
            await owner.storage.start_instance(record(0, "x", input="\ud800"))
        with pytest.raises(RowsRefusedError, match="malformed JSON") as caught:
            await owner.storage.append([message("m"), strange(b"{")])
        assert "bad" in caught.value.messages
        assert await waiting_in(owner.storage) == []
        assert await owner.storage.get(X) is None

    # --- answers -------------------------------------------------------------------------------

    async def test_an_answer_is_found_by_the_id_of_its_message(self, owner: Owner) -> None:
        storage = owner.storage
        await storage.append([message(asked(1)), message(asked(2))])
        assert await storage.is_waiting(asked(1))
        assert await storage.answers([asked(1)]) == []
        answers = [Answer(asked(1)), Answer(asked(2), "TN-1204", "it's \x00 not so")]
        await owner.commit(consumed=[used(asked(1)), used(asked(2))], answers=answers)
        found = await storage.answers([asked(2), asked("nobody"), asked(1)])
        assert {one.message_id: one for one in found} == {one.message_id: one for one in answers}
        assert not await storage.is_waiting(asked(1))
        await owner.commit(answers=[Answer(asked(1), "TN-1203", "again")])
        assert await storage.answers([asked(1)]) == [Answer(asked(1), "TN-1203", "again")]

    async def test_the_newest_10_000_answers_are_kept(self, owner: Owner) -> None:
        await owner.commit(answers=[Answer(asked(number)) for number in range(10_005)])
        await owner.commit(answers=[Answer(asked("last"))])
        kept = await owner.storage.answers([asked(name) for name in (5, 6, "last")])
        assert {one.message_id for one in kept} == {asked(6), asked("last")}

    async def test_a_message_that_goes_with_its_instance_is_answered(self, owner: Owner) -> None:
        """Purged by one client while another's request waits: that one hears of it."""
        storage = owner.storage
        await owner.commit(instances=[record(1), record(2)])
        mine, others, unheard = asked("mine"), asked("others"), MessageId("client-unheard")
        waiting = [message(one, awaits_answer=True) for one in (mine, others)]
        await storage.append([*waiting, message(unheard)])
        await owner.commit(purged=[1], consumed=[used(mine)], answers=[Answer(mine)])
        assert await storage.answers([mine]) == [Answer(mine)]
        (answer,) = await storage.answers([others, unheard])
        assert answer.code == InstanceNotFoundError.code
        assert not await storage.is_waiting(others)

    async def test_a_refused_instance_answers_nothing(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, "taken")], inbox=[message(asked(1), "taken")])
        await owner.commit(
            instances=[record(2, "taken")],
            history=[turn(2, 0)],
            consumed=[used(asked(1), "taken")],
            answers=[Answer(asked(1))],
        )
        assert await owner.storage.answers([asked(1)]) == []
        assert await owner.storage.is_waiting(asked(1))

    # --- iids ----------------------------------------------------------------------------------

    async def test_no_iid_is_given_out_twice(self, owner: Owner) -> None:
        """Also those of purged instances, and those that nobody has used."""
        storage = owner.storage
        blocks = [await storage.reserve_iids(count) for count in (1, 1_000, 3)]
        assert [len(block) for block in blocks] == [1, 1_000, 3]
        last = blocks[-1][-1]
        await owner.commit(instances=[record(last)], history=[turn(last, 0)])
        await owner.commit(purged=[last])
        second = await Owner.of(storage, "second")
        blocks += await asyncio.gather(*(second.storage.reserve_iids(10) for _ in range(5)))
        given = [iid for block in blocks for iid in block]
        assert len(given) == len(set(given)) == 1_054
        assert min(given) > 0

    async def test_commits_made_at_once_keep_their_order(self, owner: Owner) -> None:
        batches = []
        for number in range(50):
            batch = owner.batch(str(number), history=[turn(1, number)])
            owner.number = batch.number
            batches.append(owner.storage.commit(batch))
        await asyncio.gather(owner.storage.get(X), *batches)
        await owner.commit(instances=[record(1)])
        assert (await owner.loaded(1)).turns == [b'[{"turn":%d}]' % number for number in range(50)]

    # --- history -------------------------------------------------------------------------------

    async def test_history_is_kept_to_the_letter(self, owner: Owner) -> None:
        events = (
            b'[{"type":"x","a":"\\u0000\\u003c\\/ \\ud83d\\ude00 \xc3\xa9","n":1E400,"f":-0.0,'
            b'"i":123456789012345678901234567890,"b":[],"s":"{\\"k\\": [1 ,2]}"}]'
        )
        await owner.commit(instances=[record(1)], history=[turn(1, 0, events=events)])
        assert (await owner.loaded(1)).turns == [events]
        assert await owner.storage.history(ONE) == [events]

    async def test_history_of_another_generation_is_not_loaded(self, owner: Owner) -> None:
        await owner.commit(
            instances=[record(1, generation=1)],
            history=[turn(1, 0, 0, b"[0]"), turn(1, 1, 0, b"[1]")],
        )
        loaded = await owner.loaded(1)
        assert (loaded.turns, loaded.previous_turn) == ([], b"[1]")
        assert await owner.storage.history(ONE) == [b"[0]", b"[1]"]
        await owner.commit(history=[turn(1, 0, 1, b"[2]")])
        loaded = await owner.loaded(1)
        assert (loaded.turns, loaded.previous_turn) == ([b"[2]"], None)
        assert await owner.storage.history(ONE) == [b"[2]"]

    async def test_where_an_instance_stands_is_told_without_its_payloads(
        self, owner: Owner
    ) -> None:
        assert await owner.storage.standings([ONE]) == []
        await owner.commit(
            instances=[record(1, generation=1, input='"long"')],
            history=[turn(1, 0, 0), turn(1, 1, 0), turn(1, 0, 1)],
        )
        await owner.commit(instances=[record(2, "x")])
        odd = InstanceId("no\x00body")
        other, standing = await owner.storage.standings([X, odd, ONE])
        assert (standing.record.generation, standing.record.input) == (1, None)
        assert (standing.turns, other.turns, other.record.instance_id) == (1, 0, X)

    async def test_a_mark_changes_with_all_that_can_be_seen(self, owner: Owner) -> None:
        async def mark() -> str:
            (one,) = await owner.storage.marks(None, 10)
            assert (one.iid, one.instance_id) == (1, ONE)
            return one.mark

        await owner.commit(instances=[record(1, status=RuntimeStatus.PENDING)])
        seen = [await mark()]
        await owner.commit(history=[turn(1, 0)])
        seen.append(await mark())
        await owner.commit(history=[turn(1, 1)])
        seen.append(await mark())
        await owner.commit(updates=[update(1, RuntimeStatus.SUSPENDED)])
        seen.append(await mark())
        await owner.commit(updates=[update(1, RuntimeStatus.COMPLETED)])
        seen.append(await mark())
        await owner.commit(replaced=[record(1, execution_id=ExecutionId("another"))])
        seen.append(await mark())
        assert len(set(seen)) == len(seen)
        assert await mark() == seen[-1]

    async def test_marks_come_in_pages(self, owner: Owner) -> None:
        await owner.commit(instances=[record(number) for number in range(1, 6)])
        assert [one.iid for one in await owner.storage.marks(None, 2)] == [1, 2]
        assert [one.iid for one in await owner.storage.marks(2, 2)] == [3, 4]
        assert [one.iid for one in await owner.storage.marks(4, 2)] == [5]
        assert await owner.storage.marks(5, 2) == []

    async def test_a_history_that_is_too_long_is_not_read(self, owner: Owner) -> None:
        events = b'["' + "é".encode() * 50 + b'"]'
        await owner.commit(instances=[record(1)], history=[turn(1, 0, events=events)])
        size = len(events)
        assert await owner.storage.history(ONE, size) == [events]
        with pytest.raises(LimitError, match=f"takes {size} bytes"):
            await owner.storage.history(ONE, size - 1)

    async def test_history_of_the_unknown_and_the_unrun_is_empty(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, generation=2)])
        assert await owner.storage.history(InstanceId("?")) == []
        assert await owner.storage.history(ONE) == []
        loaded = await owner.loaded(1)
        assert (loaded.turns, loaded.previous_turn) == ([], None)

    async def test_forget_deletes_older_generations(self, owner: Owner) -> None:
        rows = [turn(iid, 0, generation) for iid in (1, 2) for generation in range(3)]
        await owner.commit(instances=[record(1, generation=2), record(2)], history=rows)
        await owner.commit(forget=[ForgetBelow(1, 2)])
        await owner.commit(updates=[update(1)])
        await owner.commit(replaced=[record(1, generation=3)])
        loaded = await owner.loaded(1)
        assert loaded.previous_turn == b'[{"turn":0}]'
        await owner.commit(replaced=[record(1, generation=1)])
        assert (await owner.loaded(1)).previous_turn is None
        assert len((await owner.loaded(2)).turns) == 1

    async def test_exactly_once_turns_a_turn_is_never_written_twice(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1)], history=[turn(1, 0, 0, b"[1]")])
        with pytest.raises(StorageError):
            await owner.commit(history=[turn(1, 1), turn(1, 0, 0, b"[2]")])
        assert (await owner.loaded(1)).turns == [b"[1]"]

    # --- inbox ---------------------------------------------------------------------------------

    async def test_messages_wait_in_the_order_of_arrival(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(instances=[record(1), record(2)], inbox=[message("b"), message("a")])
        await storage.append([message("c", "instance-2"), message("0")])
        rows = (await first_page(storage, Places.of("instance-1"))).rows
        mine = [row for row in rows if row.instance_id == "instance-1"]
        assert [row.message_id for row in mine] == ["b", "a", "0"]
        assert [row.message_id for row in (await owner.loaded(1)).inbox] == ["b", "a", "0"]
        expected = raised("b")
        assert decode_message(bytes(mine[0].message)) == expected
        found, _ = await fetched(storage)
        assert [row.message_id for row in found] == ["b", "a", "c", "0"]

    async def test_the_unfinished_below_roots_are_counted(self, owner: Owner) -> None:
        ended = RuntimeStatus.COMPLETED
        rows = [
            record(1, "a", root_id="r", depth=1, partition=0),
            record(2, "b", root_id="r", depth=2, partition=1),
            record(3, "c", root_id="r", depth=1, partition=1),
            record(4, "d", root_id="r", depth=1, partition=1, status=ended),
            record(5, "e", root_id="other", depth=1, partition=1),
            record(6, "r", root_id="r", depth=0, partition=1),
        ]
        await owner.commit(instances=rows)
        roots = [InstanceId("r"), InstanceId("nobody")]
        assert await owner.storage.open_below([1], roots) == {"r": 2}
        assert await owner.storage.open_below([0, 1], roots) == {"r": 3}
        assert await owner.storage.open_below([], roots) == {}

    @pytest.mark.parametrize("size", [1, 2, 7, 1_000])
    async def test_an_inbox_is_read_in_pages(self, owner: Owner, size: int) -> None:
        storage = owner.storage
        rows = [message(f"m{number}", f"i-{number % 3}", partition=0) for number in range(9)]
        await owner.commit(instances=[record(1, root_id="r", depth=1, partition=0)], inbox=rows)
        seen: list[str] = []
        page = first = await storage.load_partition(0, None, size)
        while True:
            assert len(page.rows) <= size
            seen += [str(row.message_id) for row in page.rows]
            if page.after is None:
                break
            if len(seen) == size:
                await storage.append([message("late", "i-0", partition=0)])
            page = await storage.load_partition(0, page.after, size)
        assert seen[:9] == [row.message_id for row in rows]
        assert first.open_by_root == {"r": 1}
        if size < 9:  # what has come between the pages is on one of them, and after the cursor
            assert seen[9:] == ["late"]
            found, _ = await fetched(storage, {0: first.cursor})
            assert "late" in [row.message_id for row in found]

    async def test_long_messages_make_short_pages(self, owner: Owner) -> None:
        text = msgspec.json.encode("x" * 6_000_000).decode()
        rows = [message(f"m{number}", text=text, partition=0) for number in range(5)]
        await owner.commit(inbox=rows)
        page = await owner.storage.load_partition(0, None, 1_000)
        assert 1 <= len(page.rows) < 5
        assert page.after is not None
        assert [row.message_id for row in await waiting_in(owner.storage)] == [
            row.message_id for row in rows
        ]

    async def test_a_message_id_that_is_there_is_left_alone(self, owner: Owner) -> None:
        await owner.storage.append([message("m", text="1")])
        await owner.storage.append([message("m", text="2"), message("n", text="3")])
        await owner.commit(inbox=[message("m", text="4"), message("n", text="5")])
        inbox = await waiting_in(owner.storage)
        expected = [message("m", text="1"), message("n", text="3")]
        assert [bytes(row.message) for row in inbox] == [bytes(row.message) for row in expected]

    async def test_exactly_once_turns_consumed_messages_are_gone(self, owner: Owner) -> None:
        await owner.storage.append([message("m1"), message("m2")])
        await owner.commit(consumed=[used("m1"), used("never was")], history=[turn(1, 0)])
        assert [row.message_id for row in await waiting_in(owner.storage)] == ["m2"]

    async def test_a_message_is_consumed_in_its_partition(self, backend: Backend) -> None:
        """Its id is its own there (ENGINE rule 12)."""
        storage = backend.handle(partitions=2)
        owner = await Owner.of(storage)
        await storage.append([message("m", partition=0), message("m", partition=1)])
        await owner.commit(fences=owner.leases[1:], consumed=[(1, "m")])
        assert [row.partition for row in await waiting_in(storage)] == [0]
        assert await storage.is_waiting(MessageId("m"))
        await owner.commit(consumed=[(1, "m"), (0, "m")])
        assert not await storage.is_waiting(MessageId("m"))
        await storage.close()

    async def test_the_oldest_start_that_waits_for_an_id_is_found(self, owner: Owner) -> None:
        storage, event = owner.storage, ExecutionStarted("judge", ExecutionId("e"))
        one = InstanceId("instance-1")
        starts = [
            InboxRow(
                MessageId(key), Places.of(one), one, Raw(encode(Start(message_id=key, event=event)))
            )
            for key in map(MessageId, ("z", "a"))
        ]
        await storage.append([message("m1"), message("m2", "instance-2")])
        assert await storage.waiting_start(one) is None
        await storage.append(starts)
        assert await storage.waiting_start(one) == starts[0]
        assert await storage.waiting_start(InstanceId("instance-2")) is None
        assert await storage.waiting_start(InstanceId("a\x00")) is None
        await owner.commit(consumed=[used("z")])
        assert await storage.waiting_start(one) == starts[1]
        storage.wake()  # who looks finds what is there

    async def test_appending_nothing_is_harmless(self, owner: Owner) -> None:
        await owner.storage.append([])

    async def test_messages_belong_to_their_partition(self, backend: Backend) -> None:
        storage = backend.handle(partitions=2)
        await storage.open()
        await storage.append([message("m0", partition=0), message("m1", partition=1)])
        await storage.start_instance(record(0, "x", partition=1))
        for partition in (0, 1):
            page = await first_page(storage, partition)
            assert [row.message_id for row in page.rows] == [f"m{partition}"]
            rows, _ = await fetched(storage, {partition: 0})
            assert [row.message_id for row in rows] == [f"m{partition}", None][: partition + 1]
            assert len(await storage.due([partition], None, 1)) == partition
        rows, cursors = await fetched(storage, {0: 0, 1: 0})
        assert [row.message_id for row in rows] == ["m0", "m1", None]
        await storage.append([message("m2", partition=1)])
        rows, _ = await fetched(storage, {0: 0, 1: cursors[1]})
        assert {"m0", "m2"} <= {row.message_id for row in rows}
        assert await storage.due([], None, 1) == []
        await storage.close()

    # --- clients -------------------------------------------------------------------------------

    async def test_start_instance_inserts_under_a_negative_iid(self, owner: Owner) -> None:
        storage = owner.storage
        wanted = record(55, "x", input="1", scheduled_at=77, wake_at=77)
        stands = await storage.start_instance(wanted)
        assert stands.iid < 0
        assert stands == msgspec.structs.replace(wanted, iid=stands.iid)
        assert await storage.get(X) == stands
        other = await storage.start_instance(record(55, "y"))
        assert other.iid < stands.iid

    @pytest.mark.parametrize("status", [RuntimeStatus.RUNNING, *FINISHED])
    async def test_start_instance_returns_the_row_that_stands(
        self, owner: Owner, status: RuntimeStatus
    ) -> None:
        first = record(1, "x", status=status, input='"first"')
        await owner.commit(instances=[first])
        assert await owner.storage.start_instance(record(9, "x", input='"second"')) == first
        assert await owner.storage.get(X) == first

    async def test_an_iid_from_outside_is_never_used_twice(self, owner: Owner) -> None:
        first = await owner.storage.start_instance(record(0, "x"))
        await owner.commit(purged=[first.iid])
        second = await owner.storage.start_instance(record(0, "x"))
        assert second.iid != first.iid
        assert second.iid < 0

    async def test_fetch_inbox_brings_what_has_arrived_after_the_cursor(self, owner: Owner) -> None:
        """In the order of arrival, whoever has sent it; what was there before may come again."""
        storage = owner.storage
        await storage.append([message("m1")])
        await storage.start_instance(record(0, "early"))
        cursors = await cursors_of(storage)

        await storage.append([message("m2")])
        wanted = record(
            0,
            "late",
            input='"in"',
            version="v",
            tags={"a": "b"},
            scheduled_at=8,
            parent=PARENT,
        )
        await storage.start_instance(wanted)
        await storage.append([message("m3"), message("m1")])
        await owner.commit(inbox=[message("own", "instance-2")])
        rows, after = await fetched(storage, cursors)
        assert [row.message_id for row in rows][-4:] == ["m2", None, "m3", "own"]
        assert {row.message_id or row.instance_id for row in rows[:-4]} <= {"m1", "early"}
        assert rows[-3].instance_id == "late"
        assert decode_message(bytes(rows[-3].message)) == Start(
            event=ExecutionStarted(
                "hello",
                ExecutionId("execution-0"),
                '"in"',
                "v",
                PARENT,
                {"a": "b"},
                8,
            )
        )
        again, _ = await fetched(storage, after)
        assert {row.message_id for row in again} <= {row.message_id for row in rows}

    async def test_what_has_arrived_is_read_in_pages_of_a_bounded_length(
        self, owner: Owner
    ) -> None:
        storage = owner.storage
        cursors = dict.fromkeys(range(Places.partitions), 0)
        text = "x" * 1024 * 1024
        names = [f"m{number}" for number in range(40)]
        for name in names:
            await storage.append([message(name, text=f'"{text}"')])
        for number in range(20):
            await storage.start_instance(record(0, f"started-{number}", input=f'"{text}"'))
        page = await storage.fetch_inbox(cursors)
        new, rows, pages = page.cursors, [*page.rows], 1
        while page.after is not None:
            assert sum(len(bytes(row.message)) for row in page.rows) < 40 * 1024 * 1024
            page = await storage.fetch_inbox(cursors, page.after)
            rows += page.rows
            pages += 1
        assert pages >= 3
        assert [row.message_id for row in rows] == [*names, *[None] * 20]
        assert [row.instance_id for row in rows[40:]] == [f"started-{n}" for n in range(20)]
        await storage.append([message("last")])
        assert [row.message_id for row in (await fetched(storage, new))[0]][-1:] == ["last"]

    async def test_a_cursor_passes_what_has_arrived_before_it(self, owner: Owner) -> None:
        storage = owner.storage
        await storage.append([message("old")])
        _, cursors = await fetched(storage)
        rows: list[InboxRow] = []
        for number in range(10):
            await storage.append([message(f"m{number}")])
            rows, cursors = await fetched(storage, cursors)
            assert rows[-1].message_id == f"m{number}"
        assert "old" not in {row.message_id for row in rows}

    async def test_fetch_inbox_never_goes_back(self, owner: Owner) -> None:
        """After everything is consumed or purged, what comes next is still after the cursor."""
        storage = owner.storage
        await storage.append([message("m1")])
        started = await storage.start_instance(record(0, "x"))
        _, cursors = await fetched(storage)
        await owner.commit(consumed=[used("m1")], purged=[started.iid])
        await storage.append([message("m2")])
        await storage.start_instance(record(0, "y"))
        rows, _ = await fetched(storage, cursors)
        assert [row.message_id for row in rows] == ["m2", None]

    async def test_an_instance_that_has_been_run_is_no_news(self, owner: Owner) -> None:
        started = await owner.storage.start_instance(record(0, "x"))
        await owner.commit(updates=[update(started.iid)], history=[turn(started.iid, 0)])
        assert (await fetched(owner.storage))[0] == []
        assert len((await owner.loaded(started.iid)).turns) == 1

    async def test_a_new_owner_finds_instances_that_nobody_has_run(self, owner: Owner) -> None:
        hot = await owner.storage.start_instance(record(0, "hot"))
        later = await owner.storage.start_instance(record(0, "later", wake_at=500))
        second = await Owner.of(owner.storage, "second")
        assert await due(second.storage, -1, 499) == [Wake(0, hot.iid, hot.partition)]
        assert await due(second.storage, 499, 500) == [Wake(500, later.iid, later.partition)]

    # --- recovery ------------------------------------------------------------------------------

    async def test_due_is_after_one_time_until_another(self, owner: Owner) -> None:
        rows = [record(iid, wake_at=wake) for iid, wake in enumerate([0, 10, 20, 20, 30, None], 1)]
        await owner.commit(instances=rows)
        storage = owner.storage
        wakes = [
            Wake(row.wake_at, row.iid, row.partition) for row in rows if row.wake_at is not None
        ]
        assert await due(storage, -1, 20) == wakes[:4]
        assert await due(storage, 0, 10) == wakes[1:2]
        assert await due(storage, 10, 30) == wakes[2:]
        assert await due(storage, 30, 2**62) == []
        everywhere = range(Places.partitions)
        firsts = [await storage.next_wake(everywhere, after) for after in (-1, 0, 19, 30)]
        assert firsts == [0, 10, 20, None]
        assert await storage.next_wake([], -1) is None

    @pytest.mark.parametrize("status", list(RuntimeStatus))
    async def test_who_has_a_time_is_due_also_when_it_has_ended(
        self, owner: Owner, status: RuntimeStatus
    ) -> None:
        await owner.commit(instances=[record(1, wake_at=5), record(2)])
        await owner.commit(updates=[update(1, status, wake_at=5), update(2, status)])
        assert [wake.iid for wake in await due(owner.storage, -1, 10)] == [1]

    async def test_load_partition_counts_unfinished_descendants(self, owner: Owner) -> None:
        def child(iid: int, root: str, depth: int, **changes: Any) -> InstanceRecord:
            return record(iid, partition=0, root_id=root, depth=depth, **changes)

        await owner.commit(
            instances=[
                record(1, "r1"),
                record(2, "r2"),
                child(3, "r1", 1),
                child(4, "r1", 2, status=RuntimeStatus.SUSPENDED, wake_at=None),
                child(5, 'r"3', 1),
                child(6, "r2", 1, status=RuntimeStatus.COMPLETED),
            ]
        )
        assert (await first_page(owner.storage, 0)).open_by_root == {"r1": 2, 'r"3': 1}
        await owner.commit(updates=[update(3, RuntimeStatus.TERMINATED)])
        assert (await first_page(owner.storage, 0)).open_by_root == {"r1": 1, 'r"3': 1}

    async def test_many_instances_load_at_once_in_order(self, owner: Owner) -> None:
        count = 1_300
        iids = list(range(1, count + 1))
        await owner.commit(
            instances=[record(iid) for iid in iids],
            history=[turn(iid, number) for number in range(2) for iid in iids],
            inbox=[message(f"m{iid}", f"instance-{iid}") for iid in iids],
        )
        wanted = [*reversed(iids), count + 1]
        loaded = await owner.storage.load_instances(wanted)
        assert [one.record.iid for one in loaded] == wanted[:-1]
        assert {(len(one.turns), len(one.inbox)) for one in loaded} == {(2, 1)}
        assert all(one.inbox[0].instance_id == one.record.instance_id for one in loaded)
        assert len(await owner.find(*(f"instance-{iid}" for iid in wanted))) == count
        assert await owner.storage.load_instances([]) == []
        assert len(await owner.storage.load_instances(range(1, 4))) == 3

    # --- dead letters --------------------------------------------------------------------------

    async def test_no_silent_drop_dead_letters_newest_first(self, owner: Owner) -> None:
        letters = [letter(number) for number in range(5)]
        await owner.commit(dead_letters=letters[:3])
        await owner.commit(dead_letters=letters[3:])
        found = await owner.storage.dead_letters()
        assert [row.message_id for row in found] == ["m4", "m3", "m2", "m1", "m0"]
        assert (found[0].reason, found[0].created_at) == ("finished", 5)
        assert [row.message_id for row in await owner.storage.dead_letters(2)] == ["m4", "m3"]
        assert await owner.storage.dead_letters(0) == []

    async def test_dead_letters_that_were_seen_stay_and_say_so(self, owner: Owner) -> None:
        await owner.commit(dead_letters=[letter(number) for number in range(3)])
        ids = [MessageId("m0"), MessageId("m2"), MessageId("unknown")]
        assert await owner.storage.acknowledge_letters(ids, 70) == 2
        assert await owner.storage.acknowledge_letters(ids, 80) == 0
        assert await owner.storage.acknowledge_letters([], 80) == 0
        found = {str(one.message_id): one for one in await owner.storage.dead_letters()}
        assert {key: one.acknowledged_at for key, one in found.items()} == {
            "m2": 70,
            "m1": None,
            "m0": 70,
        }

    async def test_dead_letters_come_in_pages_that_end_early(self, owner: Owner) -> None:
        body = b'{"type":"RaiseEvent","event":{"name":"%s"}}' % (b"x" * 1_000)
        await owner.commit(dead_letters=[letter(number, body=body) for number in range(7)])
        for limit, most_bytes, lengths in [
            (100, 2_500, [2, 2, 2, 1]),
            (100, 1, [1] * 7),
            (3, 10**6, [3, 3, 1]),
            (7, 10**6, [7]),
        ]:
            after, found = None, []
            for length in lengths:
                page = await owner.storage.dead_letter_page(limit, after, most_bytes)
                assert len(page.letters) == length
                found += [str(one.message_id) for one in page.letters]
                after = page.after
            assert after is None
            assert found == [f"m{number}" for number in reversed(range(7))]

    async def test_a_page_of_instances_ends_early_and_the_next_one_goes_on(
        self, owner: Owner
    ) -> None:
        texts = {"input": "i" * 1_000, "output": "o" * 1_000, "custom_status": "c" * 1_000}
        await owner.commit(instances=[record(iid, **texts) for iid in range(1, 8)])
        for payloads, most_bytes, most_rows in [(True, 8_000, 2), (True, 1, 1), (False, 8_000, 6)]:
            after, found = None, []
            while True:
                query = InstanceQuery(
                    order="oldest", most_bytes=most_bytes, payloads=payloads, after=after
                )
                page = await owner.storage.query(query)
                assert 1 <= len(page.records) <= most_rows
                found += [one.iid for one in page.records]
                after = page.after
                if after is None:
                    break
            assert found == list(range(1, 8))

    async def test_a_history_comes_in_pages_of_whole_turns(self, owner: Owner) -> None:
        turns = [turn(1, number, events=b'["%s"]' % (b"x" * 1_000)) for number in range(5)]
        await owner.commit(instances=[record(1), record(2)], history=turns)
        for most_bytes, lengths in [(2_500, [2, 2, 1]), (1, [1] * 5), (10**6, [5])]:
            after, found = None, []
            for length in lengths:
                page = await owner.storage.history_page(ONE, after, most_bytes)
                assert len(page.turns) == length
                found += page.turns
                after = page.after
            assert after is None
            assert found == await owner.storage.history(ONE)
        nothing = await owner.storage.history_page(TWO, None, 10)
        assert (nothing.turns, nothing.after) == ([], None)
        nobody = await owner.storage.history_page(InstanceId("nobody"), None, 10)
        assert (nobody.turns, nobody.after) == ([], None)

    async def test_a_history_that_begins_anew_between_two_pages_is_not_mixed(
        self, owner: Owner
    ) -> None:
        await owner.commit(instances=[record(1)], history=[turn(1, 0), turn(1, 1)])
        after = (await owner.storage.history_page(ONE, None, 1)).after
        assert after is not None
        await owner.commit(replaced=[record(1, generation=1)], history=[turn(1, 0, 1)])
        with pytest.raises(InputError, match="from the beginning"):
            await owner.storage.history_page(ONE, after, 1)

    async def test_dead_letters_are_capped(self, owner: Owner) -> None:
        await owner.commit(dead_letters=[letter(number) for number in range(9_999)])
        await owner.commit(dead_letters=[letter(number) for number in range(9_999, 10_003)])
        found = await owner.storage.dead_letters(20_000)
        assert len(found) == 10_000
        assert found[-1].message_id == "m3"

    async def test_dead_letters_expire(self, owner: Owner) -> None:
        old = [letter(0, 0), letter(1, 1), letter(2, DAY)]
        await owner.commit(dead_letters=old)
        await owner.commit(dead_letters=[letter(3, 30 * DAY + 1)])
        found = await owner.storage.dead_letters()
        assert [row.message_id for row in found] == ["m3", "m2", "m1"]

    # --- listing -------------------------------------------------------------------------------

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    @pytest.mark.parametrize("prefix", [None, "in"])
    async def test_pages_are_complete_and_disjoint(
        self, owner: Owner, order: Literal["newest", "oldest"], prefix: str | None
    ) -> None:
        """Many share a creation time, and others come and go between the pages."""
        rows = [record(iid, created_at=100 + iid // 7) for iid in range(1, 60)]
        await owner.commit(instances=rows)
        seen: list[int] = []
        query = InstanceQuery(limit=8, order=order, id_prefix=prefix)
        extra = 1_000
        while True:
            page = await owner.storage.query(query)
            assert len(page.records) <= 8
            seen += [row.iid for row in page.records]
            if page.after is None:
                break
            # One that belongs on a page already read, before all others in this order.
            created = 5_000 if order == "newest" else 0
            extra += 1
            await owner.commit(instances=[record(extra, created_at=created)], purged=[extra - 1])
            query = msgspec.structs.replace(query, after=page.after)
        expected = sorted(rows, key=lambda row: (row.created_at, row.iid))
        iids = [row.iid for row in expected]
        assert seen == (iids if order == "oldest" else iids[::-1])

    async def test_a_full_last_page_is_the_end(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1), record(2)])
        page = await owner.storage.query(InstanceQuery(limit=2))
        assert [row.iid for row in page.records] == [2, 1]
        assert page.after is None

    async def test_filters(self, owner: Owner) -> None:
        await owner.commit(
            instances=[
                record(1, name="a", created_at=10),
                record(2, name="b", created_at=20, status=RuntimeStatus.FAILED),
                record(3, name="a", created_at=30, status=RuntimeStatus.COMPLETED),
            ]
        )

        async def found(**filters: Any) -> list[int]:
            page = await owner.storage.query(InstanceQuery(**filters))
            return [row.iid for row in page.records]

        failed, pending = RuntimeStatus.FAILED, RuntimeStatus.PENDING
        assert await found() == [3, 2, 1]
        assert await found(order="oldest") == [1, 2, 3]
        assert await found(name="a") == [3, 1]
        assert await found(statuses=(failed, pending)) == [2, 1]
        assert await found(statuses=()) == []
        assert await found(created_from=20) == [3, 2]
        assert await found(created_to=20) == [1]
        assert await found(created_from=10, created_to=30) == [2, 1]
        assert await found(created_from=-(2**70), created_to=2**70) == [3, 2, 1]
        assert await found(name="a", statuses=(pending,), id_prefix="instance-") == [1]
        assert await found(id_prefix="instance-2") == [2]
        assert await found(id_prefix="", name="?") == []

    async def test_filters_by_time_of_completion(self, owner: Owner) -> None:
        def ended(iid: int, at: int | None, **facts: Any) -> InstanceRecord:
            status = RuntimeStatus.RUNNING if at is None else RuntimeStatus.COMPLETED
            return record(iid, created_at=100 - iid, completed_at=at, status=status, **facts)

        link = ParentInstance(InstanceId("instance-9"), ExecutionId("e"), "caller", 1)
        rows = [ended(1, 10), ended(2, None), ended(3, 30, parent=link), ended(4, 20, name="a")]
        await owner.commit(instances=rows)

        async def found(**filters: Any) -> list[int]:
            page = await owner.storage.query(InstanceQuery(**filters))
            return [row.iid for row in page.records]

        assert await found(completed_from=20) == [3, 4]
        assert await found(completed_to=20) == [1]
        assert await found(completed_from=10, completed_to=30, order="oldest") == [4, 1]
        assert await found(completed_from=-(2**70), completed_to=2**70) == [1, 3, 4]
        assert await found(completed_from=20, id_prefix="instance-3") == [3]
        assert await found(completed_from=20, parent="instance-9") == [3]
        assert await found(completed_from=0, held=True) == []
        assert await found(order="last_completed") == [3, 4, 1]
        assert await found(order="first_completed") == [1, 4, 3]
        assert await found(order="first_completed", completed_from=20) == [4, 3]
        assert await found(order="last_completed", completed_to=30) == [4, 1]
        assert await found(order="last_completed", created_to=99) == [3, 4]
        assert await found(order="first_completed", name="a") == [4]
        assert await found(order="first_completed", id_prefix="instance-3") == [3]
        assert await found(order="last_completed", parent="instance-9") == [3]
        assert await found(order="last_completed", statuses=(RuntimeStatus.FAILED,)) == []

    @pytest.mark.parametrize("order", ["last_completed", "first_completed"])
    async def test_pages_by_completion_are_complete_and_disjoint(
        self, owner: Owner, order: ListingOrder
    ) -> None:
        """Many end at the same time, and others end between the pages."""
        status = RuntimeStatus.COMPLETED
        rows = [record(iid, completed_at=100 + iid // 7, status=status) for iid in range(1, 40)]
        await owner.commit(instances=[*rows, record(500)])
        query = InstanceQuery(limit=8, order=order)
        seen: list[int] = []
        extra = 1_000
        while True:
            page = await owner.storage.query(query)
            seen += [row.iid for row in page.records]
            if page.after is None:
                break
            extra += 1
            at = 5_000 if order == "last_completed" else 0
            await owner.commit(instances=[record(extra, completed_at=at, status=status)])
            query = msgspec.structs.replace(query, after=page.after)
        iids = [row.iid for row in rows]
        assert seen == (iids if order == "first_completed" else iids[::-1])

    @pytest.mark.parametrize("instance_id", AWKWARD_IDS)
    async def test_awkward_ids_and_prefixes(self, owner: Owner, instance_id: str) -> None:
        ids = [*AWKWARD_IDS, *(f"{name}+" for name in AWKWARD_IDS if len(name) < 256)]
        rows = [record(iid, name) for iid, name in enumerate(ids, 1)]
        await owner.commit(instances=rows, inbox=[message(f"m-{name}", name) for name in ids])
        expected = {name for name in ids if name.startswith(instance_id)}
        for order in ("newest", "oldest"):
            page = await owner.storage.query(InstanceQuery(id_prefix=instance_id, order=order))
            assert {row.instance_id for row in page.records} == expected
        iid = ids.index(instance_id) + 1
        assert await owner.storage.get(InstanceId(instance_id)) == record(iid, instance_id)
        assert [row.message_id for row in (await owner.loaded(iid)).inbox] == [f"m-{instance_id}"]

    async def test_children_are_found_by_their_parent(self, owner: Owner) -> None:
        def called_by(parent: str, iid: int, status: RuntimeStatus) -> InstanceRecord:
            link = ParentInstance(InstanceId(parent), ExecutionId("e"), "caller", iid)
            return record(iid, parent=link, depth=1, created_at=iid, status=status)

        running, completed = RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED
        rows = [
            record(1, created_at=1),
            called_by("instance-1", 2, completed),
            called_by("instance-1", 3, running),
            called_by("instance-2", 4, running),
            called_by("instance-1", 5, running),
        ]
        await owner.commit(instances=rows)

        async def found(**wanted: Any) -> list[int]:
            page = await owner.storage.query(InstanceQuery(**wanted))
            return [row.iid for row in page.records]

        assert await found(parent="instance-1") == [5, 3, 2]
        assert await found(parent="instance-1", order="oldest", created_from=3) == [3, 5]
        assert await found(parent="instance-1", statuses=(running,), limit=1) == [5]
        page = await owner.storage.query(InstanceQuery(parent=ONE, limit=2))
        assert await found(parent="instance-1", after=page.after) == [2]
        assert await found(parent="instance-3") == []

    async def test_listing_without_payloads(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1, input="1", output="2", custom_status="3")])
        page = await owner.storage.query(InstanceQuery(payloads=False))
        assert page.records == [record(1, custom_status="3")]
        page = await owner.storage.query(InstanceQuery())
        assert page.records == [record(1, input="1", output="2", custom_status="3")]

    @pytest.mark.parametrize(
        "query",
        [
            InstanceQuery(limit=0),
            InstanceQuery(limit=-1),
            InstanceQuery(after=""),
            InstanceQuery(after="newest.1"),
            InstanceQuery(after="newest.1.x"),
            InstanceQuery(after="newest.1.2.3"),
            InstanceQuery(after="newest.1.2\n"),
            InstanceQuery(after="oldest.1.2"),
            InstanceQuery(after="newest.1.2", order="last_completed"),
            InstanceQuery(after="newest.1.99999999999999999999"),
            InstanceQuery(name="\ud800"),
            InstanceQuery(id_prefix="\udfff"),
        ],
    )
    async def test_bad_input_is_refused_whole(self, owner: Owner, query: InstanceQuery) -> None:
        with pytest.raises(InputError):
            await owner.storage.query(query)

    # --- two handles ---------------------------------------------------------------------------

    async def test_what_was_committed_is_there_after_a_restart(
        self, owner: Owner, backend: Backend
    ) -> None:
        if not backend.shared:
            pytest.skip("this store is gone when it is closed")
        await owner.commit(
            "last",
            instances=[record(1)],
            history=[turn(1, 0)],
            inbox=[message("m")],
            dead_letters=[letter(1)],
        )
        before = await everything(owner.storage)
        await owner.storage.close()
        again = backend.handle()
        await again.open()
        assert await everything(again) == before
        second = await Owner.of(again, "second")
        assert second.leases == [Lease(number, "second", 2) for number in range(Places.partitions)]
        await again.close()

    async def test_a_store_opens_again_after_close(self, owner: Owner, backend: Backend) -> None:
        if not backend.shared:
            pytest.skip("this store is gone when it is closed")
        await owner.commit(instances=[record(1)])
        await owner.storage.close()
        await owner.storage.open()
        assert await owner.storage.get(ONE) == record(1)

    async def test_the_number_of_partitions_is_that_of_the_creation(
        self, storage: Storage, backend: Backend
    ) -> None:
        if not backend.shared:
            pytest.skip("this store is gone when it is closed")
        assert (await storage.open()).partitions == Places.partitions
        other = backend.handle(partitions=Places.partitions + 3)
        assert (await other.open()).partitions == Places.partitions
        await other.close()

    async def test_the_owner_notices_what_another_handle_writes(
        self, owner: Owner, backend: Backend
    ) -> None:
        if not backend.shared:
            pytest.skip("this store has one handle")
        changed = asyncio.Event()
        owner.storage.on_change(changed.set)
        client = backend.handle()
        await client.open()
        cursors = await cursors_of(owner.storage)
        for number in range(5):
            changed.clear()
            await client.append([message(f"m{number}")])
            await asyncio.wait_for(changed.wait(), 10)
            rows, cursors = await fetched(owner.storage, cursors)
            assert rows[-1].message_id == f"m{number}"
        changed.clear()
        await client.start_instance(record(0, "new"))
        await asyncio.wait_for(changed.wait(), 10)
        rows, _ = await fetched(owner.storage, cursors)
        assert rows[-1].instance_id == "new"
        await client.close()

    async def test_clients_and_owner_write_at_the_same_time(
        self, owner: Owner, backend: Backend
    ) -> None:
        if not backend.shared:
            pytest.skip("this store has one handle")
        client = backend.handle()
        await client.open()

        async def from_outside() -> None:
            for number in range(30):
                await client.append([message(f"out{number}")])
                await client.start_instance(record(0, f"x{number}"))

        async def from_owner() -> None:
            for number in range(60):
                await owner.commit(inbox=[message(f"in{number}")], history=[turn(1, number)])

        async def follow() -> set[str]:
            seen: set[str] = set()
            rows, cursors = await fetched(owner.storage)
            while len(seen | {row.message_id or row.instance_id for row in rows}) < 120:
                seen |= {row.message_id or row.instance_id for row in rows}
                rows, cursors = await fetched(owner.storage, cursors)
            return seen | {row.message_id or row.instance_id for row in rows}

        _, _, seen = await asyncio.gather(from_outside(), from_owner(), follow())
        assert sorted(seen) == sorted(
            f"{kind}{number}"
            for kind, count in (("out", 30), ("x", 30), ("in", 60))
            for number in range(count)
        )
        await client.close()
