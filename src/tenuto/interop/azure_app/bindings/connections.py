"""Which account a binding's ``connection`` names, in the settings of its app."""

from collections.abc import Mapping
from typing import Any, Final

from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_services.connections import is_of_tenuto, parts_of

USUAL: Final = "AzureWebJobsStorage"


def connection_name(binding: Mapping[str, Any]) -> str:
    """The setting that a binding names; the usual one when it names none."""
    return str(binding.get("connection") or USUAL)


def connection_of(binding: Mapping[str, Any], settings: AppSettings) -> str | None:
    """The connection string of a binding; None for Tenuto's own, where none is set.

    Raises:
        SettingsError: what is set is no connection string.
    """
    name = connection_name(binding)
    found = settings.get(
        f"AzureWebJobs{name}", name, f"ConnectionStrings:{name}", f"ConnectionStrings__{name}"
    )
    if found is None or is_of_tenuto(found):
        return None
    parts_of(found)
    return found


def has_identity(binding: Mapping[str, Any], settings: AppSettings) -> bool:
    """Whether a binding's connection is an identity, several settings below the name."""
    return next(iter(settings.below(connection_name(binding))), None) is not None
