"""What clients in the host's own process may ask of the engine.

Each request is answered once: when the commit that holds it is durable, or with the reason why it
was refused. Keeps the promises ``durable_before_visible`` and ``bad_input_is_refused_whole``.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from msgspec import structs

from tenuto.engine.asking import seen
from tenuto.engine.batch import Posted
from tenuto.engine.engine import Engine
from tenuto.engine.news import ANYTHING
from tenuto.engine.outside import check_reuse, not_over_links
from tenuto.engine.partition import Partition
from tenuto.engine.store_watch import StoreWatch
from tenuto.engine.topic_ports import Redriven
from tenuto.model.errors import (
    InstanceNotFoundError,
    StorageError,
    StorageUnavailableError,
    TenutoError,
    WebhookClosedError,
)
from tenuto.model.facts import started
from tenuto.model.ids import InstanceId, MessageId, split_address
from tenuto.model.messages import ClientMessage, RaiseEvent, RedeemWebhook, Start
from tenuto.model.requests import StartRequest
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds
from tenuto.model.topics import PublishedEvent, QueuedMessage, is_of_linked_hub

AWAY_SECONDS: Final = 5.0
"""Who asks waits so long for a store that is known to be away."""
PATIENCE_SECONDS: Final = 25.0
"""And so long for one of which nothing is known, as others do who wait for the store."""
_LOOKS: Final = 5
"""So often within the shorter of the two it is looked who has waited for long."""
MAY_START: Final = (
    "was started, and it may be yet when the store works again (a second start with the same "
    "execution id, or the same instance id, starts no second one)"
)
MAY_HEAR: Final = (
    "has been told, and it may be yet when the store works again; look at it before you tell it "
    "again"
)
_SILENT: Final = StorageUnavailableError("the store has not answered").told_as(
    "the store has not answered"
)


class Commands:
    """Requests to one engine, from its own loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.now: Callable[[], Microseconds] = engine.clock.now
        self.watch: StoreWatch = engine.watch
        self._waiting: dict[_Answer, tuple[float, Callable[[float, StorageError], None]]] = {}
        self._looks = False

    @property
    def hub_partitions(self) -> int:
        """How many the hub has."""
        return self._engine.hub_partitions

    def serves(self, instance_id: InstanceId) -> bool:
        """Whether requests about an instance are for this engine: it has it, or reaches it by a
        link.
        """
        engine = self._engine
        return engine.find(instance_id) is not None or split_address(instance_id) is not None

    async def start(self, request: StartRequest) -> None:
        """Start an instance; returns when it is durable.

        Raises:
            InputError: it is for a linked hub, where somebody who runs would have to end for it.
            InstanceExistsError: the id is taken.
            StorageUnavailableError: the store cannot write now; nothing was started, unless it
                says that it may be, since it is on its way.
        """
        facts = request.facts
        if split_address(facts.instance_id) is not None:
            check_reuse(request.reuse)
            self.check_open()
            message = Start(event=started(facts, ""), reuse=request.reuse)
            await self._engine.outside.send_now(message, facts.instance_id)
            return
        home = self._home_of(request.instance_id)
        answer = _Answer()
        home.starts.request(request, answer)
        give_up = partial(self._in_doubt, answer, request.instance_id, MAY_START)
        await self._patiently(answer, give_up)

    async def tell(self, instance_id: InstanceId, message: ClientMessage) -> None:
        """Tell an instance something; returns when that is durable, and carried out or kept.

        Raises:
            TenutoError: why the instance refuses it.
            InstanceNotFoundError: there is no such instance. For who uses a webhook that is
                ``WebhookClosedError``: it was used, has expired, or never existed.
            StorageUnavailableError: the store cannot write now; nothing was done, unless it says
                that it may be, since it is on its way.
        """
        if split_address(instance_id) is not None:
            self.check_open()
            if not isinstance(message, RaiseEvent):
                raise not_over_links(instance_id)
            await self._engine.outside.send_now(message, instance_id)
            return
        home = self._home_of(instance_id)
        engine = self._engine
        answer = _Answer()
        key = engine.memory_id()
        engine.callers.expect(key, instance_id, answer)
        engine.arrivals.dispatch(home, instance_id, structs.replace(message, message_id=key))
        try:
            give_up = partial(self._in_doubt, answer, instance_id, MAY_HEAR)
            await self._patiently(answer, give_up)
        except InstanceNotFoundError:
            if isinstance(message, RedeemWebhook):
                raise WebhookClosedError(instance_id) from None
            raise
        finally:
            engine.callers.take(key)

    async def publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """Publish events and queue messages, all or none; returns when they are durable.

        Raises:
            InputError: the store can never hold one of them.
            LinkError: one is for a topic of a linked hub, and may not go there now.
            StorageUnavailableError: the store cannot write now; nothing was published, unless it
                says that it may be, since it is on its way.
        """
        self.check_open()
        answer = _Answer()
        posted = Posted(events, messages, answer)
        if any(is_of_linked_hub(one.topic) for one in events):
            posted = self._engine.outside.posted(posted)
        self._engine.pipeline.batch.posted.append(posted)
        self._engine.schedule_pump()
        await self._patiently(answer, partial(self._unpublished, posted, answer))

    async def _patiently(
        self, answer: "_Answer", give_up: Callable[[float, StorageError], None]
    ) -> None:
        """Wait for an answer; a store that is away for long ends the wait, and nothing else.

        A batch is sent until it has landed: what was asked for may be done after all, once.

        Args:
            answer: What is awaited.
            give_up: Answers with the truth, told how many seconds that was waited for and why.
        """
        self._waiting[answer] = self._engine.loop.time(), give_up
        if not self._looks:
            self._look_soon()
        try:
            await answer.future
        finally:
            del self._waiting[answer]

    def _look_soon(self) -> None:
        """One timer for all who wait: most have their answer long before."""
        self._looks = bool(self._waiting)
        if self._looks:
            self._engine.loop.call_later(AWAY_SECONDS / _LOOKS, self._look)

    def _look(self) -> None:
        """End the waits that have lasted for too long."""
        engine = self._engine
        problem = engine.pipeline.unavailable
        patience = PATIENCE_SECONDS if problem is None else AWAY_SECONDS
        for answer, (asked_at, give_up) in self._waiting.items():
            waited = engine.loop.time() - asked_at
            if waited < patience:
                break  # and so has whoever came later
            if not answer.future.done():
                give_up(waited, problem or _SILENT)
        self._look_soon()

    def _in_doubt(
        self,
        answer: "_Answer",
        instance_id: InstanceId,
        doubt: str,
        waited: float,
        reason: StorageError,
    ) -> None:
        what = f"after {waited:.0f} s it is not known whether instance {instance_id!r} {doubt}"
        answer(_away(what, reason))

    def _unpublished(
        self, posted: Posted, answer: "_Answer", waited: float, reason: StorageError
    ) -> None:
        """End a wait that has lasted for long, with the truth about what was to be published."""
        waiting = self._engine.pipeline.batch.posted
        place = next((at for at, one in enumerate(waiting) if one is posted), None)
        if place is not None:
            del waiting[place]
            posted.answer(_away(f"nothing was published, after {waited:.0f} s", reason))
        else:  # a batch is never changed once it has been sent, and is sent until it has landed
            answer(
                _away(
                    f"after {waited:.0f} s it is not known to be published, and may be yet when "
                    "the store works again (the same event_id or message_id makes sure that a "
                    "second try adds nothing)",
                    reason,
                )
            )

    async def redrive(self, numbers: Sequence[int]) -> Redriven:
        """Give failed deliveries back to their functions, with all attempts.

        Raises:
            StorageUnavailableError: the store cannot write now.
        """
        self.check_open()
        redriven = await self._engine.storage.redrive(numbers, self.now())
        self._engine.fed(ANYTHING)
        return redriven

    async def drop_failed(self, numbers: Sequence[int]) -> int:
        """Delete failed deliveries; how many there were.

        Raises:
            StorageUnavailableError: the store cannot write now.
        """
        self.check_open()
        return await self._engine.storage.drop_failed(numbers)

    async def drop_queued(self, queue: str, message_ids: Sequence[str] | None = None) -> int:
        """Delete messages of a queue, all that it has without ids; how many there were.

        Raises:
            StorageUnavailableError: the store cannot write now.
        """
        self.check_open()
        return await self._engine.storage.drop_queued(queue, message_ids)

    async def acknowledge_letters(self, message_ids: Sequence[MessageId]) -> int:
        """Note that somebody has seen to dead letters; of how many that was not known yet.

        Raises:
            StorageUnavailableError: the store cannot write now.
        """
        self.check_open()
        return await self._engine.storage.acknowledge_letters(message_ids, self.now())

    async def wait(self, instance_id: InstanceId, *, started: bool = False) -> InstanceRecord:
        """The instance's row once it has ended, or with ``started`` once it is Pending no more.

        Raises:
            InstanceNotFoundError: there is no such instance.
            NotOverLinksError: it is one of a linked hub.
            StorageOwnedError: another host serves it, and has to be asked, or does by now.
        """
        if split_address(instance_id) is not None:
            raise not_over_links(instance_id)
        if started:
            return await self._begun(instance_id)
        engine = self._engine
        future: asyncio.Future[InstanceRecord] = self._engine.loop.create_future()

        def finished(outcome: InstanceRecord | TenutoError) -> None:
            if future.done():
                return
            if isinstance(outcome, TenutoError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        waiters = engine.callers.waiters.setdefault(instance_id, [])
        waiters.append(finished)
        try:
            home = engine.find(instance_id)
            resident = None if home is None else home.residents.named(instance_id)
            if resident is None or resident.state.is_finished:
                record = await self._row(instance_id)
                if record is not None and record.status.is_finished:
                    seen(future)
                    return record
            if home is None:
                seen(future)
                raise engine.elsewhere(instance_id)
            return await future
        finally:
            self._forget(instance_id, finished)

    async def _begun(self, instance_id: InstanceId) -> InstanceRecord:
        """Only the store says that an instance has begun: what is in memory may be ahead of it."""
        engine = self._engine
        while True:
            is_ours = engine.find(instance_id) is not None
            beginnings = engine.callers.beginnings
            tell = _Answer()
            beginnings.setdefault(instance_id, []).append(tell)
            try:
                record = await self._row(instance_id)
                if record is not None and record.status is not RuntimeStatus.PENDING:
                    return record
                if not is_ours:
                    raise engine.elsewhere(instance_id)
                await tell.future
            finally:
                seen(tell.future)
                tells = beginnings.get(instance_id, [])
                if tell in tells:
                    tells.remove(tell)
                    if not tells:
                        del beginnings[instance_id]

    async def _row(self, instance_id: InstanceId) -> InstanceRecord | None:
        """The stored row; None when there is an instance whose row is on its way."""
        engine = self._engine
        home = engine.find(instance_id)
        record = await engine.storage.get(instance_id)
        if record is None and home is not None and home.starts.is_deciding(instance_id):
            await home.starts.decided(instance_id)
            record = await engine.storage.get(instance_id)
        if record is None and home is not None and not engine.is_ours(home):
            raise engine.elsewhere(instance_id)  # perhaps it is being made there
        if record is None and engine.residents.named(instance_id) is None:
            raise InstanceNotFoundError(instance_id)
        return record

    def _forget(
        self, instance_id: InstanceId, waiter: Callable[[InstanceRecord | TenutoError], None]
    ) -> None:
        everyone = self._engine.callers.waiters
        waiters = everyone.get(instance_id)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del everyone[instance_id]

    def _home_of(self, instance_id: InstanceId) -> Partition:
        """The partition of an instance that requests can be taken for now."""
        self.check_open()
        home = self._engine.find(instance_id)
        if home is None:
            raise self._engine.elsewhere(instance_id)
        return home

    def check_running(self) -> None:
        """Refuse whatever is asked of a host that has ended.

        Raises:
            TenutoError: why it has.
        """
        if self._engine.gone is not None:
            raise self._engine.gone

    def check_open(self) -> None:
        """Refuse requests that cannot be carried out now, whatever they are about.

        Raises:
            TenutoError: why they cannot.
        """
        engine = self._engine
        if engine.is_draining:
            stopping = "the host is stopping; ask the next one"
            raise StorageUnavailableError(stopping).told_as(stopping)
        problem = engine.pipeline.unavailable
        if problem is not None:
            raise _away("nothing can be accepted now", problem) from problem
        self.check_running()


def _away(what: str, reason: StorageError) -> StorageUnavailableError:
    """The store is away, for whoever asks: what that means, and why."""
    made = StorageUnavailableError(f"{what}: {reason}")
    return made.told_as(f"{what}: {reason.for_callers}")


class _Answer:
    """A future that is answered by calling it."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def __call__(self, error: TenutoError | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
