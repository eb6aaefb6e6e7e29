"""What who holds the key of a link cannot do: speak for others, end others, fill the hub."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tenuto import App, Context, RuntimeStatus, Settings
from tenuto.client.client import Client
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.link.dialling import Line
from tenuto.link.translation import most_envelope
from tenuto.model.codec import encode
from tenuto.model.errors import UnauthorizedError
from tenuto.model.events import (
    ExecutionStarted,
    SubOrchestrationInstanceCompleted,
)
from tenuto.model.ids import ExecutionId, InstanceId, child_instance_id, new_execution_id
from tenuto.model.limits import Limits
from tenuto.model.linking import MESSAGE, Envelope, Frame, Parcel, Place
from tenuto.model.messages import ChildResult, Message, Start, Terminate
from tenuto.model.status import ParentInstance
from tests.support.waiting import until_given

PATIENCE_SECONDS = 10
SMALL = Limits(payload_bytes=1_000)

app = App()


@app.orchestrator
async def wait(ctx: Context) -> str:
    return await ctx.wait_for_external_event("go", str)


@app.orchestrator
async def ask(ctx: Context, hubs: list[str]) -> list[str]:
    """Calls a child on each hub, one of its own, and waits for all."""
    calls = [ctx.call_sub_orchestrator("measure", on=hub) for hub in hubs]
    calls.append(ctx.call_sub_orchestrator("wait"))
    return [str(await call) for call in calls]


class Box:
    """A device that says whatever it likes.

    Attributes:
        line: To the hub.
    """

    def __init__(self, url: str, name: str, key: str) -> None:
        self.line = Line(url, name, key)
        self._sent = 0

    async def say(self, to: str, message: Message) -> Place:
        """Send a message to an instance."""
        self._sent += 1
        envelope = Envelope(kind=MESSAGE, to=InstanceId(to), message=Raw(encode(message)))
        text = encode(envelope).decode()
        frame = Frame(sequence=self._sent, text=text, of=len(text))
        return await self.line.bring(Parcel(life="abc", frames=[frame]))

    async def call(self) -> ParentInstance:
        """The next call that comes to it: who has called."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            parcel = await self.line.fetch("abc", Place(received=0), 100_000)
        start = msgspec.json.decode(parcel.frames[0].text)["message"]["event"]
        return msgspec.convert(start["parent"], ParentInstance)


def answer(parent: ParentInstance, task_id: int, text: str) -> ChildResult:
    event = SubOrchestrationInstanceCompleted(task_id, msgspec.json.encode(text).decode())
    return ChildResult(execution_id=parent.execution_id, event=event)


def start(name: str, execution_id: ExecutionId | None = None, **rest: Any) -> Start:
    event = ExecutionStarted(name, execution_id or new_execution_id(1), **rest)
    return Start(event=event)


@asynccontextmanager
async def boxes(
    *names: str, limits: Limits | None = None
) -> AsyncIterator[tuple[Server, Client, list[Box]]]:
    """A hub, and devices that are let in."""
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0), limits=limits or Limits())
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Server(app, settings=settings))
        found = []
        for name in names:
            key = await hub.host.links.let_in(name)
            box = Box(hub.url, name, key)
            stack.push_async_callback(box.line.close)
            found.append(box)
        yield hub, hub.host.client, found


async def running(client: Client, instance_id: str) -> None:
    async def has_begun() -> bool:
        found = await client.get_status(instance_id)
        return found is not None and found.runtime_status is RuntimeStatus.RUNNING

    async with asyncio.timeout(PATIENCE_SECONDS):
        await until_given(has_begun)


async def test_an_answer_counts_only_from_the_hub_that_was_asked() -> None:
    async with boxes("box", "far") as (_, client, (box, far)):
        handle = await client.start(ask, ["box", "far"], instance_id="boss")
        parent = await box.call()
        own, of_far, of_hub = (parent.task_scheduled_id + more for more in range(3))
        for box_or_far, number in ((box, of_far), (box, of_hub), (far, own), (far, of_hub)):
            await box_or_far.say("boss", answer(parent, number, "forged"))
        await box.say("boss", answer(parent, own, "box"))
        await far.say("boss", answer(parent, of_far, "far"))
        child = child_instance_id(parent.execution_id, of_hub)
        await client.raise_event(child, "go", "own")
        assert await handle.result() == ["box", "far", "own"]


