"""Holding: what cannot go on now waits with all that it was sent, instead of failing.

Owns who is held, why, and when it is tried again (ENGINE rules 29 and 36): a misfit whenever a host
starts and on ``resume``, what is harmful only on ``resume``. The turn itself keeps the messages; a
held instance leaves memory like a paused one. Keeps the promise ``a_deploy_loses_nothing``.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Final, NoReturn

from msgspec import structs

from tenuto.engine.arrivals import due_timers
from tenuto.engine.asking import Asking
from tenuto.engine.batch import HEAVY_BYTES
from tenuto.engine.delivery import row_id
from tenuto.engine.parts import Parts
from tenuto.engine.ports import ActivityWork
from tenuto.engine.resident import Resident
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.orchestration import failed_turn, take_turn
from tenuto.engine.turns.sorting import is_retry, payload_length, tries_again
from tenuto.engine.turns.step import Step
from tenuto.model.errors import (
    GuardError,
    NonDeterminismError,
    PayloadMisfitError,
    StorageError,
    UnknownFunctionError,
)
from tenuto.model.failure import failure_of
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.messages import LETTERS, ChangeHold, Message
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

MISFITS: Final = (
    NonDeterminismError,
    GuardError,
    PayloadMisfitError,
    UnknownFunctionError,
    MemoryError,
)
"""What a session raises when it does not fit its instance, or cannot be had."""

_REASONS: Final = {
    NonDeterminismError: HoldReason.DECISIONS,
    GuardError: HoldReason.GUARD,
    PayloadMisfitError: HoldReason.PAYLOAD,
    UnknownFunctionError: HoldReason.NOT_SERVED,
    MemoryError: HoldReason.MEMORY,
}


class Holding:
    """Holds instances of an engine."""

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self.counts: dict[str, int] = {}
        """How many are held, by reason, as last counted."""
        self.counting: Asking = Asking(self.count)
        """Counts again for who does not wait for the store."""
        self._told_ahead: set[int] = set()
        """Of whom it was said ahead that no app serves them; loading them finds it once more."""

    async def count(self) -> dict[str, int]:
        """Count those that are held; as last counted while the store cannot be read."""
        with suppress(StorageError):
            self.counts = await self._engine.storage.held_counts()
        return self.counts

    async def note_deliveries(self, residents: Collection[Resident]) -> None:
        """Durably note how often these instances were tried, as their states say."""
        engine = self._engine
        ours = [one for one in residents if engine.is_ours(one.home)]
        if not ours:
            return
        try:
            await engine.storage.set_deliveries(
                {one.state.iid: one.state.deliveries for one in ours}
            )
        except StorageError as error:
            engine.observer.problem(None, f"tries could not be noted: {error}")

    # --- holding ----------------------------------------------------------------------------------

    def misfit(
        self, resident: Resident, inbox: list[Message], error: Exception, now: Microseconds
    ) -> Step:
        """The turn of an instance whose session could not take this inbox in."""
        engine = self._engine
        state = resident.state
        engine.retention.close(resident)
        resident.failures = 0
        if engine.options.on_mismatch == "fail" and not self._is_for_another_app(state, error):
            return self._fail(resident, inbox, error, now)
        hold = hold_of(error, now).after(state.hold)
        if hold != state.hold:
            engine.observer.instance_held(state.instance_id, hold)
        return take_turn(state, inbox, _no_session, now, engine.rules, hold)

    def without_budget(
        self, resident: Resident, inbox: list[Message], hold: Hold, now: Microseconds
    ) -> Step:
        """The turn of an instance that may use nothing more: it keeps what it was sent."""
        engine = self._engine
        state = resident.state
        engine.retention.close(resident)
        hold = hold.after(state.hold)
        if state.hold is None or state.hold.reason is not hold.reason:
            engine.observer.instance_held(state.instance_id, hold)
        return take_turn(state, inbox, _no_session, now, engine.rules, hold)

    def _is_for_another_app(self, state: InstanceState, error: Exception) -> bool:
        """Whether nobody here has called it: then it waits for another program on the store."""
        serves = self._engine.runner.serves
        is_called = state.facts.parent is not None and serves(state.facts.parent.name)
        return isinstance(error, UnknownFunctionError) and not is_called

    def _fail(
        self, resident: Resident, inbox: list[Message], error: Exception, now: Microseconds
    ) -> Step:
        engine = self._engine
        for message in inbox:
            if isinstance(message, LETTERS):
                letter = message
                if row_id(message) is None:
                    letter = structs.replace(message, message_id=engine.next_message_id())
                reason = f"its turn failed: {error}"
                name = resident.state.instance_id
                engine.booking.bury(letter, name, reason, engine.pipeline.batch)
        # Where the engine noticed it helps nobody; the message names the user's own line.
        is_ours = isinstance(error, NonDeterminismError | UnknownFunctionError)
        failure = failure_of(error, with_traceback=not is_ours)
        return failed_turn(resident.state, inbox, failure, now)

    def hold_unserved(self, resident: Resident) -> bool:
        """Hold an instance that was loaded if its orchestrator is not here: it is another app's,
        or that of a deployment that is not complete. Nothing of it may run here.
        """
        engine = self._engine
        state = resident.state
        if engine.runner.serves(state.facts.name):
            return False
        error = UnknownFunctionError("orchestrator", state.facts.name, engine.runner.orchestrators)
        if engine.options.on_mismatch == "fail" and not self._is_for_another_app(state, error):
            return False
        has_peers = engine.peers is not None
        self.hold(resident, hold_of(error, engine.clock.now(), has_peers=has_peers))
        return True

    def check_may_run(self, state: InstanceState, now: Microseconds) -> None:
        """See that an instance has something left of its budget, and that what held it is there
        before it goes on: it is held on otherwise, not anew.

        Raises:
            OverBudgetError: nothing is left.
            UnknownFunctionError: an activity is not here.
        """
        engine = self._engine
        if engine.budgets is not None:
            engine.budgets.check(state, now)
        runner, hold = engine.runner, state.hold
        if hold is None or hold.reason is not HoldReason.NOT_SERVED:
            return
        if engine.options.on_mismatch == "fail":
            return
        for work in state.work.activities.values():
            if not runner.serves_activity(work.name):
                raise UnknownFunctionError("activity", work.name, list(runner.activity_limits))

    def hold_for_activity(self, work: ActivityWork) -> bool:
        """Hold the instance of an attempt whose activity is not here; False where it is to fail."""
        engine = self._engine
        home = engine.partitions.get(work.partition)
        resident = None if home is None else home.residents.get(work.iid)
        if engine.options.on_mismatch == "fail" or resident is None:
            return False
        resident.works.pop(work.task_id, None)
        error = UnknownFunctionError("activity", work.name, list(engine.runner.activity_limits))
        self.hold(resident, hold_of(error, engine.clock.now()))
        return True

    def hold_ahead(self, record: InstanceRecord, hold: Hold) -> None:
        """Hold an instance that only waits: it was found out before its next turn that the code
        does not fit it. One whose session lives here fits, whatever was read of it.
        """
        engine = self._engine
        home = engine.partitions.get(record.partition)
        resident = None if home is None else home.residents.get(record.iid)
        if home is None or (resident is not None and resident.session is not None):
            return
        if hold.reason is HoldReason.NOT_SERVED:
            self._told_ahead.add(record.iid)
        engine.observer.instance_held(record.instance_id, hold)
        home.loader.want(record.iid, ChangeHold(hold=hold))

    def hold(self, resident: Resident, hold: Hold) -> None:
        """Hold an instance from its next turn on."""
        engine = self._engine
        if resident.state.iid not in self._told_ahead or hold.reason is not HoldReason.NOT_SERVED:
            engine.observer.instance_held(resident.state.instance_id, hold)
        self._told_ahead.discard(resident.state.iid)
        if resident.out is not None:
            engine.retention.close(resident)
        resident.inbox.insert(0, ChangeHold(hold=hold))
        engine.make_ready(resident)

    # --- memory -----------------------------------------------------------------------------------

    def charge_another(self, resident: Resident, inbox: list[Message]) -> bool:
        """Memory has run out in a turn: hold who takes most of it, if that is not this one."""
        heaviest = self._heaviest()
        if heaviest is None or heaviest is resident:
            return False
        if _weight(heaviest) < 2 * (resident.size + sum(map(payload_length, inbox))):
            return False
        self._hold_for_memory(heaviest)
        return True

    def charge_heaviest(self) -> None:
        """Memory has run out while nobody's turn ran: hold who takes most of it."""
        self._engine.shortage.note()
        heaviest = self._heaviest()
        if heaviest is not None:
            self._hold_for_memory(heaviest)

    def heaviest_held(self) -> int | None:
        """Who is held here already, and has a lot in memory that it was sent before: its hold may
        be what there is no memory to write, so that nobody would ever get on.
        """
        held = [one for one in self._engine.residents if one.state.hold is not None]
        heaviest = max(held, key=_weight_of_all, default=None)
        if heaviest is None or _weight_of_all(heaviest) < HEAVY_BYTES:
            return None
        return heaviest.state.iid

    def _heaviest(self) -> Resident | None:
        """Who takes most memory here, if that is a lot."""
        heaviest = max(self._engine.residents, key=_weight, default=None)
        return None if heaviest is None or _weight(heaviest) < HEAVY_BYTES else heaviest

    def _hold_for_memory(self, resident: Resident) -> None:
        text = (
            f"memory ran out while it had some {_weight(resident):,} bytes of it; give the host "
            "more memory, or pass references instead of long payloads; then resume it"
        )
        engine = self._engine
        engine.retention.close(resident)
        try:
            self.hold_instead(resident, Hold(HoldReason.MEMORY, text, engine.clock.now()))
        except MemoryError:  # what it was sent cannot be kept
            engine.pipeline.batch.refuse_for_memory(resident.state.iid)
            engine.schedule_pump()

    def hold_instead(self, resident: Resident, hold: Hold) -> None:
        """Hold an instance before it takes in what waits for it: nothing of it may run.

        A word to try it again, which led to this, is used up; else it would be tried without end.
        """
        engine = self._engine
        state = resident.state
        engine.observer.instance_held(state.instance_id, hold)
        inbox = [*resident.held, *resident.inbox]
        hold = hold.after(state.hold)
        turn = take_turn(state, inbox, _no_session, engine.clock.now(), engine.rules, hold)
        resident.held, resident.inbox = [], []
        with engine.meter.measuring_since(perf_counter_ns()):
            engine.booking.book(resident, turn)
        engine.schedule_pump()

    # --- trying again -----------------------------------------------------------------------------

    def worth_trying(self, state: InstanceState, messages: list[Message]) -> list[Message]:
        """The messages for an instance that was loaded, without the word to try it again when
        what it waits for is still not here.
        """
        if state.hold is None or state.hold.reason is not HoldReason.NOT_SERVED:
            return messages
        runner = self._engine.runner
        names = [one.name for one in state.work.activities.values()]
        if runner.serves(state.facts.name) and all(map(runner.serves_activity, names)):
            return messages
        return [one for one in messages if not is_retry(one)]

    def with_derived(
        self, resident: Resident, inbox: list[Message], now: Microseconds
    ) -> list[Message]:
        """The inbox of a stopped instance, with what it must know when it goes on."""
        if not any(map(tries_again, inbox)):
            return inbox
        return [*self._openings(resident, now), *inbox, *due_timers(resident.state, now)]

    def _openings(self, resident: Resident, now: Microseconds) -> Sequence[Message]:
        state = resident.state
        if state.next_turn:
            return ()
        if resident.openings or state.facts.generation:
            return resident.openings
        return self._engine.arrivals.opening(resident, now)


