"""What deployments may use."""

from typing import Annotated

from msgspec import Meta, Struct


class DeploySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What deployments may use, on a server that takes some.

    Attributes:
        folder: Where versions are kept.
        keep: How many versions are kept; the one that runs and the one before always are.
        archive_bytes: How large a package may be.
        unpacked_bytes: How large what is in it may be.
        seconds: How long each may take: to install what is required, to check, to load, to begin.
    """

    folder: Annotated[str, Meta(min_length=1)] = ".tenuto/versions"
    keep: Annotated[int, Meta(ge=2, le=1_000)] = 10
    archive_bytes: Annotated[int, Meta(ge=1)] = 64 * 1024 * 1024
    unpacked_bytes: Annotated[int, Meta(ge=1)] = 256 * 1024 * 1024
    seconds: Annotated[float, Meta(ge=1)] = 120.0
