"""What the one who runs a host decides of topics."""

from typing import Annotated

from msgspec import Meta, Struct


class TopicSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long events of topics are kept, whether they have been read or not.

    Attributes:
        keep_days: Older ones are deleted.
        keep_bytes: Of one topic; beyond that its oldest events are deleted.
    """

    keep_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    keep_bytes: Annotated[int, Meta(ge=1)] = 1024 * 1024 * 1024
