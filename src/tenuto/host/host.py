"""The host: an app, a store and an engine, running in this process."""

import asyncio
import contextlib
import gc
import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from msgspec import structs

from tenuto.client.client import Client
from tenuto.client.engine_gateway import EngineGateway
from tenuto.engine.commands import Commands
from tenuto.engine.engine import Engine
from tenuto.engine.lifecycle import Lifecycle
from tenuto.engine.member_ports import HasMembers, MemberFacts
from tenuto.engine.membership import Membership
from tenuto.engine.news import ANYTHING
from tenuto.engine.options import EngineOptions, UsageOptions
from tenuto.engine.ports import Clock, HostIdentity, HubInfo, Observer, Runner, Storage
from tenuto.engine.program import Program, RunnerMeans, TriggeredFunction
from tenuto.engine.programs import version_of
from tenuto.engine.usage_upkeep import UsageUpkeep
from tenuto.functions.locating import check_not_importing
from tenuto.host.clock import SystemClock
from tenuto.host.forked import end_children_of, forget
from tenuto.host.last_word import LastWord
from tenuto.host.notifications.targets import notification_targets
from tenuto.host.programs import Hosted, program_of
from tenuto.host.settings import Settings
from tenuto.host.timers import HostTimers, Timer, timers_of
from tenuto.host.triggers import HostTriggers, check_triggered
from tenuto.host.watchdog import Watchdog
from tenuto.link.links import Links
from tenuto.messaging.retention import TopicRetention
from tenuto.model.errors import StorageError, TenutoError
from tenuto.model.ids import InstanceId
from tenuto.model.timing import Microseconds, to_datetime
from tenuto.model.topics import PublishedEvent, QueuedMessage
from tenuto.storage import open_storage
from tenuto.telemetry.exporting import Exporting, check_installed, new_export
from tenuto.telemetry.host_log import HostLog
from tenuto.telemetry.log_observer import LogObserver
from tenuto.telemetry.quiet_observer import quiet

if TYPE_CHECKING:
    from tenuto.insight.going_on import GoingOn
    from tenuto.insight.hosts import HubHosts
    from tenuto.model.explanation import Explanation

_SWITCH_SECONDS = 0.0005
"""The commit thread queues for the interpreter lock; a short interval lets it in (rule 23)."""


_STOCK_THRESHOLDS = (700, 2000)
_CALM_THRESHOLDS = (50_000, 20, 100)


