"""The app: the functions of one program."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, TypeVarTuple, overload

from msgspec.structs import asdict

from tenuto.client.client import Client, OrchestrationHandle
from tenuto.client.status import InstanceStatus
from tenuto.engine.giving_way import waiting_for_others
from tenuto.engine.program import TopicTrigger, TriggeredFunction
from tenuto.functions.locating import check_not_importing
from tenuto.functions.registry import DurableDecorator, FunctionRegistry
from tenuto.host.holdup import result_unless_held
from tenuto.host.host import Host
from tenuto.host.own_loop import StopRequestedError, run_on_fast_loop
from tenuto.host.settings import DEFAULT, Settings, load_settings
from tenuto.model.errors import InputError
from tenuto.model.retry import RetryPolicy
from tenuto.model.topics import checked_own_topic, checked_place, checked_topic
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tenuto.host.embedding import EmbeddedApp
    from tenuto.host.native_subscriptions import EventFilter, InstancePer
    from tenuto.http.functions.triggers import HttpTriggers
    from tenuto.http.server.mounting import Mounts

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class App(FunctionRegistry):
    """Holds the activities and orchestrators of a program.

    Example:
        ::

            app = App()


            @app.activity
            def greet(name: str) -> str:
                return f"Hello {name}!"


            @app.orchestrator
            async def hello(ctx: Context, name: str) -> str:
                return await ctx.call_activity(greet, name)


            print(app.run(hello, "Tokyo"))
    """

    def __init__(self) -> None:
        super().__init__()
        self._http_triggers: HttpTriggers | None = None
        self._mounts: Mounts | None = None

    # --- what a server answers -------------------------------------------------------------------

    @overload
    def http(
        self,
        methods: str | Sequence[str],
        path: str,
        *,
        auth: Literal["anonymous", "function", "admin"] = "function",
        name: str | None = None,
        durable: Literal[False] = False,
        body_bytes: int | None = None,
    ) -> Callable[[F], F]: ...
    @overload
    def http(
        self,
        methods: str | Sequence[str],
        path: str,
        *,
        auth: Literal["anonymous", "function", "admin"] = "function",
        name: str | None = None,
        durable: Literal[True],
        wait: timedelta = ...,
        body_bytes: int | None = None,
    ) -> DurableDecorator: ...
    def http(
        self,
        methods: str | Sequence[str],
        path: str,
        *,
        auth: Literal["anonymous", "function", "admin"] = "function",
        name: str | None = None,
        durable: bool = False,
        wait: timedelta | None = None,
        body_bytes: int | None = None,
    ) -> Any:
        """Register a function to answer HTTP requests, under ``/api`` of a server.

        Its parameters are filled by name and annotation: names in the path, ``Client`` (the
        host's), Starlette's ``Request``, the JSON body (``body``, or a composite type such as a
        dataclass), else the query. It may return anything that can be stored, which goes out as
        JSON (a ``str`` too), None for 204, ``(value, status)``, or a Starlette ``Response``. It
        may raise ``HttpError``.

        Args:
            methods: ``"POST"``, or several. GET answers HEAD, too.
            path: Such as ``/orders/{id:int}``; converters are int, float, uuid and, at the end,
                path.
            auth: Who may call it once ``http.keys`` are set: ``anonymous`` everybody, ``function``
                a key with the role operate or one for this function, ``admin`` a key with that
                role.
            name: Its name, for keys and logs; the function's own when None.
            durable: Whether the function is an orchestrator, which each request starts: its first
                parameter is the context, the others are filled from path, query and body. It
                answers as others do when it ends in time; else the caller is sent (303) to the
                address of its answer. Requests with the same ``Idempotency-Key`` start it once.
            wait: How long a request to a durable function waits for its end; 10 seconds by
                default, at most 10 minutes.
            body_bytes: Longest body of a request, never more than ``http.body_bytes``, which is
                also the default; 256 KiB with ``auth="anonymous"``, where anybody may send one.

        Returns:
            A decorator that leaves the function as it is; a durable one becomes the typed
            reference that ``@app.orchestrator`` gives.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.http("POST", "/orders/{id:int}")
                async def order(id: int, items: list[Item], client: Client) -> dict[str, str]:
                    handle = await client.start(fulfil, id, items)
                    return {"instance": handle.instance_id}
        """
        if durable:
            return partial(self._add_durable, methods, path, auth, name, wait, body_bytes)
        if wait is not None:
            raise InputError("wait is for durable functions; say durable=True, too")

        def register(function: F) -> F:
            self.http_triggers.add(function, methods, path, auth, name, body_bytes=body_bytes)
            return function

        return register

    def _add_durable(
        self,
        methods: str | Sequence[str],
        path: str,
        auth: Literal["anonymous", "function", "admin"],
        name: str | None,
        wait: timedelta | None,
        body_bytes: int | None,
        function: Callable[..., Any],
    ) -> AnyOrchestrator:
        from tenuto.http.functions import durable  # noqa: PLC0415 - loads the web framework

        seconds = durable.checked_wait(durable.DEFAULT_WAIT if wait is None else wait)
        if isinstance(function, OrchestratorFunction):
            reference: AnyOrchestrator = function
        else:
            reference = self.orchestrator(name=name)(durable.storing(function))
        self.http_triggers.add(
            reference.function,
            methods,
            path,
            auth,
            name or reference.name,
            durable.DurableFunction(reference, seconds),
            body_bytes,
        )
        return reference

    def mount(self, path: str, app: "ASGIApp") -> None:
        """Serve another ASGI app (FastAPI, Starlette) under a path of this app's server.

        It is started and stopped with the server. Its requests need no key of this server; they
        find the host's client as ``request.state.tenuto_client``.

        Args:
            path: Such as ``/shop``.
            app: The other app.

        Raises:
            InputError: the path is taken or reserved.

        Example:
            ``app.mount("/shop", FastAPI())``
        """
        self.mounts.add(path, app)

    def asgi(self, path: str = "", *, settings: Settings | None = None) -> "EmbeddedApp":
        """This app, its host and its HTTP API for an ASGI app of your own (FastAPI, Starlette).

        Args:
            path: Where your app will mount it, for the links in answers; empty when a server such
                as uvicorn or hypercorn serves it alone.
            settings: Of the host; by default those of ``tenuto.toml`` and ``TENUTO_*``.

        Raises:
            SettingsError: a setting is unknown or not allowed.
            InputError: the path cannot be used.

        Example:
            ::

                durable = app.asgi("/tenuto")
                api = FastAPI(lifespan=durable.lifespan)
                api.mount(durable.path, durable)
        """
        from tenuto.host.embedding import EmbeddedApp  # noqa: PLC0415 - loads the web framework

        return EmbeddedApp(self, path, settings=settings)

    @property
    def http_triggers(self) -> "HttpTriggers":
        """The functions that answer HTTP."""
        if self._http_triggers is None:
            from tenuto.http.functions.triggers import HttpTriggers  # noqa: PLC0415 - loads the web framework

            self._http_triggers = HttpTriggers()
        return self._http_triggers

    @property
    def mounts(self) -> "Mounts":
        """The apps that are served beside this one."""
        if self._mounts is None:
            from tenuto.http.server.mounting import Mounts  # noqa: PLC0415 - loads the web framework

            self._mounts = Mounts()
        return self._mounts

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
            dropped.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.subscribe("orders", filter={"type": "order.placed"})
                async def note(event: Event, client: Client) -> None:
                    await client.publish("notes", {"order": event.data["id"]})
        """

        def register(function: F) -> F:
            from tenuto.host.native_subscriptions import (  # noqa: PLC0415 - few apps have any
                accepting,
                subscription,
            )
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

        None is not published. The event's id is made of the id of what the function was run for,
        so that it is there once, however often the function runs.

        Args:
            topic: Where it is published; ``hub/orders`` is a topic of the linked hub ``hub``.
            key: The field of the result that is the event's key; by default the key of the event
                that the function was run for, if that has one.
            type: What kind of event it is.

        Returns:
            A decorator that leaves the function as it is.

        Raises:
            InputError: the topic cannot be used.

        Example:
            ::

                @app.files("pictures")
                @app.publishes("plates", key="plate")
                def recognise(file: ArrivedFile) -> Sighting:
                    return Sighting(read_plate(file.path), file.name)
        """
        name = checked_topic(topic)

        def register(function: F) -> F:
            from tenuto.host.native_triggered import RESULTS, Results  # noqa: PLC0415 - few apps have any

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
            (``SyncClient`` in a ``def``), by annotation. What it returns is dropped.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.files("inbox", pattern="*.jpg")
                def recognise(file: ArrivedFile, client: SyncClient) -> None:
                    client.publish("plates", read_plate(file.path))
        """

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
            concurrency: How many events are worked on at once, 1 to 1,000.
            retry: When a function that has failed is run again; 5 attempts by default, the pauses
                between them doubled from 1 second on.
            name: Its name in the address; the function's own when None.

        Returns:
            A decorator that leaves the function as it is. The function may be ``def`` (runs in a
            thread) or ``async def``, and take the ``Event``, its data as one parameter of its type,
            and the host's ``Client`` (``SyncClient`` in a ``def``), by annotation. What it returns
            is dropped.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.event()
                async def blob_created(event: Event, client: Client) -> None:
                    await client.start(process_blob, event.data["url"])
        """

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
            by annotation. What it returns is dropped.

        Raises:
            RegistrationError: naming function, file and line.

        Example:
            ::

                @app.queue("thumbnails", concurrency=4)
                def make_thumbnail(picture: Picture, message: QueueMessage) -> None:
                    shrink(picture.path, message.id)
        """

        def register(function: F) -> F:
            from tenuto.host.native_queues import native_queue  # noqa: PLC0415 - few apps have any

            make = partial(
                native_queue, function, queue=queue, concurrency=concurrency, retry=retry
            )
            self.add_triggered(function, name, make)
            return function

        return register

    # --- scripts ---------------------------------------------------------------------------------

    @overload
    def run(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        storage: str | None = None,
    ) -> T: ...
    @overload
    def run(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        storage: str | None = None,
    ) -> Any: ...  # noqa: ANN401 - a name says nothing of its result
    def run(  # type: ignore[misc]  # mypy wants *Ts here too, where a name may stand
        self,
        orchestrator: AnyOrchestrator | str,
        *args: Any,
        instance_id: str | None = None,
        storage: str | None = None,
    ) -> Any:
        """Run one orchestration in a script: starts a host, blocks, returns the result.

        Args:
            orchestrator: The decorated function or its name.
            *args: Its arguments after the context.
            instance_id: An id of your choice. One that is already in the store is waited for
                instead of started, so that a script that was killed goes on when run again.
            storage: Storage URL; by default that of the settings (``tenuto.toml``,
                ``TENUTO_STORAGE``), else ``sqlite:///tenuto.db`` in the current folder.

        Raises:
            OrchestrationFailedError: the orchestration failed or was terminated.
            SettingsError: a setting is unknown or not allowed.
            StorageOwnedError: another host runs on this store.
            InstanceStateError: the instance is held; nothing of it is lost.
            KeyboardInterrupt: Ctrl-C. As at SIGTERM, which ends the program with exit code 143,
                running activities get ``drain_seconds`` to end; what is left then is named, and
                does not keep the process.
        """
        check_not_importing()
        loaded = load_settings(storage=storage)
        if loaded.sources["storage"] == DEFAULT:
            sys.stderr.write(f"tenuto: the store is {loaded.values.storage} (the default)\n")
        try:
            with waiting_for_others():  # in an activity of another host
                return run_on_fast_loop(
                    self._run(orchestrator, args, instance_id, loaded.values),
                    drain_seconds=loaded.values.drain_seconds,
                )
        except (StopRequestedError, KeyboardInterrupt) as request:
            sys.stderr.write(
                "tenuto: stopped; what had begun stays in the store and goes on when a host runs "
                "on it, such as this script with the same instance_id\n"
            )
            if isinstance(request, StopRequestedError) and request.number != signal.SIGINT:
                raise SystemExit(128 + request.number) from None
            raise KeyboardInterrupt from None

    async def _run(
        self,
        orchestrator: AnyOrchestrator | str,
        args: tuple[Any, ...],
        instance_id: str | None,
        settings: Settings,
    ) -> Any:  # noqa: ANN401 - the user's result
        async with Host(self, settings=settings, run_timers=False) as host:
            try:
                handle = await self._begun(host.client, orchestrator, args, instance_id)
                return await result_unless_held(host, handle)
            except asyncio.CancelledError:
                if running := host.engine.running:
                    what = "activity" if running == 1 else "activities"
                    sys.stderr.write(
                        f"tenuto: stopping; up to {settings.drain_seconds:g} s for {running} "
                        f"running {what} (Ctrl-C again: at once)\n"
                    )
                raise

    async def _begun(
        self,
        client: Client,
        orchestrator: AnyOrchestrator | str,
        args: tuple[Any, ...],
        instance_id: str | None,
    ) -> OrchestrationHandle[Any]:
        if instance_id is not None:
            standing = await client.get_status(instance_id)
            if standing is not None:
                return self._attach(client, standing, orchestrator)
        return await client.start(orchestrator, *args, instance_id=instance_id)

    @staticmethod
    def _attach(
        client: Client, standing: InstanceStatus, orchestrator: AnyOrchestrator | str
    ) -> OrchestrationHandle[Any]:
        asked = orchestrator if isinstance(orchestrator, str) else orchestrator.name
        if standing.name != asked:
            raise InputError(
                f"instance {standing.instance_id!r} runs {standing.name!r}, not {asked!r}; "
                "choose another instance_id"
            )
        sys.stderr.write(
            f"tenuto: attached to instance {standing.instance_id!r}, started "
            f"{standing.created_time:%Y-%m-%d %H:%M:%S} UTC; it keeps its input\n"
        )
        return client.handle_of(standing.instance_id, orchestrator)
