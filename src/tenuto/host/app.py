"""The app: the functions of one program."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple, overload

from tenuto.client.client import Client
from tenuto.client.status import InstanceStatus
from tenuto.functions.registry import FunctionRegistry
from tenuto.host.host import Host
from tenuto.host.settings import DEFAULT, Settings, load_settings
from tenuto.model.errors import AppLoadError, InputError
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

loading: ContextVar[str | None] = ContextVar("tenuto_loading", default=None)
"""What is being imported for its app; a run in the middle of that would not see all of it."""


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
        """
        if (module := loading.get()) is not None:
            raise AppLoadError(
                f"{module} runs its app while it is imported; put what is to happen only when it "
                'is started as a script under `if __name__ == "__main__":`'
            )
        loaded = load_settings(storage=storage)
        if loaded.sources["storage"] == DEFAULT:
            sys.stderr.write(f"tenuto: the store is {loaded.values.storage} (the default)\n")
        try:
            return run_on_fast_loop(self._run(orchestrator, args, instance_id, loaded.values))
        except KeyboardInterrupt:
            sys.stderr.write(
                "tenuto: stopped; what had begun stays in the store and goes on when a host runs "
                "on it, such as this script with the same instance_id\n"
            )
            raise KeyboardInterrupt from None

    async def _run(
        self,
        orchestrator: AnyOrchestrator | str,
        args: tuple[Any, ...],
        instance_id: str | None,
        settings: Settings,
    ) -> Any:  # noqa: ANN401 - the user's result
        async with Host(self, settings=settings) as host:
            client = host.client
            if instance_id is not None:
                standing = await client.get_status(instance_id)
                if standing is not None:
                    return await self._attach(client, standing, orchestrator)
            handle = await client.start(orchestrator, *args, instance_id=instance_id)
            return await handle.result()

    @staticmethod
    async def _attach(
        client: Client, standing: InstanceStatus, orchestrator: AnyOrchestrator | str
    ) -> Any:  # noqa: ANN401 - the user's result
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
        return await client.handle_of(standing.instance_id, orchestrator).result()


def run_on_fast_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a fresh loop: uvloop when it is installed, else asyncio's."""
    with asyncio.Runner(loop_factory=fast_loop_factory()) as runner:
        return runner.run(coroutine)


def fast_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's loop when that is installed, None (asyncio's) otherwise."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform, and slow to import
    except ImportError:
        return None
    return uvloop.new_event_loop
