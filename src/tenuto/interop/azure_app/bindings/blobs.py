"""Inputs from blobs and outputs into them."""

from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.values import datum_of, raw
from tenuto.interop.azure_services.blobs import content_of
from tenuto.interop.azure_services.connections import Accounts, with_place
from tenuto.interop.workers.protocol import Datum


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
        place = self._accounts.container(self._connection, container)
        try:
            found = await place.get_blob_client(name).download_blob()
            content = await content_of(found)
        except ResourceNotFoundError:
            return None
        return datum_of(content.decode(errors="replace") if self._is_text else content)


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
        place, name = place_of(data.fill(self._path))
        container = self._accounts.container(self._connection, place)
        content = raw(value)
        await with_place(
            lambda: container.upload_blob(name, content, overwrite=True),
            container.create_container,
        )
