"""The guard: what cannot be replayed is refused inside orchestrators (ENGINE rule 8).

Five parts, each blind where another one sees::

    modules         time.time, random.random, uuid4, ...     always, by the running loop
    audit           files, sockets, processes, threads       always, by the running loop
    calls           datetime.now, names imported by name     each turn or a sample of them
    collector       what the garbage collector runs          always, by the running loop
    replay_hints    names imported by name                   at registration, in functions/

Only the thread and the loop of a running session are concerned; activities, clients, other threads
and other loops may do what they like. ``asyncio_inside`` and ``loop`` refuse what is asyncio's.
The guard catches mistakes; it is no sandbox. Keeps the promise ``replay_is_pure``.
"""

import functools

from tenuto.orchestration.guard.audit import guard_effects
from tenuto.orchestration.guard.collector import guard_collector
from tenuto.orchestration.guard.modules import guard_modules


@functools.cache
def install() -> None:
    """Guard this process from now on; done once, however often it is called."""
    guard_modules()
    guard_effects()
    guard_collector()
