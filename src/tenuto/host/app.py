"""The app: the functions of one program."""

import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, TypeVarTuple, overload

from tenuto.client.client import Client, OrchestrationHandle
from tenuto.client.status import InstanceStatus
from tenuto.engine.giving_way import waiting_for_others
from tenuto.functions.locating import check_not_importing
from tenuto.functions.registry import DurableDecorator
from tenuto.host.event_functions import EventFunctions
from tenuto.host.holdup import result_unless_held
from tenuto.host.host import Host
from tenuto.host.own_loop import StopRequestedError, run_on_fast_loop
from tenuto.host.settings import DEFAULT, Settings, load_settings
from tenuto.model.errors import InputError
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tenuto.host.embedding import EmbeddedApp
    from tenuto.http.functions.triggers import HttpTriggers
    from tenuto.http.server.mounting import Mounts

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


_MOST_VERSION: Final = 200


def checked_version(version: str) -> str:
    """The version of an app.

    Raises:
        InputError: it is no text that a store could keep.
    """
    if not isinstance(version, str):
        raise InputError(f"the version of an app is a text, got {version!r}")
    if len(version) > _MOST_VERSION or not version.isprintable():
        raise InputError(
            f"the version of an app has at most {_MOST_VERSION} characters, all printable, got "
            f"{version[:_MOST_VERSION]!r}"
        )
    return version


class App(EventFunctions):
    """Holds the activities and orchestrators of a program.

    Args:
        version: Of the app. Several hosts on one store that run the same version must know the
            same orchestrators; during an upgrade, partitions move to hosts of the version that
            came last. The setting ``app_version`` goes before it.

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

    def __init__(self, *, version: str = "") -> None:
        super().__init__()
        self.version: str = checked_version(version)
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
