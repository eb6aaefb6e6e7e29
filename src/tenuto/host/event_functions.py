"""Functions that schedules and events start: the part of an app that registers them.

Says what each decorator means; what is made of a function is loaded when one is used.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import asdict

from tenuto.engine.program import TopicTrigger, TriggeredFunction
from tenuto.functions.registry import FunctionRegistry
from tenuto.model.errors import TenutoError
from tenuto.model.retry import RetryPolicy
from tenuto.model.topics import checked_own_topic, checked_place, checked_topic
from tenuto.orchestration.references import ActivityFunction, OrchestratorFunction

if TYPE_CHECKING:
    from tenuto.host.event_filters import EventFilter
    from tenuto.host.native_subscriptions import InstancePer

F = TypeVar("F", bound=Callable[..., Any])


class EventFunctions(FunctionRegistry):
    """The functions of a program, with those that schedules and events start."""

    def __init__(self) -> None:
        super().__init__()
        self._publishing: list[Callable[..., Any]] = []

    # --- what schedules start --------------------------------------------------------------------

    def timer(
        self,
        schedule: str,
        *,
        zone: str | None = None,
        run_on_startup: bool = False,
        catch_up: bool = True,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function to be run by a schedule, on each host that serves this app.

        Of several hosts on one store one runs it. It never runs twice at once: a moment that comes
        while it runs is passed over. What it raises is logged, and the schedule goes on.

        Args:
            schedule: NCRONTAB, ``{second} {minute} {hour} {day} {month} {weekday}``, or five fields
                without the second; or a time span such as ``00:05:00``, from the host's start on.
            zone: The time zone that its fields are in, such as ``Europe/Berlin``; None for UTC.
            run_on_startup: Whether it also runs each time its host starts.
            catch_up: Whether a moment that came while no host ran is made up for, once. Schedules
                that come more than once a minute never do.
            name: What its last run is kept under in the store; the function's own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take a ``TimerInfo`` and the host's ``Client``
            (``SyncClient`` in a ``def``), by annotation. What it returns is dropped.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.timer("0 30 9 * * MON-FRI", zone="Europe/Berlin")
                async def every_morning(client: Client) -> None:
                    await client.start(send_reminders)
        """
        self._refuse_bare(schedule, '@app.timer("0 30 9 * * *")')

        def register(function: F) -> F:
            from tenuto.host.native_timers import native_timer  # noqa: PLC0415 - few apps have any

            make = partial(
                native_timer,
                function,
                schedule=schedule,
                zone=zone,
                run_on_startup=run_on_startup,
                catch_up=catch_up,
            )
            self.add_timer(function, name, make)
            return function

        return register

    # --- what events start -----------------------------------------------------------------------

    def subscribe(
        self,
        topic: str,
        *,
        filter: "EventFilter | None" = None,
        from_beginning: bool = False,
        instance_per: "InstancePer" = "event",
        concurrency: int = 16,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function, or an orchestrator, to be started by the events of a topic.

        Each subscription keeps its own place: what is published while no host runs is delivered
        when one does. Events of one key come one after another. A function that fails is run again
        (``retry``), and after its last attempt the event is put aside (``tenuto topics failed``).

        Args:
            topic: Its name; topics need not be created.
            filter: Which events: a function of the event, or a dict of what its type, key, source,
                subject, attributes or fields of its data must be; lists for any of several values.
            from_beginning: Whether a subscription that is new gets what the topic keeps from
                before; else what is published from now on.
            instance_per: For orchestrators: each ``event`` starts one, under an id made of it; or
                the first event of each ``key`` does, with the key as input, and later ones find it
                waiting (``ctx.wait_for_event(topic, match=key)``).
            concurrency: How many events are worked on at once.
            retry: When a function that has failed is run again; 5 attempts by default, the pauses
                between them doubled from 1 second on.
            name: Of the subscription, under which its place is kept; topic and function by default.

        Returns:
            A decorator that leaves the function as it is. It may be ``def`` (runs in a thread) or
            ``async def``, and take the ``Event``, its data as one parameter of its type, and the
            host's ``Client`` (``SyncClient`` in a ``def``), by annotation. What it returns is
            dropped, unless ``publishes`` says more.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.subscribe("orders", filter={"type": "order.placed"})
                async def note(event: Event, client: Client) -> None:
                    await client.publish("notes", {"order": event.data["id"]})
        """
        self._refuse_bare(topic, '@app.subscribe("topic")')

        def register(function: F) -> F:
            from tenuto.host.event_filters import accepting  # noqa: PLC0415 - few apps have any
            from tenuto.host.native_subscriptions import subscription  # noqa: PLC0415 - the same
            from tenuto.host.native_triggered import (  # noqa: PLC0415 - the same
                checked_concurrency,
                redelivery_of,
            )

            own = getattr(function, "name", None) or getattr(function, "__name__", None)
            plain = getattr(function, "function", function)

            def make(checked_name: str) -> TriggeredFunction:
                trigger = TopicTrigger(
                    topic=checked_own_topic(topic),
                    subscription=checked_place(checked_name, "a subscription"),
                    accepts=accepting(filter),
                    from_beginning=from_beginning,
                    concurrency=checked_concurrency(concurrency),
                    redelivery=redelivery_of(retry),
                )
                return subscription(function, checked_name, trigger, instance_per)

            self.add_triggered(plain, name or f"{topic}.{own}", make)
            return function

        return register

    def blob(
        self,
        path: str,
        *,
        connection: str = "AzureWebJobsStorage",
        concurrency: int = 8,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function to be started by blobs of Azure Storage, or of an emulator.

        Needs ``tenuto[azure]``. Each blob starts it once when it is new, and once more when its
        content has changed; at least once, when a host dies meanwhile. One host of a store looks
        through the container. A blob whose function fails in each attempt is noted in the queue
        ``webjobs-blobtrigger-poison`` of the account.

        Args:
            path: Container and pattern, such as ``plates/{name}.jpg``.
            connection: The environment variable that holds the connection string, or the string.
            concurrency: How many blobs are worked on at once.
            retry: When a function that has failed is run again; 5 attempts by default, the pauses
                between them doubled from 1 second on.
            name: Under it is kept which blobs were run; the function's own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take the ``Blob`` and the host's ``Client``
            (``SyncClient`` in a ``def``), by annotation. What it returns is dropped, unless
            ``publishes`` says more.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.blob("plates/{name}.jpg")
                async def recognise(blob: Blob, client: Client) -> None:
                    await client.start(read_plate, blob.name)
        """
        self._refuse_bare(path, '@app.blob("container/{name}")')

        def register(function: F) -> F:
            from tenuto.host.native_blobs import (  # noqa: PLC0415 - few apps have any
                native_blob_function,
            )
            from tenuto.host.native_triggered import (  # noqa: PLC0415 - the same
                checked_concurrency,
                redelivery_of,
            )

            def make(checked_name: str) -> TriggeredFunction:
                again = redelivery_of(retry)
                options = {"concurrency": checked_concurrency(concurrency), **asdict(again)}
                return native_blob_function(
                    function, checked_name, path=path, connection=connection, options=options
                )

            self.add_triggered(function, name, make)
            return function

        return register

    def publishes(
        self, topic: str, *, key: str | None = None, type: str | None = None
    ) -> Callable[[F], F]:
        """Publish what a function returns, as the next event; written below what starts it.

        None is not published. The event's id is made of what the function was run for
        (``double:17:m-1``: function, number in the queue, message), so that it is there once,
        however often the function runs.

        Args:
            topic: Where it is published; ``hub/orders`` is a topic of the linked hub ``hub``.
            key: The name of the field of the result that is the event's key; by default the key of
                the event that the function was run for, if that has one.
            type: What kind of event it is.

        Returns:
            A decorator that leaves the function as it is.

        Raises:
            RegistrationError: the topic cannot be used, or it stands where it would do nothing:
                above what starts the function, or on an orchestrator or activity. Where nothing
                starts the function whose result can be published, the host says so when it starts.

        Example:
            ::

                @app.files("pictures")
                @app.publishes("plates", key="plate")
                def recognise(file: ArrivedFile) -> Sighting:
                    return Sighting(read_plate(file.path), file.name)
        """
        self._refuse_bare(topic, '@app.publishes("topic")')

        def register(function: F) -> F:
            from tenuto.host.native_triggered import RESULTS, Results  # noqa: PLC0415 - few apps have any

            try:
                name = checked_topic(topic)
            except TenutoError as error:
                self.refuse("@app.publishes", function, str(error))
            self._check_publishing(function)
            options: tuple[tuple[str, object], ...] = (("key", key), ("type", type))
            for option, value in options:
                if value is not None and (not isinstance(value, str) or not value):
                    self.refuse(
                        "@app.publishes", function, f"{option} must be a text, got {value!r}"
                    )
            self._publishing.append(function)
            setattr(function, RESULTS, Results(name, key, type))
            return function

        return register

    def files(
        self,
        folder: str | os.PathLike[str],
        *,
        pattern: str = "*",
        recursive: bool = False,
        settled: timedelta = timedelta(seconds=1),
        concurrency: int = 4,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function to be run for each file that arrives in a folder, or changes there.

        The folder is looked at once a second. Of several hosts on one store one does it. A file
        runs once; after a host has died, once more.

        Args:
            folder: Its path; it must be there when a host starts.
            pattern: Which names count, such as ``*.csv``. Hidden ones (``.name``) only do when it
                begins with a dot.
            recursive: Whether files in folders of the folder count, too.
            settled: A file is complete when it has not changed for so long.
            concurrency: How many files run at once, 1 to 1,000.
            retry: How often a file is tried whose function has failed, before it is put aside; five
                times by default, with pauses that grow from one second.
            name: What is known of its files is kept under it; the function's own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take an ``ArrivedFile`` and the host's ``Client``
            (``SyncClient`` in a ``def``), by annotation. What it returns is dropped, unless
            ``publishes`` says more.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.files("inbox", pattern="*.jpg")
                def recognise(file: ArrivedFile, client: SyncClient) -> None:
                    client.publish("plates", read_plate(file.path))
        """
        self._refuse_bare(folder, '@app.files("folder")')

        def register(function: F) -> F:
            from tenuto.host.native_files import FilesOptions, native_files  # noqa: PLC0415 - few apps have any

            options = FilesOptions(
                folder=folder,
                pattern=pattern,
                recursive=recursive,
                settled=settled,
                concurrency=concurrency,
                retry=retry,
            )
            self.add_triggered(function, name, lambda known: native_files(function, known, options))
            return function

        return register

    def event(
        self,
        function: None = None,
        /,
        *,
        concurrency: int = 16,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function to be run for each event that Event Grid posts to this app's server.

        Its address is ``/runtime/webhooks/eventgrid?functionName=NAME``, with ``&code=KEY`` when
        the server has keys. Events are durable before Event Grid is answered. It may post them in
        its own schema or as CloudEvents; other senders of CloudEvents may, too.

        Args:
            function: Nothing: the decorator is written with parentheses, as others that events
                start.
            concurrency: How many events are worked on at once, 1 to 1,000.
            retry: When a function that has failed is run again; 5 attempts by default, the pauses
                between them doubled from 1 second on.
            name: Its name in the address; the function's own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take the ``Event``, its data as one parameter of its type,
            and the host's ``Client`` (``SyncClient`` in a ``def``), by annotation. What it returns
            is dropped, unless ``publishes`` says more.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.event()
                async def blob_created(event: Event, client: Client) -> None:
                    await client.start(process_blob, event.data["url"])
        """
        self._refuse_bare(function, "@app.event()")

        def register(function: F) -> F:
            from tenuto.host.native_event_grid import native_event  # noqa: PLC0415 - few apps have any

            self.add_triggered(
                function, name, lambda known: native_event(function, known, concurrency, retry)
            )
            return function

        return register

    # --- what goes out ---------------------------------------------------------------------------

    def push(
        self,
        topic: str,
        url: str,
        *,
        filter: "EventFilter | None" = None,
        headers: Mapping[str, str] | None = None,
        secret_headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> None:
        """Post each event of a topic to an address, as a CloudEvent 1.0 in the structured form.

        A subscription like others: it keeps its own place, events of one key come one after
        another, and each comes at least once, under the same id. It is accepted with any answer
        from 200 to 299; otherwise it is posted again, and put aside after the last attempt. Where
        requests may go says the setting ``outbound``.

        Args:
            topic: Its name.
            url: Where to; not a place for secrets, since errors show it.
            filter: Which events, as for ``subscribe``.
            headers: What goes along with each.
            secret_headers: Headers whose values are secret, each with the name of the variable of
                the environment that holds it. It must be set when a host starts.
            retry: When one is posted again; 5 attempts by default, the pauses between them doubled
                from 1 second on.
            name: Of the subscription; made of the topic and the address's host by default.

        Raises:
            RegistrationError: something of it cannot be used.

        Example:
            ::

                app.push(
                    "orders",
                    "https://billing.example.com/events",
                    secret_headers={"Authorization": "BILLING_TOKEN"},
                )
        """
        from tenuto.host.native_pushes import PushOptions, pushed_topic  # noqa: PLC0415 - few apps have any

        options = PushOptions(
            topic=topic,
            url=url,
            filter=filter,
            headers=headers,
            secret_headers=secret_headers,
            retry=retry,
        )
        self.add_triggered(
            options, name or options.name, lambda known: pushed_topic(known, options)
        )

    def queue(
        self,
        queue: str,
        *,
        concurrency: int = 16,
        retry: RetryPolicy | None = None,
        name: str | None = None,
    ) -> Callable[[F], F]:
        """Register a function to be run for each message of a queue of this task hub.

        A message is delivered at least once, under the same id each time. When the function fails
        it is tried again after a pause; after its last attempt the message is put aside, and
        `tenuto queues failed` shows it. Of several hosts on one store one works on a queue.

        Args:
            queue: The queue's name; it needs no setting up.
            concurrency: How many messages are worked on at once, from 1 to 1,000; 1 for one at a
                time, over all hosts.
            retry: How often a message is tried, with which pauses; 5 times, after 1, 2, 4 and 8
                seconds, when None.
            name: The function's name in logs and figures; its own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take the message's data in one parameter, whose annotation
            is its type, a ``QueueMessage`` and the host's ``Client`` (``SyncClient`` in a ``def``),
            by annotation. What it returns is dropped, unless ``publishes`` says more.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.queue("thumbnails", concurrency=4)
                def make_thumbnail(picture: Picture, message: QueueMessage) -> None:
                    shrink(picture.path, message.id)
        """
        self._refuse_bare(queue, '@app.queue("queue")')

        def register(function: F) -> F:
            from tenuto.host.native_queues import native_queue  # noqa: PLC0415 - few apps have any

            make = partial(
                native_queue, function, queue=queue, concurrency=concurrency, retry=retry
            )
            self.add_triggered(function, name, make)
            return function

        return register

    # --- what is refused -------------------------------------------------------------------------

    def check_signatures(self) -> None:
        """See as well that each function of ``publishes`` is run for something.

        Raises:
            RegistrationError: naming function, file and line.
        """
        super().check_signatures()
        run = self._run_for_events()
        for function in self._publishing:
            if not _is_among(function, run):
                self.refuse(
                    "@app.publishes",
                    function,
                    "nothing starts it whose result can be published: @app.publishes stands below "
                    "@app.subscribe, @app.queue, @app.files, @app.blob or @app.event",
                )

    def _check_publishing(self, function: Callable[..., Any]) -> None:
        if isinstance(function, ActivityFunction | OrchestratorFunction):
            self.refuse(
                "@app.publishes",
                function.function,
                f"{function!r} cannot publish its result; an orchestrator says `await "
                "ctx.publish(...)`, and an activity gives its result to the orchestrator",
            )
        if _is_among(function, self._publishing):
            self.refuse("@app.publishes", function, "it publishes to another topic already")
        if _is_among(function, self._run_for_events()):
            self.refuse("@app.publishes", function, "it stands below what starts the function")

    def is_run_for_events(self, function: Callable[..., Any]) -> bool:
        """Whether events, messages, files or blobs start this function."""
        return _is_among(function, self._run_for_events())

    def _run_for_events(self) -> list[Callable[..., Any]]:
        works = [getattr(one, "work", one) for one in self.triggered.values()]
        return [one.call.function for one in works if hasattr(one, "call")]

    def _refuse_bare(self, given: object, example: str) -> None:
        """A decorator without parentheses would swallow its function."""
        if callable(given) and not isinstance(given, os.PathLike):
            self.refuse(example.partition("(")[0], given, f"it takes arguments, {example}")


def _is_among(function: Callable[..., Any], others: Iterable[Callable[..., Any]]) -> bool:
    """Whether it is one of them, or wrapped by one of them."""
    plain = inspect.unwrap(function)
    return any(inspect.unwrap(one) is plain for one in others)
