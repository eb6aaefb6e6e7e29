"""What a function that files start is told."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

from msgspec import Struct

from tenuto.engine.program import Delivery
from tenuto.model.timing import to_datetime

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class ArrivedFile(Struct, frozen=True, kw_only=True):
    """A file that a function of ``@app.files`` runs for.

    Attributes:
        id: Of this file with this content, the same for each attempt. A file that changes has
            another one. What must not be done twice is done under it.
        path: Where it lies.
        name: The last part of that.
        size: In bytes.
        modified_at: When its content was last changed (aware UTC), as its file system says.
        attempt: Which attempt it is, from 1.

    Example:
        ::

            @app.files("inbox", pattern="*.jpg")
            async def recognise(file: ArrivedFile, client: Client) -> None:
                await client.publish("plates", read_plate(file.path))
    """

    id: str
    path: Path
    name: str
    size: int
    modified_at: datetime
    attempt: int

    @classmethod
    def of(cls, delivery: Delivery) -> "ArrivedFile":
        """The same as a program is told it."""
        facts = delivery.facts
        path = cast("Path", facts["path"])
        return cls(
            id=delivery.id,
            path=path,
            name=path.name,
            size=cast("int", facts["size"]),
            modified_at=_moment(cast("int", facts["modified_at"])),
            attempt=delivery.attempt,
        )


def _moment(microseconds: int) -> datetime:
    """A time of a file, which may be any number."""
    try:
        return to_datetime(microseconds)
    except OverflowError:
        return _LATEST if microseconds > 0 else _EARLIEST
