"""Values between the services and the packages."""

import base64
from typing import Any

import msgspec

from tenuto.interop.azure_app.bindings.ports import BindingError
from tenuto.interop.workers.protocol import Datum


def datum_of(data: str | bytes) -> Datum:
    """A text or bytes for a worker."""
    if isinstance(data, str):
        return Datum(string=data)
    return Datum(bytes=base64.b64encode(data).decode())


def raw(value: Datum) -> str | bytes:
    """A value as a text or bytes: JSON is its text."""
    if value.bytes is not None:
        return base64.b64decode(value.bytes)
    text = value.string if value.string is not None else value.json
    if text is None:
        raise BindingError("an answer over HTTP is no value for it")
    return text


def plain(value: Datum) -> Any:  # noqa: ANN401 - any JSON
    """A value as plain data: a text is read as JSON.

    Raises:
        BindingError: it is no JSON.
    """
    try:
        return msgspec.json.decode(raw(value))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BindingError("it has been given what is no JSON") from None


def json_text_of(value: object) -> str:
    """The JSON text of plain data."""
    return msgspec.json.encode(value).decode()
