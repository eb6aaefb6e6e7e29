"""Payloads: user values as JSON text, and back as the annotated types.

Owns the one rule by which inputs, results and events of user functions are written down. It never
pickles, never imports pydantic or attrs (their classes are recognised by what they carry), never
reads a clock or a file (but the time zone database), and never stores half a value: what cannot be
written or rebuilt is refused with a :class:`PayloadError` that names the path. What keeps
``bad_input_is_refused_whole`` and ``replay_is_pure`` here: the text for a value is the same in
every process (sets are written in sorted order; dictionaries keep their own).

How values are written
    * str, bool, None, int of any size, finite float, list, dict: as JSON has them; tuples and sets
      as arrays.
    * bytes as base64; datetime, date, time, timedelta in ISO 8601; UUID and Decimal as strings;
      enums by value.
    * dataclasses, attrs classes and msgspec structs as objects of their fields; NamedTuples as
      arrays; pydantic models by their own serializer.
    * Dictionary keys may be strings, numbers, enums, dates, UUIDs, Decimals or bytes; two keys with
      one text are refused.
    * Points in time of a named zone with that name, as RFC 9557 has it, in pydantic models too:
      ``2026-07-01T12:00:00+02:00[Europe/Berlin]``.

What comes back
    What a function is called with and what it gives (``Writer``) comes back equal, with the same
    types all through, or is refused with the path of the place that would change: a subclass where
    its base is annotated, a tuple for a list, whatever is not JSON where nothing is annotated. One
    exception, which type checkers make too: a whole number passes for a float that is exactly it.

How unions are rebuilt
    Where JSON itself or a msgspec tag tells the members apart, that decides. Else the members are
    tried in the order in which they are written, and the first that fits wins; for objects, members
    whose field names agree best with the object's keys are tried first. So ``UUID | str`` gives a
    UUID for text that looks like one, ``str | UUID`` never does. Members with equal fields need a
    ``Literal`` field or a struct tag. That is for what comes from outside: in what a function takes
    and gives, unions that JSON cannot tell apart are refused (``refuse_ambiguous``).
"""

from tenuto.model.errors import PayloadError
from tenuto.model.payload.decoding import Decode, decoder
from tenuto.model.payload.encoding import encode
from tenuto.model.payload.faithful import Writer
from tenuto.model.payload.unions import refuse_ambiguous

__all__ = ["Decode", "PayloadError", "Writer", "decoder", "encode", "refuse_ambiguous"]
