"""The listener of a queue: hands its messages to a function, on the host that owns the queue.

Owns when they are taken and what becomes of them. One turn at a time notes in one transaction which
messages are done with, go back or are put aside, and takes as many as there is room for; what ends
meanwhile is noted by the next turn. So a message costs a share of two commits, however many there
are, and each message is at every moment either in the queue, in work, or put aside
(``no_silent_drop``, at-least-once).

An attempt counts before it begins, so that deaths of hosts are seen; they count for themselves,
and cost a message no attempt of its policy. What was in work when a host died is taken again by the
next owner; what was so more than once is run alone, so that among many messages the one that ends
its host is put aside, and no other.
"""

import asyncio
from typing import Final

import msgspec

from tenuto.engine.ports import TimerHandle
from tenuto.engine.program import Delivery, QueueTrigger, TriggeredFunction
from tenuto.engine.queue_ports import QueueNotes, TakenMessage
from tenuto.engine.rows import Lease
from tenuto.messaging.budget import Share
from tenuto.messaging.listening import NO_ATTEMPT, ListenerMeans, Tasks, attempt_of
from tenuto.messaging.queue_work import QueueWork
from tenuto.messaging.suspects import patience_seconds
from tenuto.model.causes import message_cause
from tenuto.model.errors import FencedError, StorageError, StorageUnavailableError
from tenuto.model.timing import MICROSECONDS, Microseconds

_PAGE_BYTES: Final = 16 * 1024 * 1024
_MOST_RESUMED: Final = 16
"""So many that were in work are taken again at a time: how long they are is not known before."""
_RESUMED_BYTES: Final = 1024 * 1024
"""And no more than might be so long."""
_AGAIN: Final = 5 * MICROSECONDS
"""Until a store that did not answer is asked again."""


