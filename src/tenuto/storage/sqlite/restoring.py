"""A store out of a copy: checked, and in place at once; what stood there is kept aside.

Never changes the copy, and never deletes what it replaces: that may hold what is newest.
"""

from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from tenuto.engine.upkeep import Copy, Told
from tenuto.model.errors import SettingsError
from tenuto.model.timing import Microseconds, to_datetime
from tenuto.storage.sqlite.backup import copied, finished
from tenuto.storage.sqlite.following.assembling import assembled
from tenuto.storage.sqlite.placing import (
    checked_target,
    move_aside,
    move_into_place,
    partial_file,
)


def restore(
    source: str,
    target: str,
    now: Callable[[], Microseconds],
    *,
    force: bool,
    accept_loss: bool,
    told: Told,
) -> Copy:
    """Make a store out of a copy.

    Args:
        source: The copy: a file, or the folder of a continuous copy.
        target: The store's file to be.
        now: Tells the present.
        force: Whether to move a store aside that is there.
        accept_loss: Let it be started though the host of the original had not stopped.
        told: Called with how much is done, of how much.

    Raises:
        SettingsError: there is no such copy, or the store cannot go there.
        StorageOwnedError: a host runs on the store that would be moved aside.
        StorageCorruptError: the copy is damaged.
        StorageError: one of them cannot be read or written.
    """
    if not Path(source).exists():
        raise SettingsError(f"there is no copy at {source!r}; correct the path")
    place = checked_target(target, force=force)
    with partial_file(place) as partial:
        if Path(source).is_dir():
            reaches_to = assembled(source, partial, told)
        else:
            reaches_to = copied(source, partial, now, told)
        found = finished(partial, target, reaches_to, accept_loss=accept_loss)
        kept = []
        if force:
            kept = move_aside(place, f".replaced-{to_datetime(now()):%Y%m%dT%H%M%SZ}")
        move_into_place(partial, place, force=False)
        return structs.replace(found, kept_aside=[str(one) for one in kept])
