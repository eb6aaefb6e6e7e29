"""A process of its own that uses a store, for tests that kill it or race with it.

``python storage_process.py ROLE PATH [ARGUMENT]`` tells each step on a line of its own and goes on
until it is killed or its input ends.
"""

import asyncio
import os
import sys

from tenuto.engine.ports import HostIdentity
from tenuto.model.errors import StorageOwnedError
from tenuto.model.requests import InstanceQuery
from tenuto.storage.sqlite import SqliteStorage
from tests.conformance.storage_suite import Owner, message, record, turn, update, used


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def hold(path: str) -> None:
    """Own the store and sit there."""
    owner = await Owner.of(SqliteStorage(path), "holder")
    tell("owned", owner.leases[0].epoch)
    await asyncio.to_thread(sys.stdin.read)
    await owner.storage.close()


async def second(path: str) -> None:
    """Try to own a store that has an owner, then be a client of it."""
    storage = SqliteStorage(path)
    await storage.open()
    try:
        await storage.acquire(HostIdentity(owner="second", description="second"))
    except StorageOwnedError as error:
        tell(error)
    await storage.append([message("from outside", "x")])
    await storage.start_instance(record(0, "started outside"))
    tell(len((await storage.query(InstanceQuery())).records))
    await storage.close()


async def storm(path: str, size: int) -> None:
    """Commit without end. Commit n writes turn n of ``size`` instances, and an update of each."""
    owner = await Owner.of(SqliteStorage(path), f"process {os.getpid()}")
    iids = range(1, size + 1)
    number = sum(len(one.turns) for one in await owner.storage.load_instances([1]))
    while True:
        number += 1
        new = [record(iid) for iid in iids] if number == 1 else []
        await owner.commit(
            str(number),
            instances=new,
            updates=[update(iid, output=str(number)) for iid in iids],
            history=[turn(iid, number) for iid in iids],
            inbox=[message(f"m{number}")],
            consumed=[used(f"m{number - 1}")],
        )
        tell(number)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["hold", path]:
            asyncio.run(hold(path))
        case ["second", path]:
            asyncio.run(second(path))
        case ["storm", path, size]:
            asyncio.run(storm(path, int(size)))
        case _:
            raise SystemExit(__doc__)
