"""The context: everything an orchestrator may do, and nothing else.

Each ``call_*`` schedules at the call, not at the first await (ENGINE rule 4). Arguments are
checked and encoded at the call site, so that a wrong one fails where it stands.
"""

import logging
import random
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, overload

from tenuto.model.errors import InputError, PayloadError
from tenuto.model.events import EventSent
from tenuto.model.events import SubOrchestrationInstanceCreated as ChildCreated
from tenuto.model.form import Form
from tenuto.model.form_types import form_of, form_of_choices
from tenuto.model.http_call import HttpCallOptions, HttpResponse, http_request
from tenuto.model.ids import (
    InstanceId,
    address_of,
    check_address,
    check_hub_name,
    check_instance_id,
    child_instance_id,
)
from tenuto.model.limits import limit_error
from tenuto.model.payload import decoder, encode
from tenuto.model.retry import RetryFacts, RetryPolicy
from tenuto.model.timing import Microseconds, span, to_microseconds
from tenuto.model.topics import Event, EventDetails, EventHead, checked_event_name
from tenuto.orchestration.asyncio_inside.functions import gather_in_session
from tenuto.orchestration.http_call import HttpCallTask, request_text
from tenuto.orchestration.logger import SessionLogger
from tenuto.orchestration.names import child_execution_id, random_uuid
from tenuto.orchestration.publishing import Noted, enqueue, publish, wait_for_topic
from tenuto.orchestration.questions import Asked, Question, checked_words
from tenuto.orchestration.references import (
    ActivityFunction,
    AnyOrchestrator,
    OnCancel,
    OrchestratorFunction,
    checked_activity,
    checked_orchestrator,
)
from tenuto.orchestration.tasks import (
    ActivityTask,
    ChildTask,
    DurableTask,
    EventTask,
    FirstDone,
    Made,
    TimerTask,
)
from tenuto.orchestration.webhooks import open_webhook

