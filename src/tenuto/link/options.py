"""How much may wait for linked hubs, and how links behave on a bad line. Pure."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from tenuto.model import linking

_Count = Annotated[int, Meta(ge=1)]


class LinkSettings(Struct, frozen=True, kw_only=True):
    """Of all links of a host.

    Attributes:
        messages: As many messages may wait for one hub.
        bytes: As long may they be together.
        longest_pause_seconds: The longest pause between two tries to reach a hub.
    """

    messages: _Count = linking.MOST_MESSAGES
    bytes: _Count = linking.MOST_BYTES
    longest_pause_seconds: Annotated[float, Meta(gt=0)] = 30.0


MOST_BYTES: Final = 256 * 1024
"""Of messages in one request, on a good line."""
LEAST_BYTES: Final = 1024
"""On a line that lets hardly anything through."""
WAIT_SECONDS: Final = 25.0
"""How long the hub that is dialled waits for something to send."""
