"""A store in memory that many hosts of one process share: the whole Storage port in plain Python.

One ``SharedHub`` is the hub, each host opens a handle of its own. What happens to it happens
between two steps of the loop, all or nothing, so it obeys the clock of the test. Takes more liberty
than SQLite where the port gives it: partitions can be taken one by one from a host that lives, and
the inbox brings rows again before its cursor passes them.

Long because the port is one contract, and this is all of it: ``tests/conformance`` holds it to
that.
"""

import asyncio
import itertools
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Raw, structs

from tenuto.engine.news import Written, whatever
from tenuto.engine.ports import (
    HostIdentity,
    HubInfo,
    InboxPage,
    InstanceMark,
    LoadedInstance,
    PartitionPage,
    Standing,
    Wake,
)
from tenuto.engine.rows import (
    ALL_UNREAD,
    Answer,
    CommitBatch,
    CommitResult,
    HistoryRow,
    InboxRow,
    Lease,
    LinkRow,
)
from tenuto.engine.state import start_event, state_of
from tenuto.model.codec import decode_message, encode
from tenuto.model.errors import (
    FencedError,
    InputError,
    InstanceNotFoundError,
    LimitError,
    RowsRefusedError,
    StorageError,
    StorageOwnedError,
    StorageUnavailableError,
)
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId, MessageId
from tenuto.model.links import FoundLink, decode_link
from tenuto.model.messages import Start
from tenuto.model.requests import (
    DeadLetter,
    DeadLetterPage,
    HistoryPage,
    InstancePage,
    InstanceQuery,
)
from tenuto.model.status import OPEN, InstanceRecord, RuntimeStatus
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.model.usage import DIMENSIONS, Amounts, Day, Dimension, FunctionKind, UsageRow, bounded
from tests.support.shared_queues import SharedQueueStorage
from tests.support.shared_topics import SharedTopics, SharedTopicStorage, unstorable

T = TypeVar("T")

_DAY: Final = 86_400_000_000
_KEPT: Final = 10_000
_CLOSED_LINKS: Final = 100
_PAGE_BYTES: Final = 16 * 1024 * 1024
_PAGE_ROWS: Final = 20
_TOKEN: Final = re.compile(r"(\w+)\.(-?[0-9]{1,19})\.(-?[0-9]{1,19})", re.ASCII)