if TYPE_CHECKING:
    import asyncio

    from tenuto.orchestration.session import Session

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Context:
    """Handed to every orchestrator as its first argument.

    Example:
        ::

            @app.orchestrator
            async def remind(ctx: Context, customer: str) -> bool:
                await ctx.call_activity(send_bill, customer)
                try:
                    await ctx.wait_for_external_event("paid", timeout=timedelta(days=3))
                except TimeoutError:
                    await ctx.call_activity(escalate, customer)
                    return False
                return True
    """

    # Nothing else can be set: `ctx.custom_status = …` would look as if it worked.
    __slots__ = ("__weakref__", "_logger", "_random", "_session", "_uuids")

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._random: random.Random | None = None
        self._uuids = 0
        self._logger: SessionLogger | None = None

    # --- facts ----------------------------------------------------------------------------------

    @property
    def instance_id(self) -> str:
        """The id of this instance."""
        return self._session.info.instance_id

    @property
    def execution_id(self) -> str:
        """The id of this execution; continue-as-new and restart begin another."""
        return self._session.info.facts.execution_id

    @property
    def name(self) -> str:
        """The name under which the orchestrator is registered."""
        return self._session.info.facts.name

    @property
    def version(self) -> str | None:
        """The version this instance was started with."""
        return self._session.info.facts.version

    @property
    def parent_instance_id(self) -> str | None:
        """The instance that called this one, None at the top."""
        parent = self._session.info.facts.parent
        return None if parent is None else parent.instance_id

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags given at the start."""
        return dict(self._session.info.facts.tags or {})

    @property
    def current_time(self) -> datetime:
        """The orchestrator's clock: aware UTC, the same in every replay."""
        return self._session.current_time

    @property
    def is_replaying(self) -> bool:
        """Whether this code is being run again over recorded history."""
        return self._session.replaying

    @property
    def logger(self) -> logging.Logger:
        """A logger that writes each line once: silent in replay, shown when the turn commits."""
        if self._logger is None:
            self._logger = SessionLogger(self._session.log, self._session.info.instance_id)
        return self._logger

    @property
    def random(self) -> random.Random:
        """Random numbers that come out the same in every replay. Not for secrets."""
        if self._random is None:
            self._random = random.Random(self.execution_id)  # noqa: S311 - replay needs the seed
        return self._random

    def new_uuid(self) -> uuid.UUID:
        """A UUID (version 5) that comes out the same in every replay."""
        self._uuids += 1
        return random_uuid(self._session.info.facts.execution_id, self._uuids)

    # --- calls ----------------------------------------------------------------------------------

    @overload
    def call_activity(
        self, activity: ActivityFunction[*Ts, Awaitable[T]], *args: *Ts
    ) -> "DurableTask[T]": ...
    @overload
    def call_activity(self, activity: ActivityFunction[*Ts, T], *args: *Ts) -> "DurableTask[T]": ...
    @overload
    def call_activity(self, activity: str, *args: Any) -> "DurableTask[Any]": ...
    def call_activity(  # type: ignore[misc]  # mypy wants *Ts here too
        self, activity: Any, *args: Any
    ) -> "DurableTask[Any]":
        """Schedule an activity.

        Args:
            activity: The decorated function, ``fn.options(...)``, or a registered name.
            *args: Its arguments. With a bare name that is not registered here, at most one.

        Returns:
            A task with the activity's result.

        Raises:
            PayloadError: an argument does not fit or cannot be stored.
            LimitError: the arguments are too long.

        The task raises ``ActivityError`` when the last attempt failed.
        """
        session = self._session
        if isinstance(activity, str):
            activity = session.directory.find_activity(activity) or activity
        if isinstance(activity, str):
            name, text = activity, self._bare_input(activity, args)
            decode, retry, timeout, start = _plain, None, None, None
        else:
            activity = checked_activity(activity, "ctx.call_activity")
            name = activity.name
            text = activity.signature.encode_arguments(args)
            decode, retry = activity.signature.decode_result, activity.retry
            timeout = None if activity.timeout is None else span(activity.timeout)
            limit = activity.schedule_to_start_timeout
            start = None if limit is None else span(limit)
        if text is not None:
            session.check_size(text, "the input of activity", name)
        task: ActivityTask[Any] = ActivityTask(session, name, text, decode, retry, timeout, start)
        task.made = _made_by_caller()
        return task

    @overload
    def call_sub_orchestrator(
        self, orchestrator: OrchestratorFunction[*Ts, T], *args: *Ts
    ) -> "DurableTask[T]": ...
    @overload
    def call_sub_orchestrator(
        self, orchestrator: str, *args: Any, instance_id: str | None = None, on: str | None = None
    ) -> "DurableTask[Any]": ...
    def call_sub_orchestrator(  # type: ignore[misc]  # mypy wants *Ts here too
        self, orchestrator: Any, *args: Any, instance_id: str | None = None, on: str | None = None
    ) -> "DurableTask[Any]":
        """Start a child and wait for its result.

        Args:
            orchestrator: The decorated function, ``fn.options(...)``, or a registered name.
            *args: Its arguments after the context.
            instance_id: The child's id; by default derived from this execution. A finished
                instance of that id is replaced, a running one fails the call.
            on: The linked hub on which the child runs; by default what ``fn.options(on=...)`` says.

        The task raises ``SubOrchestrationError`` when the child failed or was terminated. When
        the task is cancelled, as by ``asyncio.timeout`` or a failed sibling in a ``TaskGroup``, the
        child is terminated too; ``fn.options(on_cancel="abandon")`` lets it go on by itself.
        Children that nobody has cancelled go on when their parent ends.
        """
        call = self._child_call(orchestrator, args, instance_id, on)

        def event(
            task_id: int, attempt: int, call_id: int | None, retry: RetryFacts | None
        ) -> ChildCreated:
            return self._child_event(call, task_id, False, attempt, call_id, retry)

        task: ChildTask[Any] = ChildTask(
            self._session, call.name, event, call.decode, call.retry, call.on_cancel
        )
        task.made = _made_by_caller()
        return task

    @overload
    def start_orchestrator(self, orchestrator: OrchestratorFunction[*Ts, T], *args: *Ts) -> str: ...
    @overload
    def start_orchestrator(
        self, orchestrator: str, *args: Any, instance_id: str | None = None, on: str | None = None
    ) -> str: ...
    def start_orchestrator(  # type: ignore[misc]  # mypy wants *Ts here too
        self, orchestrator: Any, *args: Any, instance_id: str | None = None, on: str | None = None
    ) -> str:
        """Start another instance and forget it: nothing comes back. Returns its instance id."""
        call = self._child_call(orchestrator, args, instance_id, on)
        event = self._child_event(call, self._session.next_id(), True)
        self._session.record(event)
        return event.instance_id

    def call_http(
        self,
        method: str,
        url: str,
        content: object = None,
        headers: Mapping[str, str | Iterable[str]] | None = None,
        *,
        options: HttpCallOptions | None = None,
    ) -> "DurableTask[HttpResponse]":
        """Make a request over HTTP, from an activity of the host.

        Args:
            method: Such as ``"GET"``.
            url: Absolute, ``http`` or ``https``.
            content: Text (sent as ``text/plain`` unless ``headers`` say otherwise), or anything
                that can be stored, sent as JSON.
            headers: Names with one value or several. They stand in the instance's history: for
                secrets use a token source.
            options: Polling, timeout, retries, token source.

        Returns:
            A task with the answer. Status codes do not raise. A 202 with a ``Location`` is polled
            until there is another answer.

        Raises:
            InputError: for a method, an address or headers that are not allowed.
            PayloadError: the content cannot be stored.
            LimitError: the request is too long.

        The task raises ``ActivityError`` when there was no answer, and ``TimeoutError`` when there
        was none in time.

        Example:
            ::

                options = HttpCallOptions(timeout=timedelta(hours=1))
                job = await ctx.call_http("POST", url, {"size": 3}, options=options)
        """
        if options is None:
            options = HttpCallOptions()
        elif not isinstance(options, HttpCallOptions):
            raise InputError(f"call_http: options must be HttpCallOptions, got {options!r}")
        request = http_request(method, url, content, headers, options.token_source)
        session = self._session
        session.check_size(request_text(request), f"the request to {url}")
        task = HttpCallTask(session, request, options)
        task.made = _made_by_caller()
        return task

    # --- time and events ------------------------------------------------------------------------

    def create_timer(self, due: datetime | timedelta) -> "DurableTask[None]":
        """A durable timer of any length.

        Args:
            due: An aware datetime (one in the past fires at once) or a non-negative duration.

        Raises:
            InputError: for a naive datetime, a negative or endless duration.
        """
        task = TimerTask(self._session, self._due(due, "create_timer"))
        task.made = _made_by_caller()
        return task

    @overload
    def wait_for_external_event(
        self, name: str, event_type: type[T], timeout: timedelta | None = None
    ) -> "DurableTask[T]": ...
    @overload
    def wait_for_external_event(
        self, name: str, event_type: None = None, timeout: timedelta | None = None
    ) -> "DurableTask[Any]": ...
    def wait_for_external_event(
        self, name: str, event_type: Any = None, timeout: timedelta | None = None
    ) -> "DurableTask[Any]":
        """Wait for an event that a client or another instance raises.

        Args:
            name: Upper and lower case are the same. Events that came before the wait count;
                waits and events of one name meet first in, first out.
            event_type: Rebuild the event's data as this type. An event that does not fit it is put
                aside, a dead letter with the reason, and the wait goes on.
            timeout: Give up after this long; the task then raises ``TimeoutError`` and consumes
                no event.
        """
        name = _checked_name(name, "wait_for_external_event")
        session = self._session
        fire_at = None if timeout is None else self._due(timeout, "wait_for_external_event")
        decode = _plain if event_type is None else _typed(event_type, f"event {name!r}")
        task: EventTask[Any] = EventTask(session, name, decode, event_type)
        task.made = _made_by_caller()
        session.wait_for_event(task)
        if fire_at is not None and not task.done():
            task.expire_at(fire_at, f"no event {name!r} within {timeout}")
        return task

    def send_event(self, instance_id: str, name: str, data: object = None) -> None:
        """Raise an event on another instance. One that cannot take it gets a dead letter.

        With ``hub/`` before its id it is an instance of that linked hub.
        """
        target = check_address(instance_id)
        name = _checked_name(name, "send_event")
        text = None if data is None else self._session.encode(data, f"event {name!r}")
        self._session.record(EventSent(self._session.next_id(), target, name, text))

    # --- topics and queues ----------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        data: object = None,
        *,
        key: str | None = None,
        type: str | None = None,
        details: EventDetails | None = None,
    ) -> Noted:
        """Publish an event to a topic: durable with this turn, once, however often it is replayed.

        Args:
            topic: Its name; topics need not be created. ``hub/orders`` is the topic ``orders`` of
                the linked hub ``hub``; an event that cannot go there is a dead letter.
            data: The payload, anything that can be stored.
            key: Events of one key are delivered in their order; it is also what
                ``wait_for_event`` matches.
            type: What kind of event it is, such as ``order.placed``.
            details: What else is said of it; its source is this instance.

        Returns:
            Something to await, for the look of it: there is nothing to wait for.

        Raises:
            InputError: topic or key cannot be used. PayloadError: the data cannot be stored.

        Example:
            ``await ctx.publish("orders", {"id": 7}, key="customer-1", type="order.placed")``
        """
        head = EventHead(key=key, type=type, details=details or EventDetails())
        return publish(self._session, topic, data, head)

    def enqueue(self, queue: str, data: object, *, delay: timedelta | None = None) -> Noted:
        """Put a message into a queue of this hub: durable with this turn, once.

        Args:
            queue: Its name; queues need not be created.
            data: The message, anything that can be stored.
            delay: It is worked on no earlier than after this long.

        Raises:
            InputError: the queue's name or the delay cannot be used. PayloadError: the data cannot
                be stored.

        Example:
            ``await ctx.enqueue("thumbnails", {"image": 7})``
        """
        return enqueue(self._session, queue, data, delay)

    def wait_for_event(
        self, topic: str, data_type: object = None, *, match: str, timeout: timedelta | None = None
    ) -> "DurableTask[Event]":
        """Wait for the next event of a topic whose key is ``match``.

        Events count that were published before the wait, also before this instance was started, as
        long as the topic keeps them. Of one topic and key an instance gets each event once, in
        their order; what comes twice under one event id is one event.

        Args:
            topic: Its name.
            data_type: Rebuild the event's data as this type. An event that does not fit it is put
                aside, a dead letter with the reason, and the wait goes on with the next.
            match: The key of the event, such as a trip's number.
            timeout: Give up after this long; the task then raises ``TimeoutError`` and the next
                wait may get the event.

        Returns:
            A task with the ``Event``.

        Raises:
            InputError: topic or key cannot be used.

        Example:
            ::

                flight = ctx.wait_for_event("flights", match=trip)
                hotel = ctx.wait_for_event("hotels", match=trip)
                await ctx.call_activity(settle, (await flight).data, (await hotel).data)
        """
        session = self._session
        fire_at = None if timeout is None else self._due(timeout, "wait_for_event")
        data_of = None if data_type is None else _typed(data_type, f"an event of topic {topic!r}")
        task = wait_for_topic(session, topic, match, data_of)
        task.made = _made_by_caller()
        session.wait_for_event(task)
        if fire_at is not None:
            words = f"no event of topic {topic!r} with key {match!r} within {timeout}"
            task.expire_at(fire_at, words)
        return task

    def create_webhook(self, name: str, *, expires_in: timedelta) -> "DurableTask[str]":
        """An address that raises an event on this instance, once: for an e-mail, or a service.

        Args:
            name: The event's name; wait for it with ``wait_for_external_event``.
            expires_in: How long it can be used; at most 366 days.

        Returns:
            A task with the address. It cannot be guessed, and whoever has it can use it: it is
            as secret as what you put it into, and it stands in the instance's history. Opened in
            a browser it asks before it raises the event, because mail scanners follow links.

        Raises:
            InputError: for an empty name or a time that is not allowed.

        Without a server the address is the one that ``tenuto start`` has with the host's settings
        (``http.base_url``, or host and port): it works once one serves this store.

        Example:
            ::

                url = await ctx.create_webhook("approval", expires_in=timedelta(days=7))
                await ctx.call_activity(send_mail, customer, f"Please approve: {url}")
                await ctx.wait_for_external_event("approval", timeout=timedelta(days=7))
        """
        name = _checked_name(name, "create_webhook")
        return open_webhook(self._session, name, expires_in)

    @overload
    def ask(
        self, title: str, *, text: str = "", timeout: timedelta | None = None
    ) -> "Question[bool]": ...
    @overload
    def ask(
        self, title: str, answer: type[T], *, text: str = "", timeout: timedelta | None = None
    ) -> "Question[T]": ...
    @overload
    def ask(
        self,
        title: str,
        *,
        choices: "Sequence[T] | Mapping[str, T]",
        text: str = "",
        timeout: timedelta | None = None,
    ) -> "Question[T]": ...
    @overload
    def ask(
        self,
        title: str,
        answer: Any,  # noqa: ANN401 - such as ``int | None``
        *,
        text: str = "",
        timeout: timedelta | None = None,
    ) -> "Question[Any]": ...
    def ask(
        self,
        title: str,
        answer: Any = None,
        *,
        choices: Any = None,
        text: str = "",
        timeout: timedelta | None = None,
    ) -> "Question[Any]":
        """Ask a person, on a page of their own, and wait for the answer.

        Args:
            title: The question, in one line.
            answer: What the answer is: a dataclass, msgspec struct, pydantic model or attrs class
                with the fields to fill in, or a single type such as ``int`` or an Enum. By default
                the question is answered with yes or no, and the answer is True or False.
            choices: Instead of that, the answers to choose from, each a button: values, or a
                mapping of what the buttons say to the values.
            text: What is said below the question; line breaks are kept.
            timeout: Give up after this long; the task then raises ``TimeoutError``, and the page
                says that it is too late.

        Returns:
            A task with the answer. Its ``url`` is a task with the address of the page, to be sent
            to whoever shall answer; operators can answer too (``tenuto instances answer``,
            ``client.answer``). The first answer that fits counts.

        Raises:
            InputError: a page cannot ask for that, or title, text or choices are not allowed.

        Example:
            ::

                question = ctx.ask("Approve 120 €?", choices=["approve", "reject"])
                await ctx.call_activity(send_mail, manager, await question.url)
                decision = await question
        """
        session = self._session
        title, text = checked_words(title, text)
        if choices is None:
            annotation = bool if answer is None else answer
            form = form_of(annotation)
            decode = _typed(annotation, f"the answer to {title!r}")
        elif answer is None:
            form, values = form_of_choices(choices)
            decode = _chosen(form, values)
        else:
            raise InputError("ctx.ask takes the type of the answer or choices, not both")
        expires_at = None if timeout is None else self._due(timeout, "ask")
        question: Question[Any] = Question(session, Asked(title, text, form, decode, expires_at))
        question.made = _made_by_caller()
        return question

    # --- the instance ---------------------------------------------------------------------------

    def set_custom_status(self, status: object) -> None:
        """Show something to whoever asks for the status; None clears it."""
        session = self._session
        session.set_custom_status(
            None if status is None else session.encode(status, "the custom status")
        )

    def continue_as_new(self, *args: Any, keep_events: bool = True) -> None:
        """Start over with a fresh history and new arguments, once the orchestrator returns.

        Args:
            *args: The orchestrator's arguments of the next generation.
            keep_events: Whether events that nobody has read go along.
        """
        session = self._session
        orchestrator = session.orchestrator
        text = orchestrator.signature.encode_arguments(args)
        if text is not None:
            session.check_size(text, "the input of continue_as_new")
        session.continue_as_new(text, keep_events=keep_events)

    # --- composition, as in Durable Functions ----------------------------------------------------

    @overload
    def task_all(self, tasks: "Iterable[asyncio.Future[T]]") -> "asyncio.Future[list[T]]": ...
    @overload
    def task_all(self, tasks: "Iterable[asyncio.Future[Any]]") -> "asyncio.Future[list[Any]]": ...
    def task_all(self, tasks: "Iterable[asyncio.Future[Any]]") -> "asyncio.Future[list[Any]]":
        """All results in order; the first failure fails the whole. For ``yield`` and ``await``."""
        return gather_in_session(self._session.loop, list(tasks), return_exceptions=False)

    @overload
    def task_any(
        self, tasks: "Iterable[asyncio.Future[T]]"
    ) -> "asyncio.Future[asyncio.Future[T]]": ...
    @overload
    def task_any(
        self, tasks: "Iterable[asyncio.Future[Any]]"
    ) -> "asyncio.Future[asyncio.Future[Any]]": ...
    def task_any(
        self, tasks: "Iterable[asyncio.Future[Any]]"
    ) -> "asyncio.Future[asyncio.Future[Any]]":
        """The first task that is done, not its result.

        Raises:
            InputError: when there are no tasks: it would wait for ever.
        """
        given = list(tasks)
        if not given:
            raise InputError("task_any needs at least one task; with none it would wait for ever")
        return FirstDone(self._session.loop, given)

    # --- pieces ---------------------------------------------------------------------------------

    def _due(self, due: datetime | timedelta, where: str) -> Microseconds:
        session = self._session
        if isinstance(due, timedelta):
            if due < timedelta(0):
                raise InputError(f"{where}: a delay must not be negative, got {due}")
            try:
                return to_microseconds(session.current_time + due)
            except OverflowError:
                raise InputError(f"{where}: {due} from now is past the year 9999") from None
        if not isinstance(due, datetime):
            raise InputError(f"{where} takes a datetime or a timedelta, got {due!r}")
        if due.tzinfo is None:
            raise InputError(
                f"{where}: {due!r} has no time zone; give an aware datetime, "
                "for example ctx.current_time + timedelta(...)"
            )
        return to_microseconds(due)

    def _bare_input(self, name: str, args: tuple[Any, ...]) -> str | None:
        if len(args) > 1:
            raise InputError(
                f"{name!r} is not registered here, so its parameter names are not known; "
                f"give one value, got {len(args)}"
            )
        return encode(args[0]) if args else None

    def _child_call(
        self,
        orchestrator: str | AnyOrchestrator,
        args: tuple[Any, ...],
        instance_id: str | None,
        on: str | None,
    ) -> "_ChildCall":
        session = self._session
        if isinstance(orchestrator, str):
            orchestrator = session.directory.find_orchestrator(orchestrator) or orchestrator
        if isinstance(orchestrator, str):
            call = _ChildCall(orchestrator, self._bare_input(orchestrator, args), _plain)
        else:
            orchestrator = checked_orchestrator(orchestrator, "a call of a sub-orchestration")
            signature = orchestrator.signature
            call = _ChildCall(
                orchestrator.name, signature.encode_arguments(args), signature.decode_result
            )
            call.retry = orchestrator.retry
            call.version = orchestrator.version
            call.tags = None if orchestrator.tags is None else dict(orchestrator.tags)
            call.on_cancel = orchestrator.on_cancel
            call.on = orchestrator.on
            if instance_id is None:
                instance_id = orchestrator.instance_id
        if on is not None:
            call.on = check_hub_name(on)
        if instance_id is not None:
            call.instance_id = check_instance_id(instance_id)
            if call.on is not None:
                call.instance_id = address_of(call.on, call.instance_id)
            if call.instance_id == self.instance_id:
                raise InputError(f"a child cannot have its parent's own id {self.instance_id!r}")
        if call.text is not None:
            session.check_size(call.text, "the input of orchestrator", call.name)
        limit = session.info.limits.nesting_depth
        if session.info.facts.depth + 1 > limit:
            raise limit_error(
                "nesting_depth",
                limit,
                f"instance {self.instance_id!r} is {session.info.facts.depth} levels below its "
                f"root and calls {call.name!r}",
            )
        return call

    def _child_event(
        self,
        call: "_ChildCall",
        task_id: int,
        detached: bool,  # noqa: FBT001 - as in the event
        attempt: int = 1,
        call_id: int | None = None,
        retry: RetryFacts | None = None,
    ) -> ChildCreated:
        execution_id = self._session.info.facts.execution_id
        of_child = child_execution_id(execution_id, task_id, self._session.loop.now)
        instance_id = call.instance_id
        if instance_id is None:
            if call.on is None:
                instance_id = child_instance_id(execution_id, task_id)
            else:  # ids of that form are for children of executions there
                instance_id = address_of(call.on, of_child)
        return ChildCreated(
            task_id,
            call.name,
            instance_id,
            of_child,
            call.text,
            call.version,
            call.tags,
            detached,
            attempt,
            call_id,
            self._session.info.facts.trace,
            retry,
        )


