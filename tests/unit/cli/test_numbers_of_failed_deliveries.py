"""Who names a delivery that was put aside by its number has that one looked at, and no other."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tenuto.cli.connection import Connection
from tenuto.cli.failed_deliveries import Origin, _numbers
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


async def test_numbers_are_looked_at_alone() -> None:
    gateway = _Gateway()
    assert await _numbers(_connection(gateway), _TOPICS, ["7", "3"]) == [3, 7]
    assert gateway.told == 2


async def test_ids_are_looked_for_among_all_and_each_is_meant_once() -> None:
    assert await _numbers(_connection(_Gateway()), _TOPICS, ["7", "e7", "e9"]) == [7, 9]


@pytest.mark.parametrize("name", ["50", "007", "100", "9" * 30])
async def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"no failed delivery {name!r}"):
        await _numbers(_connection(_Gateway()), _TOPICS, ["7", name])
