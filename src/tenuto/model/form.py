"""Forms: what a person is asked to fill in, as history keeps it. Pure data, with its own check.

A form is made from the type of the answer (``tenuto.model.form_types``) and says all that a page
needs to show it, without the code. What a browser sends becomes JSON here, and what does not fit is
told for each field.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.model.errors import PayloadError
from tenuto.model.payload.error import ROOT, expect, member

ONLY: Final = "answer"
"""The name of the field of a form that asks for a single value."""

_MOST_DIGITS: Final = 100


class FieldKind(StrEnum):
    """What a field takes."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DECIMAL = "decimal"
    DATE = "date"
    TIME = "time"
    MOMENT = "moment"
    CHECK = "check"
    CHOICE = "choice"


class _Part(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Shared form, as in events."""


class Choice(_Part, frozen=True):
    """One of several answers.

    Attributes:
        label: As people read it.
        value: As JSON text.
    """

    label: str
    value: str

    @property
    def key(self) -> str:
        """What a browser sends for it: the text itself, or the JSON of what is no text."""
        value = msgspec.json.decode(self.value)
        return value if isinstance(value, str) else self.value


class Field(_Part, frozen=True):
    """One thing to fill in.

    Attributes:
        name: Its name in the answer.
        label: As people read it.
        kind: What it takes.
        is_required: Whether the answer must have it: nothing stands in for it.
        is_nullable: Whether it may be left empty, which is null.
        default: As JSON text; None when there is none. The field is filled in with it, and an
            answer of a program that leaves it out is completed with it.
        choices: What there is to choose from.
        hint: A sentence about it.
        least: The smallest number, or the shortest text in characters.
        most: The largest number, or the longest text.
    """

    name: str
    label: str
    kind: FieldKind
    is_required: bool = True
    is_nullable: bool = False
    default: str | None = None
    choices: tuple[Choice, ...] = ()
    hint: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def may_be_empty(self) -> bool:
        """Whether nothing is an answer, too: null, or an empty text where that is the default."""
        return self.is_nullable or self._is_empty_by_default

    @property
    def prefilled(self) -> str:
        """What the field holds when it is first shown, as a browser sends it."""
        if self.default is None:
            return ""
        value = msgspec.json.decode(self.default)
        if self.kind is FieldKind.MOMENT:
            at = msgspec.json.decode(self.default, type=datetime)
            return (at.astimezone(UTC) if at.tzinfo else at).strftime("%Y-%m-%dT%H:%M:%S")
        if self.kind is FieldKind.CHECK:
            return "true" if value else ""
        return value if isinstance(value, str) else self.default

    @property
    def _is_empty_by_default(self) -> bool:
        return self.kind is FieldKind.TEXT and self.default == '""' and not self.least


class Entered(Struct, frozen=True):
    """What came of a form that was sent.

    Attributes:
        text: The answer as JSON text; None when something is wrong.
        errors: What is wrong, by field.
    """

    text: str | None
    errors: Mapping[str, str]


class Form(_Part, frozen=True):
    """The fields of an answer.

    Attributes:
        fields: In the order in which they are shown.
        is_single: Whether the answer is the value of the only field, instead of an object.
    """

    fields: tuple[Field, ...]
    is_single: bool = False

    @property
    def buttons(self) -> Sequence[Choice]:
        """Where one choice is the whole answer: each is a button."""
        return self.fields[0].choices if self.is_single else ()

    def read(self, sent: Mapping[str, Sequence[str]], *, is_page: bool = True) -> Entered:
        """What a person has filled in.

        Args:
            sent: The texts of each field. One that is not there takes its default; one that is
                there and empty has been emptied.
            is_page: Whether a browser sends it: then a box that is not there is not checked.
        """
        found: dict[str, Any] = {}
        errors: dict[str, str] = {}
        for field in self.fields:
            texts = sent.get(field.name, ())
            is_box = is_page and field.kind is FieldKind.CHECK
            if not texts and not is_box and field.default is not None:
                found[field.name] = msgspec.json.decode(field.default)
                continue
            try:
                found[field.name] = _read(field, texts[-1] if texts else "")
            except ValueError as error:
                errors[field.name] = str(error)
        if errors:
            return Entered(None, errors)
        answer = found.get(ONLY) if self.is_single else found
        return Entered(msgspec.json.encode(answer).decode(), {})

    def check(self, text: str | None) -> None:
        """See that an answer has the form, as far as that can be known without the code.

        Args:
            text: The answer as JSON text; None for none, which is null.

        Raises:
            PayloadError: what does not fit, and where.
        """
        value = _decoded(text)
        if self.is_single:
            _check(self.fields[0], value, ROOT)
            return
        expect(dict, value, ROOT)
        known = [field.name for field in self.fields]
        unknown = next((name for name in value if name not in known), None)
        if unknown is not None:
            names = ", ".join(known)
            raise PayloadError(f"is not asked for; there are {names}", path=member(ROOT, unknown))
        for field in self.fields:
            if field.name in value:
                _check(field, value[field.name], member(ROOT, field.name))
            elif field.is_required:
                reason = f"does not fit: Object missing required field `{field.name}`"
                raise PayloadError(reason)

    def completed(self, text: str | None) -> str:
        """An answer that has the form, with a value for each field: what counts is what is shown.

        A field that is left out has its default, or is null.

        Args:
            text: The answer as JSON text; None for none, which is null.

        Raises:
            PayloadError: what does not fit, and where.
        """
        if not self.is_single and isinstance(_decoded(text), dict):
            given = msgspec.json.decode(text or "null", type=dict[str, msgspec.Raw])
            left_out = {
                field.name: msgspec.Raw((field.default or "null").encode())
                for field in self.fields
                if field.name not in given and not field.is_required
            }
            if left_out:
                text = msgspec.json.encode({**given, **left_out}).decode()
        self.check(text)
        return text or "null"

    def chosen(self, text: str | None) -> int:
        """The place of the choice that an answer is.

        Raises:
            PayloadError: it is none of them.
        """
        self.check(text)
        value = msgspec.json.decode(text or "null")
        return next(index for index, one in enumerate(self.buttons) if _same(value, one))

    def in_words(self, text: str | None) -> list[tuple[str, str]]:
        """An answer for people: label and value of each field."""
        value = msgspec.json.decode(text or "null")
        if self.is_single:
            return [(self.fields[0].label, _in_words(self.fields[0], value))]
        return [(one.label, _in_words(one, value.get(one.name))) for one in self.fields]


# --- what a browser sends -------------------------------------------------------------------------


def _read(field: Field, text: str) -> Any:  # noqa: ANN401 - any JSON
    """The JSON value of what was entered.

    Raises:
        ValueError: why it does not fit, for whoever has filled it in.
    """
    if field.kind is FieldKind.CHECK:
        return bool(text)
    if field.kind is not FieldKind.TEXT:
        text = text.strip()
    if not text:
        return _nothing(field)
    if field.kind is FieldKind.CHOICE:
        chosen = next((one for one in field.choices if one.key == text), None)
        if chosen is None:
            raise ValueError(_choose(field))
        return msgspec.json.decode(chosen.value)
    reader, wanted = _READERS[field.kind]
    try:
        value = reader(text)
    except (ValueError, InvalidOperation):
        raise ValueError(wanted) from None
    _refuse_beyond(field, value)
    return value


def _listed(field: Field) -> str:
    return ", ".join(one.key for one in field.choices)


def _choose(field: Field) -> str:
    return f"Choose one of the answers: {_listed(field)}."


def _nothing(field: Field) -> Any:  # noqa: ANN401 - any JSON
    if field.is_nullable:
        return None
    if field.may_be_empty:
        return ""
    if field.default is not None:
        # It was filled in, so somebody has emptied it: that is no consent to the default.
        raise ValueError("This needs a value.")
    if field.kind is FieldKind.CHOICE:
        raise ValueError("Choose one of the answers.")
    raise ValueError("Fill this in.")


def _refuse_beyond(field: Field, value: Any) -> None:  # noqa: ANN401 - any JSON
    is_text = field.kind is FieldKind.TEXT
    if not is_text and field.kind not in _NUMBERS:
        return
    size = len(value) if is_text else float(value)
    what = " characters" if is_text else ""
    if field.least is not None and size < field.least:
        raise ValueError(f"At least {field.least:g}{what}.")
    if field.most is not None and size > field.most:
        raise ValueError(f"At most {field.most:g}{what}.")


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):  # noqa: PLR0124 - not a number
        raise ValueError
    return value


def _decimal(text: str) -> str:
    value = Decimal(text)
    if not value.is_finite() or len(text) > _MOST_DIGITS:
        raise ValueError
    return str(value)


def _date(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _time(text: str) -> str:
    return time.fromisoformat(text).isoformat()


def _moment(text: str) -> str:
    """Without a zone it is UTC, as its label says."""
    value = datetime.fromisoformat(text)
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


_READERS: Final[Mapping[FieldKind, tuple[Callable[[str], Any], str]]] = {
    FieldKind.TEXT: (str, ""),
    FieldKind.INTEGER: (_integer, "Enter a whole number."),
    FieldKind.NUMBER: (_number, "Enter a number."),
    FieldKind.DECIMAL: (_decimal, "Enter a number."),
    FieldKind.DATE: (_date, "Enter a date, such as 2026-05-03."),
    FieldKind.TIME: (_time, "Enter a time, such as 14:30."),
    FieldKind.MOMENT: (_moment, "Enter a date and a time, such as 2026-05-03T14:30."),
}
_NUMBERS: Final = (FieldKind.INTEGER, FieldKind.NUMBER, FieldKind.DECIMAL)

# --- what a program sends -------------------------------------------------------------------------


def _decoded(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    try:
        return msgspec.json.decode(text or "null")
    except msgspec.DecodeError as error:
        raise PayloadError(f"is no JSON: {error}", path="") from None


_JSON: Final[Mapping[FieldKind, tuple[tuple[type, ...], str]]] = {
    FieldKind.TEXT: ((str,), "str"),
    FieldKind.INTEGER: ((int,), "int"),
    FieldKind.NUMBER: ((int, float), "float"),
    FieldKind.DECIMAL: ((str, int, float), "decimal"),
    FieldKind.DATE: ((str,), "date"),
    FieldKind.TIME: ((str,), "time"),
    FieldKind.MOMENT: ((str,), "datetime"),
    FieldKind.CHECK: ((bool,), "bool"),
}
_NAMES: Final = {type(None): "null", dict: "object", list: "array"}


def _check(field: Field, value: Any, path: str) -> None:  # noqa: ANN401 - any JSON
    if value is None and field.is_nullable:
        return
    if field.kind is FieldKind.CHOICE:
        if not any(_same(value, one) for one in field.choices):
            raise PayloadError(f"does not fit: expected one of {_listed(field)}", path=path)
        return
    kinds, wanted = _JSON[field.kind]
    found = _NAMES.get(type(value), type(value).__name__)
    if type(value) not in kinds:
        raise PayloadError(f"does not fit: Expected `{wanted}`, found `{found}`", path=path)
    if field.kind is FieldKind.CHECK:
        return
    try:
        read = _READERS[field.kind][0](str(value))
    except (ValueError, InvalidOperation):
        raise PayloadError(f"does not fit: Expected `{wanted}`", path=path) from None
    try:
        _refuse_beyond(field, read)
    except ValueError as error:
        raise PayloadError(f"does not fit: {error}", path=path) from None


def _same(value: Any, choice: Choice) -> bool:  # noqa: ANN401 - any JSON
    wanted = msgspec.json.decode(choice.value)
    return type(wanted) is type(value) and bool(wanted == value)


def _in_words(field: Field, value: Any) -> str:  # noqa: ANN401 - any JSON
    chosen = next((one.label for one in field.choices if _same(value, one)), None)
    if chosen is not None:
        return chosen
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return "-" if value is None or value == "" else str(value)
