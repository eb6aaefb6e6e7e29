"""The client: how programs start, ask and steer instances."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import (
    Any,
    Final,
    Generic,
    Self,
    TypeVar,
    TypeVarTuple,
    cast,
    get_args,
    overload,
)

from msgspec import structs

from tenuto.client.causes import current_cause
from tenuto.client.connection import ConnectionOptions
from tenuto.client.gateway import Gateway
from tenuto.client.handed_start import HandedStart
from tenuto.client.http_gateway import HttpGateway
from tenuto.client.opening import Opening
from tenuto.client.publishing import Stamp, caused_tags, event_of_text, message_of_text
from tenuto.client.starting import (
    HOSTS_OWN_LIMITS,
    StartOptions,
    restart_request,
    start_request,
    started_on,
)
from tenuto.client.status import DeadLetterStatus, InstanceStatus, letter_of, status_of
from tenuto.engine.program import Orchestrator, OrchestratorDirectory
from tenuto.model.codec import decode_turn
from tenuto.model.errors import (
    InputError,
    InstanceNotFoundError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
)
from tenuto.model.events import EventRaised, HistoryEvent
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import (
    ExecutionId,
    InstanceId,
    check_address,
    check_hub_name,
    check_instance_id,
)
from tenuto.model.limits import Limits, check_payload
from tenuto.model.messages import (
    AnswerQuestion,
    Fail,
    Purge,
    RaiseEvent,
    Resume,
    Suspend,
    Terminate,
)
from tenuto.model.payload import encode
from tenuto.model.payload.opaque import reason_of, shown
from tenuto.model.questions import OpenQuestion, open_questions
from tenuto.model.requests import IdReuse, InstanceQuery, ListingOrder
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.texts import check_unicode, checked_name, checked_text, checked_text_or_none
from tenuto.model.timing import to_microseconds
from tenuto.model.topics import EventDetails, EventHead, checked_event_name
from tenuto.orchestration.references import (
    AnyOrchestrator,
    OrchestratorFunction,
    checked_orchestrator,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")

_MOST_LETTERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFilter:
    """Which instances to list; None means any.

    Attributes:
        statuses: One of these; an empty list is met by nothing.
        name: This orchestrator.
        id_prefix: Ids that begin so.
        created_from: Started at or after this moment (aware).
        created_to: Started before this moment (aware).
        completed_from: Ended at or after this moment (aware).
        completed_to: Ended before this moment (aware).
        held: Only those that are held (True), or are not (False).
        payloads: Whether to read input and output.
        order: ``newest`` or ``oldest`` first, by the time of their start; or ``last_completed`` or
            ``first_completed`` first, of those that have ended.
    """

    statuses: Iterable[RuntimeStatus] | None = None
    name: str | None = None
    id_prefix: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    completed_from: datetime | None = None
    completed_to: datetime | None = None
    held: bool | None = None
    payloads: bool = True
    order: ListingOrder = "newest"


class OrchestrationHandle(Generic[T_co]):
    """One instance, as the program that started or looked it up holds it."""

    def __init__(self, client: "Client", instance_id: str, orchestrator: object = None) -> None:
        self._client = client
        self._orchestrator = orchestrator
        self.instance_id = instance_id

    def __repr__(self) -> str:
        return f"<orchestration {self.instance_id!r}>"

    async def result(self) -> T_co:
        """Wait until the instance has ended and return its result as the annotated type.

        Raises:
            OrchestrationFailedError: it failed; ``OrchestrationTerminatedError``: it was ended.
            InstanceNotFoundError: there is no such instance.
        """
        record = await self._client.gateway.wait(InstanceId(self.instance_id))
        return result_of(record, self._orchestrator)  # type: ignore[no-any-return]

    async def started(self) -> InstanceStatus:
        """Wait until the instance is not Pending any more; see ``Client.wait``.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return await self._client.wait(self.instance_id, started=True)

    async def status(self) -> InstanceStatus:
        """The instance as last committed.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        status = await self._client.get_status(self.instance_id)
        if status is None:
            raise InstanceNotFoundError(self.instance_id)
        return status

    async def raise_event(self, name: str, data: object = None) -> None:
        """See ``Client.raise_event``."""
        await self._client.raise_event(self.instance_id, name, data)

    async def answer(
        self, answer: object, *, question: int | str | None = None, by: str | None = None
    ) -> None:
        """See ``Client.answer``."""
        await self._client.answer(self.instance_id, answer, question=question, by=by)

    async def terminate(self, reason: str | None = None, *, recurse: bool = False) -> None:
        """See ``Client.terminate``."""
        await self._client.terminate(self.instance_id, reason, recurse=recurse)

    async def suspend(self, reason: str | None = None) -> None:
        """See ``Client.suspend``."""
        await self._client.suspend(self.instance_id, reason)

    async def resume(self, reason: str | None = None) -> None:
        """See ``Client.resume``."""
        await self._client.resume(self.instance_id, reason)

    async def fail(self, reason: str | None = None) -> None:
        """See ``Client.fail``."""
        await self._client.fail(self.instance_id, reason)


class Client:
    """Starts, asks and steers instances. ``host.client`` is one; it needs no closing.

    ``Client("http://...")`` is one on a server; nothing is asked of it before the first call. In
    another process on the same store, beside the host or while none runs, ``Client.open`` makes
    one. ``SyncClient`` is the same for programs without an event loop.

    Args:
        gateway: The URL of a server, or, for Tenuto's own rooms, where requests go.
        directory: The functions that may be started (an app); None when they are not known here:
            then a name is taken as it is, with one argument at most, and a server checks it.
        limits: Of these, ``payload_bytes`` holds for what goes in; a server has limits of its own.
        key: One of the server's keys, when it has keys.
        connection: How patient the client is with a server.

    Raises:
        SettingsError: URL or key cannot be one.

    Example:
        ::

            async with Client("http://127.0.0.1:7071", key=key) as client:
                handle = await client.start(book_trip, trip)
                print(await handle.result())
    """

    def __init__(
        self,
        gateway: Gateway | str,
        directory: OrchestratorDirectory | None = None,
        limits: Limits | None = None,
        *,
        key: str | None = None,
        connection: ConnectionOptions | None = None,
    ) -> None:
        if isinstance(gateway, str):
            self.gateway: Gateway = HttpGateway(gateway, key, connection)
            limits = limits or HOSTS_OWN_LIMITS
        elif key is not None or connection is not None:
            raise InputError("key and connection are for the URL of a server")
        else:
            self.gateway = gateway
        self._directory = directory
        self._limits = limits or Limits()
        self._loop = _running_loop()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop on which it was made; None when there was none."""
        return self._loop

    @property
    def limits(self) -> Limits:
        """Of these, ``payload_bytes`` holds for what goes in."""
        return self._limits

    @classmethod
    def open(
        cls,
        storage: str,
        directory: OrchestratorDirectory | None = None,
        limits: Limits | None = None,
    ) -> Opening[Self]:
        """A client on a store that another process may own; ``await`` it or ``async with`` it.

        What it asks for is durable when a call returns; the owning host takes it in soon after,
        or when it starts.

        Args:
            storage: Storage URL of a store that exists.
            directory: The functions that may be started (an app); None when they are not known
                here: then a name is taken as it is, with one argument at most.
            limits: Of these, ``payload_bytes`` holds for what goes in.

        Raises:
            SettingsError: there is no such store; StorageError: it cannot be used.

        Example:
            ::

                async with Client.open("sqlite:///travel.db") as client:
                    await client.raise_event("trip-1", "approved", True)
        """
        return Opening(storage, lambda gateway: cls(gateway, directory, limits))

    async def close(self) -> None:
        """Close connections; a host's own client has nothing to close."""
        await self.gateway.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    @overload
    async def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> OrchestrationHandle[T]: ...
    @overload
    async def start(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> OrchestrationHandle[Any]: ...
    async def start(  # type: ignore[misc]  # mypy wants *Ts here too
        self,
        orchestrator: Any,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> OrchestrationHandle[Any]:
        """Start an orchestration; returns when the start is durable.

        Args:
            orchestrator: The decorated function, ``fn.options(...)``, or a registered name.
            *args: Its arguments after the context.
            instance_id: An id of your choice; a fresh one by default.
            version: Marks the instance; by default that of the function.
            tags: Labels, text to text.
            start_at: Do not begin before this moment (aware datetime).
            reuse: What to do when the id exists.
            on: The linked hub on which it is to run; by default what ``fn.options(on=...)`` says.
                The start is kept here until that hub has it.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
            PayloadError: an argument does not fit or cannot be stored.
            InvalidInstanceIdError, InstanceExistsError: about ``instance_id``.

        Example:
            ``handle = await client.start(book_trip, trip, instance_id="trip-1")``
        """
        on = _hub_of(orchestrator) if on is None else check_hub_name(on)
        found = self._find(orchestrator, is_elsewhere=on is not None)
        if isinstance(found, str):
            if len(args) > 1:
                raise InputError(f"{found!r} is not known here; give one value, got {len(args)}")
            text = encode(args[0]) if args else None
        else:
            text = found.signature.encode_arguments(args)
        options = StartOptions(
            instance_id=instance_id,
            version=version,
            tags=caused_tags(tags),
            scheduled_at=None if start_at is None else _moment(start_at, "start_at"),
            reuse=_policy(reuse).statuses,
        )
        request = start_request(found, text, self.gateway.now(), self._limits, options)
        if on is not None:
            request = started_on(request, on)
        await self.gateway.start(request)
        return OrchestrationHandle(self, request.instance_id, found)

    def handle(self, instance_id: str) -> OrchestrationHandle[Any]:
        """A handle on an instance that is already there; nothing is asked yet."""
        return OrchestrationHandle(self, check_instance_id(instance_id))

    def handle_of(
        self, instance_id: str, orchestrator: AnyOrchestrator | str
    ) -> OrchestrationHandle[Any]:
        """The same, with the orchestrator known, so that the result has its type."""
        return OrchestrationHandle(self, check_instance_id(instance_id), self._find(orchestrator))

    async def decided(self, start: HandedStart[T]) -> OrchestrationHandle[T]:
        """Wait until a start that an ``Outbox`` has handed over got its id; a handle on it.

        Args:
            start: What ``within(...).start`` has returned; its transaction is committed by now.

        Raises:
            InstanceExistsError: the id was taken.
            InstanceNotFoundError: the transaction was rolled back, or is not committed yet.

        Example:
            ``handle = await client.decided(start)``
        """
        name = check_instance_id(start.instance_id)
        await self.gateway.decided(name, ExecutionId(start.execution_id))
        return OrchestrationHandle(self, name, self._find(start.orchestrator))

    async def wake(self) -> None:
        """Have hosts look now for what was handed over with transactions that are committed.

        Without it they look within five seconds on PostgreSQL; a file is seen to have changed.
        """
        self.gateway.wake()

    async def get_status(self, instance_id: str) -> InstanceStatus | None:
        """The instance as last committed, None when there is none."""
        record = await self.gateway.get(check_instance_id(instance_id))
        return None if record is None else status_of(record)

    async def wait(self, instance_id: str, *, started: bool = False) -> InstanceStatus:
        """The status once the instance has ended, whichever way.

        Args:
            instance_id: Which one.
            started: Wait only until it is not Pending any more: its first turn is durable.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        record = await self.gateway.wait(check_instance_id(instance_id), started=started)
        return status_of(record)

    async def raise_event(self, instance_id: str, name: str, data: object = None) -> None:
        """Raise an external event.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: nobody can take it.
        """
        name = checked_event_name(name)
        text = None if data is None else self._checked(encode(data), f"event {name!r}")
        event = RaiseEvent(event=EventRaised(name, text))
        await self.gateway.tell(check_address(instance_id), event)

    async def publish(
        self,
        topic: str,
        data: object = None,
        *,
        key: str | None = None,
        type: str | None = None,
        event_id: str | None = None,
        details: EventDetails | None = None,
    ) -> str:
        """Publish an event to a topic; returns when it is durable.

        Args:
            topic: Its name; topics need not be created. ``hub/orders`` is the topic ``orders`` of
                the linked hub ``hub``: the event is durable here, and goes there when it can.
            data: The payload, anything that can be stored.
            key: Events of one key are delivered in their order; it is also what
                ``ctx.wait_for_event`` matches.
            type: What kind of event it is, such as ``order.placed``.
            event_id: An id of your choice: what is published again under it is there once.
            details: What else is said of it.

        Returns:
            The event's id.

        Raises:
            InputError: topic, key or id cannot be used. PayloadError: the data cannot be stored.
            LimitError: they are too long. NoSuchLinkError: no hub of that name is linked.
            LinkFullError: as much waits for it as may.

        Example:
            ``await client.publish("orders", {"id": 7}, key="customer-1", type="order.placed")``
        """
        event = event_of_text(
            topic,
            None if data is None else encode(data),
            EventHead(key=key, type=type, details=details or EventDetails()),
            event_id=event_id,
            stamp=self._stamp(),
        )
        await self.gateway.publish([event], [])
        return event.event_id

    async def enqueue(
        self,
        queue: str,
        data: object,
        *,
        delay: timedelta | None = None,
        message_id: str | None = None,
    ) -> str:
        """Put a message into a queue of the hub; returns when it is durable.

        Args:
            queue: Its name; queues need not be created.
            data: The message, anything that can be stored.
            delay: It is worked on no earlier than after this long.
            message_id: An id of your choice: what is queued again under it, while it is there, is
                there once.

        Returns:
            The message's id.

        Raises:
            InputError: queue, delay or id cannot be used. PayloadError: the data cannot be stored.
            LimitError: they are too long. ConnectionFailedError: a host gave no answer over HTTP;
            the message may be there. It is not sent again by itself, since one that is done with
            by then would run once more.

        Example:
            ``await client.enqueue("thumbnails", {"image": 7})``
        """
        message = message_of_text(
            queue, encode(data), delay, message_id=message_id, stamp=self._stamp()
        )
        await self.gateway.publish([], [message])
        return message.message_id

    def _stamp(self) -> Stamp:
        return Stamp(self.gateway.now(), current_cause.get(), self._limits.payload_bytes)

    async def answer(
        self,
        instance_id: str,
        answer: object,
        *,
        question: int | str | None = None,
        by: str | None = None,
    ) -> None:
        """Answer what an orchestration asks (``ctx.ask``).

        Args:
            instance_id: Which one.
            answer: A value of the type that is asked for, or one of the choices.
            question: The number or the title; may be left out where only one is asked.
            by: Who answers, for the history.

        Raises:
            PayloadError: it is not what is asked for; the question stays open.
            QuestionClosedError: nothing, or nothing of the kind, is asked now.
            InputError: several questions are asked, and it is not said which one is meant.
            InstanceNotFoundError, InstanceFinishedError: nobody can take it.

        Through a store that no host runs on the answer is kept: it counts when one does, if the
        question is open then, and else becomes a dead letter.
        """
        instance_id = check_instance_id(instance_id)
        by = checked_text_or_none(by, "by")
        if question is not None and type(question) is not int:
            question = checked_text(question, "the question")
        text = self._checked(encode(answer), "the answer")
        message = AnswerQuestion(
            question=question, requested_at=self.gateway.now(), input=text, by=by
        )
        await self.gateway.tell(instance_id, message)

    async def questions(self, instance_id: str) -> list[OpenQuestion]:
        """What an instance asks people now, oldest first.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        checked = check_instance_id(instance_id)
        turns = await self.gateway.history(checked)
        if not turns and await self.gateway.get(checked) is None:
            raise InstanceNotFoundError(checked)
        return open_questions(map(decode_turn, turns))

    async def terminate(
        self, instance_id: str, reason: str | None = None, *, recurse: bool = False
    ) -> None:
        """End an instance now; activities that run get their cancellation token.

        Args:
            instance_id: Which one.
            reason: Why; it becomes the instance's output.
            recurse: Also what it has called, and what that has called, soon after, also when it
                has ended itself. Instances that were started and forgotten
                (``ctx.start_orchestrator``) go on.

        Raises:
            InstanceNotFoundError: there is no such instance.
            InstanceFinishedError: it has ended, and what it has called is not meant.
        """
        words = self._reason(reason)
        text = None if words is None else encode(words)
        word = Terminate(reason=text, recurse=_flag(recurse, "recurse"))
        await self.gateway.tell(check_instance_id(instance_id), word)

    async def suspend(self, instance_id: str, reason: str | None = None) -> None:
        """Pause an instance: what arrives is kept until it is resumed.

        Raises:
            InstanceStateError: it is suspended already.
        """
        word = Suspend(reason=self._reason(reason))
        await self.gateway.tell(check_instance_id(instance_id), word)

    async def resume(self, instance_id: str, reason: str | None = None) -> None:
        """Let a suspended instance go on, and try a held one again.

        Raises:
            InstanceStateError: it is neither.
        """
        word = Resume(reason=self._reason(reason))
        await self.gateway.tell(check_instance_id(instance_id), word)

    async def fail(self, instance_id: str, reason: str | None = None) -> None:
        """End an instance as failed, as its own code would: its parent gets the error.

        For one that is held and that no code will ever fit. ``terminate`` ends it as terminated.

        Args:
            instance_id: Which one.
            reason: Why, for people; part of the failure.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: there is nothing to end.
        """
        word = Fail(reason=self._reason(reason))
        await self.gateway.tell(check_instance_id(instance_id), word)

    async def restart(
        self, instance_id: str, *, new_instance_id: bool = True
    ) -> OrchestrationHandle[Any]:
        """Run an instance again with the same name and input.

        Args:
            instance_id: The instance to repeat.
            new_instance_id: Under a fresh id (default), or under its own, once it has ended. One
                that is held is ended for it.

        Raises:
            InstanceNotFoundError: there is none; InstanceExistsError: it is still going.
            UnknownFunctionError: its orchestrator is no longer registered.
        """
        record = await self.gateway.get(check_instance_id(instance_id))
        if record is None:
            raise InstanceNotFoundError(instance_id)
        found = self._find(record.name)
        request = restart_request(record, self.gateway.now(), new_instance_id=new_instance_id)
        await self.gateway.start(request)
        return OrchestrationHandle(self, request.instance_id, found)

    async def purge(self, instance_id: str, *, force: bool = False) -> bool:
        """Delete an instance and its history; False when there is none.

        Args:
            instance_id: What to delete.
            force: Also when it has not ended; it is terminated first.

        Raises:
            InstanceStateError: it has not ended, and ``force`` is not set.
        """
        try:
            word = Purge(force=_flag(force, "force"))
            await self.gateway.tell(check_instance_id(instance_id), word)
        except InstanceNotFoundError:
            return False
        return True

    async def purge_many(self, which: InstanceFilter, *, force: bool = False) -> int:
        """Delete all instances that pass the filter and have ended, with their histories.

        Some hundred at a time, so that others are served meanwhile; what has gone stays gone when
        it is broken off.

        Args:
            which: Which ones; ``InstanceFilter()`` is all of them.
            force: Also those that have not ended; they are terminated first.

        Returns:
            How many were deleted.

        Raises:
            InputError: the filter names statuses of instances that have not ended, and ``force``
                is not set.
            StorageUnavailableError: through a store, no host deletes them within 30 seconds.

        Example:
            ``await client.purge_many(InstanceFilter(completed_to=a_month_ago))``
        """
        from tenuto.client.purging import purge_fitting  # noqa: PLC0415 - for few programs

        query = _to_query(_filter(which))
        gone = purge_fitting(self.gateway, query, force=_flag(force, "force"))
        return sum([count async for count in gone])

    async def query(self, which: InstanceFilter | None = None) -> AsyncIterator[InstanceStatus]:
        """All instances that pass the filter, in its order, read page by page."""
        chosen = InstanceFilter() if which is None else _filter(which)
        query = _to_query(chosen)
        while True:
            page = await self.gateway.query(query)
            for record in page.records:
                yield status_of(record)
            if page.after is None:
                return
            query = structs.replace(query, after=page.after)

    async def dead_letters(self, limit: int = 100) -> list[DeadLetterStatus]:
        """Messages that nobody could take, newest first, with the reason.

        Args:
            limit: At most so many, from 1 to 10,000: no more are kept.

        Raises:
            InputError: the limit is no such number.

        Example:
            ``for letter in await client.dead_letters(): print(letter.reason)``
        """
        if type(limit) is not int or not 1 <= limit <= _MOST_LETTERS:
            raise InputError(
                f"limit must be a whole number from 1 to {_MOST_LETTERS:,}, got {limit!r}"
            )
        return [letter_of(letter) for letter in await self.gateway.dead_letters(limit)]

    async def history(self, instance_id: str) -> list[HistoryEvent]:
        """The events of the current execution, oldest first; empty when there is no instance."""
        turns = await self.gateway.history(check_instance_id(instance_id))
        return [event for turn in turns for event in decode_turn(turn)]

    def _find(self, orchestrator: object, *, is_elsewhere: bool = False) -> Orchestrator | str:
        """The orchestrator that is meant; its name where nobody here knows what there is."""
        directory = None if is_elsewhere else self._directory
        if isinstance(orchestrator, str):
            name = checked_name(orchestrator, "an orchestrator")
            return name if directory is None else directory.get_orchestrator(name)
        given = checked_orchestrator(orchestrator, "client.start")
        if directory is not None:
            directory.get_orchestrator(given.name)
        return given

    def _reason(self, reason: object) -> str | None:
        if isinstance(reason, str):
            check_unicode(reason, "reason")
            self._checked(reason, "the reason")
            if self._limits is HOSTS_OWN_LIMITS:
                return str(reason)  # the host refuses what is too long, by its own limits
        return checked_text_or_none(reason, "reason")

    def _checked(self, text: str | None, what: str) -> str | None:
        check_payload(text, self._limits.payload_bytes, what)
        return text


def result_of(record: InstanceRecord, orchestrator: object = None) -> Any:  # noqa: ANN401 - the user's type
    """The result of an ended instance, or the error that says why there is none."""
    if record.status is RuntimeStatus.COMPLETED:
        signature = getattr(orchestrator, "signature", None)
        if signature is not None:
            return signature.decode_result(record.output)
        return shown(record.output)
    if record.status is RuntimeStatus.TERMINATED:
        failure = FailureDetails(
            "OrchestrationTerminated", reason_of(record.output) or "no reason was given"
        )
        raise OrchestrationTerminatedError(record.instance_id, record.name, failure)
    failure = record.failure or FailureDetails("Unknown", record.status.label)
    raise OrchestrationFailedError(record.instance_id, record.name, failure)


def _hub_of(orchestrator: object) -> str | None:
    """The linked hub that ``fn.options(on=...)`` names."""
    return orchestrator.on if isinstance(orchestrator, OrchestratorFunction) else None


def _flag(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise InputError(f"{what} must be True or False, got {value!r}")


def _statuses(values: object) -> tuple[RuntimeStatus, ...]:
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise InputError(f"statuses is a list of members of RuntimeStatus, got {values!r}")
    found = tuple(values)
    for one in found:
        if not isinstance(one, RuntimeStatus):
            raise InputError(f"statuses are members of RuntimeStatus, got {one!r}")
    return found


def _policy(reuse: object) -> IdReuse:
    try:
        return IdReuse(reuse)  # type: ignore[arg-type]  # whatever it is
    except ValueError:
        known = ", ".join(f"IdReuse.{policy.name}" for policy in IdReuse)
        raise InputError(f"reuse must be one of {known}, got {reuse!r}") from None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _moment(value: datetime, what: str) -> int:
    if getattr(value, "tzinfo", None) is None:
        raise InputError(f"{what} must be an aware datetime, got {value!r}")
    return to_microseconds(value)


def _bound(value: datetime | None, what: str) -> int | None:
    return None if value is None else _moment(value, what)


def _order(value: object) -> ListingOrder:
    known = get_args(ListingOrder)
    if value not in known:
        raise InputError(f"order must be one of {', '.join(map(repr, known))}, got {value!r}")
    return cast("ListingOrder", value)


def _filter(which: object) -> InstanceFilter:
    if isinstance(which, InstanceFilter):
        return which
    raise InputError(
        f"which instances is said by an InstanceFilter, got {which!r}; InstanceFilter() is all of "
        "them"
    )


def _to_query(which: InstanceFilter) -> InstanceQuery:
    return InstanceQuery(
        statuses=None if which.statuses is None else _statuses(which.statuses),
        name=checked_text_or_none(which.name, "name"),
        id_prefix=checked_text_or_none(which.id_prefix, "id_prefix"),
        created_from=_bound(which.created_from, "created_from"),
        created_to=_bound(which.created_to, "created_to"),
        completed_from=_bound(which.completed_from, "completed_from"),
        completed_to=_bound(which.completed_to, "completed_to"),
        order=_order(which.order),
        held=None if which.held is None else _flag(which.held, "held"),
        payloads=_flag(which.payloads, "payloads"),
    )
