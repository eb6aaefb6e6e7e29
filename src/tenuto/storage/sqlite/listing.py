"""Listings of instances (``storage.pages``) on SQLite."""

from typing import Final

import apsw
import msgspec

from tenuto.model.requests import InstancePage, InstanceQuery
from tenuto.storage import pages
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import Arguments, transaction, value

_decode_keys: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode


def query(connection: apsw.Connection, wanted: InstanceQuery) -> InstancePage:
    """A page of instances.

    Raises:
        InputError: for a limit below 1, a token that is none, or text that is not storable.
    """
    arguments = _arguments(wanted)
    name = f"list_{_by(wanted)}{wanted.order}"
    with transaction(connection, "DEFERRED"):
        keys = _decode_keys(value(connection, name, arguments))
        more = len(keys) > wanted.limit
        keys = keys[: wanted.limit]
        iids = [iid for _, iid in keys]
        if wanted.most_bytes is not None:
            count = reader.fitting(connection, iids, wanted.most_bytes, payloads=wanted.payloads)
            more = more or count < len(keys)
            keys, iids = keys[:count], iids[:count]
        records = reader.records(connection, iids, payloads=wanted.payloads)
    return InstancePage(records, pages.token(wanted.order, *keys[-1]) if more else None)


def _by(wanted: InstanceQuery) -> str:
    if wanted.order in pages.BY_COMPLETION:
        return ""
    if wanted.parent is not None:
        return "children_"
    if wanted.id_prefix:
        return "prefix_"
    return "held_" if wanted.held else ""


def _arguments(wanted: InstanceQuery) -> Arguments:
    pages.check_limit(wanted)
    time, iid = pages.place(wanted)
    statuses = wanted.statuses
    arguments: Arguments = {
        "created_from": pages.bounded(wanted.created_from, pages.LEAST),
        "created_to": pages.bounded(wanted.created_to, pages.MOST),
        "completed_from": pages.within(wanted.completed_from),
        "completed_to": pages.within(wanted.completed_to),
        "after_time": time,
        "after_iid": iid,
        "name": pages.checked(wanted.name),
        "statuses": None if statuses is None else msgspec.json.encode(statuses).decode(),
        "held": wanted.held,
        "rows": min(wanted.limit + 1, pages.MOST_ROWS),
        "parent": None,
        "id_from": None,
        "id_to": None,
    }
    if wanted.parent is not None:
        arguments["parent"] = pages.checked(wanted.parent)
    elif wanted.id_prefix:
        arguments["id_from"] = pages.checked(wanted.id_prefix)
        # SQLite holds a blob to be greater than any text.
        arguments["id_to"] = pages.behind(wanted.id_prefix) or b""
    return arguments
