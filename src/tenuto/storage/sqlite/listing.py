"""Listings of instances: filters, and pages that stay stable while instances come and go.

A page goes on after (time, iid) of the last row, which the opaque token holds, so a page never
shows a row twice and never leaves out one that was there. The time is that of creation or of
completion, whichever the order goes by.
"""

import re
from typing import Final

import apsw
import msgspec

from tenuto.model.errors import InputError
from tenuto.model.requests import InstancePage, InstanceQuery
from tenuto.model.timing import Microseconds
from tenuto.storage.sqlite import reader
from tenuto.storage.sqlite.database import Arguments, transaction, value

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_MOST_ROWS: Final = 2**31
_LAST_CHARACTER: Final = chr(0x10FFFF)
_SURROGATES: Final = range(0xD800, 0xE000)
_BY_COMPLETION: Final = frozenset({"last_completed", "first_completed"})
_FALLING: Final = frozenset({"newest", "last_completed"})
_TOKEN: Final = re.compile(r"(\w+)\.(-?[0-9]{1,19})\.(-?[0-9]{1,19})", re.ASCII)
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
    return InstancePage(records, _token(wanted.order, *keys[-1]) if more else None)


def _by(wanted: InstanceQuery) -> str:
    if wanted.order in _BY_COMPLETION:
        return ""
    if wanted.parent is not None:
        return "children_"
    if wanted.id_prefix:
        return "prefix_"
    return "held_" if wanted.held else ""


def _arguments(wanted: InstanceQuery) -> Arguments:
    if wanted.limit < 1:
        raise InputError(f"a page of instances needs a limit of at least 1, got {wanted.limit}")
    time, iid = _after(wanted)
    statuses = wanted.statuses
    arguments: Arguments = {
        "created_from": _bounded(wanted.created_from, _LEAST),
        "created_to": _bounded(wanted.created_to, _MOST),
        "completed_from": _within(wanted.completed_from),
        "completed_to": _within(wanted.completed_to),
        "after_time": time,
        "after_iid": iid,
        "name": _storable(wanted.name),
        "statuses": None if statuses is None else msgspec.json.encode(statuses).decode(),
        "held": wanted.held,
        "rows": min(wanted.limit + 1, _MOST_ROWS),
        "parent": None,
        "id_from": None,
        "id_to": None,
    }
    if wanted.parent is not None:
        arguments["parent"] = _storable(wanted.parent)
    elif wanted.id_prefix:
        arguments["id_from"] = _storable(wanted.id_prefix)
        arguments["id_to"] = _behind(wanted.id_prefix)
    return arguments


def _bounded(time: Microseconds | None, otherwise: Microseconds) -> Microseconds:
    return otherwise if time is None else min(max(time, _LEAST), _MOST)


def _within(time: Microseconds | None) -> Microseconds | None:
    return None if time is None else _bounded(time, 0)


def _storable(text: str | None) -> str | None:
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InputError(f"a filter holds half of a surrogate pair: {text!r}") from None
    return text


def _behind(prefix: str) -> str | bytes:
    """The least text that is greater than every text with the prefix.

    SQLite compares the bytes of UTF-8, which is the order of code points. When there is no such
    text, a blob, which SQLite holds to be greater than any text.
    """
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return b""
    following = ord(stem[-1]) + 1
    if following in _SURROGATES:  # which are no characters
        following = _SURROGATES.stop
    return stem[:-1] + chr(following)


def _token(order: str, time: Microseconds, iid: int) -> str:
    return f"{order}.{time}.{iid}"


def _after(wanted: InstanceQuery) -> tuple[Microseconds, int]:
    if wanted.after is None:
        return (_MOST, _MOST) if wanted.order in _FALLING else (_LEAST, _LEAST)
    match = _TOKEN.fullmatch(wanted.after)
    if match is None or match[1] != wanted.order:
        raise InputError(
            f"the page token {wanted.after!r} does not belong to this listing ({wanted.order}"
            "); use the token of the page before, with the same filters"
        )
    return _bounded(int(match[2]), 0), _bounded(int(match[3]), 0)
