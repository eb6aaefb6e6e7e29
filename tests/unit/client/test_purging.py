"""Purging many through a gateway: who is counted, who is passed over, who is waited for."""

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from tenuto.client.gateway import Gateway
from tenuto.client.purging import purge_beside, purge_through
from tenuto.client.store_gateway import StoreGateway
from tenuto.engine.ports import Storage
from tenuto.engine.rows import InboxRow
from tenuto.model.errors import (
    InstanceNotFoundError,
    InstanceStateError,
    StorageUnavailableError,
    TenutoError,
)
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.messages import Purge
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tests.support.shared_store import SharedHub

LOOKS = 3


def ended(name: str, execution_id: str = "e") -> InstanceRecord:
    return InstanceRecord(
        iid=1,
        instance_id=InstanceId(name),
        partition=0,
        name="x",
        execution_id=ExecutionId(execution_id),
        created_at=0,
        root_id=InstanceId(name),
        status=RuntimeStatus.COMPLETED,
    )


class Refusing:
    """Instances that refuse to go, each with its error."""

    def __init__(self, errors: dict[str, TenutoError]) -> None:
        self.errors = errors

    async def tell(self, instance_id: InstanceId, message: Purge) -> None:
        assert not message.force
        if instance_id in self.errors:
            raise self.errors[instance_id]


class Store:
    """What a store answers when it is looked at again and again."""

    def __init__(self, *looks: Sequence[InstanceRecord]) -> None:
        self.looks = list(looks)
        self.asked: list[InstanceId] = []

    async def append(self, rows: Sequence[InboxRow]) -> None:
        self.asked += [row.instance_id for row in rows]

    async def find(self, instance_ids: Sequence[InstanceId]) -> list[InstanceRecord]:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return [one for one in found if one.instance_id in instance_ids]


class FewLooks:
    """Patience with a few looks, whatever time they take."""

    def __init__(self, _has_host: Callable[[], bool]) -> None:
        self._looks = 0

    def is_over(self) -> bool:
        self._looks += 1
        return self._looks >= LOOKS

    def error(self, undone: str) -> StorageUnavailableError:
        return StorageUnavailableError(undone)


def beside(store: Store) -> StoreGateway:
    gateway = StoreGateway(SharedHub(1).handle(), 1)
    gateway.storage = cast("Storage", store)
    return gateway


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenuto.client.purging.Patience", FewLooks)
    monkeypatch.setattr("tenuto.client.purging._LOOK_SECONDS", 0)


async def test_what_has_gone_or_begun_anew_meanwhile_is_passed_over() -> None:
    errors: dict[str, TenutoError] = {
        "gone": InstanceNotFoundError("gone"),
        "anew": InstanceStateError("anew", "is still going"),
    }
    gateway = cast("Gateway", Refusing(errors))
    records = [ended(name) for name in ("a", "gone", "anew", "b")]
    assert [one async for one in purge_through(gateway, records, force=False)] == [2]


async def test_any_other_error_ends_it() -> None:
    gateway = cast("Gateway", Refusing({"a": StorageUnavailableError("full")}))
    with pytest.raises(StorageUnavailableError, match="full"):
        _ = [one async for one in purge_through(gateway, [ended("a")], force=False)]


async def test_who_has_taken_the_id_of_one_that_has_gone_is_not_waited_for() -> None:
    store = Store([ended("a"), ended("b")], [ended("a", "anew")])
    gone = purge_beside(beside(store), [ended("a"), ended("b")], force=False)
    assert [one async for one in gone] == [2]
    assert store.asked == ["a", "b"]


async def test_as_long_as_some_go_the_others_are_waited_for() -> None:
    records = [ended(f"i-{number}") for number in range(3 * LOOKS)]
    store = Store(*(records[number:] for number in range(len(records) + 1)))
    assert [one async for one in purge_beside(beside(store), records, force=False)] == [9]


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (["a"], "instance 'a' was not purged"),
        (["a", "b"], "2 instances were not purged, such as 'a'"),
    ],
)
async def test_when_nothing_goes_any_more_what_is_left_is_told(left: list[str], words: str) -> None:
    records = [ended(name) for name in ("a", "b", "c")]
    store = Store(records, [ended(name) for name in left])
    with pytest.raises(StorageUnavailableError) as told:
        _ = [one async for one in purge_beside(beside(store), records, force=False)]
    assert str(told.value) == words
