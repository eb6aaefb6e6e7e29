"""Ids that are made of several parts: no two lists of parts give the same one.

They are read by people, in logs and in ``tenuto flow``, as long as they fit; what does not fit has
a digest at its end.
"""

import hashlib
from typing import Final

from tenuto.model.topics import MOST_ID

_SIGN: Final = ":"
_DIGEST: Final = 32


def joined(*parts: str) -> str:
    """Parts with colons between them; the last stands as it is, those before it without colons.

    Example:
        >>> joined("orders.ship", "order:7")
        'orders.ship:order:7'
        >>> joined("orders:eu", "7")
        'orders%3Aeu:7'
    """
    *front, last = parts
    return _SIGN.join([*(one.replace("%", "%25").replace(_SIGN, "%3A") for one in front), last])


def joined_event_id(*parts: str) -> str:
    """The same as the id of an event; where it cannot be one, as much of it as there is room for,
    and a digest.
    """
    text = joined(*parts)
    if len(text) <= MOST_ID and text.isprintable():
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    head = text[: MOST_ID - _DIGEST - 1]
    return f"{head}{_SIGN}{digest}" if head.isprintable() else digest
