"""The synchronous client, derived from ``client.py`` by ``tools/derive_sync_client.py``.

Do not edit: change ``client.py`` and run the tool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, TypeVarTuple, overload

from tenuto.client.blocking import BlockingClient, Bridge
from tenuto.client.client import InstanceFilter, OrchestrationHandle
from tenuto.client.handed_start import HandedStart
from tenuto.client.status import DeadLetterStatus, InstanceStatus
from tenuto.model.events import HistoryEvent
from tenuto.model.questions import OpenQuestion
from tenuto.model.requests import IdReuse
from tenuto.model.topics import EventDetails
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Ts = TypeVarTuple("Ts")


class SyncOrchestrationHandle(Generic[T_co]):
    """One instance, as the program that started or looked it up holds it; its methods block."""

    def __init__(self, bridge: Bridge, handle: OrchestrationHandle[T_co]) -> None:
        self._bridge = bridge
        self._handle = handle
        self.instance_id: str = handle.instance_id

    def __repr__(self) -> str:
        return repr(self._handle)

    def result(self, *, timeout: timedelta | None = None) -> T_co:
        """Wait until the instance has ended and return its result as the annotated type.

        Waits for ``timeout`` at most; None is for as long as it takes.

        Raises:
            TimeoutError: that has not come in this time; it goes on.
            OrchestrationFailedError: it failed; ``OrchestrationTerminatedError``: it was ended.
            InstanceNotFoundError: there is no such instance.
        """
        return self._bridge.run(self._handle.result(), timeout)

    def started(self, *, timeout: timedelta | None = None) -> InstanceStatus:
        """Wait until the instance is not Pending any more; see ``SyncClient.wait``.

        Waits for ``timeout`` at most; None is for as long as it takes.

        Raises:
            TimeoutError: that has not come in this time; it goes on.
            InstanceNotFoundError: there is no such instance.
        """
        return self._bridge.run(self._handle.started(), timeout)

    def status(self) -> InstanceStatus:
        """The instance as last committed.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self._bridge.run(self._handle.status())

    def raise_event(self, name: str, data: object = None) -> None:
        """See ``SyncClient.raise_event``."""
        return self._bridge.run(self._handle.raise_event(name, data))

    def answer(
        self, answer: object, *, question: int | str | None = None, by: str | None = None
    ) -> None:
        """See ``SyncClient.answer``."""
        return self._bridge.run(self._handle.answer(answer, question=question, by=by))

    def terminate(self, reason: str | None = None, *, recurse: bool = False) -> None:
        """See ``SyncClient.terminate``."""
        return self._bridge.run(self._handle.terminate(reason, recurse=recurse))

    def suspend(self, reason: str | None = None) -> None:
        """See ``SyncClient.suspend``."""
        return self._bridge.run(self._handle.suspend(reason))

    def resume(self, reason: str | None = None) -> None:
        """See ``SyncClient.resume``."""
        return self._bridge.run(self._handle.resume(reason))

    def fail(self, reason: str | None = None) -> None:
        """See ``SyncClient.fail``."""
        return self._bridge.run(self._handle.fail(reason))


