"""Which unfinished instances go on with some code, and which of them it would hold.

Reads instances out of a store or out of files and asks ``engine.fitting`` of each: the command
line, the doctor and the fixture of pytest all ask here. One instance is in memory at a time; of
those that would be held only what is told of them is kept. Runs no activity and writes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Final, TypeVar

from msgspec import MsgspecError, Struct, field, structs

from tenuto.engine.fitting import misfit_of
from tenuto.engine.ports import LoadedInstance, Runner, Storage
from tenuto.model.errors import StorageCorruptError
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.limits import Limits
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import FINISHED, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

T = TypeVar("T")

UNREADABLE: Final = "unreadable"
"""The reason for an instance whose stored form makes no sense: no code can help it."""

UNFINISHED: Final = tuple(sorted(set(RuntimeStatus) - FINISHED))
PAGE: Final = 500
_ELLIPSIS: Final = "..."


class Misfit(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One way in which code does not fit, and whom it would hold.

    Attributes:
        reason: As ``HoldReason`` has it, or ``unreadable``.
        message: What happens, where, and what to do; as the next two of the first instance.
        recorded: What is stored, where two sides differ.
        produced: What the code says to it.
        instance_ids: Whom it would hold, in the order in which they were looked at.
    """

    reason: str
    message: str
    recorded: str | None = None
    produced: str | None = None
    instance_ids: list[InstanceId] = field(default_factory=list)


class OrchestratorFit(Struct, kw_only=True, rename="camel"):
    """How the code fits the unfinished instances of one orchestrator in one version.

    Attributes:
        name: The orchestrator.
        version: Which of its versions they were started with; None without one.
        goes_on: How many would go on.
        held_now: How many of these are held now.
        misfits: Why the others would be held.
    """

    name: str
    version: str | None = None
    goes_on: int = 0
    held_now: int = 0
    misfits: list[Misfit] = field(default_factory=list)

    @property
    def held(self) -> int:
        """How many would be held."""
        return sum(len(one.instance_ids) for one in self.misfits)


class FitReport(Struct, kw_only=True):
    """What was found.

    Attributes:
        orchestrators: By name and version.
    """

    orchestrators: list[OrchestratorFit] = field(default_factory=list)

    @property
    def goes_on(self) -> int:
        """How many instances would go on."""
        return sum(one.goes_on for one in self.orchestrators)

    @property
    def held(self) -> int:
        """How many would be held."""
        return sum(one.held for one in self.orchestrators)

    @property
    def fits(self) -> bool:
        """Whether all would go on."""
        return not self.held


class FitCheck:
    """Looks at one instance after the other.

    Args:
        runner: Has the code.
        limits: What one orchestration may use up.
        now: The present: what is due by then counts as due.
    """

    def __init__(self, runner: Runner, limits: Limits, now: Microseconds) -> None:
        self._runner = runner
        self._limits = limits
        self._now = now
        self._found: dict[tuple[str, str], OrchestratorFit] = {}
        self._misfits: dict[tuple[str, ...], Misfit] = {}

    @property
    def report(self) -> FitReport:
        """What was found so far."""
        return FitReport(orchestrators=[self._found[key] for key in sorted(self._found)])

    def look(self, loaded: LoadedInstance) -> bool:
        """Look at an instance; whether it would go on. Not to be called inside a task."""
        record = loaded.record
        try:
            hold = misfit_of(loaded, self._runner, self._limits, self._now)
        except Exception as error:  # noqa: BLE001 - one that is damaged must not hide the others
            self.cannot_read(record, error)
            return False
        if hold is None:
            fit = self._fit(record)
            fit.goes_on += 1
            fit.held_now += record.hold is not None
            return True
        self._add(record, hold.reason, hold.message, hold)
        return False

    def cannot_read(self, record: InstanceRecord, error: Exception) -> None:
        """What is stored of an instance makes no sense: no code goes on with that."""
        self._add(record, UNREADABLE, f"what is stored of it cannot be read: {error!r}")

    def _fit(self, record: InstanceRecord) -> OrchestratorFit:
        key = record.name, record.version or ""
        return self._found.setdefault(
            key, OrchestratorFit(name=record.name, version=record.version)
        )

    def _add(
        self, record: InstanceRecord, reason: str, message: str, hold: Hold | None = None
    ) -> None:
        """What is the same but for the instance's id is told once."""
        alike = message.replace(repr(record.instance_id), _ELLIPSIS)
        key = (record.name, record.version or "", reason, alike)
        misfit = self._misfits.get(key)
        if misfit is None:
            misfit = self._misfits[key] = Misfit(
                reason=reason,
                message=message,
                recorded=None if hold is None else hold.recorded,
                produced=None if hold is None else hold.produced,
            )
            self._fit(record).misfits.append(misfit)
        misfit.instance_ids.append(record.instance_id)


