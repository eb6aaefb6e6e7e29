"""Values between the services and the packages."""

import base64
import re
from typing import Any, Final

import msgspec

from tenuto.interop.azure_app.bindings.ports import BindingError
from tenuto.interop.workers.protocol import Datum

_NAME: Final = re.compile(r"\$?[A-Za-z0-9-]{1,63}")


def checked_name(name: str, what: str) -> str:
    """The name of a container, queue or table once it is filled in: it stands in an address.

    Raises:
        BindingError: it has signs that no such name has.
    """
    if not _NAME.fullmatch(name):
        raise BindingError(f"{name!r:.100} is no name of {what}: letters, digits and dashes")
    return name


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
