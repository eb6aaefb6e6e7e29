"""Listings of instances (``storage.pages``) on SQLite."""

from typing import Final

import apsw
import msgspec

from tenuto.model.requests import InstancePage, InstanceQuery
from tenuto.model.status import OPEN, RuntimeStatus
from tenuto.storage import pages
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import Arguments, transaction, value

_FEW: Final = 5_000
_FAILED: Final = frozenset({RuntimeStatus.FAILED, RuntimeStatus.TERMINATED})
_OPEN: Final = frozenset(OPEN)
_decode_keys: Final = msgspec.json.Decoder(list[tuple[int, int]]).decode


def query(connection: apsw.Connection, wanted: InstanceQuery) -> InstancePage:
    """A page of instances.

    Raises:
        InputError: for a limit below 1, a token that is none, or text that is not storable.
    """
    arguments = _arguments(wanted)
    with transaction(connection, "DEFERRED"):
        name = f"list_{_by(connection, wanted, arguments)}{wanted.order}"
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


def _by(connection: apsw.Connection, wanted: InstanceQuery, arguments: Arguments) -> str:
    """By what a page is found: that of which there are few, else the time."""
    if wanted.order in pages.BY_COMPLETION:
        return ""
    if wanted.parent is not None:
        return "children_"
    if wanted.id_prefix:
        return "prefix_" if _are_few(connection, "some_prefixed", arguments) else ""
    if wanted.held:
        return "held_" if _are_few(connection, "some_held", arguments) else ""
    statuses = frozenset(wanted.statuses or ())
    if statuses and statuses <= _FAILED:
        return "failed_"
    if statuses and statuses <= _OPEN and not _is_of_ended(wanted):
        sources = ("some_open", "some_held")
        return "open_" if all(_are_few(connection, one, arguments) for one in sources) else ""
    return ""


def _is_of_ended(wanted: InstanceQuery) -> bool:
    return wanted.completed_from is not None or wanted.completed_to is not None


def _are_few(connection: apsw.Connection, name: str, arguments: Arguments) -> bool:
    """Whether sorting them takes less than looking at instances in the order of their time."""
    counted: int = value(connection, name, {**arguments, "most": _FEW + 1})
    return counted <= _FEW


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
