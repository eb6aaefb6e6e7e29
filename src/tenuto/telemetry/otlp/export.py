"""All that one host sends, as its settings say."""

import logging
import platform
from typing import Final

from opentelemetry.sdk.resources import Resource

from tenuto.engine.engine import Engine
from tenuto.engine.ports import Observer
from tenuto.telemetry.export_settings import Signal, TelemetrySettings
from tenuto.telemetry.metrics import MetricsObserver
from tenuto.telemetry.otlp.periodic import Periodic
from tenuto.telemetry.otlp.receivers import Receivers
from tenuto.telemetry.otlp.sending import Sending
from tenuto.telemetry.otlp.spans import SpanExport

_LEVELS: Final = {
    "opentelemetry.exporter": logging.CRITICAL,
    "azure.monitor.opentelemetry": logging.CRITICAL,
    "azure.core.pipeline.policies.http_logging_policy": logging.WARNING,
}
"""What is not taken the host says itself; unless the app has said how much these are to say."""


class Export:
    """Sends what a running host has to tell.

    Args:
        engine: Of the host.
        settings: Where to, and what.
        observer: Who is told what happens on the host; metrics are sent if it counts.
    """

    def __init__(self, engine: Engine, settings: TelemetrySettings, observer: Observer) -> None:
        self._settings = settings
        self._sending = Sending()
        self._receivers: list[Receivers] = []
        self._spans: SpanExport | None = None
        for name, level in _LEVELS.items():
            if (logger := logging.getLogger(name)).level == logging.NOTSET:
                logger.setLevel(level)
        service = {"service.name": settings.service}
        if "traces" in settings.send:
            # Of no host: what another one sends again must be the same.
            self._spans = SpanExport(
                engine, self._sending, self._to("traces"), Resource(service), settings.seconds
            )
        here = {"service.instance.id": f"{platform.node()}/{engine.origin}"}
        self._periodic = Periodic(
            engine, self._sending, Resource({**service, **here}), settings.seconds
        )
        if "metrics" in settings.send and isinstance(observer, MetricsObserver):
            self._periodic.send_metrics(observer, self._to("metrics"))
        if "logs" in settings.send:
            self._periodic.send_lines(settings.span_rules, self._to("logs"))

    def _to(self, signal: Signal) -> Receivers:
        receivers = Receivers(self._settings, signal)
        self._receivers.append(receivers)
        return receivers

    def start(self) -> None:
        """Send from now on."""
        if self._spans is not None:
            self._spans.start()
        self._periodic.start()

    async def stop(self) -> None:
        """Send what is there, once, and nothing more."""
        if self._spans is not None:
            await self._spans.stop()
        await self._periodic.stop()
        self._close()

    async def abandon(self) -> None:
        """Go as a process goes that dies."""
        if self._spans is not None:
            await self._spans.abandon()
        await self._periodic.abandon()
        self._close()

    def _close(self) -> None:
        for one in self._receivers:
            one.close()
        self._sending.close()