def _weight(resident: Resident) -> int:
    """Roughly, in characters."""
    if resident.state.hold is not None or resident.state.is_finished:
        return 0
    return resident.size + sum(map(payload_length, resident.inbox))


def _weight_of_all(resident: Resident) -> int:
    return resident.size + sum(map(payload_length, (*resident.held, *resident.inbox)))


def hold_of(error: Exception, now: Microseconds, *, has_peers: bool = False) -> Hold:
    """How an instance is held whose turn ended in this error.

    Args:
        error: It.
        now: The present.
        has_peers: Whether several hosts share the hub.
    """
    reason = next(
        (reason for kind, reason in _REASONS.items() if isinstance(error, kind)), HoldReason.POISON
    )
    recorded: str | None = getattr(error, "recorded", None)
    produced: str | None = getattr(error, "produced", None)
    text = str(error)
    if reason in {HoldReason.POISON, HoldReason.MEMORY}:
        text = f"its turn cannot be taken: {error!r}"
    elif reason is HoldReason.NOT_SERVED:
        is_here = isinstance(error, UnknownFunctionError) and error.is_known
        who = "the next worker comes" if is_here else "a host starts that has it"
        if has_peers and not is_here:  # which hosts these are, explanations say
            who = "a host that has it serves its partition"
        text = f"{text}; it goes on when {who}"
    return Hold(reason, text, now, recorded, produced)


def _no_session() -> NoReturn:
    raise AssertionError("nothing runs of an instance that is held")
