"""How much of what instances log a host keeps."""

from typing import Annotated

from msgspec import Meta, Struct


class InstanceLogSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host keeps in memory of what its instances log.

    Attributes:
        lines: Last lines of each instance; 0 to keep none.
        bytes: Most memory of the lines of each instance.
        all_lines: Lines of all instances.
        all_bytes: Most memory of the lines of all instances.
    """

    lines: Annotated[int, Meta(ge=0, le=100_000)] = 200
    bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 64 * 1024
    all_lines: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    all_bytes: Annotated[int, Meta(ge=1024, le=16 * 1024 * 1024 * 1024)] = 16 * 1024 * 1024