class QueueListener:
    """Brings the messages of a queue to one function.

    Args:
        function: Its trigger is a ``QueueTrigger``.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        trigger = function.trigger
        assert isinstance(trigger, QueueTrigger), "the table of listeners says so"
        self._function = function
        self._trigger = trigger
        self._means = means
        self._work = QueueWork(
            function.name, trigger.redelivery, means.engine.options.max_deliveries, means.clock
        )
        self._share = Share(means.budget, self._wake)
        self._tasks = Tasks()
        self._turns = Tasks()
        self._lease: Lease | None = None
        self._refused: Lease | None = None
        self._is_read = False  # what was in work when the lease was new
        self._is_in_doubt = False  # whether a write has landed that nobody knows the end of
        self._is_wanted = False
        self._alarm: TimerHandle | None = None
        self._is_stopping = False
        self.place: str = trigger.queue
        means.queues[trigger.queue] = self._fed

    # --- what the host tells ---------------------------------------------------------------------

    def take_up(self) -> None:
        """See whether the queue is ours."""
        self._look()
        self._wake()

    def _look(self) -> Lease | None:
        """The lease that the queue is worked on with; None when it is not ours."""
        lease = self._means.lease_for(self._trigger.queue)
        if lease == self._refused:
            lease = None  # the engine has not heard yet that it has lost it
        if lease != self._lease:
            self._lease = lease
            self._is_read = self._is_in_doubt = False
            self._work.change_owner()
        return lease

    def _fed(self) -> None:
        """There may be new messages."""
        if self._lease is not None:
            self._wake()

    async def stop(self, seconds: float) -> None:
        """Take no more, wait for functions that run, and give back what they do not finish."""
        self._end()
        await self._turns.end(seconds)
        await self._tasks.end(seconds)
        self._share.close()
        self._work.give_up()
        if self._lease is None or self._work.is_noted:
            return
        try:
            await self._write(self._lease, room=0, most_bytes=0)
        except StorageError as error:
            self._means.observer.problem(
                None,
                f"what has become of messages of queue {self._trigger.queue!r} could not be noted; "
                f"they are worked on again: {error}",
            )

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._end()
        await self._turns.end(0)
        await self._tasks.end(0)
        self._share.close()

    def _end(self) -> None:
        self._is_stopping = True
        self._set_alarm(None)

    # --- turns -----------------------------------------------------------------------------------

    def _wake(self) -> None:
        """Have a turn, now or after the one that is under way."""
        self._is_wanted = True
        if self._turns or self._is_stopping or self._lease is None:
            return
        turn = self._means.begin(self._take_turns(), f"queue {self._trigger.queue}")
        self._turns.add(turn)
        # From now on, and not only when it begins to run: tests do not let time pass meanwhile.
        self._means.engine.deliveries_running += 1
        turn.add_done_callback(self._ended)

    def _ended(self, _task: object) -> None:
        self._means.engine.deliveries_running -= 1
        if self._is_wanted and not self._turns:
            self._wake()

    async def _take_turns(self) -> None:
        try:
            while self._is_wanted and not self._is_stopping:
                self._is_wanted = False
                lease = self._look()
                if lease is not None:
                    await self._take_turn(lease)
        except FencedError:
            # The engine may not have heard of it. As long as it has this lease, nothing is ours.
            self._refused, self._lease = self._lease, None
        except StorageError as error:
            self._means.observer.problem(
                None,
                f"queue {self._trigger.queue!r} waits for the store, which is tried again soon: "
                f"{error}",
            )
            self._try_later()
        except Exception as error:  # noqa: BLE001 - a background loop: told, and tried again
            self._means.observer.problem(
                None,
                f"queue {self._trigger.queue!r} is tried again soon, after a fault of Tenuto's: "
                f"{type(error).__name__}: {error}",
            )
            self._try_later()

    def _try_later(self) -> None:
        self._is_wanted = False
        self._set_alarm(self._means.clock.now() + _AGAIN)

    async def _take_turn(self, lease: Lease) -> None:
        if not self._is_read:
            self._work.take_over(await self._means.storage.queue_in_work(self._trigger.queue))
            self._is_read = True
            if self._work.has_suspects:
                await self._means.suspects.quiet()
        if self._is_in_doubt:
            found = await self._means.storage.queue_in_work(self._trigger.queue, lease)
            self._work.settle(found)
            self._is_in_doubt = False
        room = self._work.room(self._trigger.concurrency)
        most = self._share.reserve(_PAGE_BYTES) if room else 0
        if not most:
            room = 0  # until others have done with some, or we
        try:
            if self._work.is_noted and not (room and await self._is_ready()):
                return
            for message in await self._write(lease, room=room, most_bytes=most):
                self._start(message)
        finally:
            self._share.went(most)

    async def _is_ready(self) -> bool:
        """Whether there is a message to be taken; else the clock wakes us when there is."""
        if self._work.has_next:
            return True
        moment = await self._means.storage.queue_next(self._trigger.queue)
        if moment is not None and moment <= self._means.clock.now():
            return True
        self._set_alarm(moment)
        return False

    async def _write(self, lease: Lease, *, room: int, most_bytes: int) -> list[TakenMessage]:
        """Note what has ended, and take messages."""
        work = self._work
        resume = work.next_to_resume(min(room, _MOST_RESUMED, 1 + most_bytes // _RESUMED_BYTES))
        notes = QueueNotes(
            queue=self._trigger.queue,
            now=self._means.clock.now(),
            done=work.done,
            later=work.later,
            failed=[one for one, _, _ in work.failed],
            resume=resume,
            limit=0 if work.is_alone or work.has_next or resume else room,
            most_bytes=most_bytes,
        )
        failed = work.failed
        work.noting()
        try:
            taken = await self._means.storage.work_on_queue(lease, notes)
        except BaseException:
            work.not_noted(notes, failed)
            self._is_in_doubt = True
            raise
        for _, message_id, error in failed:
            self._means.observer.delivery_failed(self._function.name, message_id, error)
        if room and not self._is_stopping:
            # Whether there are more, or some for later, is seen by one more turn, which only reads.
            self._is_wanted = True
        return taken

    def _set_alarm(self, moment: Microseconds | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if moment is not None and not self._is_stopping:
            self._alarm = self._means.clock.call_at(moment, self._wake)

    # --- messages --------------------------------------------------------------------------------

    def _start(self, message: TakenMessage) -> None:
        if not self._work.begin(message):
            return  # it runs here already: the queue was another host's meanwhile
        if self._is_stopping:
            return  # it is given back
        self._share.came(len(message.data))
        task = self._means.begin(self._run(message), f"{self._function.name} {message.message_id}")
        self._tasks.add(task)
        self._means.engine.deliveries_running += 1
        task.add_done_callback(self._left)
        if self._work.is_alone:
            # Real time, as for all that is suspected.
            patience = patience_seconds(message.attempts)
            passing = self._means.engine.loop.call_later(patience, self._pass_by, message)
            task.add_done_callback(lambda _: passing.cancel())

    def _pass_by(self, message: TakenMessage) -> None:
        self._work.pass_by(message)
        self._wake()

    def _left(self, _task: object) -> None:
        self._means.engine.deliveries_running -= 1

    async def _run(self, message: TakenMessage) -> None:
        try:
            failure = await self._attempt(message)
        except asyncio.CancelledError as error:
            if self._is_stopping or self._means.is_stopping:
                raise
            failure = error  # by code of users, which can get hold of all tasks
        pause = self._work.end(message, failure)
        self._share.went(len(message.data))
        if pause is not None:
            assert failure is not None, "what has succeeded has no pause"
            is_away = isinstance(failure, StorageUnavailableError)
            attempts = self._trigger.redelivery.attempts
            which = NO_ATTEMPT if is_away else attempt_of(message.counted, attempts)
            self._means.tell_again(self._function, message.message_id, failure, pause, which)
        self._wake()

    async def _attempt(self, message: TakenMessage) -> BaseException | None:
        """Run the function once; what it has raised, or what is wrong with the message."""
        queue, redelivery = self._trigger.queue, self._trigger.redelivery
        try:
            data = msgspec.json.decode(message.data)
        except ValueError as error:  # put in by something else than Tenuto
            return error
        delivery = Delivery(
            id=message.message_id,
            attempt=message.attempts,
            last_attempt=message.counted >= redelivery.attempts,
            data=data,
            facts={"queue": queue, "queued_at": message.queued_at},
            # A message is gone when it is done with: what it leads to is hung to what it was
            # caused by, so that a flow keeps together.
            cause=message.cause or message_cause(queue, message.message_id),
            occurrence=str(message.number),
        )
        return await self._means.attempt(self._function, delivery)
