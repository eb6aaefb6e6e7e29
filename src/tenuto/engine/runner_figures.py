"""What a runner tells people of what it runs: attempts by activity, and its worker processes.

Looked up when somebody asks; attempts pay nothing for it.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct


class ActivityLoad(Struct, frozen=True):
    """Attempts of one activity that have not ended.

    Attributes:
        running: Those whose function runs.
        queued: Those that wait for room.
    """

    running: int = 0
    queued: int = 0


class WorkerFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process that runs functions of a program that is not of this process.

    Attributes:
        program: The folder of its app.
        name: What it is, such as ``Python worker``.
        state: ``ready``; ``alone`` when it runs what is suspected of ending workers; ``leaving``
            when it ends once it has answered; ``silent`` when it does not answer.
        running: Turns and calls that it has been given and has not answered.
        pid: Of the process.
    """

    program: str
    name: str
    state: Literal["ready", "alone", "leaving", "silent"]
    running: int
    pid: int


class PoolFacts(Struct, frozen=True, kw_only=True, rename="camel"):
    """Workers of one kind on this host, which come and go with the work.

    Attributes:
        program: The folder of the app whose they are; empty for this process's own program.
        name: What they are: ``threads``, ``cpu_bound``, or such as ``Python worker``.
        workers: That are there now.
        starting: That will be there soon.
        least: That are always there.
        most: That may be there.
    """

    program: str = ""
    name: str
    workers: int
    starting: int = 0
    least: int = 0
    most: int


def load_by_activity(attempts: Iterable[tuple[str, bool]]) -> dict[str, ActivityLoad]:
    """Count attempts: the activity of each, and whether it runs."""
    counts: dict[str, list[int]] = {}
    for name, is_running in attempts:
        counts.setdefault(name, [0, 0])[not is_running] += 1
    return {name: ActivityLoad(running, queued) for name, (running, queued) in counts.items()}


def together(loads: Iterable[Mapping[str, ActivityLoad]]) -> dict[str, ActivityLoad]:
    """Those of several runners."""
    found: dict[str, ActivityLoad] = {}
    for one in loads:
        for name, load in one.items():
            known = found.get(name, ActivityLoad())
            found[name] = ActivityLoad(known.running + load.running, known.queued + load.queued)
    return found
