"""Errors that come over HTTP, as the classes that they were raised as. Pure."""

from typing import Final

from tenuto.client.wire import ErrorBody
from tenuto.model import errors
from tenuto.model.errors import InstanceError, PayloadError, TenutoError, UnknownFunctionError

_CLASSES: Final[dict[str, type[TenutoError]]] = {
    one.code: one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, TenutoError)
}


def error_of(
    body: ErrorBody, *, instance_id: str | None = None, name: str | None = None
) -> TenutoError:
    """The error for a code; one with a code that is not known here is a ``TenutoError`` with it.

    Args:
        body: Code and message.
        instance_id: The instance that was asked about.
        name: The function that was asked for.
    """
    kind = _CLASSES.get(body.code)
    if kind is None:
        error = TenutoError(body.message)
        error.__dict__["code"] = body.code
        return error
    if issubclass(kind, PayloadError):
        return kind(body.message, path="")
    # The message is whole: what a class makes it of is not asked for again.
    error = kind.__new__(kind, body.message)
    error.args = (body.message,)
    if isinstance(error, InstanceError):
        error.instance_id = instance_id or ""
    if isinstance(error, UnknownFunctionError):
        error.name = name or ""
    return error