class Place:
    """A partition: who owns it, through which handle."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.holder: SharedStorage | None = None
        self.epoch = 0
        self.served = False
        self.deaths = 0

    def take(self, owner: str, holder: "SharedStorage") -> None:
        if self.owner is None:
            self.deaths = 0
        elif self.owner != owner:
            self.deaths = 1 if self.served else self.deaths + 1
        self.owner, self.holder, self.served = owner, holder, False
        self.epoch += 1

    def give_back(self) -> None:
        self.owner = self.holder = None


class SharedHub:
    """What is durable.

    Args:
        partitions: How many there are.
        repeats: So many arrivals the cursors stay behind: those come again.
        rounds: How many rounds of the loop go by before what is asked for happens.
    """

    def __init__(
        self, partitions: int = 8, *, repeats: int = 3, rounds: Callable[[], int] = lambda: 1
    ) -> None:
        self.partitions = partitions
        self.repeats = repeats
        self.rounds = rounds
        self.secret = secrets.token_hex(32)
        self.places = [Place() for _ in range(partitions)]
        self.landed: dict[tuple[str, int], tuple[str, CommitResult]] = {}
        self.numbers: dict[str, int] = {}
        self.last_iid = 0
        self.last_arrival = 0
        self.instances: dict[int, InstanceRecord] = {}
        self.iids: dict[InstanceId, int] = {}
        self.turns: dict[int, dict[tuple[int, int], bytes]] = {}
        self.unread: dict[int, dict[int, bytes]] = {}
        self.links: dict[str, LinkRow] = {}
        self.inbox: dict[int, InboxRow] = {}
        self.arrivals: dict[tuple[int, MessageId], int] = {}
        self.letters: list[DeadLetter] = []
        self.answers: dict[MessageId, Answer] = {}
        self.notes: dict[str, str] = {}
        self.topics = SharedTopics()
        self.usage: dict[tuple[int, str, FunctionKind, str, str], Amounts] = {}
        self.handles: list[SharedStorage] = []

    def handle(self) -> "SharedStorage":
        """Another host's, or client's, way in."""
        return SharedStorage(self)

    def changed_by(self, writer: "SharedStorage") -> None:
        for handle in self.handles:
            if handle is not writer:
                handle.tell_soon()

    # --- the fence --------------------------------------------------------------------------------

    def holds(self, lease: Lease) -> bool:
        if not 0 <= lease.partition < self.partitions:
            return False
        place = self.places[lease.partition]
        return (place.owner, place.epoch) == (lease.owner, lease.epoch)

    def lost(self, batch: CommitBatch) -> list[int]:
        return [fence.partition for fence in batch.fences if not self.holds(fence)]

    def commit(self, batch: CommitBatch) -> CommitResult:
        lost = self.lost(batch)
        if lost or self.numbers.get(batch.owner) != batch.number - 1:
            raise FencedError("another host has taken over, or it was written before", lost)
        refused, standing = self._collisions(batch)
        if refused or standing:
            batch = self._without(batch, refused, standing)
        self._check(batch)
        self._write(batch)
        result = CommitResult(refused)
        self.landed[batch.owner, batch.number] = batch.batch_id, result
        self.numbers[batch.owner] = batch.number
        for partition in batch.released:
            self.places[partition].give_back()
        return result

    def what_landed(self, batch: CommitBatch) -> CommitResult | None:
        batch_id, result = self.landed.get((batch.owner, batch.number), (None, None))
        if batch_id == batch.batch_id:
            return result
        if lost := self.lost(batch):
            raise FencedError(f"partitions {lost} belong to another host now", lost)
        if self.numbers.get(batch.owner) != batch.number - 1:
            fenced = [fence.partition for fence in batch.fences]
            raise FencedError("it is not the next of its owner and never will be", fenced)
        return None

    # --- what is left out, and what is refused ----------------------------------------------------

    def _collisions(self, batch: CommitBatch) -> tuple[frozenset[int], frozenset[int]]:
        purged = set(batch.purged)
        owners: dict[str, int] = {}
        refused, standing = set(), set()
        for record in batch.instances:
            stored = self.iids.get(record.instance_id)
            if stored is not None and stored not in purged:
                owners.setdefault(record.instance_id, stored)
            if owners.setdefault(record.instance_id, record.iid) != record.iid:
                refused.add(record.iid)
            elif stored == record.iid and stored not in purged:
                standing.add(record.iid)
        return frozenset(refused), frozenset(standing)

    def _without(
        self, batch: CommitBatch, refused: frozenset[int], standing: frozenset[int]
    ) -> CommitBatch:
        names = {one.instance_id for one in batch.instances if one.iid in refused}
        kept = {key for key, number in self.arrivals.items() if self._is_for(number, names)}
        left: dict[str, Any] = {
            name: [row for row in getattr(batch, name) if row.iid not in refused]
            for name in (
                "instances",
                "replaced",
                "updates",
                "history",
                "forget",
                "unread",
                "links",
                "published",
                "queued",
                "topic_waits",
            )
        }
        left["instances"] = [row for row in left["instances"] if row.iid not in standing]
        left["purged"] = [iid for iid in batch.purged if iid not in refused]
        left["consumed"] = [key for key in batch.consumed if key not in kept]
        unanswered = {message_id for _, message_id in kept}
        left["usage"] = batch.usage_without(refused) if refused else batch.usage
        left["answers"] = [one for one in batch.answers if one.message_id not in unanswered]
        return structs.replace(batch, **left)

    def _is_for(self, number: int, instance_ids: set[InstanceId]) -> bool:
        return self.inbox[number].instance_id in instance_ids

    def _check(self, batch: CommitBatch) -> None:
        instances = unstorable_rows(
            batch,
            ("replaced", "updates", "history", "forget", "unread", "links", "topic_waits"),
        )
        instances |= unstorable_rows(batch, ("instances",))
        purged = set(batch.purged)
        for record in batch.instances:
            if record.iid in self.instances and record.iid not in purged:
                instances.setdefault(record.iid, "another instance has this iid")
        for iid in self._written_twice(batch.history, purged):
            instances.setdefault(iid, "this turn is there already")
        messages = unstorable_rows(batch, ("inbox", "answers", "consumed"))
        posts: list[PublishedEvent | QueuedMessage] = [*batch.published, *batch.queued]
        for post in posts:
            if reason := unstorable(post):
                (instances if post.iid else messages).setdefault(post.iid or post.post_key, reason)
        reasons = enumerate(map(unstorable, batch.dead_letters))
        letters = {place: reason for place, reason in reasons if reason}
        if instances or messages or letters:
            raise RowsRefusedError(
                "the store cannot hold some rows; nothing was written",
                instances=instances,
                messages=messages,
                letters=letters,
            )

    def _written_twice(self, rows: Sequence[HistoryRow], purged: set[int]) -> Iterator[int]:
        seen: set[tuple[int, int, int]] = set()
        for row in rows:
            key = (row.iid, row.generation, row.turn)
            stored = () if row.iid in purged else self.turns.get(row.iid, ())
            if key in seen or key[1:] in stored:
                yield row.iid
            seen.add(key)

    # --- writing ----------------------------------------------------------------------------------

    def _write(self, batch: CommitBatch) -> None:
        self._purge(batch.purged)
        for record in batch.replaced:
            stored = self.iids.get(record.instance_id)
            if stored is not None and stored != record.iid:
                self._drop(stored)
        for record in (*batch.instances, *batch.replaced):
            self._put(record)
        for change in batch.updates:
            if change.iid in self.instances:
                fields = structs.asdict(change)
                self._put(structs.replace(self.instances[fields.pop("iid")], **fields))
        for row in batch.history:
            turns = self.turns.setdefault(row.iid, {})
            turns[row.generation, row.turn] = bytes(row.events)
        for old in batch.forget:
            turns = self.turns.get(old.iid, {})
            for key in [key for key in turns if key[0] < old.generation]:
                del turns[key]
        self._change_unread(batch)
        self._change_links(batch)
        self.topics.write(batch)
        self._add_usage(batch)
        self.add(batch.inbox)
        for used in batch.consumed:
            self._take_out(used)
        self._purge(batch.purged)
        self._bury(batch.dead_letters)
        for answer in batch.answers:
            self.answers.pop(answer.message_id, None)
            self.answers[answer.message_id] = answer
        for message_id in list(self.answers)[:-_KEPT]:
            del self.answers[message_id]

    def _add_usage(self, batch: CommitBatch) -> None:
        for row in batch.usage:
            key = (row.day, row.app, row.kind, row.function, row.tag)
            self.usage[key] = self.usage.get(key, Amounts()) + row.amounts

    def _change_links(self, batch: CommitBatch) -> None:
        for link in batch.links:
            self.links[link.digest] = link
            ours = [one for one in self.links.values() if one.iid == link.iid and not one.is_open]
            for old in ours[:-_CLOSED_LINKS]:
                del self.links[old.digest]

    def _put(self, record: InstanceRecord) -> None:
        self.instances[record.iid] = record
        self.iids[record.instance_id] = record.iid

    def _drop(self, iid: int) -> None:
        record = self.instances.pop(iid, None)
        if record is not None:
            del self.iids[record.instance_id]
        self.turns.pop(iid, None)
        self.unread.pop(iid, None)
        self.links = {key: row for key, row in self.links.items() if row.iid != iid}
        self.topics.drop(iid)

    def _purge(self, iids: Sequence[int]) -> None:
        for iid in iids:
            record = self.instances.get(iid)
            self._drop(iid)
            for row in self.waiting(record.instance_id) if record else ():
                assert record is not None
                assert row.message_id is not None
                body = decode_message(row.message)
                if isinstance(body, Start) and body.event.execution_id != record.execution_id:
                    break  # it is for the id, and so is what was sent after it
                self._take_out((row.partition, row.message_id))
                if body.awaits_answer:
                    code, text = InstanceNotFoundError.code, "it was purged meanwhile"
                    gone = Answer(row.message_id, code, text)
                    self.answers.setdefault(row.message_id, gone)

    def _change_unread(self, batch: CommitBatch) -> None:
        for row in batch.unread:
            if row.event is None and row.number == ALL_UNREAD:
                self.unread.pop(row.iid, None)
            elif row.event is None:
                self.unread.get(row.iid, {}).pop(row.number, None)
        for row in batch.unread:
            if row.event is not None:
                self.unread.setdefault(row.iid, {})[row.number] = bytes(row.event)

    def _bury(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            self.letters += [structs.replace(one, message=_copy(one.message)) for one in letters]
            self.letters = self.letters[-_KEPT:]
            oldest = max(one.created_at for one in self.letters) - 30 * _DAY
            self.letters = [one for one in self.letters if one.created_at >= oldest]

    def add(self, rows: Sequence[InboxRow]) -> None:
        for row in rows:
            assert row.message_id is not None
            key = (row.partition, row.message_id)
            if key not in self.arrivals:
                number = self.arrivals[key] = self.next_arrival()
                self.inbox[number] = structs.replace(row, message=_copy(row.message))

    def next_arrival(self) -> int:
        self.last_arrival += 1
        return self.last_arrival

    def _take_out(self, key: tuple[int, MessageId]) -> None:
        number = self.arrivals.pop(key, None)
        if number is not None:
            del self.inbox[number]

    def start(self, record: InstanceRecord) -> InstanceRecord:
        standing = self.named(record.instance_id)
        if standing is not None:
            return standing
        if reason := unstorable(record):
            raise RowsRefusedError(f"the store cannot hold this: {reason}")
        record = structs.replace(record, iid=-self.next_arrival())
        self._put(record)
        return record

    # --- reading ----------------------------------------------------------------------------------

    def named(self, instance_id: str) -> InstanceRecord | None:
        iid = self.iids.get(InstanceId(instance_id))
        return None if iid is None else self.instances[iid]

    def waiting(self, instance_id: str) -> list[InboxRow]:
        return [row for row in self.inbox.values() if row.instance_id == instance_id]

    def current(self, record: InstanceRecord) -> list[bytes]:
        return self.generation(record.iid, record.generation)

    def generation(self, iid: int, generation: int) -> list[bytes]:
        turns = self.turns.get(iid, {})
        return [turns[key] for key in sorted(turns) if key[0] == generation]

    def before(self, record: InstanceRecord) -> list[bytes]:
        """The last generation before the current one that has turns."""
        turns = self.turns.get(record.iid, {})
        older = [generation for generation, _ in turns if generation < record.generation]
        return self.generation(record.iid, max(older)) if older else []

    def loaded(self, record: InstanceRecord) -> LoadedInstance:
        turns = self.current(record)
        previous = [] if turns else self.before(record)
        unread = self.unread.get(record.iid, {}) if record.generation else {}
        return LoadedInstance(
            record=record,
            turns=turns,
            inbox=self.waiting(record.instance_id),
            previous_turn=previous[-1] if previous else None,
            unread=sorted(unread.items()),
        )

    def page(self, partition: int, after: int, limit: int) -> tuple[list[InboxRow], int | None]:
        """Rows behind an arrival number, and where they go on."""
        rows: list[InboxRow] = []
        left, last = _PAGE_BYTES, after
        for number, row in self.inbox.items():
            if row.partition != partition or number <= after:
                continue
            left -= memoryview(row.message).nbytes
            if len(rows) == limit or (rows and left < 0):
                return rows, last
            rows.append(row)
            last = number
        return rows, None

    def open_by_root(self, partition: int) -> dict[InstanceId, int]:
        opened: dict[InstanceId, int] = {}
        for one in self.instances.values():
            if one.partition == partition and one.depth and not one.status.is_finished:
                opened[one.root_id] = opened.get(one.root_id, 0) + 1
        return opened

    def cursor(self) -> int:
        return max(self.last_arrival - self.repeats, 0)

    def arrived(self, cursors: Mapping[int, int]) -> list[tuple[int, InboxRow]]:
        never = self.last_arrival
        found = [
            (number, row)
            for number, row in self.inbox.items()
            if number > cursors.get(row.partition, never)
        ]
        found += [
            (-one.iid, _started(one))
            for one in self.instances.values()
            if one.status is RuntimeStatus.PENDING and -one.iid > cursors.get(one.partition, never)
        ]
        return sorted(found, key=lambda item: item[0])


class SharedStorage(SharedTopicStorage, SharedQueueStorage):
    """A handle on a hub, as one host or client has it."""

    def __init__(self, hub: SharedHub) -> None:
        self.hub = hub
        self.is_away: Callable[[], bool] = lambda: False
        self._is_open = False
        self._callbacks: list[Callable[[], None]] = []
        self._is_told = False

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> HubInfo:
        if not self._is_open:
            self._is_open = True
            self.hub.handles.append(self)
        return HubInfo(url="shared:", partitions=self.hub.partitions, secret=self.hub.secret)

    async def close(self) -> None:
        """As a process that ends, by itself or not: what it owned is free to take."""
        self._callbacks.clear()
        if self._is_open:
            self._is_open = False
            self.hub.handles.remove(self)

    async def _turn(self) -> SharedHub:
        """Other tasks come first, in the order of their asking."""
        if not self._is_open:
            raise StorageError("the store is not open; open it before using it")
        for _ in range(self.hub.rounds()):
            await asyncio.sleep(0)
        self._check_here()
        return self.hub

    def _check_here(self) -> None:
        if self.is_away():
            raise StorageUnavailableError("the store does not answer")

    def on_change(
        self,
        callback: Callable[[], None],
        concerns: Callable[[Written], bool] = whatever,
    ) -> None:
        self._callbacks.append(callback)
        asyncio.get_running_loop().call_soon(callback)

    def on_lost(self, callback: Callable[[StorageError], None]) -> None:
        """It cannot be lost."""

    def tell_soon(self) -> None:
        if self._callbacks and not self._is_told:
            self._is_told = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_told = False
        for callback in [*self._callbacks]:
            callback()

    def _changed(self, hub: SharedHub) -> None:
        hub.changed_by(self)

    # --- owner ------------------------------------------------------------------------------------

    async def acquire(
        self, host: HostIdentity, partitions: Sequence[int] | None = None
    ) -> list[Lease]:
        hub = await self._turn()
        wanted = range(hub.partitions) if partitions is None else sorted(partitions)
        if partitions is None and any(self._is_anothers(place) for place in hub.places):
            raise StorageOwnedError("another host owns partitions of this store")
        hub.numbers.setdefault(host.owner, 0)
        for number in wanted:
            hub.places[number].take(host.owner, self)
        return [Lease(number, host.owner, hub.places[number].epoch) for number in wanted]

    def _is_anothers(self, place: Place) -> bool:
        return place.holder is not None and place.holder is not self and place.holder._is_open

    async def release(self, leases: Sequence[Lease]) -> None:
        hub = await self._turn()
        for lease in leases:
            if hub.holds(lease):
                hub.places[lease.partition].give_back()
        hub.changed_by(self)

    async def mark_served(self, leases: Sequence[Lease]) -> None:
        hub = await self._turn()
        for lease in leases:
            if hub.holds(lease):
                hub.places[lease.partition].served = True
                hub.places[lease.partition].deaths = 0

    async def reserve_iids(self, count: int) -> range:
        hub = await self._turn()
        first = hub.last_iid + 1
        hub.last_iid += count
        return range(first, first + count)

    async def commit(self, batch: CommitBatch) -> CommitResult:
        hub = await self._turn()
        result = hub.commit(batch)
        hub.changed_by(self)
        # Durable now, and nobody has been told.
        await asyncio.sleep(0)
        self._check_here()
        return result

    async def landed(self, batch: CommitBatch) -> CommitResult | None:
        return (await self._turn()).what_landed(batch)

    async def load_partition(self, partition: int, after: str | None, limit: int) -> PartitionPage:
        hub = await self._turn()
        rows, last = hub.page(partition, int(after or 0), limit)
        place = hub.places[partition]
        return PartitionPage(
            rows=rows,
            after=None if last is None else str(last),
            cursor=hub.cursor(),
            open_by_root=hub.open_by_root(partition) if after is None else {},
            deaths=place.deaths,
        )

    async def load_instances(self, iids: Sequence[int]) -> list[LoadedInstance]:
        hub = await self._turn()
        return [hub.loaded(hub.instances[iid]) for iid in iids if iid in hub.instances]

    async def find(self, instance_ids: Sequence[str]) -> list[InstanceRecord]:
        hub = await self._turn()
        return [one for name in instance_ids if (one := hub.named(name)) is not None]

    async def marks(self, after: int | None, limit: int) -> list[InstanceMark]:
        hub = await self._turn()
        found = sorted(hub.instances.values(), key=lambda one: one.iid)
        return [
            InstanceMark(one.iid, one.instance_id, f"{one!r} {len(hub.current(one))}")
            for one in found
            if after is None or one.iid > after
        ][:limit]

    async def due(self, partitions: Collection[int], after: int | None, until: int) -> list[Wake]:
        hub = await self._turn()
        return sorted(
            (
                Wake(one.wake_at, one.iid, one.partition)
                for one in hub.instances.values()
                if one.partition in partitions
                and one.wake_at is not None
                and (after is None or after < one.wake_at)
                and one.wake_at <= until
            ),
            key=lambda wake: (wake.wake_at, wake.iid),
        )

    async def next_wake(self, partitions: Collection[int], after: int) -> int | None:
        wakes = await self.due(partitions, after, 2**62)
        return wakes[0].wake_at if wakes else None

    async def set_deliveries(self, deliveries: dict[int, int]) -> None:
        hub = await self._turn()
        for iid, count in deliveries.items():
            if iid in hub.instances:
                hub.instances[iid] = structs.replace(hub.instances[iid], deliveries=count)

    async def write_note(self, lease: Lease, key: str, text: str) -> None:
        hub = await self._turn()
        if not hub.holds(lease):
            raise FencedError("the partition is another host's", [lease.partition])
        hub.notes[key] = text

    async def notes(self, keys: Sequence[str]) -> dict[str, str]:
        hub = await self._turn()
        return {key: hub.notes[key] for key in keys if key in hub.notes}

    async def usage(
        self, first: Day, last: Day, by: Sequence[Dimension] = DIMENSIONS
    ) -> list[UsageRow]:
        hub = await self._turn()
        sums: dict[tuple[int, str, FunctionKind, str, str], Amounts] = {}
        for (day, app, kind, function, tag), amounts in hub.usage.items():
            if first <= day <= last and kind is not FunctionKind.ROOT:
                key = (
                    day if "day" in by else 0,
                    app if "app" in by else "",
                    kind,
                    function if "function" in by else "",
                    tag if "tag" in by else "",
                )
                sums[key] = sums.get(key, Amounts()) + amounts
        return bounded([UsageRow(*key, *structs.astuple(amounts)) for key, amounts in sums.items()])

    async def root_usage(self, root_ids: Sequence[InstanceId]) -> list[UsageRow]:
        hub = await self._turn()
        sums: dict[str, Amounts] = {}
        for (_, _, kind, function, _), amounts in hub.usage.items():
            if kind is FunctionKind.ROOT and function in root_ids:
                sums[function] = sums.get(function, Amounts()) + amounts
        return [
            UsageRow(0, "", FunctionKind.ROOT, root_id, "", *structs.astuple(amounts))
            for root_id, amounts in sums.items()
        ]

    async def forget_root_usage(self, root_ids: Sequence[InstanceId]) -> None:
        hub = await self._turn()
        hub.usage = {
            key: amounts
            for key, amounts in hub.usage.items()
            if key[2] is not FunctionKind.ROOT or key[3] not in root_ids
        }

    async def trim_usage(self, before: Day, owner: str) -> None:
        del owner
        hub = await self._turn()
        open_ids = {one.instance_id for one in hub.instances.values() if one.status in OPEN}
        hub.usage = {
            key: amounts
            for key, amounts in hub.usage.items()
            if (key[3] in open_ids if key[2] is FunctionKind.ROOT else key[0] >= before)
        }

    async def held_counts(self) -> dict[str, int]:
        hub = await self._turn()
        counts: dict[str, int] = {}
        for one in hub.instances.values():
            if one.hold is not None:
                counts[one.hold.reason] = counts.get(one.hold.reason, 0) + 1
        return counts

    async def open_counts(self, most: int) -> dict[RuntimeStatus, int]:
        hub = await self._turn()
        statuses = [
            one.status
            for one in hub.instances.values()
            if one.completed_at is None and one.hold is None
        ]
        return {one: min(statuses.count(one), most) for one in OPEN}

    async def misfits(
        self, partitions: Collection[int], reason: HoldReason | None = None
    ) -> list[int]:
        hub = await self._turn()
        held = [
            one
            for one in hub.instances.values()
            if one.partition in partitions
            and one.hold
            and not one.hold.reason.is_harmful
            and reason in {None, one.hold.reason}
        ]
        return [one.iid for one in sorted(held, key=_created)]

    async def fetch_inbox(self, cursors: Mapping[int, int], after: int | None = None) -> InboxPage:
        hub = await self._turn()
        found = [one for one in hub.arrived(cursors) if after is None or one[0] > after]
        rows = found[:_PAGE_ROWS]
        page = InboxPage(
            [row for _, row in rows],
            {key: max(old, hub.cursor()) for key, old in cursors.items()},
            rows[-1][0] if len(rows) < len(found) else None,
        )
        # Read, and not yet in the hands of whoever asked.
        await asyncio.sleep(0)
        return page

    # --- everybody --------------------------------------------------------------------------------

    async def start_instance(self, record: InstanceRecord) -> InstanceRecord:
        hub = await self._turn()
        stands = hub.start(record)
        hub.changed_by(self)
        return stands

    async def append(self, rows: Sequence[InboxRow]) -> None:
        hub = await self._turn()
        bad = {
            row.message_id: reason
            for row in rows
            if row.message_id is not None and (reason := unstorable(row))
        }
        if bad:
            text = f"the store cannot hold this: {[*bad.values()]}"
            raise RowsRefusedError(text, messages=bad)
        hub.add(rows)
        hub.changed_by(self)

    async def answers(self, message_ids: Sequence[MessageId]) -> list[Answer]:
        known = (await self._turn()).answers
        return [known[one] for one in message_ids if one in known]

    async def open_below(
        self, partitions: Collection[int], root_ids: Sequence[InstanceId]
    ) -> dict[InstanceId, int]:
        hub = await self._turn()
        found: dict[InstanceId, int] = {}
        for number in partitions:
            for root_id, count in hub.open_by_root(number).items():
                if root_id in root_ids:
                    found[root_id] = found.get(root_id, 0) + count
        return found

    async def is_asked(self, instance_id: InstanceId, kinds: Collection[str]) -> bool:
        waiting = (await self._turn()).waiting(instance_id)
        return any(json.loads(bytes(row.message)).get("type") in kinds for row in waiting)

    async def is_waiting(self, message_id: MessageId) -> bool:
        hub = await self._turn()
        return any(known == message_id for _, known in hub.arrivals)

    async def waiting_start(self, instance_id: InstanceId) -> InboxRow | None:
        waiting = (await self._turn()).waiting(instance_id)
        starts = [row for row in waiting if json.loads(bytes(row.message)).get("type") == "Start"]
        return starts[0] if starts else None

    def wake(self) -> None:
        """Who listens is told of each change."""

    async def get(self, instance_id: InstanceId) -> InstanceRecord | None:
        return (await self._turn()).named(instance_id)

    async def query(self, query: InstanceQuery) -> InstancePage:
        hub = await self._turn()
        falls = query.order in {"newest", "last_completed"}
        key = _completed if query.order.endswith("completed") else _created
        place = _place_of(query)
        found = sorted(
            (one for one in hub.instances.values() if _matches(one, query)),
            key=key,
            reverse=falls,
        )
        if place is not None:
            found = [one for one in found if (key(one) < place if falls else key(one) > place)]
        rows = found[: query.limit]
        if query.most_bytes is not None:
            rows = _short_enough(rows, query.most_bytes, _length)
        token = f"{query.order}.{key(rows[-1])[0]}.{rows[-1].iid}" if rows else None
        if not query.payloads:
            rows = [structs.replace(one, input=None, output=None) for one in rows]
        return InstancePage(rows, token if len(found) > len(rows) else None)

    async def standings(self, instance_ids: Sequence[InstanceId]) -> list[Standing]:
        hub = await self._turn()
        found = [one for name in instance_ids if (one := hub.named(name)) is not None]
        return [
            Standing(structs.replace(one, input=None, output=None), len(hub.current(one)))
            for one in found
        ]

    async def history(self, instance_id: InstanceId, most_bytes: int | None = None) -> list[bytes]:
        hub = await self._turn()
        record = hub.named(instance_id)
        if record is None:
            return []
        size = sum(map(len, hub.turns.get(record.iid, {}).values()))
        if most_bytes is not None and size > most_bytes:
            raise LimitError(f"the history of instance {instance_id!r} takes {size:,} bytes")
        return hub.current(record) or hub.before(record)

    async def link(self, digest: str) -> FoundLink | None:
        hub = await self._turn()
        row = hub.links.get(digest)
        record = None if row is None else hub.instances.get(row.iid)
        if row is None or record is None:
            return None
        link = decode_link(row.link)
        return FoundLink(record.instance_id, record.execution_id, record.status, link)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return [*itertools.islice(reversed((await self._turn()).letters), max(limit, 0))]

    async def history_page(
        self, instance_id: InstanceId, after: str | None, most_bytes: int
    ) -> HistoryPage:
        hub = await self._turn()
        record = hub.named(instance_id)
        if record is None:
            return HistoryPage([], None)
        generation = record.generation if hub.current(record) else record.generation - 1
        known, start = (generation, 0) if after is None else map(int, after.split("."))
        if known != generation:
            raise InputError(
                f"{instance_id!r} has gone on since {after!r}; read from the beginning"
            )
        turns = (hub.current(record) or hub.before(record))[start:]
        fitting = _short_enough(turns, most_bytes, len)
        end = f"{generation}.{start + len(fitting)}" if len(fitting) < len(turns) else None
        return HistoryPage(fitting, end)

    async def dead_letter_page(
        self, limit: int, after: str | None, most_bytes: int
    ) -> DeadLetterPage:
        hub = await self._turn()
        older = hub.letters[: None if after is None else int(after)]
        wanted = [*reversed(older)][:limit]
        fitting = _short_enough(wanted, most_bytes, lambda one: len(bytes(one.message)))
        left = len(older) - len(fitting)
        return DeadLetterPage(fitting, str(left) if left else None)

    async def acknowledge_letters(self, message_ids: Sequence[MessageId], now: int) -> int:
        hub = await self._turn()
        chosen = {
            index
            for index, one in enumerate(hub.letters)
            if one.message_id in message_ids and one.acknowledged_at is None
        }
        for index in chosen:
            hub.letters[index] = structs.replace(hub.letters[index], acknowledged_at=now)
        return len(chosen)


def _short_enough(rows: list[T], most_bytes: int, length: Callable[[T], int]) -> list[T]:
    total = 0
    for count, row in enumerate(rows):
        total += length(row)
        if count and total > most_bytes:
            return rows[:count]
    return rows


def _length(record: InstanceRecord) -> int:
    return len(msgspec.json.encode(record))


def unstorable_rows(batch: CommitBatch, lists: Sequence[str]) -> dict[Any, str]:
    """Why, by the iid or message id of each such row of these lists."""
    reasons: dict[Any, str] = {}
    for name in lists:
        for row in getattr(batch, name):
            if reason := unstorable(row):
                iid = getattr(row, "iid", None)
                key = row[1] if name == "consumed" else getattr(row, "message_id", iid)
                reasons.setdefault(key, reason)
    return reasons


def _copy(raw: Raw) -> Raw:
    return Raw(bytes(raw))


def _started(record: InstanceRecord) -> InboxRow:
    message = Raw(encode(Start(event=start_event(state_of(record), ""))))
    return InboxRow(None, record.partition, record.instance_id, message)


def _created(record: InstanceRecord) -> tuple[int, int]:
    return record.created_at, record.iid


def _completed(record: InstanceRecord) -> tuple[int, int]:
    return record.completed_at or 0, record.iid


def _place_of(query: InstanceQuery) -> tuple[int, int] | None:
    """Where a page begins.

    Raises:
        InputError: the query is none.
    """
    if query.limit < 1:
        raise InputError(f"a page of instances needs a limit of at least 1, got {query.limit}")
    for text in (query.name, query.id_prefix, query.parent):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise InputError(f"a filter holds half of a surrogate pair: {text!r}") from None
    if query.after is None:
        return None
    match = _TOKEN.fullmatch(query.after)
    if match is None or match[1] != query.order:
        raise InputError(f"the page token {query.after!r} does not belong to this listing")
    return int(match[2]), int(match[3])


def _matches(record: InstanceRecord, query: InstanceQuery) -> bool:
    parent = None if record.parent is None else record.parent.instance_id
    prefix = query.id_prefix if query.parent is None else None
    return (
        (query.statuses is None or record.status in query.statuses)
        and (query.name is None or record.name == query.name)
        and (not prefix or record.instance_id.startswith(prefix))
        and (query.parent is None or parent == query.parent)
        and (query.created_from is None or record.created_at >= query.created_from)
        and (query.created_to is None or record.created_at < query.created_to)
        and _matches_completion(record, query)
        and (query.held is None or (record.hold is not None) == query.held)
    )


def _matches_completion(record: InstanceRecord, query: InstanceQuery) -> bool:
    at, since, until = record.completed_at, query.completed_from, query.completed_to
    if at is None:
        return since is None and until is None and not query.order.endswith("completed")
    return (since is None or at >= since) and (until is None or at < until)
