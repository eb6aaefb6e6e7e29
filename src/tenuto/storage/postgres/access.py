"""What the parts of a store share: one piece of work on the right connection."""

from collections.abc import Sequence
from typing import Any, TypeVar

import asyncpg

from tenuto.engine.news import Written
from tenuto.engine.rows import InboxRow, Lease
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.connection import Session, Work

T = TypeVar("T")


class Access:
    """The ways to the server; the store has them."""

    @property
    def _url(self) -> str:
        raise NotImplementedError

    async def _read(self, work: Work[T]) -> T:
        raise NotImplementedError

    async def _write(self, work: Work[T], *, tells: Written | None = None) -> T:
        raise NotImplementedError

    async def read(self, work: Work[T]) -> T:
        """One piece of work that reads."""
        return await self._read(work)

    async def written(self, work: Work[T], *, tells: Written | None = None) -> T:
        """One piece of work that writes; ``tells``: what other processes want to know of it."""
        return await self._write(work, tells=tells)

    async def _hold(self, session: Session, lease: Lease, so: str) -> None:
        raise NotImplementedError

    async def _rows(self, name: str, /, **values: Any) -> list[asyncpg.Record]:
        return await self._read(lambda session: session.rows(name, **values))

    async def _value(self, name: str, /, **values: Any) -> Any:  # noqa: ANN401 - a column's
        return await self._read(lambda session: session.value(name, **values))


async def add_messages(session: Session, rows: Sequence[InboxRow]) -> None:
    """Messages for instances of this hub, and for those of linked ones."""
    here, away = packing.parted(rows)
    if here:
        await session.run("append", **packing.messages(here))
    if away:
        await session.run("send_in_order", **packing.outgoing(away))
