"""What is in a blob, and what is known of it."""

from typing import Any, Final

MOST_BYTES: Final = 256 * 1024 * 1024
"""A longer blob is not handed to a function: it would be in memory several times."""

_PROPERTIES: Final = {
    "LastModified": "last_modified",
    "CreatedOn": "creation_time",
    "ETag": "etag",
    "ContentLength": "size",
    "Length": "size",
    "ContentType": "content_settings.content_type",
    "ContentEncoding": "content_settings.content_encoding",
    "ContentLanguage": "content_settings.content_language",
    "ContentDisposition": "content_settings.content_disposition",
    "CacheControl": "content_settings.cache_control",
    "BlobType": "blob_type",
}


_FOLDERS: Final = frozenset({".", ".."})


class UnfitBlobError(Exception):
    """A function does not get this blob."""


class BlobTooLongError(UnfitBlobError):
    """A blob is longer than a function gets."""


def check_place(name: str) -> None:
    """Refuse a name that clients and proxies follow to another place, also out of its container.

    Raises:
        UnfitBlobError: a part of it stands for another folder.
    """
    if not _FOLDERS.isdisjoint(name.replace("\\", "/").split("/")):
        raise UnfitBlobError(
            f"{name!r:.200} is no name of a blob here: a part of it between slashes is `.` or `..`"
        )


async def content_of(found: Any) -> bytes:  # noqa: ANN401 - of Azure
    """All of a blob whose download has begun.

    Raises:
        BlobTooLongError: it is longer than a function gets; nothing more of it was read.
    """
    if found.size > MOST_BYTES:
        raise BlobTooLongError(
            f"blob {found.name!r} has {found.size:,} bytes; a function gets {MOST_BYTES:,} at most"
        )
    return bytes(await found.readall())


def properties_of(found: Any) -> dict[str, object]:  # noqa: ANN401 - of Azure
    """What is known of a blob, under the names that functions know it by."""
    said: dict[str, object] = {}
    for name, path in _PROPERTIES.items():
        value = found
        for part in path.split("."):
            value = getattr(value, part, None)
        if value is None:
            continue
        value = getattr(value, "value", value)  # of an enum
        is_moment = hasattr(value, "isoformat")
        said[name] = value.isoformat() if is_moment else value
    return said
