"""Sending traces, metrics and logs on, as far as a host need know: what does it is an extra."""

from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from tenuto.engine.ports import Observer
from tenuto.model.errors import SettingsError
from tenuto.telemetry.export_settings import TelemetrySettings

if TYPE_CHECKING:
    from tenuto.engine.engine import Engine

_EXPORT: Final = "tenuto.telemetry.otlp.export"
_NEEDED: Final = (
    ("endpoint", "opentelemetry.exporter.otlp.proto.http", "otel"),
    ("connection_string", "azure.monitor.opentelemetry.exporter", "otel-azure"),
)


class Exporting(Protocol):
    """Sends what a running host has to tell."""

    def start(self) -> None:
        """Send from now on."""

    async def stop(self) -> None:
        """Send what is there, once, and nothing more."""

    async def abandon(self) -> None:
        """Go as a process goes that dies."""


def check_installed(settings: TelemetrySettings) -> None:
    """Refuse settings whose packages are not there.

    Raises:
        SettingsError: saying what to install.
    """
    for name, package, extra in _NEEDED:
        if not getattr(settings, name):
            continue
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"telemetry.{name} is set, and the package {error.name!r} is not installed: pip "
                f'install "tenuto[{extra}]"'
            ) from None


def new_export(engine: "Engine", settings: TelemetrySettings, observer: Observer) -> Exporting:
    """What sends for a host; ``check_installed`` was asked before.

    Args:
        engine: Of the host.
        settings: Where to, and what.
        observer: Who is told what happens on the host: it may count.
    """
    made: Exporting = import_module(_EXPORT).Export(engine, settings, observer)
    return made
