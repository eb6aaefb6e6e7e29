"""How many instances of a hub stand where: asked of the store at most every other second."""

from contextlib import suppress
from typing import Final

from msgspec import UNSET, Struct, UnsetType

from tenuto.engine.asking import Asking
from tenuto.engine.engine import Engine
from tenuto.model.errors import StorageError
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds

MOST_COUNTED: Final = 100_000
"""Of each status; a store counts so many within milliseconds."""

FRESH_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 1.0


class InstanceCounts(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many instances of the hub have not ended, as last counted.

    Attributes:
        at: When, in microseconds since 1970 UTC.
        pending: Those that have not begun.
        running: Those that have, and are neither suspended nor held.
        suspended: Those that somebody has paused.
        held: Those that cannot go on now, by reason, whatever they were before.
        is_estimate: True where a count was given up at 100,000: there are more. Else left out.
    """

    at: Microseconds
    pending: int
    running: int
    suspended: int
    held: dict[str, int]
    is_estimate: bool | UnsetType = UNSET


class CountedInstances:
    """The counts of a hub for whoever looks.

    Args:
        engine: Has the store.
        most: Where counting is given up, of each status.
    """

    def __init__(self, engine: Engine, most: int = MOST_COUNTED) -> None:
        self._engine = engine
        self._most = most
        self._known: InstanceCounts | None = None
        self._asking = Asking(self._ask)

    async def now(self) -> InstanceCounts | None:
        """As last counted; None when the store has not answered yet."""
        with suppress(StorageError):  # shown as it was last known
            await self._asking.within(_PATIENCE_SECONDS, fresh_seconds=FRESH_SECONDS)
        return self._known

    async def _ask(self) -> None:
        engine = self._engine
        counts = await engine.storage.open_counts(self._most + 1)
        held = await engine.holding.count()
        self._known = InstanceCounts(
            at=engine.clock.now(),
            pending=min(counts[RuntimeStatus.PENDING], self._most),
            running=min(counts[RuntimeStatus.RUNNING], self._most),
            suspended=min(counts[RuntimeStatus.SUSPENDED], self._most),
            held=held,
            is_estimate=True if max(counts.values()) > self._most else UNSET,
        )