class _ChildCall:
    """A call of an orchestrator, checked and encoded."""

    __slots__ = (
        "decode",
        "instance_id",
        "name",
        "on",
        "on_cancel",
        "retry",
        "tags",
        "text",
        "version",
    )

    def __init__(self, name: str, text: str | None, decode: Callable[[str | None], Any]) -> None:
        self.name = name
        self.text = text
        self.decode = decode
        self.retry: RetryPolicy | None = None
        self.version: str | None = None
        self.tags: dict[str, str] | None = None
        self.instance_id: InstanceId | None = None
        self.on: str | None = None
        self.on_cancel: OnCancel = "terminate"


def _made_by_caller() -> Made:
    """Where the method that asks was called from: where to look when nobody awaits its task."""
    frame = sys._getframe(2)  # noqa: SLF001 - made for this
    return frame.f_code, frame.f_lasti


def _plain(text: str | None) -> Any:  # noqa: ANN401 - of user code
    return None if text is None else decoder(Any)(text)


def _chosen(form: Form, values: list[Any]) -> Callable[[str | None], Any]:
    """From the JSON of a choice to the very value that was given for it."""

    def decoded(text: str | None) -> Any:  # noqa: ANN401 - of user code
        return values[form.chosen(text)]

    return decoded


def _typed(annotation: object, owner: str) -> Callable[[str | None], Any]:
    decode = decoder(annotation)

    def decoded(text: str | None) -> Any:  # noqa: ANN401 - of user code
        try:
            return decode("null" if text is None else text)
        except PayloadError as error:
            raise error.of(owner) from None

    return decoded


def _checked_name(name: object, where: str) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"{where} takes the event's name, a non-empty string; got {name!r}")
    return checked_event_name(name)
