"""What functions return and `@app.publishes` makes events of: none is lost, none is there twice."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypedDict

import pytest
from msgspec import Struct

from tenuto import App, Client, Event, QueueMessage, RegistrationError, RetryPolicy
from tenuto.testing import TestHost

TWICE = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def app() -> App:
    return App()


def listening(app: App) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []

    @app.subscribe("made")
    async def see(event: Event) -> None:
        seen.append((event.id, event.data))

    return seen


async def test_exactly_once_a_message_under_an_id_that_is_used_again_has_its_own_result(
    app: App,
) -> None:
    seen = listening(app)

    @app.queue("thumbs", retry=TWICE)
    @app.publishes("made")
    async def make(number: int, message: QueueMessage, client: Client) -> int:
        return number

    async with TestHost(app) as test:
        for number in range(3):
            await test.client.enqueue("thumbs", number, message_id="cat-100")
            await test.idle()
    assert seen == [("make:1:cat-100", 0), ("make:2:cat-100", 1), ("make:3:cat-100", 2)]


async def test_no_silent_drop_results_of_two_functions_never_meet(app: App) -> None:
    seen = listening(app)

    @app.queue("a")
    @app.publishes("made")
    async def resize(name: str) -> str:
        return name

    @app.queue("b", name="resize-large")
    @app.publishes("made")
    async def other(name: str) -> str:
        return name

    async with TestHost(app) as test:
        await test.client.enqueue("a", "first", message_id="large-7")
        await test.client.enqueue("b", "second", message_id="7")
        await test.idle()
    assert sorted(data for _, data in seen) == ["first", "second"]


async def test_exactly_once_the_result_of_an_event_is_there_once_however_often_it_comes(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, runs = listening(app), list[int]()

    @app.subscribe("orders", retry=TWICE)
    @app.publishes("made")
    async def see_to(number: int) -> int:
        runs.append(number)
        return number

    async with TestHost(app) as test:
        storage = test.host.engine.storage
        publish = storage.publish

        async def published_and_lost(*arguments: Any) -> None:
            await publish(*arguments)
            if len(runs) == 1:
                raise ConnectionResetError("the answer is lost")

        await test.client.publish("orders", 7, event_id="o-7")
        monkeypatch.setattr(storage, "publish", published_and_lost)
        await test.advance(MINUTE)
    assert [data for _, data in seen] == [7]


async def test_an_id_that_is_too_long_to_be_joined_is_no_loss(app: App) -> None:
    seen = listening(app)

    @app.queue("a")
    @app.publishes("made")
    async def copy(number: int) -> int:
        return number

    async with TestHost(app) as test:
        await test.client.enqueue("a", 1, message_id="x" * 512)
        await test.client.enqueue("a", 2, message_id="x" * 511 + "y")
        await test.idle()
    assert [data for _, data in seen] == [1, 2]


# --- what is refused -------------------------------------------------------------------------


@dataclass
class Sighting:
    plate: str


class Renamed(Struct, rename="camel"):
    the_plate: str


class Fields(TypedDict):
    plate: str


class Pair(NamedTuple):
    plate: str


def publishing(app: App, kind: object, key: object) -> None:
    async def recognise(message: QueueMessage) -> None: ...

    recognise.__annotations__["return"] = kind
    app.queue("pictures")(app.publishes("plates", key=key)(recognise))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "key", "reason"),
    [
        (Sighting, 3, "key must be a text, got 3"),
        (Sighting, "", "key must be a text"),
        (Sighting, lambda one: one["plate"], "key must be a text"),
        (Sighting, "plaet", r"key='plaet'\) names no field of what it returns: it has 'plate'"),
        (Sighting | None, "plaet", "it has 'plate'"),
        (Renamed, "the_plate", "it has 'thePlate'"),
        (Fields, "plaet", "it has 'plate'"),
        (Pair, "plate", "it is no object"),
        (list[Sighting], "plate", "it is no object"),
        (int, "plate", "it is no object"),
    ],
)
def test_bad_input_is_refused_whole_a_key_that_no_result_has(
    app: App, kind: object, key: object, reason: str
) -> None:
    with pytest.raises(RegistrationError, match=reason) as raised:
        publishing(app, kind, key)
    assert f"{__file__}:" in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (Sighting, "plate"),
        (Sighting | None, "plate"),
        (Sighting | dict[str, str], "other"),
        (Renamed, "thePlate"),
        (Fields, "plate"),
        (dict[str, str], "any"),
        (Any, "any"),
        (None, "any"),
        ("Unknown", "any"),
    ],
)
def test_a_key_that_a_result_may_have_is_taken(app: App, kind: object, key: str) -> None:
    if kind == "Unknown":
        with pytest.raises(RegistrationError, match="an annotation cannot be resolved"):
            publishing(app, kind, key)
    else:
        publishing(app, kind, key)
