"""When a server that is there on demand sleeps."""

from typing import Annotated

from msgspec import Meta, Struct


class OnDemandSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a server that is there on demand sleeps.

    Attributes:
        idle_seconds: So long nothing must have happened before the app's process ends.
        look_seconds: In PostgreSQL, so often it is started to see what others have written.
    """

    idle_seconds: Annotated[float, Meta(ge=0.1)] = 60.0
    look_seconds: Annotated[float, Meta(ge=1)] = 60.0
