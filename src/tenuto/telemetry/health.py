"""Health as data: whether a host lives, whether it can be given work, and if not, why.

Live means that the process need not be restarted, ready that it may be given requests. Reads what
the engine knows; asks neither store nor network.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from tenuto.engine.engine import Engine
from tenuto.engine.member_ports import TellsOthers
from tenuto.model.errors import TenutoError
from tenuto.model.timing import MICROSECONDS, to_datetime

SLOW_COMMIT_SECONDS: Final = 10.0
"""A commit that takes longer than this makes the host unready."""
PATIENCE_SECONDS: Final = 1.5
"""So long whoever asks for health or figures waits for the store; a question that is open for
longer makes the host unready."""
SLOW_LOOP_SECONDS: Final = 1.0
"""One round of the host's loop that takes longer than this makes the host unready."""

SILENT_LINK_SECONDS: Final = 3600.0
"""A linked hub that was not heard of for so long is named; the host is as ready as before."""
_MOST_LINKS: Final = 20


class Health(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a host is.

    Attributes:
        live: False when only a restart of the process can help.
        ready: Whether it can be given work.
        reasons: Why it is not; sentences for people.
        held: How many instances are held, by reason: they need somebody, the host does not.
        silent_links: Linked hubs that were not heard of for over an hour, the longest silence
            first, 20 at most. A device may well be away; the host needs nobody.
        notes: What a person may wonder at although the host is well, such as that it serves no
            partition of a hub with many hosts; sentences.
    """

    live: bool
    ready: bool
    reasons: tuple[str, ...] = ()
    held: dict[str, int] = {}
    silent_links: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def check_health(engine: Engine | None, *, whole: bool = True) -> Health:
    """How a host is, its loop included: waits for one round of it.

    Args:
        engine: The host's engine; None before it has one.
        whole: Say where things are, too: addresses, paths, users.

    Example:
        ``(await check_health(host.engine)).ready``
    """
    began = time.perf_counter()
    await asyncio.sleep(0)
    return health_of(engine, time.perf_counter() - began, whole=whole)


def health_of(engine: Engine | None, loop_seconds: float = 0.0, *, whole: bool = True) -> Health:
    """How a host is.

    Args:
        engine: The host's engine; None before it has one.
        loop_seconds: How long one round of its loop took.
        whole: Say where things are, too: addresses, paths, users.
    """
    if engine is None:
        return _unready("the host is starting")
    if engine.is_draining:
        return _unready("the host is stopping: it takes nothing new and lets running work end")
    if engine.gone is not None:
        ended = f"the host has ended: {_words(engine.gone, whole=whole)}"
        return Health(live=False, ready=False, reasons=(ended,))
    reasons = [
        *_about_store(engine, whole=whole),
        *_about_lease(engine, whole=whole),
        *engine.runner.shortages(),
    ]
    if loop_seconds > SLOW_LOOP_SECONDS:
        reasons.append(
            f"the host's loop was blocked: one round took {loop_seconds:.1f} s; "
            "the log names what blocks it"
        )
    if reasons:
        return _unready(*reasons)
    notes = (*_about_partitions(engine), *_about_notifications(engine, whole=whole))
    return Health(live=True, ready=True, notes=notes)


def _words(error: TenutoError, *, whole: bool) -> str:
    return str(error) if whole else error.for_callers


def _about_store(engine: Engine, *, whole: bool) -> list[str]:
    pipeline = engine.pipeline
    if pipeline.unavailable is not None:
        since = pipeline.unavailable_since
        moment = "" if since is None else f" since {_shown(to_datetime(since))}"
        why = _words(pipeline.unavailable, whole=whole)
        return [f"the store does not take commits{moment}: {why}"]
    began = pipeline.committing_since
    if began is not None:
        seconds = (engine.clock.now() - began) / MICROSECONDS
        if seconds > SLOW_COMMIT_SECONDS:
            return [f"the store has not answered a commit for {seconds:.0f} s"]
    silent = engine.holding.counting.open_seconds
    if silent >= PATIENCE_SECONDS:
        return [f"the store has not answered a question for {silent:.0f} s"]
    if engine.unreadable is not None:
        return [f"the store cannot be read: {_words(engine.unreadable, whole=whole)}"]
    return []


def _about_lease(engine: Engine, *, whole: bool) -> Iterator[str]:
    """Whether other hosts have to take this one for dead."""
    peers = engine.peers
    if peers is not None and peers.silent_seconds > peers.lease_seconds:
        failure = peers.failure()
        reason = "" if failure is None else f" ({_words(failure, whole=whole)})"
        yield (
            f"no sign of life of this host has reached the store for {peers.silent_seconds:.0f} s, "
            f"longer than its lease ({peers.lease_seconds:g} s){reason}: other hosts take over "
            "what it served; it takes part again by itself when the store answers"
        )


def _about_partitions(engine: Engine) -> Iterator[str]:
    """Why a host that is well serves nothing: it answers requests all the same."""
    peers, partitions = engine.peers, engine.hub_partitions
    if peers is None or engine.partitions:
        return
    if peers.is_of_older_version:
        yield "this host serves no partition: hosts of a newer app version have them"
    elif peers.free:
        yield (
            f"this host serves no partition yet; nobody serves {peers.free} of {partitions}, and "
            "it takes its share within seconds"
        )
    elif peers.hosts > partitions:
        yield (
            f"this host serves no partition: there are {partitions}, and {peers.hosts} hosts; it "
            "takes over when one of them goes"
        )
    else:
        yield (
            f"this host serves no partition: other hosts have all {partitions}, since it has just "
            "come or had given no sign of life for longer than its lease; it gets its share "
            "within seconds"
        )


def _about_notifications(engine: Engine, *, whole: bool) -> Iterator[str]:
    """Why what others write is seen later than usual."""
    storage = engine.storage
    if isinstance(storage, TellsOthers) and storage.mute is not None:
        yield (
            f"notifications cannot be sent: {_words(storage.mute, whole=whole)}. Hosts look for "
            "themselves, once a second, until one gets through"
        )


def silent_links(engine: Engine) -> tuple[str, ...]:
    """Linked hubs that were not heard of for long, as many as are shown."""
    return tuple(engine.outside.silent(SILENT_LINK_SECONDS)[:_MOST_LINKS])


def _unready(*reasons: str) -> Health:
    return Health(live=True, ready=False, reasons=reasons)


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
