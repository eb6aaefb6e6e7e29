"""Listings of instances (``storage.pages``) on PostgreSQL."""

from tenuto.model.requests import InstancePage, InstanceQuery
from tenuto.storage import pages
from tenuto.storage.postgres import reading
from tenuto.storage.postgres.connection import Session
from tenuto.storage.postgres.packing import Values

_NUL = "\x00"


async def query(session: Session, wanted: InstanceQuery) -> InstancePage:
    """A page of instances.

    Raises:
        InputError: for a limit below 1, a token that is none, or text that is not storable.
    """
    arguments = arguments_of(wanted)
    if any(_NUL in (text or "") for text in (wanted.name, wanted.parent, wanted.id_prefix)):
        return InstancePage([], None)  # there is none with such a text
    async with session.together(of_one_moment=True):
        found = await session.rows(f"list_{wanted.order}", **arguments)
        more = len(found) > wanted.limit
        keys = [(row["time"], row["iid"]) for row in found[: wanted.limit]]
        iids = [iid for _, iid in keys]
        if wanted.most_bytes is not None:
            count = await reading.fitting(
                session, iids, wanted.most_bytes, payloads=wanted.payloads
            )
            more = more or count < len(keys)
            keys, iids = keys[:count], iids[:count]
        records = await reading.records(session, iids, payloads=wanted.payloads)
    return InstancePage(records, pages.token(wanted.order, *keys[-1]) if more else None)


def arguments_of(wanted: InstanceQuery) -> Values:
    """What a listing's statement takes.

    Raises:
        InputError: as ``query``.
    """
    pages.check_limit(wanted)
    time, iid = pages.place(wanted)
    prefix = None if wanted.parent is not None else (wanted.id_prefix or None)
    return {
        "created_from": pages.bounded(wanted.created_from, pages.LEAST),
        "created_to": pages.bounded(wanted.created_to, pages.MOST),
        "completed_from": pages.within(wanted.completed_from),
        "completed_to": pages.within(wanted.completed_to),
        "after_time": time,
        "after_iid": iid,
        "name": pages.checked(wanted.name),
        "statuses": None if wanted.statuses is None else list(wanted.statuses),
        "held": wanted.held,
        "rows": min(wanted.limit + 1, pages.MOST_ROWS),
        "parent": pages.checked(wanted.parent),
        "id_from": pages.checked(prefix),
        "id_to": None if prefix is None else pages.behind(prefix),
    }
