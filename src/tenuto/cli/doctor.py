"""``tenuto doctor``: looks at versions, settings, the store and every instance that waits.

Only reads. Each finding says what to do; the exit code says whether anything is wrong.
"""

import asyncio
import platform
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

import click
import msgspec
from msgspec import Struct, structs

from tenuto.cli import terminal
from tenuto.cli.arguments import target_completion
from tenuto.cli.check_replay import Progress, fit_document
from tenuto.cli.command import FAILED
from tenuto.cli.connection import Connection, Place, connected, place_options
from tenuto.cli.findings import (
    Finding,
    Level,
    files_findings,
    fit_findings,
    letters_finding,
    link_finding,
    queues_findings,
    silent_host,
    standstill,
    store_findings,
    version_finding,
)
from tenuto.cli.host_findings import host_findings
from tenuto.cli.hosts import read_hosts
from tenuto.cli.instances.documents import encoded
from tenuto.cli.instances.looking import json_option
from tenuto.cli.nearby import host_on, storage_of
from tenuto.cli.topic_findings import subscription_findings
from tenuto.engine.upkeep import Examination, StorageUpkeep
from tenuto.host.settings import DEFAULT, LoadedSettings, Settings, load_settings
from tenuto.insight.fitting import UNFINISHED, FitCheck, FitReport, check_store
from tenuto.insight.surroundings import Surroundings
from tenuto.link.links import link_store
from tenuto.model.errors import InputError, SettingsError, StorageError, TenutoError
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import InstanceRecord
from tenuto.storage import upkeep_of

_LEAST_SQLITE: Final = (3, 51, 3)
_PAGE: Final = 500
_LOOK_SECONDS: Final = 1.5
"""A host takes a message in within milliseconds."""
_HEALTH_PATIENCE: Final = timedelta(seconds=10)
_MOST_LETTERS: Final = 1_000


@click.command()
@click.option("--full", is_flag=True, help="Check every index of the store too; takes longer.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Most instances to tell of; what is wrong comes first.",
)
@click.option(
    "--app",
    "target",
    metavar="TARGET",
    shell_complete=target_completion,
    help="The app, such as travel.py: replays what is unfinished against its code, which runs "
    "nothing, and tells whom it would hold.",
)
@place_options
@json_option
def doctor(limit: int, target: str | None, *, full: bool, place: Place, as_json: bool) -> int:
    """Find out what is wrong, and what to do about it.

    Looks at versions, settings, the store or host, and at the instances that do not move: what
    each waits for, and since when. Changes nothing. The exit code is 1 when something is wrong.
    """
    code = None
    if target is not None:
        place = _place_of(target, place)
        code = _code_of(target, place)
    visit = _Visit(place=place, full=full, code=code)
    asyncio.run(visit.look())
    findings = _fewer(visit.findings, limit)
    is_healthy = all(one.level is not Level.WRONG for one in visit.findings)
    if as_json:
        terminal.say(encoded(_document(visit, is_healthy=is_healthy)))
    else:
        _say(findings)
        hidden = len(visit.findings) - len(findings)
        if hidden:
            instances = "instance" if hidden == 1 else "instances"
            terminal.note(f"{hidden:,} more {instances}; --limit shows more than {limit}")
    return 0 if is_healthy else FAILED


class _Code(Struct, frozen=True):
    """The app that was named, its orchestrators, and what finds out whether it fits.

    Nothing does for an app of another kind: its code runs in workers alone.
    """

    target: str
    orchestrators: frozenset[str]
    check: FitCheck | None = None


def _place_of(target: str, place: Place) -> Place:
    """The store beside an Azure Functions app in another folder, when nobody chooses one."""
    from tenuto.host.azure import azure_settings, is_azure_app, read_azure_app

    if place.storage is not None or place.url is not None or not is_azure_app(target):
        return place
    try:
        before = load_settings()
    except SettingsError:  # a finding of its own
        return place
    storage = azure_settings(read_azure_app(target), before).values.storage
    return place if storage == before.values.storage else structs.replace(place, storage=storage)


