"""Who names a delivery that was put aside by its number has that one looked at, and no other."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenuto.cli.connection import Connection
from tenuto.cli.failed_deliveries import Chosen, Origin, _meant
from tenuto.engine.topic_ports import FailedDelivery
from tenuto.model.errors import InputError

_TOPICS = Origin(source="topic")


class _Gateway:
    """Has some deliveries, and counts those that it tells of."""

    def __init__(self) -> None:
        self.told = 0

    async def failed_deliveries(
        self, source: str, name: str | None, function: str | None, after: int, limit: int
    ) -> list[FailedDelivery]:
        numbers = range(after + 1, 100)[:limit]
        self.told += len(numbers)
        return [
            FailedDelivery(one, source, "t", "f", f"e{one}", 5, 0, "no", None, None, "{}")
            for one in numbers
            if one != 50
        ]


def _connection(gateway: _Gateway) -> Connection:
    found: Any = SimpleNamespace(gateway=gateway)
    return cast("Connection", found)


def _chosen(*numbers: int, ids: frozenset[str] = frozenset()) -> Chosen:
    return Chosen(numbers=frozenset(numbers), ids=ids, everything=False)


async def test_numbers_are_looked_at_alone() -> None:
    gateway = _Gateway()
    found = await _meant(_connection(gateway), _TOPICS, _chosen(7, 3))
    assert found == {3: "e3", 7: "e7"}
    assert gateway.told == 2


async def test_ids_are_looked_for_among_all_and_each_is_meant_once() -> None:
    chosen = _chosen(7, ids=frozenset({"e7", "e9"}))
    assert (await _meant(_connection(_Gateway()), _TOPICS, chosen)).keys() == {7, 9}


@pytest.mark.parametrize("number", [0, 50, 100, 10**17])
async def test_what_is_not_there_is_refused(number: int) -> None:
    with pytest.raises(InputError, match=f"no failed delivery {number}"):
        await _meant(_connection(_Gateway()), _TOPICS, _chosen(7, number))
