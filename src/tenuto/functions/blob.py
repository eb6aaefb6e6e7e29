"""What a function is given that a blob of Azure Storage starts."""

from collections.abc import Mapping

from msgspec import Struct


class Blob(Struct, frozen=True, kw_only=True):
    """A blob of Azure Storage that is new or has changed.

    Attributes:
        container: Where it is.
        name: Its name in there, with folders.
        data: Its content.
        fields: What the parts of the pattern are: ``{"name": "7"}`` for ``plates/{name}.jpg``.
        etag: Of this content: work that must not be done twice is done under blob and etag.
        url: Where it is read, without anything secret.
        content_type: As it was uploaded; None when nothing was said.
        metadata: Text to text, as it was uploaded.
        attempt: Which attempt this is, from 1.

    Example:
        ::

            @app.blob("plates/{name}.jpg")
            async def recognise(blob: Blob, client: Client) -> None:
                await client.start(read_plate, blob.fields["name"], instance_id=blob.etag)
    """

    container: str
    name: str
    data: bytes
    fields: Mapping[str, str]
    etag: str
    url: str
    content_type: str | None = None
    metadata: Mapping[str, str]
    attempt: int = 1

    def __repr__(self) -> str:
        return f"Blob({self.container}/{self.name}, {len(self.data):,} bytes)"