def _code_of(target: str, place: Place) -> _Code:
    from tenuto.host.azure import azure_orchestrators, is_azure_app
    from tenuto.host.checking import fit_check
    from tenuto.host.loading import load_app
    from tenuto.host.programs import program_of

    try:
        loaded = load_settings(storage=place.storage, given_as="option --{}")
    except SettingsError:  # a finding of its own
        loaded = LoadedSettings(Settings(), {})
    if is_azure_app(target):
        return _Code(target, azure_orchestrators(target, loaded))
    app = load_app(target).app
    settings = loaded.values
    names = frozenset(program_of(app, settings).orchestrators)
    return _Code(target, names, fit_check(app, settings))


class _Health(Struct):
    """The part of a host's answer that is told on."""

    ready: bool
    reasons: tuple[str, ...] = ()


class _Visit:
    """Looks at one thing after the other; what cannot be looked at is a finding too."""

    def __init__(self, *, place: Place, full: bool, code: _Code | None) -> None:
        self.findings: list[Finding] = []
        self.replay: FitReport | None = None
        self.store: Examination | None = None
        self._upkeep: StorageUpkeep | None = None
        self._direct: str | None = None
        self._told: tuple[str, ...] = ()
        self._place = place
        self._full = full
        self._code = code
        self._orchestrators = None if code is None else code.orchestrators
        self._now = time.time_ns() // 1000
        self._lease_seconds = Settings().lease_seconds

    async def look(self) -> None:
        """Look at everything."""
        self.findings.append(version_finding(_sqlite_version(), _LEAST_SQLITE, _versions()))
        if self._place.url is not None:
            await self._look_through(self._place, self._host_surroundings())
            return
        settings = self._settings()
        if settings is None:
            return
        url = settings.values.storage
        self._direct = settings.values.storage_direct
        if not await self._examine(url, is_chosen=settings.sources["storage"] != DEFAULT):
            return
        if self.store is not None and self.store.is_sealed:
            return  # what stands still in it is as it should be
        place = Place(storage=url)
        await self._look_through(place, await self._store_surroundings(url))

    def _settings(self) -> LoadedSettings | None:
        try:
            settings = storage_of(self._place.storage)
        except SettingsError as error:
            self._add(Level.WRONG, "settings", str(error), "correct it; `tenuto config` lists all")
            return None
        self._lease_seconds = settings.values.lease_seconds
        sources = [one for one in dict.fromkeys(settings.sources.values()) if one != DEFAULT]
        words = f"from {', '.join(sources)}" if sources else "all by default"
        self._add(Level.OK, "settings", words)
        return settings

    async def _examine(self, url: str, *, is_chosen: bool) -> bool:
        """Look at the store itself; whether its contents can be looked at."""
        try:
            upkeep = self._upkeep = upkeep_of(url, self._direct)
            found = await upkeep.examine(self._now, full=self._full)
        except SettingsError as error:
            level = Level.WRONG if is_chosen else Level.NOTE
            self._add(level, "store", str(error))
            return False
        except StorageError as error:
            self._add(Level.WRONG, "store", f"{error.code}: {error}")
            return False
        self.store = found
        self.findings += store_findings(found, self._now, full=self._full)
        return found.is_readable

    def _host_surroundings(self) -> Surroundings:
        return Surroundings(
            now=self._now,
            has_host=True,
            orchestrators=self._orchestrators,
            place=self._place.options,
        )

    async def _store_surroundings(self, url: str) -> Surroundings:
        assert self.store is not None, "it was examined"
        untaken: Counter[str] = Counter()
        if self.store.owner is not None and self.store.waiting:
            await asyncio.sleep(_LOOK_SECONDS)
            assert self._upkeep is not None, "it has examined the store"
            still = {number for number, _ in await self._upkeep.waiting()}
            untaken.update(one for number, one in self.store.waiting if number in still)
        if untaken and host_on(url) is None:  # which nobody asks for its health
            what = f"the host has taken in nothing of what it was sent for {_LOOK_SECONDS:g} s"
            self.findings.append(silent_host(what, self.store.owner))
        return Surroundings(
            now=self._now,
            has_host=self.store.owner is not None,
            untaken=untaken,
            orchestrators=self._orchestrators,
            place=self._place.options,
        )

    async def _look_through(self, place: Place, around: Surroundings) -> None:
        try:
            async with connected(place) as connection:
                host = (
                    connection.where
                    if connection.storage_url is None
                    else host_on(connection.storage_url)
                )
                if host is not None:  # the one of this folder knows more than its store
                    await self._health(structs.replace(connection, where=host))
                around = structs.replace(around, hub=await connection.census())
                async for record in self._going(connection):
                    finding = await self._instance(connection, record, around)
                    if finding is not None:
                        self.findings.append(finding)
                await self._replay(connection)
                subscriptions = await connection.gateway.topics.subscriptions()
                self.findings += subscription_findings(subscriptions, around)
                queues = await connection.gateway.queues()
                self.findings += queues_findings(queues, self._now, around.place)
                files = await connection.gateway.failed_deliveries("files", limit=_PAGE)
                self.findings += files_findings(files, around.place, are_all=len(files) < _PAGE)
                await self._hosts(connection)
                await self._letters(connection, around)
                await self._links(connection)
        except TenutoError as error:
            topic = "store" if place.url is None else "host"
            self._add(Level.WRONG, topic, f"{error.code}: {error}")

    async def _health(self, connection: Connection) -> None:
        """What a host says of itself."""
        import httpx2

        try:
            async with connection.http_client(reading=_HEALTH_PATIENCE) as client:
                answer = await client.get(f"{connection.where}/healthz")
            health = msgspec.json.decode(answer.content, type=_Health)
        except httpx2.ReadTimeout:
            seconds = _HEALTH_PATIENCE.total_seconds()
            what = f"{connection.where} has not answered for {seconds:g} s"
            owner = None if self.store is None else self.store.owner
            self.findings.append(silent_host(what, owner))
            return
        except (httpx2.TransportError, msgspec.DecodeError) as error:
            text = f"{connection.where} does not say whether it is well: {error}"
            self._add(Level.WRONG, "host", text, "look at its log")
            return
        self._told = health.reasons
        if health.ready:
            self._add(Level.OK, "host", f"{connection.where} is well")
        else:
            text = f"{connection.where} is not well: {'; '.join(health.reasons)}"
            self._add(Level.WRONG, "host", text, "look at its log")

    async def _going(self, connection: Connection) -> AsyncIterator[InstanceRecord]:
        """All that have not ended, page by page; of many it is said how far it is."""
        query = InstanceQuery(
            statuses=UNFINISHED,
            limit=_PAGE,
            order="oldest" if connection.storage is not None else "newest",
            payloads=False,
        )
        looked_at = 0
        while True:
            page = await connection.gateway.query(query)
            for record in page.records:
                yield record
            looked_at += len(page.records)
            if page.after is None:
                return
            terminal.note(f"{looked_at:,} instances looked at; there are more")
            query = structs.replace(query, after=page.after)

    async def _instance(
        self, connection: Connection, record: InstanceRecord, around: Surroundings
    ) -> Finding | None:
        try:
            run, why = await connection.inquire(record.instance_id, around)
        except TenutoError:  # purged meanwhile, or a history that cannot be read: looked at above
            return None
        except Exception as error:  # noqa: BLE001 - one that is damaged must not hide the others
            name = record.instance_id
            return Finding(
                level=Level.WRONG,
                topic="instances",
                text=f"what is stored of {name} cannot be read: {error!r}",
                advice="restore the store from a backup, or purge the instance",
                instance_id=name,
            )
        return None if run.status.is_finished else standstill(run, why, self._told)

    async def _replay(self, connection: Connection) -> None:
        """Whether the code that was named fits what is unfinished."""
        code = self._code
        if code is None:
            return
        if code.check is None:
            text = f"{code.target} is an Azure Functions app: its code is not tried on what waits"
            self._add(Level.NOTE, "code", text, "what does not fit is held when it goes on")
            return
        if connection.storage is None:
            text = f"what runs on a host cannot be replayed against {code.target} from here"
            self._add(Level.NOTE, "code", text, "name its store with --storage")
            return
        report = self.replay = await check_store(
            code.check, connection.storage, on_progress=Progress()
        )
        self.findings += fit_findings(report, code.target)

    async def _letters(self, connection: Connection, around: Surroundings) -> None:
        if self.store is not None:
            count, newest = self.store.dead_letters, self.store.newest_dead_letter
            unseen = self.store.unseen_dead_letters
        else:
            letters = await connection.gateway.dead_letters(_MOST_LETTERS)
            count, newest = len(letters), letters[0].created_at if letters else None
            unseen = sum(one.acknowledged_at is None for one in letters)
        self.findings.append(letters_finding(count, unseen, newest, around.place))

    async def _hosts(self, connection: Connection) -> None:
        """Who serves what, on a hub that several hosts share."""
        try:
            found = await read_hosts(connection)
        except InputError:  # a host of an older Tenuto, which does not tell
            return
        if any(one.host for one in found.hosts) or found.partitions > 1:
            self.findings += host_findings(found, self._lease_seconds)

    async def _links(self, connection: Connection) -> None:
        """What waits for linked hubs, and why."""
        storage = connection.storage
        if storage is not None:
            hubs = await link_store(storage).hubs()
            self.findings += [link_finding(hub, self._now) for hub in hubs]

    def _add(self, level: Level, topic: str, text: str, advice: str = "") -> None:
        self.findings.append(Finding(level=level, topic=topic, text=text, advice=advice))


