"""Inputs from blobs and outputs into them."""

from typing import Final

from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.values import datum_of, raw
from tenuto.interop.azure_services.connections import Accounts, ContainerClient
from tenuto.interop.workers.protocol import Datum

MOST_BYTES: Final = 256 * 1024 * 1024
"""A longer blob is not handed to a function: it would be in memory several times."""


def place_of(path: str) -> tuple[str, str]:
    """Container and blob.

    Raises:
        BindingError: it has not both.
    """
    container, _, blob = path.strip("/").partition("/")
    if not container or not blob:
        raise BindingError(f"{path!r} is no path of a blob, such as container/folder/name.txt")
    return container, blob


class BlobSource:
    """A blob.

    Args:
        accounts: The connections.
        connection: The account's; a secret.
        path: Container and blob; may have expressions.
        is_text: Whether the binding says that it is text.
    """

    def __init__(self, accounts: Accounts, connection: str, path: str, *, is_text: bool) -> None:
        self._accounts = accounts
        self._connection = connection
        self._path = path
        self._is_text = is_text

    async def read(self, data: CallData) -> Datum | None:
        """Its content; None when it is not there."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        container, name = place_of(data.fill(self._path))
        try:
            content = await content_of(
                self._accounts.container(self._connection, container), name
            )
        except ResourceNotFoundError:
            return None
        return datum_of(content.decode(errors="replace") if self._is_text else content)


async def content_of(container: ContainerClient, name: str) -> bytes:
    """What is in a blob.

    Raises:
        BindingError: it is too long.
    """
    found = await container.get_blob_client(name).download_blob()
    if found.size > MOST_BYTES:
        raise BindingError(f"blob {name!r} has {found.size:,} bytes; at most {MOST_BYTES:,} are")
    return bytes(await found.readall())


class BlobSink:
    """A blob; its container is made when it is not there. What it held before is replaced.

    Args:
        accounts: The connections.
        connection: The account's; a secret.
        path: Container and blob; may have expressions.
    """

    def __init__(self, accounts: Accounts, connection: str, path: str) -> None:
        self._accounts = accounts
        self._connection = connection
        self._path = path

    async def write(self, value: Datum, data: CallData) -> None:
        """Replace its content, at once for who reads it."""
        from azure.core.exceptions import (  # noqa: PLC0415 - an extra
            ResourceExistsError,
            ResourceNotFoundError,
        )

        place, name = place_of(data.fill(self._path))
        container = self._accounts.container(self._connection, place)
        content = raw(value)
        try:
            await container.upload_blob(name, content, overwrite=True)
        except ResourceNotFoundError:
            try:
                await container.create_container()
            except ResourceExistsError:  # somebody else was quicker
                pass
            await container.upload_blob(name, content, overwrite=True)
