"""The test host: a real host, on a store in memory and virtual time."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, TypeVarTuple, cast, overload

from msgspec import structs

from tenuto.client.client import Client, OrchestrationHandle
from tenuto.engine.arrivals import unread_of
from tenuto.engine.ports import Observer, Storage
from tenuto.functions.registry import FunctionRegistry
from tenuto.host.host import Host
from tenuto.host.programs import Hosted, program_of
from tenuto.host.settings import Settings
from tenuto.model.codec import decode_turn
from tenuto.model.errors import InputError, InstanceNotFoundError
from tenuto.model.ids import InstanceId
from tenuto.orchestration.references import OrchestratorFunction
from tenuto.storage.sqlite import SqliteStorage
from tenuto.testing.clock import START, ClockWire, VirtualClock
from tenuto.testing.driver import EngineDriver, TimeSkippingGateway
from tenuto.testing.observer import RecordingObserver
from tenuto.testing.replaying import check_history

if TYPE_CHECKING:
    from tenuto.model.explanation import Explanation

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MEMORY = "sqlite://"


class TestHost:
    """Runs an app as ``Host`` does, with time in the hands of the test.

    Awaiting a result lets time pass: whenever the host is at rest, the clock jumps to the next
    moment at which something is due, so that waiting for days takes milliseconds. Otherwise time
    stands still until ``advance``.

    Args:
        app: The functions: an app, a program of another kind, or several of them.
        start: The first moment (aware); 2026-01-01T00:00Z by default.
        settings: Limits and sizes. The determinism guard looks at every turn, whatever they say.
        observer: Who is told what happens; by default a ``RecordingObserver``.
        storage: Storage URL or an open store. By default in memory; it lives as long as this
            object is open, also through ``restart`` and ``crash``.

    Example:
        ::

            async def test_reminder_comes_after_three_days() -> None:
                async with TestHost(app) as test:
                    assert await test.run(remind, "Ada") == "reminded"
                    assert test.clock.current_time == datetime(2026, 1, 4, tzinfo=UTC)
    """

    __test__ = False  # not a class of tests, whatever pytest thinks of its name

    def __init__(
        self,
        app: Hosted,
        *,
        start: datetime = START,
        settings: Settings | None = None,
        observer: Observer | None = None,
        storage: str | Storage = MEMORY,
    ) -> None:
        self.app = app
        self.clock: VirtualClock = VirtualClock(start)
        # A test is where mistakes should show: the guard looks at every turn (ENGINE rule 8), and
        # an instance that the code does not fit fails at once (rule 29).
        settings = settings or Settings()
        self.settings: Settings = structs.replace(
            settings, guard_every=1, on_mismatch=settings.on_mismatch or "fail"
        )
        self.observer: RecordingObserver = cast(
            "RecordingObserver", observer or RecordingObserver()
        )
        """Who is told what happens; of the type that it has when no other was given."""
        self._kept: _KeptStorage | None = None
        if storage == MEMORY:
            partitions = self.settings.partitions_of("sqlite://") or 1
            storage = self._kept = _KeptStorage(":memory:", partitions=partitions)
        self._storage = storage
        self._gateway = TimeSkippingGateway(self.clock)
        self._host: Host | None = None
        self._wire = ClockWire(self.clock)
        program = program_of(app, self.settings)
        self.client: Client = Client(self._gateway, program, self.settings.limits)

    @property
    def host(self) -> Host:
        """The host that runs now.

        Raises:
            RuntimeError: none does.
        """
        if self._host is None:
            raise RuntimeError("the test host is not running; use `async with TestHost(app)`")
        return self._host

    @property
    def problems(self) -> list[tuple[str | None, str]]:
        """What the host complained about; empty with an observer that does not record."""
        return getattr(self.observer, "problems", [])

    # --- running -------------------------------------------------------------------------------

    @overload
    async def start(
        self,
        orchestrator: OrchestratorFunction[*Ts, T],
        *args: *Ts,
        instance_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> OrchestrationHandle[T]: ...
    @overload
    async def start(
        self,
        orchestrator: str,
        *args: Any,
        instance_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> OrchestrationHandle[Any]: ...
    async def start(  # type: ignore[misc]  # mypy wants *Ts here too
        self,
        orchestrator: Any,
        *args: Any,
        instance_id: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> OrchestrationHandle[Any]:
        """Start an orchestration; ``client.start`` has all the options."""
        return await self.client.start(orchestrator, *args, instance_id=instance_id, tags=tags)

    @overload
    async def run(
        self, orchestrator: OrchestratorFunction[*Ts, T], *args: *Ts, instance_id: str | None = None
    ) -> T: ...
    @overload
    async def run(self, orchestrator: str, *args: Any, instance_id: str | None = None) -> Any: ...  # noqa: ANN401 - a name says nothing about types
    async def run(  # type: ignore[misc]  # as above
        self, orchestrator: Any, *args: Any, instance_id: str | None = None
    ) -> Any:
        """Run one orchestration to its end and return the result.

        Raises:
            OrchestrationFailedError: it failed or was terminated.
        """
        handle = await self.client.start(orchestrator, *args, instance_id=instance_id)
        return await handle.result()

    # --- time ----------------------------------------------------------------------------------

    async def advance(self, to: timedelta | datetime, *, with_activities: bool = True) -> None:
        """Let time pass: ``VirtualClock.advance``."""
        await self.clock.advance(to, with_activities=with_activities)

    async def idle(self, *, with_activities: bool = True) -> None:
        """Wait until all that can be done at this moment is done and durable.

        Args:
            with_activities: Whether running activities belong to that.

        Raises:
            TenutoError: it takes longer than ten seconds of real time.
        """
        await self._driver.rest(with_activities=with_activities)

    async def answer(
        self,
        instance_id: str,
        answer: object,
        *,
        question: int | str | None = None,
        by: str | None = None,
    ) -> None:
        """Answer what an orchestration asks (``ctx.ask``), once it has come to rest.

        Args:
            instance_id: Which one.
            answer: A value of the type that is asked for, or one of the choices.
            question: The number or the title; may be left out where only one is asked.
            by: Who answers, for the history.

        Raises:
            PayloadError: it is not what is asked for; the question stays open.
            QuestionClosedError: nothing, or nothing of the kind, is asked now.
            InputError: several questions are asked, and it is not said which one is meant.

        Example:
            ::

                handle = await host.start(expense, report)
                await host.answer(handle.instance_id, "approve")
                assert await handle.result() == "approved"
        """
        await self.idle()
        await self.client.answer(instance_id, answer, question=question, by=by)

    async def explain(self, instance_id: str) -> "Explanation":
        """Why an instance does not go on: ``Host.explain``; times in words are UTC.

        Raises:
            InstanceNotFoundError: there is no such instance.

        Example:
            ``assert (await host.explain("trip-1")).facts == (EventWait(name="paid", since=now),)``
        """
        return await self.host.explain(instance_id)

    # --- replay --------------------------------------------------------------------------------

    async def check_replay(self, instance_id: str) -> None:
        """Run the instance's code over its stored history; every decision must be the same.

        Stricter than a host: inputs, due times, results and failures are compared as well.

        Raises:
            NonDeterminismError: with what was recorded and what the code decides now.
            InstanceNotFoundError: there is no such instance.
            InputError: the host runs something else than an app.
        """
        app = self.app
        if not isinstance(app, FunctionRegistry):
            raise InputError("check_replay runs the code of an App; this host runs something else")
        storage = self.host.engine.storage
        found = await storage.find([InstanceId(instance_id)])
        loaded = await storage.load_instances([record.iid for record in found])
        if not loaded:
            raise InstanceNotFoundError(instance_id)
        turns = [decode_turn(turn) for turn in loaded[0].turns]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def check() -> None:
            # Sessions run outside of tasks (ENGINE rule 3).
            try:
                check_history(
                    app, loaded[0].record, turns, self.settings.limits, unread_of(loaded[0])
                )
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                done.set_exception(error)
            else:
                done.set_result(None)

        asyncio.get_running_loop().call_soon(check)
        await done

    # --- coming and going ----------------------------------------------------------------------

    async def restart(self) -> None:
        """Stop the host as a deployment does, and start another one on the same store."""
        await self._stop()
        await self._start()

    async def crash(self) -> None:
        """Throw the host away as a power cut does, and start another one on the same store.

        Nothing is drained, committed, answered or released. Sync activities that run go on in
        their threads, as calls to other systems would; nobody hears their results.
        """
        await self._abandon()
        await self._start()

    async def __aenter__(self) -> Self:
        await self._start()
        self._gateway.is_open = True
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._gateway.is_open = False
        await self._stop()
        if self._kept is not None:
            await self._kept.close_for_good()

    async def _start(self) -> None:
        self._wire = ClockWire(self.clock)
        host = Host(
            self.app,
            self._storage,
            settings=self.settings,
            clock=self._wire,
            observer=self.observer,
        )
        host.webhook_base = self.settings.http.address
        await host.start()
        self._host = host
        self._driver = EngineDriver(host.engine)
        self.clock.drive(self._driver)
        self._gateway.connect(host.client.gateway, self._driver)

    async def _stop(self) -> None:
        self._gateway.disconnect()
        if self._host is not None:
            await self._host.stop()
            self._host = None
        self.clock.drive(None)
        self._wire.cut()

    async def _abandon(self) -> None:
        self._gateway.disconnect()
        await self.host.abandon()
        self._host = None
        self.clock.drive(None)
        self._wire.cut()


class _KeptStorage(SqliteStorage):
    """A store in memory that outlives its hosts."""

    async def close(self) -> None:
        """Stay open: the next host finds everything."""

    async def close_for_good(self) -> None:
        """The end of the test."""
        await super().close()
