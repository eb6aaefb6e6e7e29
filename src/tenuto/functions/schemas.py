"""JSON schemas of the types that functions name."""

from typing import Any

import msgspec


def schema_of(kind: object) -> dict[str, Any] | None:
    """The JSON schema of a type; none when it has none, as classes of other libraries."""
    if kind is None:
        return None
    try:
        return msgspec.json.schema(kind)
    except (TypeError, NameError, AttributeError, RecursionError):
        return None
