"""Forms from types: what is to be filled in so that a value of the type comes out. Pure.

Takes single values, choices, and records (dataclasses, msgspec structs, pydantic models, attrs
classes) of such. What a page cannot ask for is refused by name, where the question is asked.
"""

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, Literal, get_args, get_origin

import msgspec

from tenuto.model.errors import InputError
from tenuto.model.form import ONLY, Choice, Field, FieldKind, Form
from tenuto.model.payload import encode
from tenuto.model.payload.foreign import is_attrs, is_pydantic
from tenuto.model.payload.records import is_record
from tenuto.model.texts import checked_text

_KINDS: Final[Mapping[type, FieldKind]] = {
    str: FieldKind.TEXT,
    int: FieldKind.INTEGER,
    float: FieldKind.NUMBER,
    Decimal: FieldKind.DECIMAL,
    date: FieldKind.DATE,
    time: FieldKind.TIME,
    datetime: FieldKind.MOMENT,
}
_MOST_FIELDS: Final = 50
_MOST_CHOICES: Final = 200
_MOST_BYTES: Final = 64 * 1024
_MISSING: Final = object()
_MADE: Final = object()
"""The default of a field whose default is made anew for each value: it is never made to be shown.
"""
YES_OR_NO: Final = (Choice("Yes", "true"), Choice("No", "false"))


class _Member(typing.NamedTuple):
    """A field of a record, whatever kind that is."""

    name: str
    annotation: Any
    default: object = _MISSING
    about: tuple[Any, ...] = ()


def form_of(annotation: Any) -> Form:  # noqa: ANN401 - an annotation
    """The form for a value of a type.

    Raises:
        InputError: a page cannot ask for it.
    """
    try:
        hash(annotation)
    except TypeError:
        return _form_of.__wrapped__(annotation)
    return _form_of(annotation)


@lru_cache(maxsize=512)
def _form_of(annotation: Any) -> Form:  # noqa: ANN401 - an annotation
    plain, _ = _unwrapped(annotation)
    if _has_fields(plain):
        fields = tuple(_field(member, plain) for member in _members(plain))
        if not 0 < len(fields) <= _MOST_FIELDS:
            raise InputError(
                f"ctx.ask: {_name(plain)} has {len(fields)} fields; a page asks for 1 to "
                f"{_MOST_FIELDS}"
            )
        return _bounded(Form(fields))
    field = _field(_Member(ONLY, annotation), None)
    return _bounded(Form((msgspec.structs.replace(field, label="Your answer"),), is_single=True))


def form_of_choices(choices: object) -> tuple[Form, list[Any]]:
    """The form for one of several values, and the values in their order.

    Args:
        choices: The values, or a mapping of what is shown to the values.

    Raises:
        InputError: they are not what can be chosen from.
        PayloadError: one cannot be stored.
    """
    if isinstance(choices, Mapping):
        pairs = list(choices.items())
    elif isinstance(choices, Sequence) and not isinstance(choices, str | bytes):
        pairs = [(_label_of(one), one) for one in choices]
    else:
        raise InputError(
            f"ctx.ask: choices must be a list, or a mapping of labels, got {choices!r}"
        )
    made = _choices(pairs, "ctx.ask")
    field = Field(ONLY, "Your answer", FieldKind.CHOICE, choices=made)
    return _bounded(Form((field,), is_single=True)), [value for _, value in pairs]


# --- fields ---------------------------------------------------------------------------------------


def _field(member: _Member, owner: Any) -> Field:  # noqa: ANN401 - an annotation
    where = f"{_name(owner)}.{member.name}" if owner is not None else "the answer"
    plain, about = _unwrapped(member.annotation)
    about = (*about, *member.about)
    plain, is_nullable, inner = _without_none(plain)
    kind, choices = _kind(plain, where)
    is_shown = not any(member.default is one for one in (_MISSING, _MADE, None))
    default = encode(member.default) if is_shown else None
    if kind is FieldKind.CHECK and (default is None or is_nullable):
        kind, choices = FieldKind.CHOICE, YES_OR_NO  # nobody can leave a box unchecked on purpose
    label = _about(about + inner, "title") or _spoken(member.name)
    return Field(
        member.name,
        f"{label} (UTC)" if kind is FieldKind.MOMENT else label,
        kind,
        # A default that cannot be shown would count without having been seen.
        is_required=default is None and (not is_nullable or member.default is _MADE),
        is_nullable=is_nullable,
        default=default,
        choices=choices,
        hint=_about(about + inner, "description") or "",
        least=_bound(about + inner, kind, "ge", "min_length"),
        most=_bound(about + inner, kind, "le", "max_length"),
    )


def _kind(plain: Any, where: str) -> tuple[FieldKind, tuple[Choice, ...]]:  # noqa: ANN401 - an annotation
    if plain is bool:
        return FieldKind.CHECK, ()
    if get_origin(plain) is Literal:
        pairs: list[tuple[object, object]] = [(_label_of(one), one) for one in get_args(plain)]
        return FieldKind.CHOICE, _choices(pairs, where)
    if isinstance(plain, type) and issubclass(plain, Enum):
        return FieldKind.CHOICE, _choices([(_label_of(one), one) for one in plain], where)
    kind = _KINDS.get(plain) if isinstance(plain, type) else None
    if kind is not None:
        return kind, ()
    why = "a record inside the answer" if _has_fields(plain) else "a type that no field is made of"
    raise InputError(
        f"ctx.ask: {where} is {_name(plain)}, {why}. A page asks for str, int, float, Decimal, "
        "bool, date, time, datetime, an Enum or a Literal, each also as `| None`; ask for the rest "
        "in questions of their own"
    )


