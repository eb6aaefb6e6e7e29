"""What every store promises of queues, sentence by sentence of ``engine.queue_ports``."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from msgspec import structs

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.engine.queue_ports import (
    FailedMessage,
    LaterMessage,
    MessageInWork,
    QueueNotes,
    QueueStanding,
    ResumedMessage,
    TakenMessage,
)
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Redriven
from tenuto.model.errors import FencedError, StorageError
from tenuto.model.topics import QueuedMessage
from tests.conformance.storage_suite import Backend, Owner

NOW = 1_000
MUCH = 1_000_000


def message(key: str, *, queue: str = "q", visible_at: int = NOW, data: str = "1") -> QueuedMessage:
    return QueuedMessage(key, queue, visible_at, 500, f"instance:{key}", 0, data)


class QueueOwner:
    """An open store that owns all partitions; works on queues under the first lease."""

    def __init__(self, owner: Owner) -> None:
        self.storage = owner.storage
        self.lease: Lease = owner.leases[0]
        self.owner = owner

    async def turn(self, **notes: Any) -> list[TakenMessage]:
        given: dict[str, Any] = {"queue": "q", "now": NOW, "most_bytes": MUCH} | notes
        return await self.storage.work_on_queue(self.lease, QueueNotes(**given))

    async def put(self, *messages: QueuedMessage) -> None:
        await self.storage.publish([], messages)

    async def peek(self, queue: str = "q") -> list[tuple[str, int | None, int]]:
        found = await self.storage.queue_messages(queue, 100, MUCH)
        return [(one.id, one.visible_at, one.attempts) for one in found]


def ids(messages: Sequence[TakenMessage]) -> list[str]:
    return [one.message_id for one in messages]


class QueueSuite:
    """The promises."""

    @pytest.fixture
    async def storage(self, backend: Backend) -> AsyncIterator[Storage]:
        storage = backend.handle()
        yield storage
        await storage.close()

    @pytest.fixture
    async def owner(self, storage: Storage) -> QueueOwner:
        return QueueOwner(await Owner.of(storage))

    async def test_messages_are_taken_in_the_order_in_which_they_became_ready(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("b"), message("later", visible_at=NOW + 1), message("c"))
        await owner.put(message("a", visible_at=NOW - 1), message("other", queue="r"))
        assert ids(await owner.turn(limit=2)) == ["a", "b"]
        assert ids(await owner.turn(limit=9)) == ["c"]
        assert await owner.turn(limit=9) == []
        assert ids(await owner.turn(limit=9, now=NOW + 1)) == ["later"]

    async def test_a_message_is_given_with_all_that_is_known_of_it(self, owner: QueueOwner) -> None:
        await owner.put(message("a", data='{"text": "žluť \\ud83d\\ude00"}'))
        (taken,) = await owner.turn(limit=1)
        assert taken == TakenMessage(
            taken.number, "a", 500, 1, "instance:a", '{"text": "žluť \\ud83d\\ude00"}'
        )

    async def test_pages_are_cut_by_bytes_and_have_one_at_least(self, owner: QueueOwner) -> None:
        await owner.put(*(message(key, data='"' + "ž" * 50 + '"') for key in "abcd"))
        assert ids(await owner.turn(limit=9, most_bytes=0)) == ["a"]
        assert ids(await owner.turn(limit=9, most_bytes=150)) == ["b", "c"]
        assert len(await owner.storage.queue_messages("q", 9, 0)) == 1

    async def test_an_id_is_in_a_queue_once_and_free_again_when_it_is_done(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("a", data="1"), message("a", data="2"), message("a", queue="r"))
        (taken,) = await owner.turn(limit=9)
        assert taken.data == "1"
        await owner.put(message("a", data="3"))
        assert await owner.peek() == [("a", None, 1)]
        assert await owner.turn(done=[taken.number]) == []
        await owner.put(message("a", data="4"))
        (again,) = await owner.turn(limit=9)
        assert again.data == "4"
        assert again.number != taken.number

    async def test_a_commit_and_a_client_put_in_the_same(self, owner: QueueOwner) -> None:
        await owner.owner.commit(queued=[message("a"), message("b", visible_at=NOW + 5)])
        assert await owner.peek() == [("a", NOW, 0), ("b", NOW + 5, 0)]

    async def test_what_goes_back_is_ready_at_its_time_with_the_attempts_that_count(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("a"), message("b"))
        first, second = await owner.turn(limit=9)
        later = [
            LaterMessage(first.number, NOW + 10, first.attempts),
            LaterMessage(second.number, NOW, second.attempts - 1),
        ]
        (taken,) = await owner.turn(later=later, limit=9)
        assert (taken.message_id, taken.attempts) == ("b", 1)
        assert await owner.storage.queue_next("q") == NOW + 10
        (taken,) = await owner.turn(limit=9, now=NOW + 10)
        assert (taken.message_id, taken.attempts) == ("a", 2)
        assert await owner.storage.queue_next("q") is None

    async def test_what_is_put_aside_is_a_failed_delivery(self, owner: QueueOwner) -> None:
        await owner.put(message("a", data='{"n":1}'), message("b"))
        first, _ = await owner.turn(limit=9)
        failed = FailedMessage(first.number, "work", NOW + 7, "ValueError: no")
        for _ in range(2):  # the second time it is not there any more
            await owner.turn(failed=[failed])
        (found,) = await owner.storage.failed_deliveries("queue", "q", "work")
        assert structs.replace(found, number=0) == type(found)(
            0, "queue", "q", "work", "a", 1, NOW + 7, "ValueError: no", "instance:a", None,
            '{"n":1}', 500,
        )  # fmt: skip
        assert await owner.storage.failed_deliveries("topic") == []
        assert await owner.peek() == [("b", None, 1)]

    async def test_what_is_given_back_is_ready_again_with_all_attempts(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("a"))
        (taken,) = await owner.turn(limit=9)
        await owner.turn(failed=[FailedMessage(taken.number, "work", NOW, "e")])
        (failed,) = await owner.storage.failed_deliveries()
        assert await owner.storage.redrive([failed.number, failed.number + 1], NOW + 3) == Redriven(
            1
        )
        assert await owner.storage.redrive([failed.number], NOW + 3) == Redriven(0)
        assert await owner.peek() == [("a", 0, 0)]
        (standing,) = await owner.storage.queues(NOW + 3)
        assert standing.oldest == NOW + 3
        (again,) = await owner.turn(limit=9, now=NOW + 3)
        assert again.queued_at == 500
        assert (again.message_id, again.attempts, again.cause) == ("a", 1, "instance:a")

    async def test_failed_deliveries_come_in_pages(self, owner: QueueOwner) -> None:
        await owner.put(*(message(f"m{number}", data="1" * 10) for number in range(5)))
        taken = await owner.turn(limit=9)
        await owner.turn(failed=[FailedMessage(one.number, "w", NOW, "e") for one in taken])
        storage = owner.storage
        page = await storage.failed_deliveries(limit=2)
        assert [one.message_id for one in page] == ["m0", "m1"]
        # What its error and its cause say counts as well as what it holds.
        one = 10 + len("e") + len("instance:m0")
        page = await storage.failed_deliveries(after=page[-1].number, most_bytes=one + 1)
        assert [one.message_id for one in page] == ["m2", "m3"]
        assert await storage.drop_failed([one.number for one in page]) == 2
        assert [one.message_id for one in await storage.failed_deliveries()] == ["m0", "m1", "m4"]

    async def test_what_was_in_work_is_found_and_taken_again(self, owner: QueueOwner) -> None:
        await owner.put(message("a"), message("b"), message("c"), message("d", queue="r"))
        first, second = await owner.turn(limit=2)
        await owner.turn(queue="r", limit=1)
        assert await owner.storage.queue_in_work("q") == [
            MessageInWork(first.number, "a", 0, 1),
            MessageInWork(second.number, "b", 0, 1),
        ]
        resume = [ResumedMessage(second.number, 2, 1), ResumedMessage(999, 2, 1)]
        taken = await owner.turn(resume=resume, limit=1)
        counts = [(one.message_id, one.attempts, one.deaths) for one in taken]
        assert counts == [("b", 2, 1), ("c", 1, 0)]
        # Whoever does not know whether it was written writes it again.
        (again,) = await owner.turn(resume=resume)
        assert (again.message_id, again.attempts, again.deaths) == ("b", 2, 1)
        assert [one.deaths for one in await owner.storage.queue_in_work("q")] == [0, 1, 0]

    async def test_deaths_count_once_and_go_when_it_is_given_back(self, owner: QueueOwner) -> None:
        await owner.put(message("a"))
        (taken,) = await owner.turn(limit=1)
        (taken,) = await owner.turn(resume=[ResumedMessage(taken.number, 2, 1)])
        (taken,) = await owner.turn(later=[LaterMessage(taken.number, 0, 2)], limit=1)
        assert (taken.attempts, taken.deaths, taken.counted) == (3, 1, 2)
        await owner.turn(failed=[FailedMessage(taken.number, "w", NOW, "e")])
        (failed,) = await owner.storage.failed_deliveries()
        await owner.storage.redrive([failed.number], NOW)
        (taken,) = await owner.turn(limit=1)
        assert (taken.attempts, taken.deaths) == (1, 0)

    async def test_what_nothing_holds_back_is_ready_by_number_whatever_the_clock(
        self, owner: QueueOwner
    ) -> None:
        ahead = [structs.replace(message(key, visible_at=0), queued_at=9 * NOW) for key in "ab"]
        await owner.put(*ahead)
        await owner.put(message("c", visible_at=0), message("later", visible_at=NOW + 1))
        assert await owner.storage.queue_next("q") == 0
        (standing,) = await owner.storage.queues(NOW)
        assert (standing.ready, standing.delayed, standing.oldest) == (3, 1, 500)
        assert [one for one, _, _ in await owner.peek()] == ["later", "a", "b", "c"]
        first, second = await owner.turn(limit=2)
        assert ids([first, second]) == ["a", "b"]
        back = [LaterMessage(one.number, 0, 0) for one in (second, first)]
        assert ids(await owner.turn(later=back, limit=9)) == ["a", "b", "c"]

    async def test_what_was_held_back_comes_between_the_others_when_it_became_ready(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("late", visible_at=NOW), message("soon", visible_at=600))
        for key, queued_at in (("x", 500), ("y", 700), ("z", 2 * NOW)):
            await owner.put(structs.replace(message(key, visible_at=0), queued_at=queued_at))
        assert [one for one, _, _ in await owner.peek()] == ["x", "soon", "y", "late", "z"]
        assert ids(await owner.turn(limit=3)) == ["x", "soon", "y"]
        assert ids(await owner.turn(limit=3)) == ["late", "z"]

    async def test_what_is_in_the_queue_again_stays_put_aside(self, owner: QueueOwner) -> None:
        for data in "12":
            await owner.put(message("a", data=data), message(f"b{data}"))
            failed = [FailedMessage(one.number, "w", NOW, "e") for one in await owner.turn(limit=9)]
            await owner.turn(failed=failed)
        await owner.put(message("a", queue="r", data="4"))
        first, b1, second, b2 = [one.number for one in await owner.storage.failed_deliveries()]
        redrive = owner.storage.redrive
        assert await redrive([second, first, b1], NOW) == Redriven(2, (second,))
        assert [one.number for one in await owner.storage.failed_deliveries()] == [second, b2]
        assert await redrive([second, b2, 999], NOW) == Redriven(1, (second,))
        taken = await owner.turn(limit=9)
        assert [(one.message_id, one.data) for one in taken] == [
            ("a", "1"),
            ("b1", "1"),
            ("b2", "1"),
        ]
        assert await redrive([second], NOW) == Redriven(0, (second,))
        await owner.turn(done=[one.number for one in taken])
        assert await redrive([second], NOW) == Redriven(1)
        assert [one.data for one in await owner.turn(limit=9)] == ["2"]

    async def test_only_what_is_in_work_and_of_the_queue_is_taken_again(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("a"), message("b", queue="r"))
        (back,) = await owner.turn(limit=1)
        later = [LaterMessage(back.number, NOW + 5, 0)]
        (other,) = await owner.turn(queue="r", limit=1)
        assert await owner.turn(later=later) == []
        resume = [ResumedMessage(one.number, 2, 1) for one in (back, other)]
        assert await owner.turn(resume=resume) == []
        assert await owner.peek() == [("a", NOW + 5, 0)]
        assert await owner.peek("r") == [("b", None, 1)]

    async def test_who_has_lost_the_partition_writes_and_takes_nothing(
        self, owner: QueueOwner
    ) -> None:
        await owner.put(message("a"), message("b"))
        (taken,) = await owner.turn(limit=1)
        old = owner.lease
        identity = HostIdentity(owner="second", description="second")
        leases = await owner.storage.acquire(identity)
        with pytest.raises(FencedError) as caught:
            await owner.turn(done=[taken.number], limit=9)
        assert caught.value.partitions == {old.partition}
        assert await owner.peek() == [("b", NOW, 0), ("a", None, 1)]
        owner.lease = leases[0]
        assert ids(await owner.turn(done=[taken.number], limit=9)) == ["b"]

    async def test_who_takes_the_partition_again_fences_what_it_began_before(
        self, owner: QueueOwner
    ) -> None:
        """The owner is the same: the epoch alone says that the lease is an older one."""
        await owner.put(message("a"), message("b"))
        (taken,) = await owner.turn(limit=1)
        await owner.storage.release([owner.lease])
        identity = HostIdentity(owner=owner.lease.owner, description="again")
        (again, *_) = await owner.storage.acquire(identity)
        assert again.owner == owner.lease.owner
        with pytest.raises(FencedError):
            await owner.turn(done=[taken.number], limit=9)
        assert await owner.peek() == [("b", NOW, 0), ("a", None, 1)]

    async def test_queues_tell_how_they_stand(self, owner: QueueOwner) -> None:
        await owner.put(*(message(key, visible_at=NOW - 3) for key in "abc"))
        await owner.put(message("d", visible_at=NOW + 1), message("e", queue="r", visible_at=9_999))
        first, second = await owner.turn(limit=2)
        await owner.turn(failed=[FailedMessage(first.number, "w", NOW, "e")])
        assert await owner.storage.queues(NOW) == [
            QueueStanding(name="q", ready=1, delayed=1, in_work=1, failed=1, oldest=NOW - 3),
            QueueStanding(name="r", ready=0, delayed=1, in_work=0, failed=0, oldest=None),
        ]
        await owner.turn(done=[second.number])
        assert await owner.storage.drop_queued("q") == 2
        (q, _) = await owner.storage.queues(NOW)
        assert q == QueueStanding(name="q", ready=0, delayed=0, in_work=0, failed=1, oldest=None)

    async def test_messages_are_deleted_by_id_or_all(self, owner: QueueOwner) -> None:
        await owner.put(*(message(key) for key in "abc"))
        await owner.put(*(message(key, queue="r") for key in "ab"))
        await owner.turn(limit=1)
        assert await owner.storage.drop_queued("q", ["b", "nobody"]) == 1
        assert await owner.peek() == [("c", NOW, 0), ("a", None, 1)]
        assert await owner.peek("r") == [("a", NOW, 0), ("b", NOW, 0)]
        assert await owner.storage.drop_queued("q") == 2
        assert await owner.storage.drop_queued("q") == 0
        assert await owner.peek("r") == [("a", NOW, 0), ("b", NOW, 0)]

    async def test_a_message_that_is_gone_is_passed_over(self, owner: QueueOwner) -> None:
        await owner.put(message("a"))
        (taken,) = await owner.turn(limit=1)
        await owner.storage.drop_queued("q")
        await owner.turn(
            done=[taken.number],
            later=[LaterMessage(taken.number, NOW, 1)],
            failed=[FailedMessage(taken.number, "w", NOW, "e")],
        )
        assert await owner.peek() == []
        assert await owner.storage.failed_deliveries() == []

    async def test_a_store_that_is_closed_says_so(self, owner: QueueOwner) -> None:
        await owner.storage.close()
        with pytest.raises(StorageError, match="not open"):
            await owner.turn(limit=1)
