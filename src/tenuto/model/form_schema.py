"""Forms as JSON schemas, for programs and pages that know no forms. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tenuto.model.form import Field, FieldKind, Form

_KINDS: Final[Mapping[FieldKind, Mapping[str, Any]]] = {
    FieldKind.TEXT: {"type": "string"},
    FieldKind.INTEGER: {"type": "integer"},
    FieldKind.NUMBER: {"type": "number"},
    FieldKind.DECIMAL: {"type": "string", "format": "decimal"},
    FieldKind.DATE: {"type": "string", "format": "date"},
    FieldKind.TIME: {"type": "string", "format": "time"},
    FieldKind.MOMENT: {"type": "string", "format": "date-time"},
    FieldKind.CHECK: {"type": "boolean"},
}


def form_schema(form: Form) -> dict[str, Any]:
    """The JSON schema of an answer."""
    if form.is_single:
        return _schema(form.fields[0])
    return {
        "type": "object",
        "properties": {one.name: _schema(one) for one in form.fields},
        "required": [one.name for one in form.fields if one.is_required],
        "additionalProperties": False,
    }


def _schema(field: Field) -> dict[str, Any]:
    made: dict[str, Any] = {"title": field.label} if field.label else {}
    if field.hint:
        made["description"] = field.hint
    if field.default is not None:
        made["default"] = msgspec.json.decode(field.default)
    if field.kind is FieldKind.CHOICE:
        values = [msgspec.json.decode(one.value) for one in field.choices]
        return {**made, "enum": [*values, None] if field.is_nullable else values}
    kind = {**_KINDS[field.kind], **_limits(field)}
    if field.is_nullable:
        return {**made, "anyOf": [kind, {"type": "null"}]}
    return {**made, **kind}


def _limits(field: Field) -> dict[str, Any]:
    names = ("minimum", "maximum")
    least, most = field.least, field.most
    if field.kind is FieldKind.TEXT:
        names = ("minLength", "maxLength")
        least, most = (None if one is None else int(one) for one in (least, most))
    bounds = zip(names, (least, most), strict=True)
    return {name: bound for name, bound in bounds if bound is not None}
