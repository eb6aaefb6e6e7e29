"""Turning: who runs a turn, and what becomes of one that is out.

A turn is prepared, answered and finished (``engine.turns``). Most are answered at once. One whose
runner answers later is *out*, and its instance goes on with nothing else meanwhile (ENGINE rules 31
and 32)::

    here ──prepare──▶ out ──answer──▶ finished, booked
      ▲                │
      │                ├──the session is closed: an end from outside, a hold, the host lets go──┐
      │                └──nobody could run it: put off, with growing delay──────────────────────┤
      └───────────────────────the messages come first again─────────────────────────────────────┘

While it is out, requests of clients become rows and are acknowledged, results gather for the next
turn, and what ends the instance recalls it. Must never book a turn that was recalled. Keeps
``exactly_once_turns`` and ``one_never_takes_all``.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from tenuto.engine.budgets import OverBudgetError
from tenuto.engine.holding import MISFITS
from tenuto.engine.parts import Parts
from tenuto.engine.ports import GivenBack, LateAnswer, LateTurn
from tenuto.engine.resident import OpenTurn, Resident
from tenuto.engine.turns.orchestration import ask, finish, prepare
from tenuto.engine.turns.sorting import (
    Refusal,
    cut_inbox,
    ends_or_holds,
    open_request,
    still_going,
)
from tenuto.engine.turns.step import Step
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import AnyMessageId
from tenuto.model.messages import (
    CLIENT_MESSAGES,
    AnswerQuestion,
    Message,
    Purge,
    RedeemWebhook,
    Start,
)
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds

if TYPE_CHECKING:
    from tenuto.engine.turns.orchestration import Prepared
    from tenuto.model.actions import TurnActions

_SUSPENDED: Final = RuntimeStatus.SUSPENDED
_FIRST_DELAY: Final[Microseconds] = 50_000
_LONGEST_DELAY: Final[Microseconds] = 30_000_000
"""Microseconds until a turn that was given back is offered again."""


class Turning:
    """Runs the turns of an engine.

    Attributes:
        out: How many turns are out.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._noting: set[asyncio.Task[None]] = set()
        self.out: int = 0

    def run(self, resident: Resident, now: Microseconds) -> None:
        """Take the inbox of an instance in as one turn, or let the turn out."""
        engine = self._engine
        engine.busy_with = resident
        state = resident.state
        inbox, resident.inbox = resident.inbox, []
        try:  # from here on what is taken out is put back, also when memory runs out
            if resident.held:
                inbox = resident.held + inbox
                resident.held = []
            if state.hold is not None or state.status is _SUSPENDED:
                inbox = engine.holding.with_derived(resident, inbox, now)
            if len(inbox) > 1:
                inbox, resident.inbox = cut_inbox(state, inbox)
            prepared = prepare(state, inbox, now)
            answer = prepared.answer
            if prepared.wants_session:
                if state.hold is not None or engine.budgets is not None:
                    engine.holding.check_may_run(state, now)
                session = resident.session or engine.retention.session(resident)
                if prepared.asks:
                    late = ask(session, prepared)
                    if isinstance(late, LateTurn):
                        self._let_out(resident, inbox, prepared, late)
                        return
                    answer = late
            turn = finish(state, prepared, answer, engine.rules)
        except Exception as error:  # noqa: BLE001 - ENGINE rule 6: whatever went wrong, discard and retry
            found = self._went_wrong(resident, inbox, error, now)
            if found is None:
                return
            turn = found
        else:
            resident.failures = 0
        engine.booking.book(resident, turn)
        if resident.inbox:  # what was cut off, or has come meanwhile
            engine.make_ready(resident)

    def _went_wrong(
        self, resident: Resident, inbox: list[Message], error: Exception, now: Microseconds
    ) -> Step | None:
        """The turn that holds the instance instead; None when it is tried again."""
        engine = self._engine
        if isinstance(error, OverBudgetError):
            return engine.holding.without_budget(resident, inbox, error.hold, now)
        if isinstance(error, MemoryError):
            return self._without_memory(resident, inbox, error, now)
        if not isinstance(error, MISFITS):
            instance_id = resident.state.instance_id
            engine.retention.close(resident)
            resident.failures += 1
            if resident.failures <= 1:
                engine.observer.problem(instance_id, f"turn failed, tried again: {error!r}")
                self._again(resident, inbox)
                return None
            engine.observer.problem(instance_id, f"its turn failed again: {error!r}")
        return engine.holding.misfit(resident, inbox, error, now)

    def _again(self, resident: Resident, inbox: list[Message]) -> None:
        resident.inbox = inbox + resident.inbox
        self._engine.make_ready(resident)

    def _without_memory(
        self, resident: Resident, inbox: list[Message], error: MemoryError, now: Microseconds
    ) -> Step | None:
        """The turn that holds whoever found no memory; None when that is not to be, or not now."""
        engine = self._engine
        engine.shortage.note()
        engine.retention.close(resident)
        resident.failures += 1
        if resident.failures <= 1 and engine.holding.charge_another(resident, inbox):
            self._again(resident, inbox)
            return None
        try:
            return engine.holding.misfit(resident, inbox, error, now)
        except MemoryError:
            resident.inbox = inbox + resident.inbox
            engine.pipeline.batch.refuse_for_memory(resident.state.iid)
            return None

    # --- turns that are out -----------------------------------------------------------------------

    def _let_out(
        self, resident: Resident, inbox: list[Message], prepared: "Prepared", late: LateTurn
    ) -> None:
        turn = resident.out = OpenTurn(inbox, prepared, late)
        self.out += 1
        self._secure(resident, turn)
        late.bind(partial(self._answered, resident, turn))
        if resident.out is turn:
            self.arrived(resident)

    def _secure(self, resident: Resident, turn: OpenTurn) -> None:
        """Whoever asked for what the turn takes in need not wait for it: it is stored now."""
        engine = self._engine
        inbox = turn.prepared.inbox
        refused = {refusal.message_id: refusal.error for refusal in inbox.refused}
        kept: dict[AnyMessageId, Message] = {}
        for message in (*inbox.taken, *inbox.held):
            key = message.message_id
            if key in refused:
                engine.booking.refuse(message, refused[key])
            elif isinstance(message, Start):
                kept[key] = engine.booking.open_ahead(resident, message)
            elif engine.callers.is_expected(key):
                kept[key] = engine.booking.keep(resident, message)
        if kept:
            inbox.taken = [kept.get(one.message_id, one) for one in inbox.taken]
            inbox.held = [kept.get(one.message_id, one) for one in inbox.held]
            # A webhook's request is kept as the event that it raises, under the same id.
            turn.messages = [kept.get(one.message_id, one) for one in turn.messages]

    def arrived(self, resident: Resident) -> None:
        """Messages may have come for an instance whose turn is out."""
        turn = resident.out
        assert turn is not None
        inbox = resident.inbox
        while turn.seen < len(inbox):
            message = inbox[turn.seen]
            if ends_or_holds(message):
                self._engine.retention.close(resident)  # which recalls the turn
                self._engine.make_ready(resident)
                return
            if self._engine.callers.is_expected(message.message_id):
                kept = self._keep(resident, turn, message)
                if kept is None:
                    del inbox[turn.seen]
                    continue
                inbox[turn.seen] = kept
            turn.seen += 1

    def _keep(self, resident: Resident, turn: OpenTurn, message: Message) -> Message | None:
        """A client need not wait for a turn that may take long; None when it is refused."""
        engine = self._engine
        state = resident.state
        if isinstance(message, RedeemWebhook | AnswerQuestion):
            found = open_request(state, turn.prepared.inbox, resident.inbox[: turn.seen], message)
            if isinstance(found, Refusal):
                engine.booking.refuse(message, found.error)
                return None
            message = found
        elif isinstance(message, Purge):
            engine.booking.refuse(message, still_going(state.instance_id))
            return None
        elif not isinstance(message, CLIENT_MESSAGES):
            return message
        return engine.booking.keep(resident, message)

    def recall(self, resident: Resident) -> None:
        """A turn that is out, or put off, is not to be any more: its messages come first again."""
        turn, resident.out = resident.out, None
        if turn is None:
            return
        if turn.late is not None:
            self.out -= 1
            turn.late.recall()
        resident.inbox = turn.messages + resident.inbox

    def _answered(self, resident: Resident, turn: OpenTurn, answer: LateAnswer) -> None:
        engine = self._engine
        if resident.out is not turn or turn.late is None:
            return
        self.out -= 1
        if isinstance(answer, GivenBack):
            self._put_off(resident, turn, answer)
            return
        resident.out = None
        if isinstance(answer, Exception):
            found = self._went_wrong(resident, turn.messages, answer, engine.clock.now())
        else:
            found = self._finished(resident, turn, answer)
        if found is not None:
            now = perf_counter_ns()
            engine.pipeline.batch.uses(resident, elsewhere=now - turn.began)
            with engine.meter.measuring_since(now):
                engine.booking.book(resident, found)
            if resident.inbox:
                engine.make_ready(resident)
        engine.schedule_pump()

    def _finished(self, resident: Resident, turn: OpenTurn, answer: "TurnActions") -> Step | None:
        engine, state = self._engine, resident.state
        try:
            found = finish(state, turn.prepared, answer, engine.rules)
        except Exception as error:  # noqa: BLE001 - as in a turn that is answered at once
            return self._went_wrong(resident, turn.messages, error, engine.clock.now())
        resident.failures = resident.offers = 0
        if state.deliveries > 0:
            state.deliveries = 0
            self._note(resident, lambda: None)
        return found

    # --- offering again ---------------------------------------------------------------------------

    def _put_off(self, resident: Resident, turn: OpenTurn, given: GivenBack) -> None:
        """Nobody could run it: it is offered again, later each time, and counted if it kills."""
        engine = self._engine
        state = resident.state
        turn.late = None
        resident.offers += 1
        if resident.offers & (resident.offers - 1) == 0:  # ever more rarely
            text = f"its turn was given back ({given.reason}); it is offered again"
            engine.observer.problem(state.instance_id, text)
        # The session has taken the messages in.
        resident.out = None
        engine.retention.close(resident)
        resident.out = turn
        delay = min(_FIRST_DELAY << min(resident.offers - 1, 20), _LONGEST_DELAY)
        offer = partial(engine.clock.call_later, delay, partial(self._offer, resident, turn))
        if not given.has_killed:
            offer()
            return
        state.deliveries = max(state.deliveries, 0) + 1
        if state.deliveries > engine.options.max_deliveries:
            self._hold_killer(resident)
        else:  # written before the next try, which may end more than the worker (rule 32)
            self._note(resident, offer)

    def _offer(self, resident: Resident, turn: OpenTurn) -> None:
        if resident.out is turn and resident.home.residents.get(resident.state.iid) is resident:
            self.recall(resident)
            self._engine.make_ready(resident)

    def _hold_killer(self, resident: Resident) -> None:
        engine = self._engine
        most = engine.options.max_deliveries
        text = (
            f"the process of its worker died {most + 1} times while it ran there alone; look at "
            "what it does, then resume it, or end it"
        )
        self.recall(resident)
        engine.holding.hold(resident, Hold(HoldReason.CRASHED, text, engine.clock.now()))

    def _note(self, resident: Resident, then: Callable[[], object]) -> None:
        engine = self._engine
        engine.reads += 1

        async def note() -> None:
            try:
                await engine.holding.note_deliveries([resident])
            finally:
                engine.reads -= 1
                then()

        task = self._engine.loop.create_task(note())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)
