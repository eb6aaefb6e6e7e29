"""Receipts: which blobs a function was run for, in the account itself, so that it moves with them.

One for each blob, as long as that is there: for which content, how many attempts have begun, and
whether it is done with. An attempt is noted before it begins, so that it counts when the host dies.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from tenuto.interop.azure_services.connections import ContainerClient, with_place

CONTAINER: Final = "azure-webjobs-hosts"
"""Where the original keeps its own."""


class Receipt(Struct, frozen=True):
    """What is known of a blob.

    Attributes:
        etag: Of its content.
        attempts: So many have begun.
        is_over: Whether it is done with, well or not.
    """

    etag: str
    attempts: int
    is_over: bool


class Receipts:
    """Those of one function.

    Args:
        container: Where they are.
        owner: Whose they are: an app and a function.
        watched: The container of the blobs.
    """

    def __init__(self, container: ContainerClient, owner: str, watched: str) -> None:
        self._container = container
        self._prefix = f"blobreceipts/tenuto/{owner}/"
        self._watched = watched
        self._known: dict[str, Receipt] = {}

    async def load(self) -> None:
        """Read all of them."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        self._known = {}
        try:
            async for one in self._container.list_blobs(self._prefix, include=["metadata"]):
                said = one.metadata or {}
                self._known[str(one.name)] = Receipt(
                    said.get("etag", ""), int(said.get("attempts", 0)), said.get("over") == "1"
                )
        except ResourceNotFoundError:  # nobody has written one yet
            return

    def of(self, blob: str) -> Receipt | None:
        """What is known of a blob."""
        return self._known.get(self._name(blob))

    async def note(self, blob: str, receipt: Receipt) -> None:
        """Keep what is known of a blob; returns when it is durable."""
        name = self._name(blob)
        said = {
            "etag": receipt.etag,
            "attempts": str(receipt.attempts),
            "over": "1" if receipt.is_over else "0",
        }
        await with_place(
            lambda: self._container.upload_blob(name, b"", overwrite=True, metadata=said),
            self._container.create_container,
        )
        self._known[name] = receipt

    async def keep_only(self, blobs: Iterable[str]) -> None:
        """Forget blobs that are not there any more."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - an extra

        kept = {self._name(one) for one in blobs}
        for name in [one for one in self._known if one not in kept]:
            del self._known[name]
            try:
                await self._container.delete_blob(name)
            except ResourceNotFoundError:  # gone already
                continue

    def _name(self, blob: str) -> str:
        # By its hash: a name may be as long as one may be.
        return self._prefix + hashlib.sha256(f"{self._watched}/{blob}".encode()).hexdigest()