async def test_an_end_counts_only_from_the_hub_that_has_called() -> None:
    async with boxes("box", "far") as (_, client, (box, far)):
        await client.start(ask, ["box"], instance_id="boss")
        parent = await box.call()
        child = child_instance_id(parent.execution_id, parent.task_scheduled_id + 1)
        await running(client, child)
        end = Terminate(
            recurse=True, child_of=parent.execution_id, task_id=parent.task_scheduled_id + 1
        )
        await box.say(child, end)
        caller = ParentInstance(InstanceId("m"), ExecutionId("e" * 32), "measure", 3)
        await box.say("mine", start("wait", parent=caller))
        await running(client, "mine")
        own = Terminate(child_of=caller.execution_id, task_id=3)
        await far.say("mine", own)
        await client.raise_event(child, "go", "ended by nobody")
        await running(client, "mine")
        await box.say("mine", own)

        async def is_ended() -> bool:
            found = await client.get_status("mine")
            return found is not None and found.runtime_status is RuntimeStatus.TERMINATED

        async with asyncio.timeout(PATIENCE_SECONDS):
            await until_given(is_ended)
        assert (await client.wait(child)).output == "ended by nobody"


async def test_a_start_neither_ends_who_runs_nor_takes_the_id_of_a_child() -> None:
    async with boxes("box") as (_, client, (box,)):
        handle = await client.start(wait, instance_id="victim")
        await running(client, "victim")
        message = start("wait")
        everyone = msgspec.structs.replace(message, reuse=frozenset(RuntimeStatus))
        place = await box.say("victim", everyone)
        assert place.refused is not None
        assert "only when it has ended" in place.refused.reason
        box._sent = place.received
        await box.say("victim", message)
        await client.start(ask, ["box"], instance_id="boss")
        parent = (await box.call()).execution_id
        claimed = ParentInstance(InstanceId("x"), parent, "n", 99)
        place = await box.say(child_instance_id(parent, 9), start("wait", parent=claimed))
        assert place.refused is not None
        await client.raise_event("victim", "go", "alive")
        assert await handle.result() == "alive"


def piece(sequence: int, at: int, text: str, of: int) -> Parcel:
    return Parcel(life="abc", frames=[Frame(sequence=sequence, text=text, at=at, of=of)])


async def test_a_message_without_end_is_refused_at_its_first_piece() -> None:
    async with boxes("box", limits=SMALL) as (hub, _, (box,)):
        most = most_envelope(SMALL)
        place = await box.line.bring(piece(1, 0, "x", most + 1))
        assert place.refused is not None
        assert "limits.payload_bytes" in place.refused.reason
        assert (place.piece_of, place.held) == (0, 0)
        # Characters of several bytes count as what they are.
        wide, at, refused = "\N{PILE OF POO}" * 500_000, 0, None
        while refused is None:
            place = await box.line.bring(piece(1, at, wide, most))
            at, refused = place.held, place.refused
        assert at == 0
        assert (await hub.host.links.list())[0].held_bytes == 0


async def test_of_one_message_at_a_time_there_are_pieces_and_they_count() -> None:
    async with boxes("box") as (hub, _, (box,)):
        for sequence in range(1, 5):
            await box.line.bring(piece(sequence, 0, "x" * 1_000, 2_000))
        (link,) = await hub.host.links.list()
        assert link.held_bytes == 1_000
        place = await box.line.bring(piece(4, 1_000, "x" * 1_000, 2_000))
        assert place.refused is not None
        assert "cannot be read" in place.refused.reason
        assert (await hub.host.links.list())[0].held_bytes == 0
        place = await box.line.bring(piece(4, 1_000, "", 1_000))  # nothing is left to put together
        assert place == Place(received=0)


async def test_a_key_that_was_replaced_gets_nothing_even_where_it_waits() -> None:
    async with boxes("box") as (hub, client, (box,)):
        waiting = asyncio.ensure_future(box.line.fetch("abc", Place(received=0), 1_000))

        async def waits() -> bool:
            return (await hub.host.links.list())[0].heard_at is not None

        await until_given(waits)
        await hub.host.links.let_in("box")
        await client.publish("box/secret", "for the new one")
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(UnauthorizedError, match="does not open the link"):
                await waiting


async def test_no_key_and_a_wrong_one_are_told_apart() -> None:
    async with boxes("box") as (hub, _, _boxes):
        for key, words in (("wrong", "does not open"), ("", "needs the key")):
            line = Line(hub.url, "box", key)
            try:
                with pytest.raises(UnauthorizedError, match=words):
                    await line.bring(Parcel(life="abc"))
            finally:
                await line.close()
