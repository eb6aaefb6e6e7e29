"""A thread that waits for others tells its pool, so that others get a thread meanwhile.

A runner's thread that blocks until an orchestration has ended may wait for work that needs a
thread of the same pool. With as many waiting as there are threads nothing would ever go on. So
whoever blocks such a thread on purpose (``client.blocking``, ``App.run``) says so here, and the
pool, which knows nothing of clients, lets another thread take its place.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

GiveWay = Callable[[], AbstractContextManager[None]]


class _Here(threading.local):
    """What belongs to the current thread: its pool's answer to one that waits."""

    give_way: GiveWay | None = None


_HERE = _Here()


def is_of_pool(give_way: GiveWay) -> None:
    """From now on the current thread belongs to a pool.

    Args:
        give_way: What it does around a wait.
    """
    _HERE.give_way = give_way


def waiting_for_others() -> AbstractContextManager[None]:
    """Around a wait for something that others have to do."""
    give_way = _HERE.give_way
    return nullcontext() if give_way is None else give_way()
