"""Sends metrics and lines now and then, each once: what is not taken goes."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import Final

from opentelemetry.sdk.resources import Resource

from tenuto.engine.engine import Engine
from tenuto.model.spans import SpanRules
from tenuto.telemetry.metrics import MetricsObserver
from tenuto.telemetry.otlp.logs import LineKeeper
from tenuto.telemetry.otlp.metrics import MetricTranslation
from tenuto.telemetry.otlp.receivers import Receivers, Verdict
from tenuto.telemetry.otlp.sending import Sending

_STOP_SECONDS: Final = 3.0


class Periodic:
    """Sends what this process has to tell of itself.

    Args:
        engine: Of the host.
        sending: The thread.
        resource: Whose it is.
        seconds: How often.
    """

    def __init__(
        self, engine: Engine, sending: Sending, resource: Resource, seconds: float
    ) -> None:
        self._engine = engine
        self._sending = sending
        self._resource = resource
        self._seconds = seconds
        self._metrics: tuple[MetricsObserver, Receivers] | None = None
        self._translation = MetricTranslation(resource)
        self._lines: tuple[LineKeeper, Receivers] | None = None
        self._task: asyncio.Task[None] | None = None
        self._failing: set[str] = set()
        self._is_over = asyncio.Event()

    def send_metrics(self, observer: MetricsObserver, receivers: Receivers) -> None:
        """Send what this observer counts."""
        self._metrics = observer, receivers

    def send_lines(self, rules: SpanRules | None, receivers: Receivers) -> None:
        """Send what is logged from now on."""
        keeper = LineKeeper(self._resource, rules)
        logging.getLogger().addHandler(keeper)
        self._lines = keeper, receivers

    def start(self) -> None:
        """Send from now on."""
        self._task = self._engine.loop.create_task(self._run(), name="tenuto-telemetry")

    async def stop(self) -> None:
        """Send what there is, once, and nothing more."""
        self._is_over.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_STOP_SECONDS)
        await self.abandon()

    async def abandon(self) -> None:
        """Send nothing more."""
        if self._lines is not None:
            logging.getLogger().removeHandler(self._lines[0])
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._is_over.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._is_over.wait()
            if not (self._is_over.is_set() and self._failing):
                await self._send()

    async def _send(self) -> None:
        if self._metrics is not None:
            observer, receivers = self._metrics
            await observer.refresh()
            data = self._translation.data(observer.families())
            verdict, who = await self._sending.run(partial(receivers.send, data))
            self._tell("metrics", verdict, who)
        if self._lines is not None:
            keeper, receivers = self._lines
            lines = keeper.take()
            if lines:
                verdict, who = await self._sending.run(partial(receivers.send, lines))
                self._tell("lines", verdict, who)

    def _tell(self, what: str, verdict: Verdict, who: str) -> None:
        observer = self._engine.observer
        if verdict is Verdict.TAKEN:
            if what in self._failing:
                self._failing.discard(what)
                observer.notice(f"{what} are taken again")
        elif what not in self._failing:
            self._failing.add(what)
            observer.problem(
                None, f"{what} get lost: {who} does not take them; the store keeps none of these"
            )
