"""The app: the functions of one program."""

import asyncio
from typing import Any, TypeVar, TypeVarTuple, overload

from tenuto.functions.registry import FunctionRegistry
from tenuto.host.host import DEFAULT_STORAGE, Host
from tenuto.orchestration.references import OrchestratorFunction

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

    @overload
    def run(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        storage: str = DEFAULT_STORAGE,
    ) -> T: ...
    @overload
    def run(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        storage: str = DEFAULT_STORAGE,
    ) -> Any: ...
    def run(
        self,
        orchestrator: Any,
        *args: Any,
        instance_id: str | None = None,
        storage: str = DEFAULT_STORAGE,
    ) -> Any:
        """Run one orchestration in a script: starts a host, blocks, returns the result.

        Args:
            orchestrator: The decorated function or its name.
            *args: Its arguments after the context.
            instance_id: An id of your choice. One that is already in the store is waited for
                instead of started, so that a script that was killed goes on when run again.
            storage: Storage URL.

        Raises:
            OrchestrationFailedError: the orchestration failed or was terminated.
            StorageOwnedError: another host runs on this store.
        """
        return run_on_fast_loop(self._run(orchestrator, args, instance_id, storage))

    async def _run(
        self, orchestrator: Any, args: tuple[Any, ...], instance_id: str | None, storage: str
    ) -> Any:
        async with Host(self, storage=storage) as host:
            if instance_id is not None and await host.client.get_status(instance_id) is not None:
                handle = host.client.handle_of(instance_id, orchestrator)
            else:
                handle = await host.client.start(orchestrator, *args, instance_id=instance_id)
            return await handle.result()


def run_on_fast_loop(coroutine: Any) -> Any:
    """Run a coroutine on a fresh loop: uvloop when it is installed, else asyncio's."""
    with asyncio.Runner(loop_factory=fast_loop_factory()) as runner:
        return runner.run(coroutine)


def fast_loop_factory() -> Any:
    """uvloop's loop when it is installed, None (asyncio's) otherwise."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform, and slow to import
    except ImportError:
        return None
    return uvloop.new_event_loop