def _choices(pairs: list[tuple[object, object]], where: str) -> tuple[Choice, ...]:
    if not 0 < len(pairs) <= _MOST_CHOICES:
        raise InputError(f"{where}: there are {len(pairs)} choices, not 1 to {_MOST_CHOICES}")
    made = tuple(
        Choice(checked_text(label, "the label of a choice"), encode(value))
        for label, value in pairs
    )
    for what in ("label", "key"):
        seen = [getattr(one, what) for one in made]
        if not all(seen):
            raise InputError(f"{where}: a choice is empty; each needs words that people can read")
        twice = next((one for one in seen if seen.count(one) > 1), None)
        if twice is not None:
            raise InputError(f"{where}: there are two choices {twice!r}; each must be another one")
    return made


def _bounded(form: Form) -> Form:
    size = len(msgspec.json.encode(form))
    if size > _MOST_BYTES:
        raise InputError(f"ctx.ask: the form takes {size:,} bytes, at most {_MOST_BYTES:,}")
    return form


# --- types ----------------------------------------------------------------------------------------


def _has_fields(plain: Any) -> bool:  # noqa: ANN401 - an annotation
    cls = get_origin(plain) or plain
    return is_pydantic(cls) or is_record(cls)


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:  # noqa: ANN401 - an annotation
    """Without ``Annotated``, and what that says."""
    if get_origin(annotation) is typing.Annotated:
        plain, *about = get_args(annotation)
        return plain, tuple(about)
    return annotation, ()


def _without_none(plain: Any) -> tuple[Any, bool, tuple[Any, ...]]:  # noqa: ANN401 - an annotation
    if get_origin(plain) not in {typing.Union, types.UnionType}:
        return plain, False, ()
    rest = [one for one in get_args(plain) if one is not type(None)]
    if len(rest) != 1:
        return plain, False, ()
    inner, about = _unwrapped(rest[0])
    return inner, True, about


def _members(cls: Any) -> Iterator[_Member]:  # noqa: ANN401 - an annotation
    if get_origin(cls) is not None or typing.is_typeddict(cls) or issubclass(cls, tuple):
        raise InputError(
            f"ctx.ask: {_name(cls)} is no class that a form is made of; take a dataclass, a "
            "msgspec struct, a pydantic model or an attrs class"
        )
    if is_pydantic(cls):
        for name, info in cls.__pydantic_fields__.items():
            default = _MADE if info.default_factory else info.default
            if info.is_required():
                default = _MISSING
            yield _Member(name, info.annotation, default, (info, *info.metadata))
        return
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise InputError(f"ctx.ask: a field of {_name(cls)} has an unknown type: {error}") from None
    for name, key, default in _declared(cls):
        yield _Member(key, hints[name], default)


def _declared(cls: Any) -> Iterator[tuple[str, str, object]]:  # noqa: ANN401 - an annotation
    """Name, name in JSON and default of what the fields of a record are made with."""
    if is_attrs(cls):
        for one in cls.__attrs_attrs__:
            if one.init:
                yield one.name, one.name, _attrs_default(one.default)
    elif dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            if field.init:
                yield field.name, field.name, _made(field, dataclasses.MISSING)
    else:
        for info in msgspec.structs.fields(cls):
            yield info.name, info.encode_name, _made(info, msgspec.NODEFAULT)


def _made(field: Any, nothing: object) -> object:  # noqa: ANN401 - of either library
    if field.default is not nothing:
        default: object = field.default
        return default
    return _MISSING if field.default_factory is nothing else _MADE


def _attrs_default(default: Any) -> object:  # noqa: ANN401 - of attrs
    if getattr(default, "name", "") == "NOTHING":
        return _MISSING
    plain: object = default
    return _MADE if hasattr(default, "takes_self") else plain


# --- words ----------------------------------------------------------------------------------------


def _about(about: tuple[Any, ...], what: str) -> str | None:
    found = (getattr(one, what, None) for one in about)
    return next((one for one in found if isinstance(one, str) and one), None)


def _bound(about: tuple[Any, ...], kind: FieldKind, number: str, length: str) -> float | None:
    name = length if kind is FieldKind.TEXT else number
    found = (getattr(one, name, None) for one in about)
    return next((float(one) for one in found if isinstance(one, int | float | Decimal)), None)


def _label_of(value: object) -> str:
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, Enum):
        return _spoken(value.value if isinstance(value.value, str) else value.name)
    return _spoken(value) if isinstance(value, str) else str(value)


def _spoken(name: str) -> str:
    """``in_time`` as people write it: ``In time``."""
    text = name.replace("_", " ").strip() if name.isidentifier() else name
    return text[:1].upper() + text[1:]


def _name(plain: Any) -> str:  # noqa: ANN401 - an annotation
    name = None if get_origin(plain) else getattr(plain, "__name__", None)
    return name or str(plain)
