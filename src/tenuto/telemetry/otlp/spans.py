"""Takes spans out of the store and sends them: each until a receiver has said that it has it.

They wait in a topic, where the commits have put them (``engine.spans``). Who owns the partition of
its name sends them and notes, under that lease, how far it is; whoever comes after it goes on from
there. So a span is sent once at least, with the same ids and the same content each time, which
receivers take for one. What is not taken in time goes by the retention of topics, which says so.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from tenuto.engine.engine import Engine
from tenuto.engine.news import more_than_messages
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Place, Progress, TrimPoint
from tenuto.model.codec import READ_ERRORS
from tenuto.model.errors import FencedError, StorageError
from tenuto.model.ids import InstanceId
from tenuto.model.spans import TOPIC, SpanRow
from tenuto.model.topics import StoredEvent
from tenuto.telemetry.otlp.receivers import Receivers, Verdict
from tenuto.telemetry.otlp.sending import Sending
from tenuto.telemetry.otlp.translation import readable

_PAGE: Final = 200
_STOP_SECONDS: Final = 3.0
"""A host that stops does not wait longer for a receiver: the rest is sent by the next one."""
_PAGE_BYTES: Final = 1024 * 1024
_TRIMMED: Final = 500
_LONGEST_PAUSE_SECONDS: Final = 60.0


class SpanExport:
    """Sends the spans of a hub, on one host.

    Args:
        engine: Knows which partitions are ours, and has the store.
        sending: The thread.
        receivers: Who gets them.
        resource: Whose they are.
        seconds: How long they may wait.
    """

    def __init__(
        self,
        engine: Engine,
        sending: Sending,
        receivers: Receivers,
        resource: Resource,
        seconds: float,
    ) -> None:
        self._engine = engine
        self._sending = sending
        self._receivers = receivers
        self._resource = resource
        self._seconds = seconds
        self._pause = seconds
        self._next: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_news = False
        self._failures = 0
        self._is_stopped = False
        self._limit = _PAGE
        self._at: tuple[Lease, int] | None = None

    def start(self) -> None:
        """Send what is there, from now on also what comes."""
        engine = self._engine
        engine.release.on_spans.append(self._written)
        engine.moves.owned.append(self._written)
        engine.storage.on_change(self._written, more_than_messages)
        self._written()

    async def stop(self) -> None:
        """Send what is there, once, and nothing more; what is not taken stays in the store."""
        self._leave()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        if self._has_news and not self._failures:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    await self._run()

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        self._leave()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _leave(self) -> None:
        self._is_stopped = True
        engine = self._engine
        if self._written in engine.release.on_spans:
            engine.release.on_spans.remove(self._written)
            engine.moves.owned.remove(self._written)
        if self._next is not None:
            self._next.cancel()

    def _written(self) -> None:
        """There may be spans."""
        self._has_news = True
        self._look_in(self._pause)

    def _look_in(self, seconds: float) -> None:
        if self._next is None and self._task is None and not self._is_stopped:
            self._next = self._engine.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._next = None
        self._task = self._engine.loop.create_task(self._run(), name="tenuto-spans")
        self._task.add_done_callback(self._looked)

    def _looked(self, _task: object) -> None:
        self._task = None
        if self._has_news:
            self._look_in(self._pause)

    @property
    def _lease(self) -> Lease | None:
        home = self._engine.find(InstanceId(TOPIC))
        return None if home is None or self._engine.gone is not None else home.lease

    async def _run(self) -> None:
        lease = self._lease
        self._has_news = False
        if lease is None:
            return
        try:
            while await self._send_page(lease):
                pass
        except FencedError:
            self._at = None  # another host has it
        except StorageError as error:
            self._later(f"the store cannot be read or written: {error}")
        except Exception as error:  # noqa: BLE001 - a background loop: told, and tried again
            self._later(f"{type(error).__name__}: {error}")

    async def _send_page(self, lease: Lease) -> bool:
        """Send the next spans; whether there may be more, and they may be sent now."""
        storage = self._engine.storage
        position = await self._position(lease)
        events = await storage.events(TOPIC, position, self._limit, _PAGE_BYTES)
        if not events:
            return False
        verdict, who = await self._sent(events)
        if verdict is Verdict.NEVER and len(events) > 1:  # it is the fault of one of them, or some
            for event in events:
                verdict, who = await self._sent([event])
                if verdict is Verdict.LATER:
                    break
                if verdict is Verdict.NEVER:
                    self._refused(f"{who} refuses them for what they are", event)
                await self._note(lease, event.position)
        elif verdict is Verdict.NEVER:
            self._refused(f"{who} refuses them for what they are", events[0])
        if verdict is Verdict.LATER:
            self._limit = len(events)  # the same, for those who have it already
            self._later(f"{who} does not take them")
            return False
        await self._note(lease, events[-1].position)
        self._taken()
        return len(events) > 1

    async def _sent(self, events: Sequence[StoredEvent]) -> tuple[Verdict, str]:
        resource = self._resource
        spans: list[ReadableSpan] = []
        for one in events:
            try:
                spans += [readable(span, resource) for span in SpanRow.read(one.event).data]
            except (*READ_ERRORS, ValueError, TypeError) as error:  # nobody here has written it
                self._refused(f"they are none: {error}", one)
        if not spans:
            return Verdict.TAKEN, ""
        key = events[0].position, events[-1].position
        return await self._sending.run(partial(self._receivers.send, spans, key))

    async def _position(self, lease: Lease) -> int:
        if self._at is None or self._at[0] != lease:
            places = await self._engine.storage.places([TOPIC])
            # Written even when it is known: so it is seen how many wait, and who serves it.
            await self._write(lease, max((one.position for one in places), default=0))
            assert self._at is not None
        return self._at[1]

    async def _note(self, lease: Lease, position: int) -> None:
        await self._write(lease, position)
        await self._engine.storage.trim(TOPIC, TrimPoint(position=position), _TRIMMED)

    async def _write(self, lease: Lease, position: int) -> None:
        progress = Progress(place=Place(TOPIC, TOPIC, position), at=self._engine.clock.now())
        await self._engine.storage.write_progress(lease, [progress])
        self._at = lease, position

    def _refused(self, why: str, event: StoredEvent) -> None:
        try:
            whose = SpanRow.read(event.event).subject
        except READ_ERRORS:
            whose = event.event_id
        self._engine.observer.problem(None, f"spans of {whose!r:.300} are dropped: {why}")

    def _later(self, why: str) -> None:
        self._has_news = True
        self._failures += 1
        self._pause = min(max(2 * self._pause, 1.0), _LONGEST_PAUSE_SECONDS)
        if self._failures & (self._failures - 1) == 0:  # ever more rarely
            self._engine.observer.problem(
                None,
                f"spans wait in the store, and are sent again in {self._pause:g} s: {why}; "
                "`tenuto topics list` shows how many wait",
            )

    def _taken(self) -> None:
        if self._failures:
            self._engine.observer.notice("spans are taken again")
        self._failures = 0
        self._limit = _PAGE
        self._pause = self._seconds
