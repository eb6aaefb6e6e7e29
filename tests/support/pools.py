"""A pool of scripted workers on the test's loop, and what is asked of it."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Raw

from tenuto.interop.workers.errands import CallErrand, TurnAnswer, TurnRequest
from tenuto.interop.workers.launching import Launch, StartedWorker
from tenuto.interop.workers.options import PoolOptions
from tenuto.interop.workers.pool import WorkerPool
from tenuto.interop.workers.protocol import Call, Datum, Failed, Result, Turned
from tests.support.scripted_programs import scripted_launch
from tests.support.waiting import until

START = Raw(b"{}")
HISTORY = [Raw(b'{"EventType": 12}'), Raw(b'{"EventType": 0}')]
ANSWERED = [Raw(b'{"EventType": 12}'), Raw(b'{"EventType": 5}')]


class Asked:
    """A pool, and the answers to what it is asked."""

    def __init__(self, pool: WorkerPool) -> None:
        self.pool = pool
        self._numbers = itertools.count(1)

    def turn(
        self,
        name: str,
        *,
        key: int | None = None,
        instance_id: str | None = None,
        history: list[Raw] | None = HISTORY,
        events: list[Raw] = HISTORY,
        is_compared: bool = False,
    ) -> "asyncio.Future[TurnAnswer]":
        """A turn, of a session of its own unless a key is given."""
        over: asyncio.Future[TurnAnswer] = asyncio.get_running_loop().create_future()
        key = self.pool.new_key() if key is None else key
        instance_id = instance_id or f"{name}-{key}"
        start = None if history is None else START
        request = TurnRequest(name, instance_id, key, events, history, start, 0, is_compared)
        self.pool.take(request, over.set_result)
        return over

    async def turned(self, name: str, **more: str | bool) -> Turned:
        """A turn that ends well."""
        answer = await self.turn(name, **more)  # type: ignore[arg-type]
        assert isinstance(answer, Turned), answer
        return answer

    def errand(
        self, name: str, given: str = "null", timeout: int | None = None
    ) -> "tuple[CallErrand, asyncio.Future[Result | Failed]]":
        """A call that is not sent yet."""
        over: asyncio.Future[Result | Failed] = asyncio.get_running_loop().create_future()

        def ended(answer: Result | Failed, _attachment: bytes) -> None:
            over.set_result(answer)

        call = Call(0, name, "invocation", {"given": Datum(string=given)})
        return CallErrand(call, b"", ended, lambda: None, timeout), over

    def call(
        self, name: str, given: str = "null", timeout: int | None = None
    ) -> "asyncio.Future[Result | Failed]":
        """A call."""
        errand, over = self.errand(name, given, timeout)
        self.pool.call(errand)
        return over


@asynccontextmanager
async def asked(
    folder: Path, options: PoolOptions | None = None, launch: Launch | None = None
) -> AsyncIterator[Asked]:
    """A pool whose first worker is there."""
    launch = launch or scripted_launch(folder)
    pool = WorkerPool(launch, options or PoolOptions())
    pool.start(await asyncio.to_thread(StartedWorker, launch))
    try:
        await until(lambda: pool.pids or pool._early_deaths)
        yield Asked(pool)
    finally:
        await pool.stop()
