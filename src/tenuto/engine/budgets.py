"""Budgets: a root instance, or the app in a day, that has used what it may is held by name.

Nothing is counted here: what was used is what the store has, of all hosts (``engine.usage``). After
commits that have used something the sums are read again, one reading at a time, and before each
turn it is looked at what the last one said::

    commit ──▶ its roots, today ──▶ read their sums ──▶ half: said once
                                                   └──▶ all: held at their next turn
    held ──▶ read once more ──▶ there is some again: tried again

So a bound is crossed by what commits until its sum is read, and never by what begins after that.
One that is held is tried again as a misfit is, when a host starts or on ``resume``, and after
midnight when it is for the day. Must never hold an instance on a guess.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Final, TypeAlias

from tenuto.engine.batch import Batch
from tenuto.engine.options import UsageOptions
from tenuto.engine.parts import Parts
from tenuto.engine.state import InstanceState
from tenuto.model.budgets import HALF, BudgetBound
from tenuto.model.errors import StorageError
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.messages import ChangeHold
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.usage import Day, day_of, total

_DAY: Final = 86_400 * MICROSECONDS
_AGAIN: Final[Microseconds] = 1_000_000
_KNOWN: Final = 100_000
"""Of so many roots it is remembered how they stand."""

_Held: TypeAlias = tuple[int, InstanceId]
"""The partition and the root of an instance that is held."""

_UNREAD: Final = "what budgets have left could not be read"


class OverBudgetError(Exception):
    """An instance may not take its turn.

    Attributes:
        hold: How it is held.
    """

    def __init__(self, hold: Hold) -> None:
        super().__init__(hold.message)
        self.hold = hold


class Budgets:
    """The budgets of an engine.

    Args:
        engine: Its store has the sums.
        options: The bounds.
    """

    def __init__(self, engine: Parts, options: UsageOptions) -> None:
        self._engine = engine
        self._app = options.app
        self._instance: BudgetBound | None = options.instance_budget
        self._day: BudgetBound | None = options.day_budget
        self._roots: dict[InstanceId, str | None] = {}  # None: something is left
        self._warned: set[InstanceId] = set()
        self._warned_day: Day | None = None
        self._known_day: Day | None = None
        self._over_day: str | None = None
        self._midnight: Day | None = None
        self._used: set[InstanceId] = set()
        self._ended: set[InstanceId] = set()
        self._asking: dict[int, _Held] = {}
        self._is_new_day = False
        self._is_day_used = False
        self._task: asyncio.Task[None] | None = None

    def check(self, state: InstanceState, now: Microseconds) -> None:
        """See that an instance may take a turn.

        Raises:
            OverBudgetError: its root, or its app for today, has used all that it may, as far as
                that is known; or it is held for that, and it is not known yet.
        """
        root = state.facts.root_id
        today = day_of(now)
        over = None
        if self._day is not None and self._known_day == today:
            over = self._over_day
        if over is None and self._instance is not None:
            over = self._roots.get(root)
        if over is not None:
            raise OverBudgetError(Hold(HoldReason.BUDGET, over, now))
        hold = state.hold
        if hold is None or hold.reason is not HoldReason.BUDGET:
            return
        is_day_known = self._day is None or self._known_day == today
        is_root_known = self._instance is None or root in self._roots
        if not (is_day_known and is_root_known):
            self._asking[state.iid] = state.partition, root
            self._begin()
            raise OverBudgetError(Hold(HoldReason.BUDGET, hold.message, now))

    def committed(self, batch: Batch, refused: Collection[int]) -> None:
        """These turns are durable, and with them what they have used.

        Args:
            batch: The turns.
            refused: Whose turns are not, since their ids were taken.
        """
        turns = [one for one in batch.turns if one[0].state.iid not in refused]
        if not turns:
            return
        self._is_day_used = self._day is not None
        for resident, turn in turns:
            state = resident.state
            root = state.facts.root_id
            if state.hold is not None and state.hold.reason is HoldReason.BUDGET:
                # Something may be left by now: a day has begun, or the id another life, before this
                # hold was there to be seen.
                self._asking[state.iid] = state.partition, root
            if self._instance is None:
                continue
            self._used.add(root)
            if root == state.instance_id and turn.has_ended and not turn.seed:
                self._ended.add(root)
        self._begin()

    # --- reading ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._task is None:
            self._engine.reads += 1  # it is not idle before this has ended
            self._task = self._engine.loop.create_task(self._read_all(), name="tenuto-budgets")
            self._task.add_done_callback(self._ended_reading)

    def _ended_reading(self, task: "asyncio.Task[None]") -> None:
        engine = self._engine
        engine.reads -= 1
        self._task = None
        error = None if task.cancelled() else task.exception()
        if error is None:
            engine.outage.works(_UNREAD)
            if self._is_asked:  # since it looked last
                self._begin()
        elif not isinstance(error, StorageError):
            engine.observer.problem(None, f"{_UNREAD}: {error!r}; please report it")
        elif engine.partitions:
            engine.outage.failed(_UNREAD, error)
            engine.clock.call_later(_AGAIN, self._begin)

    @property
    def _is_asked(self) -> bool:
        return (
            self._is_day_used or bool(self._used or self._ended or self._asking) or self._is_new_day
        )

    async def _read_all(self) -> None:
        """Until nothing has been used since."""
        while self._is_asked:
            self._is_day_used = False
            used, self._used = self._used, set()
            ended, self._ended = self._ended, set()
            asking, self._asking = self._asking, {}
            try:
                await self._read(used, ended, asking)
            except StorageError:
                self._is_day_used = self._day is not None
                self._used |= used
                self._ended |= ended
                self._asking = asking | self._asking
                raise

    async def _read(
        self, used: set[InstanceId], ended: set[InstanceId], asking: Mapping[int, _Held]
    ) -> None:
        if self._day is not None:
            await self._read_day(day_of(self._engine.clock.now()), self._day)
        if self._instance is not None:
            wanted = used | {root for _, root in asking.values()}
            await self._read_roots(sorted(wanted - ended), self._instance)
            await self._forget(sorted(ended))
        self._try_again(asking)
        if self._is_new_day:
            await self._try_all()

    async def _read_day(self, today: Day, bound: BudgetBound) -> None:
        rows = await self._engine.storage.usage(today, today, ("app",))
        spent = bound.spent(total(row for row in rows if row.app == self._app))
        self._known_day = today
        self._over_day = None
        if spent.share >= 1:
            self._over_day = (
                f"the app has used {spent.words} today (setting usage.day_budget); it goes on "
                "after midnight, UTC, or when a host starts with a larger budget"
            )
            self._wait_for_midnight(today)
        elif spent.share >= HALF and self._warned_day != today:
            self._warned_day = today
            self._engine.observer.problem(
                None,
                f"the app {self._app!r} has used {spent.share:.0%} of its budget for today: "
                f"{spent.words} (setting usage.day_budget)",
            )

    async def _read_roots(self, roots: Sequence[InstanceId], bound: BudgetBound) -> None:
        if not roots:
            return
        found = {row.function: row.amounts for row in await self._engine.storage.root_usage(roots)}
        if len(self._roots) + len(roots) > _KNOWN:  # they are read again when they use something
            self._roots = {root: over for root, over in self._roots.items() if over is not None}
            self._warned.clear()
        for root in roots:
            self._roots[root] = None
            if (used := found.get(root)) is None:
                continue
            spent = bound.spent(used)
            if spent.share >= 1:
                self._roots[root] = (
                    f"instance {root!r} has used, with all that it calls, {spent.words} (setting "
                    "usage.instance_budget); it goes on when a host starts with a larger budget"
                )
            elif spent.share >= HALF and root not in self._warned:
                self._warned.add(root)
                self._engine.observer.problem(
                    root,
                    f"has used, with all that it calls, {spent.share:.0%} of its budget: "
                    f"{spent.words} (setting usage.instance_budget)",
                )

    async def _forget(self, ended: Sequence[InstanceId]) -> None:
        """Whoever has such an id next has the whole budget."""
        if ended:
            await self._engine.storage.forget_root_usage(ended)
            for root in ended:
                self._roots.pop(root, None)
                self._warned.discard(root)

    # --- trying again -----------------------------------------------------------------------------

    def _try_again(self, held: Mapping[int, _Held]) -> None:
        """Those that are held, and have something left."""
        is_over = self._day is not None and self._over_day is not None
        for iid, (number, root) in held.items():
            if not is_over and self._roots.get(root) is None:
                self._want(iid, number)

    def _want(self, iid: int, number: int) -> None:
        home = self._engine.partitions.get(number)
        if home is not None:
            home.loader.want(iid, ChangeHold())

    def _wait_for_midnight(self, today: Day) -> None:
        if self._midnight != today:
            self._midnight = today
            self._engine.clock.call_at((today + 1) * _DAY, self._next_day)

    def _next_day(self) -> None:
        if self._engine.partitions:
            self._is_new_day = True
            self._begin()

    async def _try_all(self) -> None:
        """A day has begun: whoever is held for another one is tried again."""
        engine = self._engine
        for number in list(engine.partitions):
            for iid in await engine.storage.misfits([number], HoldReason.BUDGET):
                self._want(iid, number)
        self._is_new_day = False


def budgets_of(engine: Parts, options: UsageOptions) -> Budgets | None:
    """The budgets of an engine; None when nothing is bounded."""
    if options.instance_budget is None and options.day_budget is None:
        return None
    return Budgets(engine, options)
