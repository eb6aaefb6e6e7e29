"""Subclasses of dict with parameters: their own, or those of a counter."""

from collections import Counter, OrderedDict
from typing import Any, Generic, TypeVar

import pytest

from tenuto.model.payload.decoding import decoder
from tenuto.model.payload.faithful import Writer

T = TypeVar("T")


class ByName(dict[str, T], Generic[T]):
    pass


class ByNumber(dict[T, str], Generic[T]):
    pass


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Counter[str], Counter("abca")),
        (Counter, Counter("abca")),
        (OrderedDict[str, int], OrderedDict(b=1, a=2)),
        (ByName[int], ByName({"a": 1})),
        (ByNumber[int], ByNumber({1: "a"})),
    ],
)
def test_they_come_back_as_they_were(annotation: Any, value: object) -> None:  # noqa: ANN401 - any annotation
    found = decoder(annotation)(Writer(annotation)(value))
    assert (type(found), found) == (type(value), value)
