"""A host in a process of its own that works on a queue, for tests that kill it.

What it has counted it keeps in a file beside the store, under the id of each message: so it may be
told twice and counts once.
"""

import asyncio
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

from tenuto import App, Host, QueueMessage, RetryPolicy

QUEUE = "counted"
FAILS_ONCE = 10
"""Each so many-th message fails in its first attempt."""


class Ledger:
    """Who was counted, and how often each was told. Not a store of Tenuto's."""

    def __init__(self, path: Path) -> None:
        self._file = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = OFF")
        for statement in (
            "CREATE TABLE IF NOT EXISTS counted (id TEXT PRIMARY KEY, number INTEGER)",
            "CREATE TABLE IF NOT EXISTS told (id TEXT, attempt INTEGER)",
        ):
            self._file.execute(statement)

    def tell(self, message: QueueMessage) -> None:
        self._file.execute("INSERT INTO told VALUES (?, ?)", (message.id, message.attempt))

    def count(self, message: QueueMessage) -> None:
        self._file.execute(
            "INSERT OR IGNORE INTO counted VALUES (?, ?)", (message.id, message.data)
        )

    @property
    def numbers(self) -> list[int]:
        return [number for (number,) in self._file.execute("SELECT number FROM counted")]

    @property
    def times_told(self) -> int:
        ((count,),) = self._file.execute("SELECT count(*) FROM told")
        return int(count)

    def close(self) -> None:
        self._file.close()


def app_with(ledger: Ledger) -> App:
    app = App()

    @app.queue(QUEUE, retry=RetryPolicy(max_attempts=8, first_interval=timedelta(milliseconds=50)))
    async def count(message: QueueMessage) -> None:
        ledger.tell(message)
        await asyncio.sleep(0.002)
        if message.data % FAILS_ONCE == 0 and message.attempt == 1:
            raise ValueError(message.data)
        ledger.count(message)

    return app


async def run_host(store: str, ledger: Ledger) -> None:
    async with Host(app_with(ledger), f"sqlite:///{store}"):
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    asyncio.run(run_host(sys.argv[1], Ledger(Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
