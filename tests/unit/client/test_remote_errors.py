"""Errors that came over HTTP are those that were raised there."""

import pytest

from tenuto.client.remote_errors import error_of
from tenuto.client.wire import ErrorBody
from tenuto.model import errors
from tenuto.model.errors import (
    InstanceError,
    InstanceStateError,
    PayloadError,
    RequestTooLargeError,
    TenutoError,
    UnknownFunctionError,
)

CLASSES = [
    one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, TenutoError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_code_comes_back_as_its_class_with_the_same_message(kind: type[TenutoError]) -> None:
    error = error_of(ErrorBody(kind.code, "what, where, what next"), instance_id="x", name="f")
    assert type(error) is kind
    assert (error.code, str(error)) == (kind.code, "what, where, what next")
    assert repr(error) == f"{kind.__name__}('what, where, what next')"


def test_what_the_message_is_about_stands_in_attributes() -> None:
    state = error_of(ErrorBody("TN-1204", "m"), instance_id="x")
    assert isinstance(state, InstanceStateError)
    assert state.instance_id == "x"
    nobody = error_of(ErrorBody("TN-1202", "m"))
    assert isinstance(nobody, InstanceError)
    assert not nobody.instance_id
    unknown = error_of(ErrorBody("TN-1103", "m"), name="f")
    assert isinstance(unknown, UnknownFunctionError)
    assert unknown.name == "f"
    payload = error_of(ErrorBody("TN-1102", "m"))
    assert isinstance(payload, PayloadError)
    assert (payload.reason, payload.path, payload.owner) == ("m", "", "")


def test_a_code_that_is_not_known_here_is_kept() -> None:
    error = error_of(ErrorBody("TN-9999", "new"))
    assert type(error) is TenutoError
    assert (error.code, str(error), TenutoError.code) == ("TN-9999", "new", "TN-1000")


def test_what_is_too_large_for_a_server_crosses_a_limit() -> None:
    assert isinstance(error_of(ErrorBody("TN-1704", "m")), errors.LimitError)
    assert issubclass(RequestTooLargeError, errors.HttpError)
