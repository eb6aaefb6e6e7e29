"""A forked child must not go on as its host: it has the host's loop, its leases and its store.

A function may fork, and its child may do what it likes. One that comes back to the loop of the host
would deliver, commit and answer beside its parent, so it is ended there. Keeps the promise
``one_owner``, together with what else a child lets go of (the lock of the store, the port).
"""

import asyncio
import os
import threading
import weakref
from contextlib import suppress
from typing import Final

_EXIT: Final = 70
_WORDS: Final = (
    b"tenuto: a forked child of this host has come back to the host's loop, and is ended; end it "
    b"with os._exit, or use subprocess or multiprocessing\n"
)

_hosts: "weakref.WeakKeyDictionary[object, tuple[asyncio.AbstractEventLoop, int]]" = (
    weakref.WeakKeyDictionary()
)


def end_children_of(host: object) -> None:
    """Have forked children ended that come back to the loop that runs in this thread.

    Args:
        host: Runs on it, until ``forget``.
    """
    _hosts[host] = asyncio.get_running_loop(), threading.get_ident()


def forget(host: object) -> None:
    """It runs no more."""
    _hosts.pop(host, None)


def _leave() -> None:  # pragma: no cover - runs where nothing is measured
    for loop, thread in list(_hosts.values()):
        # A child has the thread alone that has forked.
        if thread == threading.get_ident():
            with suppress(RuntimeError):  # it is closed
                loop.call_soon(_end)


def _end() -> None:  # pragma: no cover - as above
    with suppress(OSError):
        os.write(2, _WORDS)
    os._exit(_EXIT)


if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_leave)
