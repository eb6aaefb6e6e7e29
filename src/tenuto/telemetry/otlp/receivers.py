"""Whom telemetry is sent to: a receiver of OTLP over HTTP, Azure's Application Insights, or both.

What is sent blocks: it is done in a thread. Whatever an exporter's package raises is a failure.
"""

import os
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

import requests
from msgspec import Struct
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from tenuto.model.errors import SettingsError
from tenuto.telemetry.export_settings import Signal, TelemetrySettings

_TIMEOUT_SECONDS: Final = 10
_NEVER_TAKEN: Final = frozenset({400, 413, 422})
"""What a receiver answers to what it will not take, however often it is sent."""

_TELLS_NOBODY: Final = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)
"""What keeps the package of Azure from telling Microsoft of its own use."""


class Verdict(Enum):
    """What became of something that was sent."""

    TAKEN = "taken"
    LATER = "later"
    """Not taken now: it is sent again."""
    NEVER = "never"
    """Refused for what it is."""


class _ToldSession(requests.Session):
    """Knows what the receiver has answered last."""

    status: int | None = None

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send, and note the answer."""
        self.status = None
        answer = super().send(request, **options)
        self.status = answer.status_code
        return answer


class _Receiver(Struct):
    """An exporter of one signal; ``answer`` is the status of its last answer, where known."""

    name: str
    exporter: Any
    answer: Callable[[], int | None]

    def send(self, things: object) -> Verdict:
        """Send, and wait for the answer."""
        try:
            result = self.exporter.export(things)
        except Exception:  # noqa: BLE001 - of a package: it did not get there
            return Verdict.LATER
        if result.name == "SUCCESS":
            return Verdict.TAKEN
        return Verdict.NEVER if self.answer() in _NEVER_TAKEN else Verdict.LATER


class Receivers:
    """All receivers of one signal.

    Args:
        settings: Where they are.
        signal: What they get.
    """

    def __init__(self, settings: TelemetrySettings, signal: Signal) -> None:
        self._receivers: list[_Receiver] = []
        self._taken: tuple[object, set[str]] = None, set()
        if settings.endpoint:
            self._receivers.append(_otlp(settings, signal))
        if settings.connection_string:
            self._receivers.append(_azure(settings, signal))

    def send(self, things: object, key: object = None) -> tuple[Verdict, str]:
        """Send to each; how the worst of them has answered, and which one that was.

        Args:
            things: What is sent.
            key: Who has taken what was sent under this key last does not get it again.
        """
        if key is None or self._taken[0] != key:
            self._taken = key, set()
        taken = self._taken[1]
        worst, who = Verdict.TAKEN, ""
        for one in self._receivers:
            if one.name in taken:
                continue
            verdict = one.send(things)
            if verdict is Verdict.TAKEN:
                taken.add(one.name)
            elif worst is not Verdict.LATER:
                worst, who = verdict, one.name
        return worst, who

    def close(self) -> None:
        """Send no more: what waits between two tries is given up."""
        for one in self._receivers:
            one.exporter.shutdown()


def _otlp(settings: TelemetrySettings, signal: Signal) -> _Receiver:
    kinds: dict[str, Any] = {
        "traces": OTLPSpanExporter,
        "metrics": OTLPMetricExporter,
        "logs": OTLPLogExporter,
    }
    session = _ToldSession()
    exporter = kinds[signal](
        endpoint=f"{settings.endpoint.rstrip('/')}/v1/{signal}",
        headers=settings.headers,
        timeout=_TIMEOUT_SECONDS,
        session=session,
    )
    return _Receiver("the receiver at telemetry.endpoint", exporter, lambda: session.status)


def _azure(settings: TelemetrySettings, signal: Signal) -> _Receiver:
    for name in _TELLS_NOBODY:
        os.environ.setdefault(name, "true")
    from azure.monitor.opentelemetry import exporter as azure  # noqa: PLC0415 - few have it

    kinds: dict[str, Any] = {
        "traces": azure.AzureMonitorTraceExporter,
        "metrics": azure.AzureMonitorMetricExporter,
        "logs": azure.AzureMonitorLogExporter,
    }
    answers: deque[int] = deque(maxlen=1)
    try:
        exporter = kinds[signal](
            connection_string=settings.connection_string,
            disable_offline_storage=True,  # what was not taken is in the store, or of this moment
            timeout=_TIMEOUT_SECONDS,
            raw_response_hook=lambda told: answers.append(told.http_response.status_code),
        )
    except ValueError:
        raise SettingsError(
            "telemetry.connection_string is none of Application Insights: it has an "
            "InstrumentationKey=… and an IngestionEndpoint=…, with ; between them"
        ) from None
    return _Receiver("Application Insights", exporter, lambda: answers[-1] if answers else None)
