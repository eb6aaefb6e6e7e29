"""What a host that has just started goes on with, and whom its code does not fit.

Replays what is unfinished (``engine.fitting``) before something comes for it, so that a deployment
shows at once whom it holds and not in three months, when their timers fire. Bounded in instances,
in the length of a history and in time: it costs no more on a store with a million instances.
Must never try what has hurt a host, and nothing at all while the host is careful.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from msgspec import Struct, structs

from tenuto.engine.arrivals import restored
from tenuto.engine.engine import Engine
from tenuto.engine.fitting import misfit_of
from tenuto.engine.ports import LoadedInstance
from tenuto.insight.fitting import UNFINISHED, outside_of_tasks
from tenuto.insight.going_on import GoingOn, waits_for, waits_for_by_row
from tenuto.model.errors import LimitError, StorageError
from tenuto.model.hold import HoldReason
from tenuto.model.requests import InstanceQuery
from tenuto.model.status import InstanceRecord


class Bounds(Struct, frozen=True, kw_only=True):
    """How far is looked.

    Attributes:
        instances: Most of those that are held, and of those that are not: the newest.
        history_bytes: Longer histories are not read: what their row says must do.
        seconds: So long after the first one, nothing more is looked at.
    """

    instances: int = 1_000
    history_bytes: int = 256 * 1024
    seconds: float = 3.0


BOUNDS: Final = Bounds()
_PATIENCE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.002


async def look_ahead(engine: Engine, bounds: Bounds = BOUNDS) -> GoingOn:
    """Look at what is unfinished, and hold whom the code does not fit.

    Args:
        engine: Of the host, which runs.
        bounds: How far to look.

    Raises:
        StorageError: the store cannot be read.
    """
    found = GoingOn()
    end: float | None = None
    async for record in _unfinished(engine, bounds, found):
        # From the first one on: a store that is slow to list them is no reason to look at none.
        now = time.monotonic()
        end = end or now + bounds.seconds
        if now > end:
            found.has_more = True
            break
        await _look(engine, record, bounds, found)
    if found.held:
        await _until_settled(engine)
    return found


async def _until_settled(engine: Engine) -> None:
    """Whoever reads the answer finds in the store whom it names; not waited for without end."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not engine.is_settled and time.monotonic() < end:  # noqa: ASYNC110 - many may end it
        await asyncio.sleep(_PAUSE_SECONDS)


async def _unfinished(
    engine: Engine, bounds: Bounds, found: GoingOn
) -> AsyncIterator[InstanceRecord]:
    """Those that are held first: there may be many others."""
    began = engine.clock.now()
    pages = []
    # One that is held in between, as its timer is due, is on the last page; one that is tried again
    # and so not held for a moment, on the first.
    for held in (True, False, True):
        query = InstanceQuery(
            statuses=UNFINISHED,
            held=held,
            created_to=began,
            limit=bounds.instances,
            payloads=False,
        )
        pages.append(await engine.storage.query(query))
    found.has_more = any(page.after is not None for page in pages)
    seen: set[int] = set()
    for page in reversed(pages):
        for record in page.records:
            if record.iid not in seen:
                seen.add(record.iid)
                yield record


async def _look(engine: Engine, record: InstanceRecord, bounds: Bounds, found: GoingOn) -> None:
    try:
        loaded = await _loaded(engine, record, bounds)
        if loaded is not None and loaded.record.status.is_finished:
            return  # meanwhile
        reason = await outside_of_tasks(partial(_misfit, engine, record, loaded))
        if reason is not None:
            found.held[reason] += 1
            return
        now = engine.clock.now()
        found.waits[
            waits_for_by_row(record, now) if loaded is None else waits_for(restored(loaded), now)
        ] += 1
    except StorageError:
        raise
    except Exception:  # noqa: BLE001 - one that is damaged must not hide the others
        return  # the loader says so when its time comes


async def _loaded(engine: Engine, record: InstanceRecord, bounds: Bounds) -> LoadedInstance | None:
    """An instance with its history; None when that is too long."""
    try:
        _ = await engine.storage.history(record.instance_id, bounds.history_bytes)
    except LimitError:
        return None
    for loaded in await engine.storage.load_instances([record.iid]):
        return loaded
    return None


def _misfit(
    engine: Engine, record: InstanceRecord, loaded: LoadedInstance | None
) -> HoldReason | None:
    """Why it is held, or is to be from now on."""
    before = record.hold
    is_tried = engine.options.on_mismatch == "hold" and engine.careful is None
    if loaded is None or not is_tried or (before is not None and before.reason.is_harmful):
        return None if before is None else before.reason
    hold = misfit_of(loaded, engine.runner, engine.options.limits, engine.clock.now())
    if hold is None or hold.reason.is_harmful:
        return None
    if before is None:
        engine.holding.hold_ahead(record, structs.replace(hold, since=engine.clock.now()))
    return hold.reason
