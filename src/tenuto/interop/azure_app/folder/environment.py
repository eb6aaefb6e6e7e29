"""The environment of an app's worker processes."""

from typing import Final

from tenuto.interop.azure_app.folder.app_folder import WORKER_RUNTIME, AppFolder
from tenuto.interop.azure_app.folder.languages import Language

_OF_THE_HOST: Final = {"TENUTO_HTTP_KEY", "TENUTO_HTTP_KEYS", "TENUTO_AZURE_CONNECTION_STRING"}
"""Keys that open the host, or a mirror: an app gets them only where its own settings hold them."""
_EVERYWHERE: Final = {"0.0.0.0", "::", "[::]", ""}  # noqa: S104 - compared


def environment_for(app: AppFolder, address: str) -> dict[str, str]:
    """The variables that a worker of an app is started with.

    Args:
        app: The app.
        address: Where the server listens, ``host:port``. An address that means all of them is
            replaced: packages refuse to make links of it.

    Example:
        ``environment_for(app, "127.0.0.1:7071")["WEBSITE_HOSTNAME"]``
    """
    variables = app.settings.environment(withheld=_OF_THE_HOST)
    variables.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    if app.kind.language is Language.PYTHON:
        # What user code prints is seen line by line, as it is printed.
        variables.setdefault("PYTHONUNBUFFERED", "1")
        variables.setdefault("PYTHONIOENCODING", "utf-8")
    return variables | {
        WORKER_RUNTIME: app.kind.language.value,
        "AzureWebJobsScriptRoot": str(app.root),
        "WEBSITE_HOSTNAME": _reachable(address),
    }


def _reachable(address: str) -> str:
    host, _colon, port = address.rpartition(":")
    return f"localhost:{port}" if host in _EVERYWHERE else address
