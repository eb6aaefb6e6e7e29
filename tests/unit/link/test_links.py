"""Which links a host has, and who is let in."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec import structs

from tenuto.engine.engine import Engine
from tenuto.engine.moves import Moves
from tenuto.link import links as links_module
from tenuto.link.end import LinkEnd
from tenuto.link.links import Links, digest_of
from tenuto.link.options import LinkSettings
from tenuto.model.limits import Limits
from tenuto.model.linking import LinkedHub

KEY = "k" * 43
SETTINGS = LinkSettings()


class Dialled:
    """Takes the place of who dials: nothing goes over a line."""

    up: set[str]

    def __init__(self, end: LinkEnd, _line: object, _life: str, _pause: float) -> None:
        self.name: str = end.name

    def start(self) -> None:
        self.up.add(self.name)

    async def stop(self) -> None:
        self.up.discard(self.name)


class Store:
    """Links, and what was asked, in order.

    Attributes:
        hubs_now: The links that there are.
        gate: Whoever has read them is answered when this is set.
    """

    def __init__(self, *hubs: LinkedHub) -> None:
        self.hubs_now = list(hubs)
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None
        self.linking = self

    async def hubs(self) -> list[LinkedHub]:
        found, gate = list(self.hubs_now), self.gate
        await asyncio.sleep(0)
        if gate is not None:
            await gate.wait()
        return found

    async def life(self) -> str:
        return "here"

    async def bury(self, _now: int) -> None:
        self.asked.append("bury")

    async def passed(self) -> None:
        """Of the pipeline."""
        await asyncio.sleep(0)
        self.asked.append("passed")

    def on_change(self, *_tell: object) -> None: ...


async def links_on(store: Store) -> Links:
    engine: Any = SimpleNamespace(
        storage=store,
        outside=SimpleNamespace(know=lambda _hubs: None),
        pipeline=store,
        clock=SimpleNamespace(now=lambda: 1),
        observer=None,
        options=SimpleNamespace(limits=Limits()),
        moves=Moves(),
        find=lambda _name: SimpleNamespace(is_closing=False),
    )
    links = Links(cast("Engine", engine), SETTINGS, lambda: None)
    await links.start(1)
    return links


@pytest.fixture(autouse=True)
def dialling(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The links that are dialled now."""
    Dialled.up = set()
    monkeypatch.setattr(links_module, "Dialling", Dialled)
    return Dialled.up


def dials_us(name: str = "box", key: str = KEY) -> LinkedHub:
    return LinkedHub(name=name, key=digest_of(key))


def we_dial(name: str = "hub", key: str = KEY) -> LinkedHub:
    return LinkedHub(name=name, url="http://hub", called="box", key=key)


async def test_a_link_is_opened_by_its_key_and_by_nothing_else() -> None:
    links = await links_on(Store(dials_us(), dials_us("other", "o" * 43)))
    end = links.opened("box", KEY)
    assert end is not None
    assert end.name == "box"
    for name, key in (("box", "o" * 43), ("box", digest_of(KEY)), ("nowhere", KEY), ("box", "x")):
        assert links.opened(name, key) is None
    for name in ("box", "other", "nowhere"):
        assert links.opened(name, None) is None
        assert links.opened(name, "") is None


async def test_nobody_opens_a_link_with_an_empty_key_whatever_the_store_holds() -> None:
    links = await links_on(Store(dials_us("empty", "")))
    assert links.opened("empty", "") is None
    assert links.opened("empty", None) is None


@pytest.mark.parametrize("kept", [KEY, digest_of(KEY), digest_of("")])
async def test_a_link_that_this_hub_dials_is_opened_by_nobody(kept: str) -> None:
    """What it keeps is a key, not a digest; who knows a text with that digest is nobody's hub."""
    links = await links_on(Store(we_dial(key=kept)))
    for key in (None, "", KEY, kept):
        assert links.opened("hub", key) is None


async def test_no_silent_drop_what_was_decided_for_a_link_that_goes_is_buried_when_it_is_durable(
    dialling: set[str],
) -> None:
    store = Store(we_dial(), dials_us())
    links = await links_on(store)
    assert store.asked == ["passed", "bury"]
    assert dialling == {"hub"}
    await links.refresh()
    assert store.asked == ["passed", "bury"]
    store.hubs_now = [dials_us()]
    await links.refresh()
    assert store.asked == ["passed", "bury"] * 2
    assert dialling == set()
    assert links.opened("box", KEY) is not None


async def test_nobody_is_dialled_after_the_host_has_stopped(dialling: set[str]) -> None:
    store = Store()
    links = await links_on(store)
    store.hubs_now, store.gate = [we_dial()], asyncio.Event()
    late = asyncio.create_task(links.refresh())
    await asyncio.sleep(0)
    await links.stop()
    store.gate.set()
    await late
    assert dialling == set()


async def test_who_reads_links_late_does_not_undo_what_another_has_read(
    dialling: set[str],
) -> None:
    store = Store(we_dial())
    links = await links_on(store)
    store.gate = gate = asyncio.Event()
    slow = asyncio.create_task(links.refresh())
    await asyncio.sleep(0)
    store.hubs_now = [we_dial(), we_dial("second")]
    store.gate = None
    quick = asyncio.create_task(links.refresh())
    for _ in range(5):
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(slow, quick)
    assert dialling == {"hub", "second"}


async def test_another_key_for_a_link_closes_it_to_the_old_one() -> None:
    store = Store(dials_us())
    links = await links_on(store)
    store.hubs_now = [structs.replace(dials_us(), key=digest_of("n" * 43))]
    await links.refresh()
    assert links.opened("box", KEY) is None
    assert links.opened("box", "n" * 43) is not None
