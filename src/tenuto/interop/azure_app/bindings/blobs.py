"""Inputs from blobs and outputs into them."""

from tenuto.interop.azure_app.bindings.expressions import blotted
from tenuto.interop.azure_app.bindings.ports import BindingError, CallData
from tenuto.interop.azure_app.bindings.values import checked_name, datum_of, raw
from tenuto.interop.azure_services.blobs import UnfitBlobError, check_place, content_of
from tenuto.interop.azure_services.connections import Accounts, with_place
from tenuto.interop.workers.protocol import Datum


def place_of(path: str, data: CallData) -> tuple[str, str]:
    """Container and blob.

    What is filled in may come from anybody, and does not move the blob: the container ends where
    the path as it is written says so, if it has a slash, and no segment of the name stands for
    another folder, which clients and proxies would follow out of the container.

    Args:
        path: As the binding says; may have expressions.
        data: Of the call.

    Raises:
        BindingError: it has not both, or the blob would be in another place.
        ExpressionError: something of it is not known.
    """
    written = path.strip("/")
    end = blotted(written).find("/")
    if end < 0:  # all of it is filled in: whoever says that, says which container
        container, _, blob = data.fill(written).strip("/").partition("/")
    else:
        container, blob = data.fill(written[:end]), data.fill(written[end + 1 :])
    if not container or not blob:
        found = f"{container}/{blob}"
        raise BindingError(
            f"{found!r:.200} is no path of a blob, such as container/folder/name.txt"
        )
    checked_name(container, "a container")
    if "" in blob.split("/"):
        raise BindingError(
            f"{blob!r:.200} is no name of a blob here: a part of it between slashes is empty"
        )
    try:
        check_place(blob)
    except UnfitBlobError as error:
        raise BindingError(str(error)) from None
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

        container, name = place_of(self._path, data)
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
        place, name = place_of(self._path, data)
        container = self._accounts.container(self._connection, place)
        content = raw(value)
        await with_place(
            lambda: container.upload_blob(name, content, overwrite=True),
            container.create_container,
        )