def _sqlite_version() -> str:
    import apsw

    return apsw.sqlite_lib_version()


def _versions() -> str:
    return (
        f"tenuto {version('tenuto')}, Python {platform.python_version()}, "
        f"SQLite {_sqlite_version()}, {platform.platform()}"
    )


def _fewer(findings: Sequence[Finding], most: int) -> list[Finding]:
    """All but the dullest of too many instances."""
    about = [one for one in findings if one.instance_id is not None]
    shown = sorted(about, key=lambda one: one.level is not Level.WRONG)[:most]
    kept = {id(one) for one in shown}
    return [one for one in findings if one.instance_id is None or id(one) in kept]


# --- telling -----------------------------------------------------------------------------------

_MARKS: Final = {Level.OK: "ok   ", Level.NOTE: "note ", Level.WRONG: "WRONG"}
_BELOW: Final = " " * 9
_COLOURS: Final = {Level.OK: "green", Level.NOTE: "yellow", Level.WRONG: "red"}


def _say(findings: Sequence[Finding]) -> None:
    topic = ""
    for one in sorted(findings, key=lambda one: _topics(findings).index(one.topic)):
        if one.topic != topic:
            topic = one.topic
            terminal.say(topic)
        mark = terminal.coloured(_MARKS[one.level], _COLOURS[one.level])
        lines = terminal.folded(one.text, f"  {mark}  ", _BELOW)
        if one.advice:
            lines += terminal.folded(one.advice, f"{_BELOW}-> ", f"{_BELOW}   ")
        for line in lines:
            terminal.say(line)
    wrong = sum(one.level is Level.WRONG for one in findings)
    terminal.say("")
    terminal.say(f"{wrong} wrong" if wrong else "nothing is wrong")


def _topics(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(one.topic for one in findings))


def _document(visit: _Visit, *, is_healthy: bool) -> dict[str, Any]:
    return {
        "healthy": is_healthy,
        "versions": {
            "tenuto": version("tenuto"),
            "python": platform.python_version(),
            "sqlite": _sqlite_version(),
            "platform": platform.platform(),
        },
        "store": None if visit.store is None else _store_document(visit.store),
        "replay": None if visit.replay is None else fit_document(visit.replay),
        "findings": [_camel(one) for one in visit.findings],
    }


def _store_document(store: Examination) -> dict[str, Any]:
    document = _camel(store)
    document["counts"] = {status.label: count for status, count in store.counts.items()}
    del document["waiting"], document["remarks"]  # the latter are findings
    return document


def _camel(value: Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(value)
    return {_camel_name(name): one for name, one in found.items()}


def _camel_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
