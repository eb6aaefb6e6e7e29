"""What the parts of a store share: one piece of work on the right connection."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import asyncpg

from tenuto.engine.rows import InboxRow, Lease
from tenuto.storage.postgres import packing
from tenuto.storage.postgres.connection import Session, Work

T = TypeVar("T")


class Access(ABC):
    """The ways to the server; the store has them."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Of the store, as people are shown it."""

    @abstractmethod
    async def read(self, work: Work[T]) -> T:
        """One piece of work that reads."""

    @abstractmethod
    async def written(self, work: Work[T], *, tells: bool = False) -> T:
        """One piece of work that writes; ``tells``: other processes want to know."""

    @abstractmethod
    async def hold(self, session: Session, lease: Lease, so: str) -> None:
        """The lease holds until this transaction is over.

        Raises:
            FencedError: it does not; ``so`` says what follows.
        """

    async def rows(self, name: str, /, **values: Any) -> list[asyncpg.Record]:
        """All rows of a statement that reads."""
        return await self.read(lambda session: session.rows(name, **values))

    async def value(self, name: str, /, **values: Any) -> Any:  # noqa: ANN401 - a column's
        """The first column of its first row; None when there is none."""
        return await self.read(lambda session: session.value(name, **values))


async def add_messages(session: Session, rows: Sequence[InboxRow]) -> None:
    """Messages for instances of this hub, and for those of linked ones."""
    here, away = packing.parted(rows)
    if here:
        await session.run("append", **packing.messages(here))
    if away:
        await session.run("send_in_order", **packing.outgoing(away))
