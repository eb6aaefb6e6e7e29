"""Values for functions and from them: the protocol's, the package's converters between them."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Mapping
from typing import Any

from .app import Binding
from .requests import request

Value = dict[str, Any]

# What a parameter of one of these may be given whole, as its annotation says.
_CONTENTS = ("queuetrigger", "blobtrigger", "blob")
_AS_THEY_ARE = ("orchestrationtrigger", "entitytrigger", "durableclient")


def decode(
    binding: Binding, value: Value | None, body: bytes, metadata: Mapping[str, Any], hint: Any
) -> Any:
    """What the parameter of an input binding gets.

    Args:
        binding: The binding.
        value: What the host has sent.
        body: What was attached to it.
        metadata: Of the trigger, beside its value.
        hint: The parameter's annotation, or None.

    Raises:
        TypeError: the package has no way from the one to the other.
    """
    kind = str(binding.get("type"))
    if value is not None and "http" in value:
        return request(value["http"], body)
    if kind.lower() in _AS_THEY_ARE:
        return None if value is None else value.get("string", value.get("json"))
    if kind.lower() in _CONTENTS and hint in (str, bytes):
        return _raw(value, hint)
    if kind.lower() == "activitytrigger" and value is None:
        value = {"string": "null"}
    converter = _converter(kind)
    if not hasattr(converter, "decode"):
        return _generic(value)
    given = {name: _metadatum(one) for name, one in metadata.items() if one is not None}
    for datum in _readings(value):
        try:
            return converter.decode(datum, trigger_metadata=given)
        except NotImplementedError:
            continue
    raise TypeError(
        f"unable to decode incoming TypedData: unsupported combination of TypedData field "
        f"{_name(value)!r} and expected binding type {kind!r}"
    )


def encode(binding: Binding, value: Any, hint: Any) -> Value | None:
    """What an output binding has got, or a function has returned.

    Raises:
        TypeError: the package has no way to write it.
    """
    kind = str(binding.get("type"))
    converter = _converter(kind)
    try:
        if hasattr(converter, "encode"):
            return _from_datum(converter.encode(value, expected_type=hint))
        return _from_generic(value)
    except NotImplementedError:
        raise TypeError(
            f"unable to encode outgoing TypedData: unsupported type {kind!r} for Python type "
            f'"{type(value).__name__}"'
        ) from None


def has_implicit_output(binding: Binding) -> bool:
    """Whether what a function returns is the output of its trigger."""
    converter = _converter(str(binding.get("type")))
    # A trigger that the package does not know answers with what its function returns, as in Azure.
    return bool(converter is None or converter.has_implicit_output())


def _converter(kind: str) -> Any:
    return importlib.import_module("azure.functions.meta").get_binding_registry().get(kind)


def _readings(value: Value | None) -> list[Any]:
    """As the package's datum; a JSON text that a converter does not take is a text too."""
    datum = importlib.import_module("azure.functions.meta").Datum
    if value is None:
        return [datum(None, None)]
    if "bytes" in value:
        return [datum(base64.b64decode(value["bytes"]), "bytes")]
    kinds = ("json", "string") if "json" in value else ("string", "json")
    return [datum(value[_name(value)], kind) for kind in kinds]


def _name(value: Value | None) -> str:
    return next(iter(value), "none") if value else "none"


def _raw(value: Value | None, hint: Any) -> Any:
    if value is None:
        return None
    if "bytes" in value:
        raw = base64.b64decode(value["bytes"])
        return raw if hint is bytes else raw.decode()
    text = str(value[_name(value)])
    return text if hint is str else text.encode()


def _generic(value: Value | None) -> Any:
    if value is None:
        return None
    return base64.b64decode(value["bytes"]) if "bytes" in value else value[_name(value)]


def _metadatum(value: Any) -> Any:
    datum = importlib.import_module("azure.functions.meta").Datum
    if isinstance(value, str):
        return datum(value, "string")
    if isinstance(value, int) and not isinstance(value, bool):
        return datum(value, "int")
    if isinstance(value, float):
        return datum(value, "double")
    return datum(json.dumps(value), "json")


def _from_datum(datum: Any) -> Value | None:
    if datum is None or datum.type is None or datum.value is None:
        return None
    if datum.type in ("string", "json"):
        return {datum.type: datum.value}
    if datum.type == "bytes":
        return {"bytes": base64.b64encode(datum.value).decode()}
    return {"json": json.dumps(datum.value)}


def _from_generic(value: Any) -> Value | None:
    if value is None:
        return None
    if isinstance(value, str):
        return {"string": value}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": base64.b64encode(value).decode()}
    return {"json": json.dumps(value)}
