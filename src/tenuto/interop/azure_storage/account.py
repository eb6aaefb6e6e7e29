"""An account of Azure Storage: tables and blobs, opened and closed, and its errors in our words.

A connection string holds the key of the account: it is kept in no attribute and told in no message.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from importlib import import_module
from typing import Any, Final, NamedTuple

from tenuto.model.errors import (
    AzurePackagesError,
    AzureStorageError,
    AzureUnavailableError,
    SettingsError,
)

_BLOB_VERSION: Final = "2023-11-03"
"""Of the protocol: old enough for every emulator."""
_CONNECT_SECONDS: Final = 10
_READ_SECONDS: Final = 60
# Whoever calls tries again, and says so.
_OPTIONS: Final = {
    "retry_total": 0,
    "connection_timeout": _CONNECT_SECONDS,
    "read_timeout": _READ_SECONDS,
}
_EMULATOR: Final = "UseDevelopmentStorage=true"
_EMULATOR_ACCOUNT: Final = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey="
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
    "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1"
)
"""Published, and the same for every emulator."""
_BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class Account(NamedTuple):
    """The clients of the packages, which have no types here."""

    tables: Any
    blobs: Any

    @property
    def blob_root(self) -> str:
        """The address of its blobs, without what a signature would add."""
        return str(self.blobs.url).partition("?")[0].rstrip("/")


@asynccontextmanager
async def opened(connection_string: str) -> AsyncIterator[Account]:
    """An account, closed at the end. Nothing is asked of it yet.

    Args:
        connection_string: As Azure's portal shows it; ``UseDevelopmentStorage=true`` for an
            emulator with the usual ports.

    Raises:
        AzurePackagesError: the extra is not installed.
        SettingsError: it is no connection string.
    """
    tables, blobs = _packages()
    if connection_string.strip().rstrip(";") == _EMULATOR:
        connection_string = _EMULATOR_ACCOUNT
    try:
        account = Account(
            tables.TableServiceClient.from_connection_string(connection_string, **_OPTIONS),
            blobs.BlobServiceClient.from_connection_string(
                connection_string, api_version=_BLOB_VERSION, **_OPTIONS
            ),
        )
    except ValueError:
        # What the packages say of it may repeat a part.
        raise SettingsError(
            "the connection string of Azure Storage is not understood; copy it from the portal "
            "(Access keys): DefaultEndpointsProtocol=https;AccountName=...;AccountKey=..."
        ) from None
    async with account.tables, account.blobs:
        yield account


def _packages() -> tuple[Any, Any]:
    try:
        import_module("aiohttp")  # the packages import it when they connect
        return import_module("azure.data.tables.aio"), import_module("azure.storage.blob.aio")
    except ImportError as error:
        raise AzurePackagesError(
            f"the packages of Azure are not installed ({error}): pip install 'tenuto[azure]'"
        ) from None


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the packages' errors into ours.

    Args:
        doing: What was being done, such as ``write to table 'ShopHistory'``.

    Raises:
        AzureUnavailableError: it may go well later.
        AzureStorageError: it will not, as it is.
    """
    exceptions: Any = import_module("azure.core.exceptions")
    try:
        yield
    except exceptions.HttpResponseError as error:
        status = int(error.status_code or 0)
        code = getattr(error, "error_code", None) or error.reason or type(error).__name__
        told = (
            f"cannot {doing} in Azure Storage: it answers {status} {getattr(code, 'value', code)}"
        )
        if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AzureUnavailableError(
                f"{told}; it may be there again later", status=status
            ) from None
        raise AzureStorageError(f"{told}; {_advice(status)}", status=status) from None
    except exceptions.AzureError as error:
        told = str(error).partition("\n")[0]
        raise AzureUnavailableError(
            f"cannot {doing} in Azure Storage: it cannot be reached ({told})"
        ) from None


def _advice(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "look at the connection string: its key is not one of the account, or lacks rights"
    return "see what its documentation says of that code"