class SyncClient(BlockingClient):
    """Starts, asks and steers instances from programs without an event loop; its methods block.

    May be used from many threads. It has a thread of its own, in which an event loop does what is
    asked for; ``close`` it, or use it in a ``with`` block.

    Args:
        client: The URL of a server, a storage URL, or a ``Client``, which stays open when this one
            is closed.
        directory: As for ``Client``.
        limits: As for ``Client``.
        key: One of the server's keys, when it has keys.
        connection: How patient the client is with a server.

    Raises:
        SettingsError: the URL cannot be one, or there is no such store.
        StorageError: the store cannot be used.
        BlockingCallError: by each method, in a thread that runs an event loop, after ``close``,
            and in a forked process.

    Example:
        ::

            with SyncClient("http://127.0.0.1:7071", key=key) as client:
                handle = client.start(book_trip, trip)
                print(handle.result(timeout=timedelta(minutes=5)))
    """

    @overload
    def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> SyncOrchestrationHandle[T]: ...

    @overload
    def start(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> SyncOrchestrationHandle[Any]: ...

    def start(  # type: ignore[misc]  # mypy wants *Ts here too
        self,
        orchestrator: Any,
        *args: Any,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: IdReuse = IdReuse.WHEN_FINISHED,
        on: str | None = None,
    ) -> SyncOrchestrationHandle[Any]:
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
            ``handle = client.start(book_trip, trip, instance_id="trip-1")``
        """
        return SyncOrchestrationHandle(
            self._bridge,
            self._bridge.run(
                self._client.start(
                    orchestrator,
                    *args,
                    instance_id=instance_id,
                    version=version,
                    tags=tags,
                    start_at=start_at,
                    reuse=reuse,
                    on=on,
                )
            ),
        )

    def handle(self, instance_id: str) -> SyncOrchestrationHandle[Any]:
        """A handle on an instance that is already there; nothing is asked yet."""
        return SyncOrchestrationHandle(self._bridge, self._client.handle(instance_id))

    def handle_of(
        self, instance_id: str, orchestrator: AnyOrchestrator | str
    ) -> SyncOrchestrationHandle[Any]:
        """The same, with the orchestrator known, so that the result has its type."""
        return SyncOrchestrationHandle(
            self._bridge, self._client.handle_of(instance_id, orchestrator)
        )

    def decided(self, start: HandedStart[T]) -> SyncOrchestrationHandle[T]:
        """Wait until a start that an ``Outbox`` has handed over got its id; a handle on it.

        Args:
            start: What ``within(...).start`` has returned; its transaction is committed by now.

        Raises:
            InstanceExistsError: the id was taken.
            InstanceNotFoundError: the transaction was rolled back, or is not committed yet.

        Example:
            ``handle = client.decided(start)``
        """
        return SyncOrchestrationHandle(self._bridge, self._bridge.run(self._client.decided(start)))

    def wake(self) -> None:
        """Have hosts look now for what was handed over with transactions that are committed.

        Without it they look within five seconds on PostgreSQL; a file is seen to have changed.
        """
        return self._bridge.run(self._client.wake())

    def get_status(self, instance_id: str) -> InstanceStatus | None:
        """The instance as last committed, None when there is none."""
        return self._bridge.run(self._client.get_status(instance_id))

    def wait(
        self, instance_id: str, *, started: bool = False, timeout: timedelta | None = None
    ) -> InstanceStatus:
        """The status once the instance has ended, whichever way.

        Args:
            instance_id: Which one.
            started: Wait only until it is not Pending any more: its first turn is durable.
            timeout: Waits for ``timeout`` at most; None is for as long as it takes.

        Raises:
            TimeoutError: that has not come in this time; it goes on.
            InstanceNotFoundError: there is no such instance.
        """
        return self._bridge.run(self._client.wait(instance_id, started=started), timeout)

    def raise_event(self, instance_id: str, name: str, data: object = None) -> None:
        """Raise an external event.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: nobody can take it.
        """
        return self._bridge.run(self._client.raise_event(instance_id, name, data))

    def publish(
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
            ``client.publish("orders", {"id": 7}, key="customer-1", type="order.placed")``
        """
        return self._bridge.run(
            self._client.publish(
                topic, data, key=key, type=type, event_id=event_id, details=details
            )
        )

    def enqueue(
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
            ``client.enqueue("thumbnails", {"image": 7})``
        """
        return self._bridge.run(
            self._client.enqueue(queue, data, delay=delay, message_id=message_id)
        )

    def answer(
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
        return self._bridge.run(self._client.answer(instance_id, answer, question=question, by=by))

    def questions(self, instance_id: str) -> list[OpenQuestion]:
        """What an instance asks people now, oldest first.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self._bridge.run(self._client.questions(instance_id))

    def terminate(
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
        return self._bridge.run(self._client.terminate(instance_id, reason, recurse=recurse))

    def suspend(self, instance_id: str, reason: str | None = None) -> None:
        """Pause an instance: what arrives is kept until it is resumed.

        Raises:
            InstanceStateError: it is suspended already.
        """
        return self._bridge.run(self._client.suspend(instance_id, reason))

    def resume(self, instance_id: str, reason: str | None = None) -> None:
        """Let a suspended instance go on, and try a held one again.

        Raises:
            InstanceStateError: it is neither.
        """
        return self._bridge.run(self._client.resume(instance_id, reason))

    def fail(self, instance_id: str, reason: str | None = None) -> None:
        """End an instance as failed, as its own code would: its parent gets the error.

        For one that is held and that no code will ever fit. ``terminate`` ends it as terminated.

        Args:
            instance_id: Which one.
            reason: Why, for people; part of the failure.

        Raises:
            InstanceNotFoundError, InstanceFinishedError: there is nothing to end.
        """
        return self._bridge.run(self._client.fail(instance_id, reason))

    def restart(
        self, instance_id: str, *, new_instance_id: bool = True
    ) -> SyncOrchestrationHandle[Any]:
        """Run an instance again with the same name and input.

        Args:
            instance_id: The instance to repeat.
            new_instance_id: Under a fresh id (default), or under its own, once it has ended. One
                that is held is ended for it.

        Raises:
            InstanceNotFoundError: there is none; InstanceExistsError: it is still going.
            UnknownFunctionError: its orchestrator is no longer registered.
        """
        return SyncOrchestrationHandle(
            self._bridge,
            self._bridge.run(self._client.restart(instance_id, new_instance_id=new_instance_id)),
        )

    def purge(self, instance_id: str, *, force: bool = False) -> bool:
        """Delete an instance and its history; False when there is none.

        Args:
            instance_id: What to delete.
            force: Also when it has not ended; it is terminated first.

        Raises:
            InstanceStateError: it has not ended, and ``force`` is not set.
        """
        return self._bridge.run(self._client.purge(instance_id, force=force))

    def purge_many(self, which: InstanceFilter, *, force: bool = False) -> int:
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
            ``client.purge_many(InstanceFilter(completed_to=a_month_ago))``
        """
        return self._bridge.run(self._client.purge_many(which, force=force))

    def query(self, which: InstanceFilter | None = None) -> Iterator[InstanceStatus]:
        """All instances that pass the filter, in its order, read page by page."""
        return self._bridge.iterate(self._client.query(which))

    def dead_letters(self, limit: int = 100) -> list[DeadLetterStatus]:
        """Messages that nobody could take, newest first, with the reason.

        Args:
            limit: At most so many, from 1 to 10,000: no more are kept.

        Raises:
            InputError: the limit is no such number.

        Example:
            ``for letter in client.dead_letters(): print(letter.reason)``
        """
        return self._bridge.run(self._client.dead_letters(limit))

    def history(self, instance_id: str) -> list[HistoryEvent]:
        """The events of the current execution, oldest first; empty when there is no instance."""
        return self._bridge.run(self._client.history(instance_id))