# --- where instances come from --------------------------------------------------------------------


async def check_store(
    check: FitCheck,
    storage: Storage,
    wanted: InstanceQuery | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> FitReport:
    """Look at the unfinished instances of a store, also beside its host.

    Args:
        check: Which looks.
        storage: The open store.
        wanted: Which of them; by default all.
        on_progress: Told now and then how many were looked at.
    """
    looked_at = 0
    async for record in _records(storage, _unfinished(wanted or InstanceQuery())):
        try:
            loaded = await _load(storage, record)
        except StorageCorruptError as error:
            check.cannot_read(record, error)
        else:
            # One that has ended or was purged meanwhile is passed by.
            if loaded is not None and not loaded.record.status.is_finished:
                _ = await outside_of_tasks(partial(check.look, loaded))
        looked_at += 1
        on_progress(looked_at)
    return check.report


def check_histories(check: FitCheck, histories: Iterable[LoadedInstance]) -> FitReport:
    """Look at histories that were written to files; what has ended is replayed to its end.

    Not to be called inside a task.
    """
    for loaded in histories:
        _ = check.look(loaded)
    return check.report


async def instances(storage: Storage, query: InstanceQuery) -> AsyncIterator[LoadedInstance]:
    """Instances of a store, with all that replay needs. One at a time: a history may be long.

    Raises:
        StorageCorruptError: what is stored of one makes no sense.
    """
    async for record in _records(storage, query):
        loaded = await _load(storage, record)
        if loaded is not None:
            yield loaded


def _unfinished(wanted: InstanceQuery) -> InstanceQuery:
    """Of what is wanted, what has not ended, oldest first."""
    asked = set(UNFINISHED if wanted.statuses is None else wanted.statuses) - FINISHED
    statuses = tuple(sorted(asked))
    return structs.replace(wanted, statuses=statuses, limit=PAGE, order="oldest", payloads=False)


async def _records(storage: Storage, query: InstanceQuery) -> AsyncIterator[InstanceRecord]:
    while True:
        page = await storage.query(query)
        for record in page.records:
            yield record
        if page.after is None:
            return
        query = structs.replace(query, after=page.after)


async def _load(storage: Storage, record: InstanceRecord) -> LoadedInstance | None:
    """An instance; None when it is not there any more."""
    try:
        found = await storage.load_instances([record.iid])
    except (MsgspecError, UnicodeDecodeError) as error:
        raise StorageCorruptError(
            f"what is stored of instance {record.instance_id!r} cannot be read: {error}; restore "
            "the store from a backup, or purge the instance"
        ) from error
    return found[0] if found else None


async def outside_of_tasks(act: Callable[[], T]) -> T:
    """Do it in a plain callback of the loop: sessions do not run inside a task (ENGINE rule 3)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        if done.cancelled():
            return
        try:
            result = act()
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            done.set_exception(error)
        else:
            done.set_result(result)

    loop.call_soon(run)
    return await done
