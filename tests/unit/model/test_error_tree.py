"""One tree of errors: stable codes, each drawn at the top of its module; payload errors in it."""

import re

import pytest

import tenuto
from tenuto.model import errors
from tenuto.model.errors import InputError, PayloadError, TenutoError
from tenuto.model.payload import PayloadError as RaisedByPayloads
from tenuto.model.payload import encode
from tenuto.model.signature import Signature


def tree() -> list[type[TenutoError]]:
    found = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, TenutoError)
    ]
    assert len(found) > 20
    return found


def test_each_error_has_a_code_of_its_own_and_is_drawn_with_it() -> None:
    drawing = errors.__doc__ or ""
    codes = [error.code for error in tree()]
    assert len(set(codes)) == len(codes)
    for error in tree():
        line = re.search(rf"\b{error.__name__}\b.*?(TN-\d{{4}})", drawing)
        assert line is not None, error
        assert line[1] == error.code


def test_what_payloads_raise_is_the_public_payload_error() -> None:
    assert RaisedByPayloads is PayloadError is tenuto.PayloadError
    assert issubclass(PayloadError, InputError)
    assert issubclass(PayloadError, ValueError)
    with pytest.raises(tenuto.PayloadError, match="value at") as caught:
        encode({"a": object()})
    assert caught.value.code == "TN-1102"

    def book(city: str) -> None: ...

    with pytest.raises(tenuto.PayloadError, match="argument 'city' of"):
        Signature.of(book).decode_arguments("7")
