"""Three hosts on one hub under a load that goes on while tests do harm to them, round after round.

The load comes from a client of the store. Whatever it asks for it may ask for twice: starts have
ids of their own, and events are sent by instances that are started so.
"""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg

from tenuto import Client, IdReuse
from tenuto.model.errors import InstanceExistsError, TenutoError
from tenuto.model.ids import InstanceId, partition_of
from tenuto.storage.postgres.address import address_of
from tests.cluster import load_process
from tests.cluster.host_process import HostProcess
from tests.cluster.load_process import ACCOUNTS, account_id
from tests.support.host_process import PATIENCE_SECONDS
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import TcpProxy

HOSTS: Final = 3
PARTITIONS: Final = 12
LEASE_SECONDS: Final = 2.0
MOST_OPEN: Final = 120
WAVE: Final = ("chain", "fan", "timers", "generations", "ping", "coin")
_WAVE_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.03
_FINISHED: Final = "status IN (1, 3, 4, 5)"
_KEPT: Final = Path("build/cluster/failed")
_FIGURES: Final = Path("build/cluster/figures.jsonl")


@dataclass
class Hit:
    """Harm that was done to a host, or to all (``pid`` 0), at a time of the monotonic clock."""

    began: float
    ended: float
    pid: int


@dataclass
class LivingHub:
    """Hosts, load, and how they get on.

    Attributes:
        proxy: What the first host speaks with the database through; None when it needs none.
        hits: What was done, which explains runs that are not the only ones.
        waves: How many waves of the load were started.
        kinds: Of which orchestrators each wave starts one.
        further_coins: Thrown into the ring beside those of the waves.
        is_finished: Everything has ended, and the hosts have stopped.
    """

    server: Postgres
    folder: Path
    url: str
    hosts: list[HostProcess] = field(default_factory=list)
    proxy: TcpProxy | None = None
    hits: list[Hit] = field(default_factory=list)
    waves: int = 0
    kinds: Sequence[str] = WAVE
    further_coins: int = 0
    _driving: asyncio.Task[None] | None = None
    _client: Client | None = None
    _wire: Any = None
    _is_ending: bool = False
    is_finished: bool = False

    @property
    def journal(self) -> Path:
        """The runs of functions."""
        return self.folder / "journal"

    @property
    def coins(self) -> int:
        """In the ring."""
        return self.waves + self.further_coins

    @property
    def schema(self) -> str:
        """The hub's."""
        return address_of(self.url).schema

    @property
    def said(self) -> str:
        """The last of what hosts have complained about."""
        return self.journal.with_suffix(".err").read_text(errors="replace")[-6_000:]

    # --- life -------------------------------------------------------------------------------------

    async def start(
        self,
        *options: tuple[object, ...],
        before: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        hosts: int = HOSTS,
        load: bool = True,
    ) -> None:
        """Hosts, and the load.

        Args:
            *options: Of the first hosts.
            before: What stands before the command of the first host.
            host: Where the first host finds the proxy.
            hosts: How many.
            load: Whether there is one.
        """
        for place in range(hosts):
            given = options[place] if place < len(options) else ()
            if place:
                self.hosts.append(await self.begin_host(*given))
                continue
            url = self.url
            if self.proxy is not None:
                url = self.server.tcp_url(self.schema, self.proxy.port)
            url = url.replace("127.0.0.1", host)
            self.hosts.append(await self.begin_host(*given, url=url, before=before))
            assert await self.hosts[0].is_up(), self.said  # it makes the hub
        for one in self.hosts[1:]:
            assert await one.is_up(), self.said
        await self.until(self._is_shared, "partitions are not shared")
        if not load:
            return
        self._client = await Client.open(self.url, load_process.app)
        await asyncio.gather(
            *(self.begin("account", f"account-{n}", n, 0, 0) for n in range(ACCOUNTS)),
            *(self.begin("pulse", name, 0) for name in self.pulses.values()),
        )
        self._driving = asyncio.create_task(self._drive())

    async def begin_host(
        self, *options: object, url: str = "", before: tuple[str, ...] = ()
    ) -> HostProcess:
        """Another host, which is not up yet."""
        given = ("--lease", LEASE_SECONDS, "--partitions", PARTITIONS, *options)
        return await HostProcess.start(url or self.url, self.journal, *given, before=before)

    async def close(self) -> None:
        """Whatever has come of it."""
        if self._driving is not None:
            self._driving.cancel()
            await asyncio.wait([self._driving])
        for host in self.hosts:
            await host.kill()
        if self._client is not None:
            await self._client.close()
        if self._wire is not None:
            self._wire.terminate()

    async def finish(self) -> None:
        """No more load: everything ends, then the hosts stop."""
        self._is_ending = True
        for host in self.hosts:
            host.quiet()
        assert self._driving is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._driving
        await self.until(self._are_rested, "stuck", seconds=2 * PATIENCE_SECONDS)
        for number in range(ACCOUNTS):
            await self.begin("tell", f"close-{number}", account_id(number), "coin", -1)
        for name in self.pulses.values():
            await self.begin("tell", f"stop-{name}", name, "stop", 0)
        await self.until(self._is_done, "stuck at the end", seconds=PATIENCE_SECONDS)
        for host in self.hosts:
            await host.stop()
        self.is_finished = True

    # --- load -------------------------------------------------------------------------------------

    @property
    def pulses(self) -> Mapping[int, str]:
        """By partition the instance that shows that it goes on."""
        found: dict[int, str] = {}
        number = 0
        while len(found) < PARTITIONS:
            name = f"pulse-{number}"
            found.setdefault(partition_of(InstanceId(name), PARTITIONS), name)
            number += 1
        return found

    @property
    def client(self) -> Client:
        """Of the store."""
        assert self._client is not None
        return self._client

    async def begin(self, kind: str, instance_id: str, *arguments: object) -> None:
        """Start an instance once, however often that takes."""
        while True:
            try:
                await self.client.start(
                    kind, *arguments, instance_id=instance_id, reuse=IdReuse.NEVER
                )
            except InstanceExistsError:
                return
            except TenutoError:
                await asyncio.sleep(0.2)
            else:
                return

    async def _drive(self) -> None:
        while not self._is_ending:
            await asyncio.sleep(_WAVE_SECONDS)
            open_now = await self.ask(
                f"SELECT count(*) AS n FROM hub.instance WHERE NOT {_FINISHED}"
            )
            if open_now[0]["n"] > MOST_OPEN:
                continue
            number, self.waves = self.waves, self.waves + 1
            for kind in self.kinds:
                more = (3,) if kind == "generations" else ()
                await self.begin(kind, f"{kind}-{number}", number, *more)

    # --- looking ----------------------------------------------------------------------------------

    async def ask(self, sql: str, *arguments: object) -> list[Any]:
        """Ask the store, again when it cannot be asked."""
        address = address_of(self.url)
        text = sql.replace("hub.", f'"{address.schema}".')
        while True:
            try:
                if self._wire is None or self._wire.is_closed():
                    self._wire = await asyncpg.connect(address.dsn, timeout=5)
                found: list[Any] = await self._wire.fetch(text, *arguments)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await asyncio.sleep(0.1)
            else:
                return found

    async def beats(self) -> dict[int, int]:
        """How often the pulse of each partition has beaten."""
        rows = await self.ask(
            "SELECT partition, custom_status FROM hub.instance WHERE name = 'pulse'"
        )
        return {row["partition"]: int(row["custom_status"] or 0) for row in rows}

    async def owned(self) -> dict[int, list[int]]:
        """What each process owns by leases that hold, by pid."""
        rows = await self.ask(
            "SELECT partition.partition, owner.description FROM hub.partition AS partition"
            " JOIN hub.owner AS owner ON owner.owner = partition.owner"
            " WHERE lease_until > clock_timestamp() ORDER BY partition.partition"
        )
        found: dict[int, list[int]] = {host.pid: [] for host in self.hosts}
        for row in rows:
            found.setdefault(int(row["description"].split()[1]), []).append(row["partition"])
        return found

    async def deaths(self, partitions: Sequence[int]) -> int:
        """How many owners of one of these have died young in a row: from 2 on hosts are careful."""
        rows = await self.ask(
            "SELECT max(deaths) AS n FROM hub.partition WHERE partition = ANY ($1::int[])",
            partitions,
        )
        return int(rows[0]["n"])

    async def until(
        self, holds: Callable[[], Awaitable[object]], words: str, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until it holds."""
        last = time.monotonic() + seconds
        while not await holds():
            if time.monotonic() > last:
                raise AssertionError(f"{words}: {await self._told()}\n{self.said}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def until_all_beat(self, since: Mapping[int, int]) -> float:
        """Wait until each partition has gone on; how long that took."""
        began = time.monotonic()

        async def all_beat() -> bool:
            now = await self.beats()
            return all(now[partition] > count for partition, count in since.items())

        await self.until(all_beat, "partitions do not go on")
        return time.monotonic() - began

    async def until_shared(self) -> None:
        """Wait until each host has its part of everything."""
        await self.until(self._is_shared, "partitions are not shared")

    async def _is_shared(self) -> bool:
        counts = [len(some) for some in (await self.owned()).values()]
        return sum(counts) == PARTITIONS and max(counts) - min(counts) <= 1

    async def _are_rested(self) -> bool:
        rows = await self.ask(f"SELECT name, custom_status FROM hub.instance WHERE NOT {_FINISHED}")
        others = [row for row in rows if row["name"] not in {"account", "pulse"}]
        statuses = [
            json.loads(row["custom_status"] or "[0]") for row in rows if row["name"] == "account"
        ]
        busy = await self.ask("SELECT (SELECT count(*) FROM hub.queued) AS n")
        return not others and sum(one[0] for one in statuses) == self.coins and not busy[0]["n"]

    async def _is_done(self) -> bool:
        rows = await self.ask(f"SELECT 1 FROM hub.instance WHERE NOT {_FINISHED}")
        behind = await self.ask(
            "SELECT 1 FROM hub.subscription WHERE position < (SELECT max(position) FROM hub.event)"
        )
        return not rows and not behind

    async def _told(self) -> str:
        rows = await self.ask(
            "SELECT instance_id, partition, status, held_for, custom_status FROM hub.instance"
            f" WHERE NOT {_FINISHED} ORDER BY updated_at LIMIT 20"
        )
        letters = await self.ask("SELECT instance_id, reason FROM hub.dead_letter LIMIT 5")
        behind = await self.ask("SELECT name, position, done FROM hub.subscription")
        queued = await self.ask("SELECT count(*) AS n FROM hub.queued")
        return "\n".join(
            map(
                str,
                [
                    await self.owned(),
                    f"{self.waves} waves, {queued[0]['n']} queued",
                    *map(dict, (*rows, *letters, *behind)),
                ],
            )
        )

    def keep(self) -> None:
        """What hosts and functions have said, for whoever wants to know why."""
        _KEPT.mkdir(parents=True, exist_ok=True)
        for one in self.folder.glob("journal*"):
            shutil.copy(one, _KEPT / f"{self.schema}{one.suffix}")

    # --- rounds -----------------------------------------------------------------------------------

    def hit(self, pid: int, began: float) -> None:
        """Note that harm was done to a host (0: to all) from then until now."""
        self.hits.append(Hit(began, time.monotonic(), pid))

    def note(self, fault: str, seconds: float, **figures: object) -> None:
        """Keep figures of a round."""
        _FIGURES.parent.mkdir(parents=True, exist_ok=True)
        with _FIGURES.open("a") as file:
            words = {"fault": fault, "seconds": round(seconds, 2), **figures}
            file.write(f"{json.dumps(words)}\n")
