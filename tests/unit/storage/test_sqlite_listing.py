"""Lists on SQLite: by whichever index a page is found, it is the same page."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from tenuto.model.hold import Hold, HoldReason
from tenuto.model.requests import InstanceQuery, ListingOrder
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.storage.sqlite import listing
from tenuto.storage.sqlite.store import SqliteStorage
from tests.conformance.storage_suite import Owner, record

_STATUSES: Final = (
    RuntimeStatus.RUNNING,
    RuntimeStatus.COMPLETED,
    RuntimeStatus.FAILED,
    RuntimeStatus.PENDING,
    RuntimeStatus.TERMINATED,
    RuntimeStatus.SUSPENDED,
)
_WANTED: Final[tuple[tuple[RuntimeStatus, ...] | None, ...]] = (
    None,
    (),
    (RuntimeStatus.RUNNING,),
    (RuntimeStatus.RUNNING, RuntimeStatus.PENDING, RuntimeStatus.SUSPENDED),
    (RuntimeStatus.FAILED,),
    (RuntimeStatus.FAILED, RuntimeStatus.TERMINATED),
    (RuntimeStatus.FAILED, RuntimeStatus.RUNNING),
)
_ORDERS: Final[tuple[ListingOrder, ...]] = ("newest", "oldest")


def rows() -> list[InstanceRecord]:
    """Forty: each status, every fifth held if it is open, some created at the same time."""
    found = []
    for iid in range(1, 41):
        status = _STATUSES[iid % len(_STATUSES)]
        is_held = status is RuntimeStatus.RUNNING and iid % 5 == 0
        hold = Hold(reason=HoldReason.GUARD, message="why", since=1) if is_held else None
        ended = 1_000 + iid if status in FINISHED else None
        found.append(record(iid, status=status, created_at=iid // 3, hold=hold, completed_at=ended))
    return found


async def listed(storage: SqliteStorage, query: InstanceQuery) -> Sequence[int]:
    """All pages."""
    found: list[int] = []
    after: str | None = ""
    while after is not None:
        page = await storage.query(structs.replace(query, after=after or None))
        found += [one.iid for one in page.records]
        after = page.after
    return found


@pytest.mark.parametrize("few", [0, 3, 5_000])
async def test_a_list_is_the_same_by_whichever_index_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(listing, "_FEW", few)
    storage = SqliteStorage(tmp_path / "hub.db")
    owner = await Owner.of(storage)
    stored = rows()
    await owner.commit(instances=stored)
    chosen = product(_WANTED, (None, True, False), ("", "instance-1"), (None, 7), _ORDERS)
    for statuses, held, prefix, begin, order in chosen:
        query = InstanceQuery(
            statuses=statuses,
            held=held,
            id_prefix=prefix,
            created_from=begin,
            order=order,
            limit=4,
        )
        wanted = sorted(
            (
                (one.created_at, one.iid)
                for one in stored
                if (statuses is None or one.status in statuses)
                and (held is None or (one.hold is not None) is held)
                and one.instance_id.startswith(prefix)
                and one.created_at >= (begin or 0)
            ),
            reverse=order == "newest",
        )
        assert await listed(storage, query) == [iid for _, iid in wanted], query
    await storage.close()
