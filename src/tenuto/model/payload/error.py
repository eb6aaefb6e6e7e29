"""The notation for places inside a value, and what msgspec says in our words.

``PayloadError`` itself stands in the tree of ``tenuto.model.errors``.
"""

import json
from typing import Any

from tenuto.model.errors import PayloadError

ROOT = "$"

_JSON_NAMES: dict[type, str] = {
    list: "array",
    dict: "object",
    str: "str",
    int: "int",
    float: "float",
    bool: "bool",
    type(None): "null",
}


def member(path: str, key: str) -> str:
    """The path of an object's member."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def item(path: str, index: int) -> str:
    """The path of an array's element."""
    return f"{path}[{index}]"


def expect(kind: type[list[Any]] | type[dict[str, Any]], data: object, path: str) -> None:
    """Refuse data that are not the array (``list``) or object (``dict``) that must stand here."""
    if not isinstance(data, kind):
        wanted, found = _JSON_NAMES[kind], _JSON_NAMES[type(data)]
        raise PayloadError(f"does not fit: Expected `{wanted}`, found `{found}`", path=path)


def misfit(error: BaseException, path: str = ROOT) -> PayloadError:
    """What msgspec says about wrong data, in our words and with the place seen from ``path``."""
    if isinstance(error, RecursionError):
        return PayloadError("does not fit: it is nested too deep", path=path)
    reason, _, place = str(error).partition(" - at ")
    place = place.removeprefix("`key` in ").strip("`").removeprefix(ROOT)
    if isinstance(error.__cause__, PayloadError):  # from the hook: it knows the rest of the path
        return error.__cause__.below(path + place)
    return PayloadError(f"does not fit: {reason.replace(', got ', ', found ')}", path=path + place)
