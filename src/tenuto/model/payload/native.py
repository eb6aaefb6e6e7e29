"""Which annotations msgspec alone can serve.

Owns that question and the list of exceptions by which msgspec refuses data.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as msgspec_inspect

from tenuto.model.payload.foreign import is_pydantic

MISFITS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises on data that do not fit; ValueError is for text that is not UTF-8."""


def is_native(annotation: Any) -> bool:
    """Whether one msgspec decoder rebuilds the type, with the help of the hook for single classes.

    No for unions that msgspec cannot tell apart, for enums of other values than text or integers,
    for classes that msgspec does not know (its hook serves pydantic models and ``object``), and for
    pydantic dataclasses, which msgspec would take for plain ones and not validate.
    """
    try:
        msgspec.json.Decoder(annotation)
        shape = msgspec_inspect.type_info(annotation)
    except (TypeError, NameError, AttributeError, RecursionError):
        return False
    return not any(_is_beyond(node) for node in _nodes(shape, set()))


def has_moments(annotation: Any) -> bool:
    """Whether a type that msgspec can serve has points in time somewhere: msgspec cannot read those
    that name a zone.
    """
    shape = msgspec_inspect.type_info(annotation)
    return any(isinstance(node, msgspec_inspect.DateTimeType) for node in _nodes(shape, set()))


def _is_beyond(node: object) -> bool:
    match node:
        case msgspec_inspect.CustomType():
            return node.cls is not object and not is_pydantic(node.cls)
        case msgspec_inspect.DataclassType():
            return is_pydantic(node.cls)
        case _:
            return False


def _nodes(part: object, seen: set[int]) -> Iterator[object]:
    """A type's description and all that it mentions, each once: types may mention themselves."""
    if isinstance(part, tuple):
        for one in part:
            yield from _nodes(one, seen)
    elif isinstance(part, (msgspec_inspect.Type, msgspec_inspect.Field)) and id(part) not in seen:
        seen.add(id(part))
        yield part
        for name in part.__struct_fields__:
            yield from _nodes(getattr(part, name), seen)
