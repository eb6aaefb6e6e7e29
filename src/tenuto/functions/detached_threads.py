"""A pool of threads that cannot keep a process alive.

Python waits at its end for every thread of ``asyncio.to_thread`` and of its own pools, however
long their work takes. A host promises to be gone in time, so its threads are of the kind that
nobody waits for.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DetachedThreads(ThreadPoolExecutor):
    """Daemon threads, started on demand; also what a loop takes as its default executor.

    Args:
        max_threads: Most threads; None for as many as Python's own pools have.
        name: What the names of the threads begin with.
    """

    def __init__(self, max_threads: int | None = None, name: str = "tenuto-thread") -> None:
        self._most = max_threads or min(32, (os.cpu_count() or 1) + 4)
        super().__init__(self._most)  # which starts none of its own, as nothing is given to it
        self._name = name
        self._jobs: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._started: list[threading.Thread] = []
        self._free = threading.Semaphore(0)
        self._changing = threading.Lock()
        self._is_closed = False

    @property
    def threads(self) -> list[threading.Thread]:
        """Those that are alive."""
        return [one for one in self._started if one.is_alive()]

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Have one of the threads call a function.

        Raises:
            RuntimeError: the pool is closed, or there can be no thread.
        """
        with self._changing:
            if self._is_closed:
                raise RuntimeError("these threads take nothing more: the host is stopping")
            if not self._free.acquire(blocking=False) and len(self._started) < self._most:
                name = f"{self._name}-{len(self._started) + 1}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                thread.start()
                self._started.append(thread)
            future: Future[T] = Future()
            self._jobs.put((future, lambda: function(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - its signature
        """Take nothing more; the threads end as soon as nothing is left to do.

        Args:
            wait: Until they have ended.
            cancel_futures: Forget what has not begun.
        """
        with self._changing:
            if self._is_closed:
                return  # somebody has waited for as long as it is worth
            self._is_closed = True
            while cancel_futures:
                try:
                    job = self._jobs.get_nowait()
                except Empty:
                    break
                if job is not None:
                    job[0].cancel()
            for _ in self._started:
                self._jobs.put(None)
        if wait:
            for thread in self._started:
                thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001 - who waits for it gets it
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del job, future, call
            self._free.release()