class Host:
    """Runs an app's orchestrations for as long as it is open.

    Args:
        app: The functions: an app, a program of another kind, or several of them.
        storage: Storage URL, or a store; by default that of the settings.
        settings: Storage, limits and sizes.
        clock: Where time comes from; tests give a virtual one.
        observer: Who is told what happens; by default Python's logging.
        run_timers: Whether functions run that schedules and events start; not in a script that is
            there for one orchestration.

    Example:
        ::

            async with Host(app, storage="sqlite:///travel.db") as host:
                handle = await host.client.start(book_trip, trip)
                print(await handle.result())
    """

    def __init__(
        self,
        app: Hosted,
        storage: str | Storage | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        run_timers: bool = True,
    ) -> None:
        self.app = app
        self.settings: Settings = settings or Settings()
        self.program: Program = program_of(app, self.settings)
        """All that it runs, whatever its kind."""
        self.clock: Clock = clock or SystemClock()
        self.webhook_base: str | None = None
        """Where links point; a server says so. Without one it is where the settings have it."""
        self.address: str | None = None
        """Where this very host can be reached, whatever stands before it; a server says so."""
        self.client_binding: Callable[[str | None], str | None] = lambda _task_hub: None
        """What clients of Durable Functions are made of, for a task hub of some name; a server says
        so.
        """
        self.links_path: str = ""
        """What stands before the paths of a server that another app mounts."""
        if storage is None:
            storage = self.settings.storage
        if isinstance(storage, str):
            self._storage = open_storage(
                storage,
                partitions=self.settings.partitions_of(storage),
                sharing=self.settings.sharing,
                direct=self.settings.storage_direct,
            )
        else:
            self._storage = storage
        self._log = HostLog(storage if isinstance(storage, str) else type(storage).__name__)
        self._observed = observer or LogObserver()
        self._observer = quiet(self._observed)
        self._engine: Engine | None = None
        self._lifecycle: Lifecycle | None = None
        self._watchdog: Watchdog | None = None
        self._client: Client | None = None
        self._lost: asyncio.Future[StorageError] | None = None
        self._hub: HubInfo | None = None
        self._last_word: LastWord | None = None
        self._runs_timers = run_timers
        self._timers: HostTimers | None = None
        self._triggers: HostTriggers | None = None
        self._retention: TopicRetention | None = None
        self._usage_upkeep: UsageUpkeep | None = None
        self._links: Links | None = None
        self._export: Exporting | None = None
        self._membership: Membership | None = None
        self._identity: HostIdentity = _identity()
        self._began_at = 0
        self._drain_seconds = self.settings.drain_seconds

    @property
    def client(self) -> Client:
        """Starts, asks and steers instances on this host.

        Raises:
            TenutoError: the host is not running.
        """
        if self._client is None:
            raise TenutoError("the host is not running; use `async with Host(app) as host:`")
        return self._client

    @property
    def hub(self) -> HubInfo:
        """Constant facts of the opened store, for Tenuto's own tools."""
        if self._hub is None:
            raise TenutoError("the host is not running; use `async with Host(app) as host:`")
        return self._hub

    @property
    def links(self) -> Links:
        """Links to other hubs.

        Raises:
            TenutoError: the host is not running.
        """
        if self._links is None:
            raise TenutoError("the host is not running; use `async with Host(app) as host:`")
        return self._links

    @property
    def engine(self) -> Engine:
        """The running engine, for Tenuto's own tools."""
        if self._engine is None:
            raise TenutoError("the host is not running; use `async with Host(app) as host:`")
        return self._engine

    @property
    def description(self) -> str:
        """Which it is among others, for people: process and machine."""
        return self._identity.description

    @property
    def app_version(self) -> str:
        """Of the app that it runs; empty when that says none."""
        return self.settings.app_version or version_of(self.program)

    async def start(self) -> None:
        """Open the store, take it over, recover what was promised, begin to serve.

        Raises:
            AppLoadError: it starts while a module is being imported.
            SettingsError: what sends traces is not installed.
            StorageOwnedError: another host runs on this store.
            StorageError: the store cannot be used, with the reason.
            RegistrationError: a program cannot be run, such as when worker processes could not find
                an activity that is to run in them; or two programs have the same function.
        """
        check_not_importing()
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_SECONDS))
        _calm_collector()
        self._lost = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self._log.starting()
        self.program.check()
        if self.settings.telemetry.is_on:
            check_installed(self.settings.telemetry)
        timers = timers_of(self.program.timers) if self._runs_timers else []
        told = notification_targets(self.settings.notifications, self.clock)
        started = [*self.program.triggered, *told] if self._runs_timers else []
        triggered = check_triggered(started)
        self._hub = await self._storage.open()
        if self.settings.partitions not in {None, self._hub.partitions}:
            self._observer.notice(
                f"the store has {self._hub.partitions} partitions, as many as it was made with; "
                f"the setting partitions={self.settings.partitions} changes nothing"
            )
        links = await self._take_over(self._hub)
        try:
            await self._serve(links, timers, triggered)
        except BaseException:
            await self.abandon()  # nobody could stop what has begun
            raise
        self._log.started(time.perf_counter() - began, self.settings)

    async def _take_over(self, hub: HubInfo) -> Links:
        """Make an engine and give it the store; when that fails, nothing is left of either."""
        runner: Runner | None = None
        try:
            runner = self.program.make_runner(self._means())
            engine = self._engine_over(runner)
            for warning in self.program.warnings:
                self._observer.problem(None, warning)
            lifecycle = Lifecycle(engine)
            links = Links(engine, self.settings.links, lifecycle.arrived)
            await links.load()
            await engine.meter.read(self._storage, self.clock.now())
            self._watch(engine)
            membership = await self._own(engine, lifecycle, hub)
            self._storage.on_lost(self._on_lost)
        except BaseException:
            self._watch_no_more()
            try:
                if runner is not None:
                    await runner.stop()
            finally:
                await self._storage.close()
            raise
        self._engine = engine
        self._lifecycle = lifecycle
        self._membership = membership
        end_children_of(self)
        gateway = EngineGateway(Commands(engine), self._storage, lifecycle.arrived)
        self._client = Client(gateway, self.program, self.settings.limits)
        return links

    async def _own(self, engine: Engine, lifecycle: Lifecycle, hub: HubInfo) -> Membership | None:
        """Take the store over, or our share of it, and recover what was promised."""
        last_word = self._last_word = LastWord(hub.url)
        found = last_word.read()
        self._began_at = self.clock.now()
        identity = self._identity = _identity()
        membership = await self._join(engine, lifecycle, identity)
        if membership is not None:
            identity = structs.replace(identity, member=identity.owner)
        await lifecycle.start(
            identity,
            hub_partitions=hub.partitions,
            partitions=None if membership is None else [],
            has_word=found is not None,
            on_owned=last_word.keep,
        )
        if membership is not None:
            await membership.start()
        self._tell_of_before(hub, found)
        return membership

    async def _join(
        self, engine: Engine, lifecycle: Lifecycle, identity: HostIdentity
    ) -> Membership | None:
        """Be one of the hosts of the hub; None for a store that one host owns."""
        if not isinstance(self._storage, HasMembers):
            return None
        facts = MemberFacts(
            member=identity.owner,
            description=identity.description,
            address=self.address or self.webhook_base,
            app_version=self.app_version,
            orchestrators=sorted(self.program.orchestrators),
        )
        members = self._storage.members
        await members.join(facts)
        settings = self.settings
        return Membership(
            engine,
            lifecycle,
            members,
            facts.member,
            settings.drain_seconds,
            settings.lease_seconds,
        )

    async def _serve(
        self, links: Links, timers: list[Timer], triggered: list[TriggeredFunction]
    ) -> None:
        """Let schedules, other hubs and events start functions, and look after topics."""
        engine, client = self.engine, self.client
        self._timers = HostTimers(timers, engine, client)
        self._timers.start()
        self._links = links
        await links.start(engine.hub_partitions)
        self._triggers = HostTriggers(triggered, engine, client, self.settings.outbound)
        await self._triggers.start()
        if self.settings.telemetry.is_on:
            self._export = new_export(engine, self.settings.telemetry, self._observed)
            self._export.start()
        if self._runs_timers:
            self._retention = TopicRetention(engine, self.settings.topics)
            self._retention.start()
            self._usage_upkeep = UsageUpkeep(engine, self.settings.usage.keep_days)
            self._usage_upkeep.start()

    def _tell_of_before(self, hub: HubInfo, last_word: str | None) -> None:
        """What a person may want to know of the store's time before this host."""
        if last_word is not None:
            self._observer.notice(
                f"the host before was ended by a fatal signal; its last word:\n{last_word}"
            )
        if hub.copied_at is not None:
            moment = to_datetime(hub.copied_at)
            self._observer.notice(
                f"the store was a copy, which reaches up to {moment:%Y-%m-%d %H:%M:%SZ}; from "
                "now on it is a store of its own"
            )

    def _means(self) -> RunnerMeans:
        return RunnerMeans(
            clock=self.clock,
            limits=self.settings.limits,
            webhook_base=self._base_of_links,
            webhook_secret=self.hub.secret,
            client_binding=self.client_binding,
            publish=self._publish,
        )

    async def _publish(
        self, events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
    ) -> None:
        """For functions of programs, once the host runs."""
        await self.client.gateway.publish(events, messages)

    def _base_of_links(self) -> str:
        """Where links point. Without a server they wait for one, and the log says so, once."""
        if self.webhook_base is None:
            self.webhook_base = self.settings.http.address.rstrip("/") + self.links_path
            self._log.links_wait(self.webhook_base)
        return self.webhook_base

    def _engine_over(self, runner: Runner) -> Engine:
        settings = self.settings
        return Engine(
            self._storage,
            self.clock,
            runner,
            self._observer,
            EngineOptions(
                limits=settings.limits,
                hot_sessions=settings.hot_sessions,
                hot_session_bytes=settings.hot_session_bytes,
                delivery_bytes=settings.delivery_bytes,
                max_deliveries=settings.max_deliveries,
                spans=settings.telemetry.span_rules,
                on_mismatch=settings.on_mismatch or "hold",
                usage=UsageOptions(
                    app=settings.usage.app or self.program.kind,
                    tag=settings.usage.tag,
                    most_tags=settings.usage.most_tags,
                    instance_budget=settings.usage.bound_of(settings.usage.instance_budget),
                    day_budget=settings.usage.bound_of(settings.usage.day_budget),
                ),
                notices=settings.notifications.rules,
            ),
            self._on_lost,
        )

    async def explain(self, instance_id: str) -> "Explanation":
        """Why an instance does not go on: a sentence, the facts behind it, and what to do.

        Times in the sentence are UTC.

        Raises:
            InstanceNotFoundError: there is no such instance.

        Example:
            ``print((await host.explain("trip-1")).sentence)``
        """
        # Few hosts are asked, and the command shall begin quickly.
        from tenuto.insight.follow import Follower  # noqa: PLC0415
        from tenuto.insight.here import explained_here  # noqa: PLC0415
        from tenuto.insight.reading import StoreReader  # noqa: PLC0415

        reader = StoreReader(self._storage)
        run = await Follower(reader, InstanceId(instance_id), most=1).read()
        return await explained_here(self.engine, run)

    async def hosts(self) -> "HubHosts":
        """The hosts that run on this store, what each has and how busy it is, and what nobody has.

        Raises:
            StorageError: the store cannot be read.

        Example:
            ``print([one.description for one in (await host.hosts()).alive])``
        """
        from tenuto.insight.hosts import hub_hosts, only_host  # noqa: PLC0415 - few hosts are asked

        if isinstance(self._storage, HasMembers):
            return hub_hosts(await self._storage.members.census())
        return only_host(
            self.engine,
            description=self.description,
            address=self.address or self.webhook_base,
            app_version=self.app_version,
            since=self._began_at,
        )

    async def look_ahead(self) -> "GoingOn":
        """What it goes on with, soon after its start; holds those whom the code does not fit.

        Looks at a bounded number of instances, the newest.

        Raises:
            StorageError: the store cannot be read.
        """
        from tenuto.host.looking_ahead import look_ahead  # noqa: PLC0415 - few hosts are asked

        return await look_ahead(self.engine)

    @property
    def next_timer(self) -> tuple[Microseconds, str] | None:
        """When a schedule starts a function next, and which; None when none does."""
        return None if self._timers is None else self._timers.next

    def look_again(self) -> None:
        """See what others may have written, without waiting until that shows."""
        if self._lifecycle is not None:
            self._lifecycle.arrived()
            self.engine.fed(ANYTHING)

    async def drain(self) -> None:
        """Begin no further activities, and let those that run end; all else goes on meanwhile.

        Clients are answered and turns are taken. What is decided is done by the host that comes
        next. To be called before ``stop``, which then has only the rest of ``drain_seconds``.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                await self.engine.runner.drain(self._drain_seconds)
        self._drain_seconds = max(0.0, self._drain_seconds - (loop.time() - began))

    async def stop(self) -> None:
        """Stop: take nothing new in, let running activities end, commit, let the store go."""
        lifecycle, self._lifecycle = self._lifecycle, None
        membership, self._membership = self._membership, None
        self._client = None
        await self._hang_up()
        try:
            if lifecycle is not None:
                self._log.stopping()
                seconds = await self._end_functions(self._drain_seconds)
                if membership is not None:
                    await membership.stop(seconds)
                await lifecycle.stop(seconds)
                self._log.stopped()
        finally:
            forget(self)
            self._watch_no_more()

    def run_timer(self, name: str) -> bool:
        """Run a function that a schedule starts once, now; the schedule goes on as it would have.

        Args:
            name: Of the timer.

        Returns:
            False when this host runs no such timer now.
        """
        return self._timers is not None and self._timers.run_now(name)

    async def _end_functions(self, seconds: float) -> float:
        """Let functions that schedules and events have started end; how much time is left.

        First of all: they may wait for what instances here have to do.
        """
        await self._end_retention()
        export, self._export = self._export, None
        if export is not None:
            await export.stop()
        timers, self._timers = self._timers, None
        triggers, self._triggers = self._triggers, None
        if timers is None or triggers is None:
            return seconds
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(timers.stop(seconds), triggers.stop(seconds))
        return max(0.0, seconds - (loop.time() - began))

    async def _end_retention(self) -> None:
        retention, self._retention = self._retention, None
        upkeep, self._usage_upkeep = self._usage_upkeep, None
        if retention is not None:
            await retention.stop()
        if upkeep is not None:
            await upkeep.stop()

    async def abandon(self) -> None:
        """Go without a farewell, as a process that dies; for tests of what is recovered then."""
        lifecycle, self._lifecycle = self._lifecycle, None
        membership, self._membership = self._membership, None
        self._client = None
        await self._hang_up()
        self._watch_no_more()
        await self._end_retention()
        export, self._export = self._export, None
        if export is not None:
            await export.abandon()
        timers, self._timers = self._timers, None
        if timers is not None:
            await timers.abandon()
        triggers, self._triggers = self._triggers, None
        if triggers is not None:
            await triggers.abandon()
        if membership is not None:
            await membership.abandon()
        if lifecycle is not None:
            await lifecycle.abandon()

    async def _hang_up(self) -> None:
        links, self._links = self._links, None
        if links is not None:
            await links.stop()

    def _watch(self, engine: Engine) -> None:
        settings = self.settings
        self._watchdog = Watchdog(
            engine, settings.blocked_turn_seconds, settings.blocked_loop_seconds
        )
        self._watchdog.start()

    def _watch_no_more(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._last_word is not None:
            self._last_word.drop()

    async def until_lost(self) -> StorageError:
        """Wait until this host is no longer the owner of its store; returns the reason."""
        if self._lost is None:
            raise TenutoError("the host is not running; use `async with Host(app) as host:`")
        return await asyncio.shield(self._lost)

    def _on_lost(self, error: StorageError) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(error)
            self._observer.problem(None, f"this host cannot go on: {error}")
        if self._membership is not None:
            self._membership.give_up()
        if self._engine is not None:
            self._engine.abandon(error)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()


def _calm_collector() -> None:
    """Let the garbage collector look less often, unless the program has set its own pace.

    Sessions free themselves (they hold no circles once closed), so nearly every pass over the
    thousands of objects in flight is for nothing: it took a quarter of a hello sequence.
    """
    if gc.isenabled() and gc.get_threshold()[0] in _STOCK_THRESHOLDS:
        gc.freeze()
        gc.set_threshold(*_CALM_THRESHOLDS)


def _identity() -> HostIdentity:
    return HostIdentity(
        owner=uuid.uuid4().hex[:12],
        description=f"process {os.getpid()} on {platform.node() or 'this machine'}",
    )
