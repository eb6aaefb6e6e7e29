"""What every store promises of usage: it is added up exactly, with the commit or not at all."""

from collections.abc import Collection

import pytest

from tenuto.engine.ports import HostIdentity, Storage
from tenuto.engine.rows import CommitResult
from tenuto.model.errors import FencedError
from tenuto.model.ids import InstanceId
from tenuto.model.usage import FunctionKind, UsageRow, total
from tests.conformance.storage_suite import Backend, Owner, StorageFixtures, record, turn

ALWAYS = (0, 100_000)


def used(
    executions: int = 1,
    function: str = "pay",
    *,
    day: int = 20_000,
    kind: FunctionKind = FunctionKind.ACTIVITY,
    tag: str = "",
) -> UsageRow:
    """Each number is another one, so that none is taken for its neighbour."""
    return UsageRow(
        day,
        "shop",
        kind,
        function,
        tag,
        executions,
        executions * 2,
        executions * 3,
        executions * 5,
        executions * 7 * 10**12,
        executions * 11,
        executions * 13,
    )


async def rows(storage: Storage, first: int = 0, last: int = 100_000) -> list[UsageRow]:
    found = await storage.usage(first, last)
    return sorted(found, key=lambda row: (row.day, row.function, row.kind, row.tag))


class UsageSuite(StorageFixtures):
    """The promises."""

    async def test_a_new_hub_has_used_nothing(self, storage: Storage) -> None:
        await storage.open()
        assert await rows(storage) == []

    async def test_commits_add_up_by_day_function_kind_and_tag(self, owner: Owner) -> None:
        orchestrator = FunctionKind.ORCHESTRATOR
        await owner.commit(usage=[used(1), used(2, kind=orchestrator), used(3, tag="žluť")])
        await owner.commit(usage=[used(10), used(20, day=20_001), used(30, "ship")])
        await owner.commit(history=[turn(1, 0)])
        assert await rows(owner.storage) == [
            used(11),
            used(3, tag="žluť"),
            used(2, kind=orchestrator),
            used(30, "ship"),
            used(20, day=20_001),
        ]

    async def test_only_the_days_that_are_asked_for_are_told(self, owner: Owner) -> None:
        await owner.commit(usage=[used(n, day=20_000 + n) for n in range(1, 6)])
        assert await rows(owner.storage, 20_002, 20_004) == [
            used(n, day=20_000 + n) for n in (2, 3, 4)
        ]
        assert await rows(owner.storage, 20_004, 20_002) == []

    async def test_a_commit_that_is_sent_again_counts_once(self, owner: Owner) -> None:
        batch = owner.batch("mine", usage=[used(5)])
        await owner.send(batch)
        with pytest.raises(FencedError):
            await owner.storage.commit(batch)
        assert await owner.storage.landed(batch) == CommitResult()
        assert await rows(owner.storage) == [used(5)]

    async def test_a_commit_behind_its_fence_has_used_nothing(self, owner: Owner) -> None:
        await owner.commit(usage=[used(1)])
        late = owner.batch(usage=[used(5)])
        second = HostIdentity(owner="second", description="second")
        await owner.storage.release(owner.leases)
        await owner.storage.acquire(second)
        with pytest.raises(FencedError):
            await owner.storage.commit(late)
        assert await rows(owner.storage) == [used(1)]

    async def test_what_is_refused_has_used_nothing(self, owner: Owner) -> None:
        """Ids are taken now and then; the turns of whoever came too late have not happened."""

        def without(refused: Collection[int]) -> list[UsageRow]:
            assert set(refused) == {2}
            return [used(3)]

        await owner.commit(instances=[record(1)])
        result = await owner.commit(
            instances=[record(2, "instance-1"), record(3)],
            history=[turn(2, 0), turn(3, 0)],
            usage=[used(8)],
            usage_without=without,
        )
        assert result == CommitResult(frozenset({2}))
        assert await rows(owner.storage) == [used(3)]

    async def test_usage_is_written_with_whatever_else_there_is(self, owner: Owner) -> None:
        await owner.commit(instances=[record(1)], history=[turn(1, 0)], usage=[used(1)])
        await owner.commit(purged=[1], usage=[used(2)])
        assert await rows(owner.storage) == [used(3)]

    async def test_many_commits_keep_the_sum_and_old_days_go(
        self, owner: Owner, backend: Backend
    ) -> None:
        for number in range(350):
            day = 20_000 + number % 2
            await owner.commit(f"b{number}", usage=[used(1, day=day), used(2, "ship", day=day)])
        assert await rows(owner.storage) == [
            used(175),
            used(350, "ship"),
            used(175, day=20_001),
            used(350, "ship", day=20_001),
        ]
        await owner.storage.trim_usage(20_001, "first")
        expected = [used(175, day=20_001), used(350, "ship", day=20_001)]
        assert await rows(owner.storage) == expected
        if backend.shared:
            other = backend.handle()
            await other.open()
            assert await rows(other) == expected
            await other.close()

    async def test_owners_come_and_go_and_the_sum_stays(self, owner: Owner) -> None:
        storage = owner.storage
        await owner.commit(usage=[used(1)])
        for number in range(3):
            await storage.release(owner.leases)
            name = f"owner-{number}"
            leases = await storage.acquire(HostIdentity(owner=name, description=name))
            owner = Owner(storage, leases)
            await owner.commit(usage=[used(1), used(1, "ship")])
            await storage.trim_usage(0, name)
            await owner.commit(usage=[used(1)])
        assert await rows(storage) == [used(7), used(3, "ship")]
        await storage.trim_usage(0, "owner-2")
        await storage.trim_usage(0, "owner-2")
        assert await rows(storage) == [used(7), used(3, "ship")]

    async def test_root_instances_are_added_up_apart(self, owner: Owner) -> None:
        """Over days and owners, until they end; nobody else's usage has anything of it."""
        root = FunctionKind.ROOT
        storage = owner.storage
        await owner.commit(
            instances=[record(1), record(2)], usage=[used(1), used(2, "instance-1", kind=root)]
        )
        await owner.commit(usage=[used(3, "instance-1", kind=root, day=20_001)])
        await owner.commit(
            usage=[used(5, "instance-2", kind=root), used(7, "it's gone", kind=root)]
        )
        await storage.release(owner.leases)
        leases = await storage.acquire(HostIdentity(owner="next", description="next"))
        owner = Owner(storage, leases)
        await owner.commit(usage=[used(11, "instance-1", kind=root)])
        assert await rows(storage) == [used(1)]

        async def sums(*roots: str) -> dict[str, tuple[int, int]]:
            found = await storage.root_usage([InstanceId(one) for one in roots])
            assert {row.kind for row in found} <= {root}
            return {row.function: (row.executions, row.bytes) for row in found}

        every = ("instance-1", "instance-2", "it's gone", "pay")
        expected = {name: (n, 13 * n) for name, n in zip(every, (16, 5, 7), strict=False)}
        assert await sums(*every) == expected
        assert await sums("instance-2") == {"instance-2": (5, 65)}
        assert await sums() == {}
        # No instance of that name is there; of those that are, old days count too.
        await storage.trim_usage(20_001, "next")
        del expected["it's gone"]
        assert await sums(*every) == expected
        await storage.forget_root_usage([InstanceId("instance-1")])
        assert await sums(*every) == {"instance-2": (5, 65)}
        assert await rows(storage) == []

    async def test_texts_that_people_choose_are_kept(self, owner: Owner) -> None:
        names = ["it's", '"', "a\nb", "\U0001f3b5" * 200, "%", "'; DROP TABLE usage; --"]
        await owner.commit(usage=[used(1, name, tag=name) for name in names])
        found = await rows(owner.storage)
        assert {(row.function, row.tag) for row in found} == {(name, name) for name in names}
        assert total(found).executions == len(names)
