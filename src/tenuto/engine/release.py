"""Release: what happens once a batch is durable, and never before.

Owns the effects: activities start, timers are armed, clients and waiters hear
(``durable_before_visible``). Must never be reached by a batch that the store has not taken.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from itertools import chain

from tenuto.engine.batch import Batch
from tenuto.engine.news import news_of
from tenuto.engine.parts import Parts
from tenuto.engine.ports import ActivityWork
from tenuto.engine.resident import Resident
from tenuto.engine.rows import CommitResult
from tenuto.engine.state import InstanceState
from tenuto.engine.turns.effects import NOTHING, Effects
from tenuto.engine.turns.step import Step
from tenuto.model.errors import InstanceExistsError
from tenuto.model.interrupts import is_from_keyboard
from tenuto.model.messages import (
    Message,
    Start,
    TaskResult,
)

_SAYS_SO = logging.Handler()
"""Tells of a line that could not be shown as logging does: on the standard error stream."""


class Release:
    """Releases the effects of committed batches of an engine.

    Attributes:
        on_spans: Called when spans are durable.
    """

    def __init__(self, engine: Parts) -> None:
        self._engine = engine
        self._begun: list[str] = []
        self.on_spans: list[Callable[[], None]] = []

    def committed(self, batch: Batch, result: CommitResult) -> None:
        """A batch is durable: let its effects out, in the order of its turns."""
        engine = self._engine
        works: list[ActivityWork] = []
        refused = result.refused
        is_watched = engine.observer.sees_turns
        for resident, turn in batch.turns:
            resident.in_flight -= 1
            if refused and resident.state.iid in refused:
                self._drop_refused(resident, turn.inbox.taken)
                continue
            resident.is_undecided = False
            if is_watched or turn.logs:
                self._tell_of(resident.state, turn)
            effects = turn.effects
            if effects is not NOTHING and not engine.is_draining:
                self._release_effects(resident, effects, works)
            if not turn.inbox.is_plain:
                self._forget_messages(resident, turn)
            if turn.has_ended:
                self._release_ending(resident, turn)
            elif turn.resumes:
                self.take_work_up(resident)
            if not resident.works and resident.is_idle:
                engine.retention.settle(resident)
            elif resident.inbox and not resident.in_flight:
                engine.make_ready(resident)
        if works:
            engine.start_works(works)
        self._release_rest(batch, result)
        if engine.has_ready:
            engine.schedule_pump()

    def _tell_of(self, state: InstanceState, turn: Step) -> None:
        """Whoever watches hears of a turn, and its log lines are shown."""
        if turn.logs:
            _show(turn.logs)
        observer = self._engine.observer
        if observer.sees_turns and turn.events:
            if turn.number == 0:
                name, trace = state.facts.name, state.facts.trace
                observer.instance_began(state.instance_id, name, turn.generation, trace)
            observer.turn_committed(state.instance_id, turn.generation, turn.number)

    def _release_rest(self, batch: Batch, result: CommitResult) -> None:
        """What a batch means besides each of its turns: starts, answers to clients, messages."""
        engine = self._engine
        if self._begun:
            begun, self._begun = self._begun, []
            engine.observer.instances_began(begun)
        if result.refused:
            self._refuse_rows(batch, result.refused)
        for resident, decide in batch.starts:
            resident.in_flight -= 1
            decide(resident.state.iid not in result.refused, None)
        for caller, error in batch.answered.values():
            caller.answer(error)
        for acknowledge in batch.acknowledge:
            acknowledge()
        for row in batch.to_route:
            home = engine.partitions.get(row.partition)
            # It may have been read already: a commit can land long before that is known here.
            if home is None or not home.delivery.is_known(row.message_id):
                engine.arrivals.route(row)
        self._release_topics(batch, result.refused)
        if engine.budgets is not None:
            engine.budgets.committed(batch, result.refused)
        if engine.updates.is_heard:
            engine.updates.publish(batch, result.refused)

    def _release_topics(self, batch: Batch, refused: Collection[int]) -> None:
        """Who has published is told, and who waits for what was published."""
        engine = self._engine
        for posted in batch.posted:
            posted.answer(None)
        if batch.published or batch.queued or batch.posted:
            events = chain(batch.published, *(one.events for one in batch.posted))
            engine.fed(
                news_of(events, chain(batch.queued, *(one.messages for one in batch.posted)))
            )
        if batch.spans:
            for tell in self.on_spans:
                tell()
        if batch.topic_waits:
            # Those of ids that were taken before us are not in the store.
            rows = batch.topic_waits.values()
            engine.correlation.began(row for row in rows if row.iid not in refused)
        if batch.purged:
            engine.correlation.gone(batch.purged)

    def _forget_messages(self, resident: Resident, turn: Step) -> None:
        """They are used up, durably: whoever asked hears of it. With its first ones an instance has
        begun.
        """
        taken = turn.inbox.taken
        if not turn.number and not turn.generation and turn.events:
            self._begun.append(resident.state.facts.name)
        callers = self._engine.callers
        resident.home.delivery.lands(taken)
        callers.has_begun(resident.state.instance_id)
        for message in taken:
            if message.message_id:
                callers.answer(message.message_id, None)

    def _release_effects(
        self, resident: Resident, effects: Effects, works: list[ActivityWork]
    ) -> None:
        """What is still wanted: later turns may have been taken meanwhile."""
        engine = self._engine
        state = resident.state
        activities = state.work.activities
        for work in effects.works:
            task_id = work.task_id
            if activities.get(task_id) is work and not resident.home.is_closing:
                works.append(work)
                resident.works[task_id] = work
        if not effects.timers and not effects.canceled:
            return
        for task_id, fire_at in effects.timers:
            if state.work.timers.get(task_id) == fire_at and not state.is_finished:
                engine.arm(resident, fire_at)
        for task_id in effects.canceled:
            canceled = resident.works.pop(task_id, None)
            if canceled is not None:
                engine.cancel_work(canceled)

    def _release_ending(self, resident: Resident, turn: Step) -> None:
        """An execution is over: nobody waits for its activities any more."""
        engine = self._engine
        state = resident.state
        # With a next generation the state may be ahead, even finished, but not durable yet.
        is_end = not turn.seed
        for task_id, work in list(resident.works.items()):
            is_last = task_id in state.work.activities and state.is_finished
            if (is_end and not is_last) or work.execution_id != state.facts.execution_id:
                engine.cancel_work(work)
                del resident.works[task_id]
        if not is_end:
            return
        record = state.record()
        engine.observer.instance_ended(record)
        engine.callers.has_ended(record)

    def take_work_up(self, resident: Resident) -> None:
        """Start open activities that are not running, and arm open timers."""
        engine = self._engine
        state = resident.state
        if engine.careful is not None and not engine.careful.admits(resident):
            return
        missing = [
            work
            for task_id, work in state.work.activities.items()
            if task_id not in resident.works and not _is_answered(resident, work.sequence)
        ]
        if not engine.is_draining and not resident.home.is_closing:
            for work in missing:
                resident.works[work.task_id] = work
            if missing:
                engine.start_works(missing)
        for fire_at in state.work.timers.values():
            engine.arm(resident, fire_at)

    def _refuse_rows(self, batch: Batch, refused: frozenset[int]) -> None:
        """Fresh ids that were taken before us. Their partitions may have been let go of meanwhile:
        who has called them is told all the same, for nobody else knows of it.
        """
        engine = self._engine
        ahead = {resident.state.iid for resident, _ in batch.starts}  # whose starts go on
        for iid in refused - ahead:
            child = engine.residents.get(iid)
            if child is not None:  # its first turn is not in the batch of its row, but in the next
                self._drop_refused(child, ())
            engine.takeback.owe(batch.instances[iid])

    def _drop_refused(self, resident: Resident, taken: Sequence[Message]) -> None:
        """The fresh id was taken before us: its first turn has not happened.

        What was sent to the id is for whoever stands under it; its rows are still in the store.
        """
        engine = self._engine
        state, home = resident.state, resident.home
        messages = [*taken, *engine.pipeline.batch.take_out(resident)]
        messages += [*resident.held, *resident.inbox]
        resident.held = []
        resident.inbox = []
        if home.residents.get(state.iid) is resident:
            engine.retention.close(resident)
            home.residents.remove(resident)
            engine.descendants.ends(state)
        home.delivery.lands(messages)
        owned = engine.find(state.instance_id)
        taken_id = InstanceExistsError(state.instance_id, "was taken meanwhile; choose another id")
        for message in messages:
            if isinstance(message, Start):
                engine.callers.answer(message.message_id, taken_id)
            elif owned is not None and message.message_id:
                engine.arrivals.dispatch(owned, state.instance_id, message)


def _is_answered(resident: Resident, sequence: int) -> bool:
    return any(
        isinstance(message, TaskResult) and message.sequence == sequence
        for message in (*resident.inbox, *resident.held)
    )


def _show(records: Sequence[logging.LogRecord]) -> None:
    """Write the lines. Filters, handlers and what lines carry (``extra``) may raise anything."""
    for record in records:
        try:
            logging.getLogger(record.name).handle(record)
        except BaseException as error:  # the turn is durable: its effects must come out
            if is_from_keyboard(error):
                raise
            _SAYS_SO.handleError(record)
