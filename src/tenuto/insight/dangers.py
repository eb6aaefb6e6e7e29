"""What code does to hosts that only look at it, and which code is therefore not tried for a look.

A look at an instance has its code run once more, on the loop of the host: code that ends the
process, or never ends itself, would give everybody who may look the power to stop the host. So it
is noted in the store which orchestrator is looked into before its code runs, and taken back
afterwards: whoever finds the note of a host that is no more refuses further looks. Code that does
not end is broken off, and refused likewise; so is code that stays when its session is thrown away,
as that costs memory for ever. Keeps the promise ``one_never_takes_all``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

_KEY: Final = "look"
_FOR: Final[Microseconds] = 24 * 3_600_000_000
"""Then it is tried again: by then it may be other code."""

_ENDED: Final = "a look at it has ended a host"
_ADVICE: Final = (
    "no instance of this orchestrator is looked into for a day; look at what its code does"
)
_STUBBORN: Final = (
    "its code is not tried: it does not end when it is thrown away after a look (it catches even "
    "GeneratorExit or CancelledError and goes on), and would fill the memory of this host"
)


class Noted(Struct, frozen=True, omit_defaults=True):
    """What stands in the store of an orchestrator that is, or was, looked into.

    Attributes:
        partition: Of the host that looked.
        epoch: Of that host's lease.
        instance_id: What it looked at.
        at: When.
        harm: What came of it; empty as long as nobody knows.
    """

    partition: int
    epoch: int
    instance_id: InstanceId
    at: Microseconds
    harm: str = ""


_decode: Final = msgspec.json.Decoder(Noted).decode


class Dangers:
    """Knows which orchestrators are not looked into.

    Args:
        engine: Of the host.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stubborn: set[str] = set()
        self._under_way: Counter[str] = Counter()
        self._harmful: dict[str, str] = {}
        self._noting = asyncio.Lock()

    @asynccontextmanager
    async def trying(self, record: InstanceRecord) -> AsyncGenerator[str]:
        """Around whatever runs the code of an instance for a look; gives why it must not.

        Raises:
            FencedError: the partition under which that is noted is another host's by now.
            StorageError: it cannot be noted.
        """
        why = await self._refusal(record.name)
        if why:
            yield why
            return
        await self._begin(record)
        try:
            yield ""
        finally:
            # Whoever has looked may have gone away: its code has done no harm by that.
            await asyncio.shield(self._engine.loop.create_task(self._end(record)))

    async def _begin(self, record: InstanceRecord) -> None:
        async with self._noting:
            if not self._under_way[record.name]:
                await self._note(record)
            self._under_way[record.name] += 1

    async def _end(self, record: InstanceRecord) -> None:
        name = record.name
        async with self._noting:
            self._under_way[name] -= 1
            harm = self._harmful.pop(name, "")
            if harm or not self._under_way[name]:
                await self._note(record, harm, is_over=True)

    def stays(self, name: str) -> None:
        """The code of an orchestrator has not ended when it was thrown away."""
        self._stubborn.add(name)

    def has_held_up(self, name: str, seconds: float) -> None:
        """The code of an orchestrator had to be broken off; noted when the look at it is over."""
        self._harmful[name] = f"a look at it has held up its host for {seconds:.0f} seconds"

    async def _refusal(self, name: str) -> str:
        if name in self._stubborn:
            return _STUBBORN
        engine = self._engine
        if not engine.partitions:
            return "its code is not tried: this host serves nothing now, and could not note it"
        keys = [_key(number, name) for number in range(engine.hub_partitions)]
        for text in (await engine.storage.notes(keys)).values():
            noted = _read(text)
            if noted is not None and engine.clock.now() - noted.at < _FOR:
                harm = noted.harm or ("" if self._is_alive(noted) else _ENDED)
                if harm:
                    return f"its code is not tried: {harm} ({noted.instance_id!r}); {_ADVICE}"
        return ""

    def _is_alive(self, noted: Noted) -> bool:
        """Whether the host that has begun a look goes on still."""
        engine = self._engine
        own = engine.partitions.get(noted.partition)
        if own is not None:
            return own.lease.epoch == noted.epoch
        roster = None if engine.peers is None else engine.peers.roster
        places = () if roster is None else roster.places
        return any(
            one.partition == noted.partition and one.epoch == noted.epoch and not one.is_free
            for one in places
        )

    async def _note(self, record: InstanceRecord, harm: str = "", *, is_over: bool = False) -> None:
        engine = self._engine
        if not engine.partitions:
            return  # others have them, and no host looks under those leases any more
        lease = next(iter(engine.partitions.values())).lease
        noted = Noted(lease.partition, lease.epoch, record.instance_id, engine.clock.now(), harm)
        text = "" if is_over and not harm else msgspec.json.encode(noted).decode()
        await engine.storage.write_note(lease, _key(lease.partition, record.name), text)


def _key(partition: int, name: str) -> str:
    return f"{_KEY}/{partition}/{name}"


def _read(text: str) -> Noted | None:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return None  # it is over; or of another version, and whoever does harm is found again
