"""A thread that does jobs in order and hands the results to the event loop.

Owns the hand-over in both directions: one queue in, and out as few wake-ups of the loop as
possible. Knows nothing of SQLite.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, TypeVar

from tenuto.engine.waking import call_from_thread
from tenuto.model.errors import StorageError

T = TypeVar("T")
_Job = tuple[asyncio.Future[Any], Callable[[], Any]]
_MEMORY_PAUSE_SECONDS: Final = 1.0
_Outcome = tuple[asyncio.Future[Any], object, BaseException | None]


class Worker:
    """One thread with a queue.

    ``upkeep`` is called on the thread after each job and when it returned a number of seconds and
    that time has passed without one.
    """

    def __init__(self, name: str, upkeep: Callable[[], float | None] = lambda: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._upkeep = upkeep
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._outcomes: deque[_Outcome] = deque()
        self._told = False
        self._stopped = False
        self._in_use = Lock()
        self._has_no_alarm = True
        # Daemon: a forgotten close() must not keep the process alive; SQLite needs no farewell.
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Do a job after those before it; the future is the caller's loop's."""
        if self._stopped:
            raise StorageError("the store is closed; open it before using it")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((future, job))
        return future

    def try_here(self, job: Callable[[], T]) -> tuple[T] | None:
        """Do a job on the calling thread, if nothing is being done: saves two thread switches.

        Returns the result in a tuple, or None when the job was not done. What the job raises, it
        raises here. Jobs that were submitted and not begun may come after it.
        """
        if self._stopped or not self._jobs.empty() or not self._in_use.acquire(blocking=False):
            return None
        try:
            result = job()
        finally:
            self._in_use.release()
            if self._has_no_alarm:  # the thread sleeps until a job comes, and has upkeep to do
                self._has_no_alarm = False
                self._jobs.put((self._loop.create_future(), _nothing))
        return (result,)

    async def stop(self, farewell: Callable[[], None]) -> None:
        """Finish what was submitted, then the farewell, then the thread."""
        last = self.submit(farewell)
        self._stopped = True
        self._jobs.put(None)
        try:
            await last
        finally:
            self._thread.join()

    def _run(self) -> None:
        pause: float | None = None
        while True:
            self._has_no_alarm = pause is None
            try:
                job = self._jobs.get(timeout=pause)
            except Empty:
                with self._in_use:
                    pause = self._look_after()
                continue
            if job is None:
                return
            with self._in_use:
                self._do(*job)
                pause = self._look_after()

    def _look_after(self) -> float | None:
        try:
            return self._upkeep()
        except MemoryError:  # the thread must live on: all jobs to come are its
            return _MEMORY_PAUSE_SECONDS

    def _do(self, future: asyncio.Future[Any], job: Callable[[], Any]) -> None:
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001 - a thread's boundary: the caller gets it
            self._tell(future, None, error)
        else:
            self._tell(future, result, None)

    def _tell(
        self, future: asyncio.Future[Any], result: object, error: BaseException | None
    ) -> None:
        self._outcomes.append((future, result, error))
        # The loop lowers the flag before it empties the deque, so an outcome appended while it is
        # up is always seen.
        if not self._told:
            self._told = True
            try:
                call_from_thread(self._loop, self._deliver)
            except RuntimeError:
                # The loop is closed: nobody waits any more.
                self._outcomes.clear()
                self._told = False

    def _deliver(self) -> None:
        self._told = False
        while self._outcomes:
            future, result, error = self._outcomes.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _nothing() -> None:
    """A job that only wakes the thread."""
