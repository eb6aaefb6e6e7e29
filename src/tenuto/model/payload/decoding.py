"""From JSON text to the annotated type.

Owns the choice between two ways: one msgspec decoder, built once, where msgspec can do all of it;
else plain JSON data and the converters of ``rebuild``. Never looks at a function; that is
``model.signature``.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, misfit
from tenuto.model.payload.foreign import is_pydantic, is_self_contained, validate_json
from tenuto.model.payload.moments import mentions_zone
from tenuto.model.payload.native import MISFITS, has_moments, is_native
from tenuto.model.payload.rebuild import converter, rebuild_custom
from tenuto.model.room import LONG, make_room

Decode: TypeAlias = Callable[[str | bytes], Any]
"""Rebuilds a value from its JSON text; raises PayloadError."""


def decoder(annotation: object = Any) -> Decode:
    """Build the function that reads JSON text as the annotated type; built once and remembered.

    Args:
        annotation: A resolved type, as :func:`typing.get_type_hints` gives it. ``Any`` gives plain
            JSON data.

    Errors:
        PayloadError: Here, when the type can never be rebuilt; from the function, when text does
            not fit the type.

    Example:
        >>> from datetime import date
        >>> decoder(dict[str, date])('{"arrival": "2026-11-21"}')
        {'arrival': datetime.date(2026, 11, 21)}
    """
    try:
        # `A | B` and `B | A` are equal, yet their members are tried in the written order: repr
        # tells them apart.
        return _remembered(annotation, None if isinstance(annotation, type) else repr(annotation))
    except TypeError:  # unhashable metadata in Annotated
        return _build(annotation)


@lru_cache(maxsize=4096)
def _remembered(annotation: object, _spelling: str | None) -> Decode:
    return _build(annotation)


def _build(annotation: object) -> Decode:
    if is_pydantic(annotation) and is_self_contained(annotation):
        return lambda text: validate_json(annotation, text)
    if not is_native(annotation):
        return _reader(_careful(annotation))
    decode = msgspec.json.Decoder(annotation, dec_hook=rebuild_custom).decode
    return _reader(_with_zones(annotation, decode) if has_moments(annotation) else decode)


def _careful(annotation: object) -> Decode:
    convert = converter(annotation)
    parse = msgspec.json.Decoder().decode
    return lambda text: convert(parse(text), ROOT)


def _with_zones(annotation: object, decode: Decode) -> Decode:
    """The fast way, and the careful one for the few texts that name a time zone."""

    def read(text: str | bytes) -> Any:
        try:
            return decode(text)
        except MISFITS:
            if not mentions_zone(text):
                raise
        return _careful(annotation)(text)

    return read


def _reader(decode: Callable[[str | bytes], Any]) -> Decode:
    def read(text: str | bytes) -> Any:
        try:
            if len(text) > LONG:  # asked here, because most are short
                make_room(len(text))
            return decode(text)
        except PayloadError:
            raise
        except MISFITS as error:
            raise misfit(error) from error

    return read
