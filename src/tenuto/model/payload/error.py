"""The refusal of a value, and the notation for places inside a value.

Owns the wording ``value at $.trip.guests[2].photo ...`` and nothing else.
"""

import json
from functools import partial
from typing import Any

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


class PayloadError(ValueError):
    """A value cannot be stored as JSON, or stored JSON does not fit the type it is read as.

    Args:
        reason: What is wrong and what to do, to be read after "value at <path>".
        path: The place inside the value; ``$`` is the value itself. Empty when the error is about
            no single place.
        owner: Whose value it is, such as ``argument 'trip' of book_trip``; empty when the caller
            does not know.

    Example:
        >>> print(PayloadError("cannot be stored", path="$.trip.guests[2]"))
        value at $.trip.guests[2] cannot be stored
    """

    def __init__(self, reason: str, *, path: str = ROOT, owner: str = "") -> None:
        self.reason = reason
        self.path = path
        self.owner = owner
        place = f"value at {path} {reason}" if path else reason
        super().__init__(f"{owner}: {place}" if owner else place)

    def __reduce__(self) -> tuple[object, ...]:
        """Copy with all three parts; the default would pass the whole message as the reason."""
        return partial(type(self), self.reason, path=self.path, owner=self.owner), ()

    def below(self, path: str) -> "PayloadError":
        """The same refusal, seen from a value in which this one stands at ``path``."""
        return PayloadError(self.reason, path=path + self.path.removeprefix(ROOT), owner=self.owner)

    def of(self, owner: str) -> "PayloadError":
        """The same refusal, saying whose value it is."""
        return PayloadError(self.reason, path=self.path, owner=owner)


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
