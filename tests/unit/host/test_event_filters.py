"""Which filters of subscriptions are taken, and which could never say yes or no."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

import pytest

from tenuto import Event
from tenuto.host.event_filters import accepting
from tenuto.model.errors import InputError


class Country(StrEnum):
    GERMANY = "de"


class Asks:
    def __call__(self, event: Event) -> bool:
        return event.key == "a"


class AsksLater:
    async def __call__(self, event: Event) -> bool:
        return event.key == "a"


def event(**parts: Any) -> Event:
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    return Event(id="1", topic="t", published_at=moment, **{"data": None, **parts})


async def later(event: Event) -> bool:
    return event.key == "a"


def yields(event: Event) -> Iterator[bool]:
    yield event.key == "a"


async def yields_later(event: Event) -> AsyncIterator[bool]:
    yield event.key == "a"


def of_two(event: Event, other: str) -> bool:
    return event.key == other


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("placed", "must be a function of the event, or a dict"),
        (later, "`async def`, which nobody awaits"),
        (partial(later), "`async def`"),
        (AsksLater(), "`async def`"),
        (yields_later, "`async def`"),
        (yields, "is a generator, which is always true"),
        (lambda: True, "its one argument"),
        (of_two, "its one argument"),
        ({1: 2}, "a name of the filter must be a text, got 1"),
        ({"": 2}, "must be a text"),
        ({"n": lambda n: n > 0}, "wants a function for 'n'"),
        ({"n": [1, lambda n: n > 0]}, "wants a function for 'n'"),
        ({"n": []}, "no value for 'n'"),
        ({"n": set()}, "no value for 'n'"),
        ({"at": datetime(2026, 7, 1, tzinfo=UTC)}, "which no event has"),
        ({"at": b"x"}, "which no event has"),
    ],
)
def test_bad_input_is_refused_whole_a_filter_that_can_say_nothing(
    given: object, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        accepting(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        lambda one: one.key == "a",
        lambda one, other="a": one.key == other,
        partial(of_two, other="a"),
        Asks(),
        {"key": "a"},
        {"key": ["a", "b"], "n": {1, 2}},
        {"country": Country.GERMANY},
        {"n": 1.0, "none": None},
        {"list": [[1, 2]], "dict": {"a": 1}},
        {},
    ],
)
def test_what_can_say_yes_is_taken(given: object) -> None:
    accepts = accepting(given)  # type: ignore[arg-type]
    assert accepts is not None
    data = {"n": 1, "country": "de", "list": [1, 2], "dict": {"a": 1}}
    assert accepts(event(key="a", data=data))
    assert accepting(None) is None
