"""Links that programs make of templates, as they go out: each opens its own instance alone.

A template carries the system key, which opens all instances, as the program's package writes the id
of the instance in itself. Where such a link stands in what a function answers, the key is replaced
by what a link of this server carries: it opens that instance, for a while, to operate.
"""

import re
from typing import Final
from urllib.parse import unquote

import msgspec

from tenuto.http.access import Access
from tenuto.http.payloads import MOUNT
from tenuto.model.ids import InstanceId

_ID: Final = rb"[^\"<>/?#\x00-\x1f]+"
"""Packages write ids as they are, spaces and all; JSON quotes some of their letters."""
_BELOW: Final = rb"[^\"'\s<>\\]*?"


class NarrowedLinks:
    """Replaces the system key in links.

    Args:
        access: Has the key, and makes what replaces it.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._key = access.system_key.encode()
        self._link = re.compile(
            rb"(%s/instances/(%s)%s[?&](?:amp;)?code=)%s"
            % (MOUNT.encode(), _ID, _BELOW, re.escape(self._key))
        )

    def narrowed(self, text: bytes) -> bytes:
        """A text with such links, each for its instance alone."""
        if not self._key or self._key not in text:
            return text
        return self._link.sub(self._replaced, text)

    def _replaced(self, found: re.Match[bytes]) -> bytes:
        try:
            written = msgspec.json.decode(b'"%s"' % found[2], type=str)
        except msgspec.DecodeError:  # no JSON around it, or of no text
            return found[0]
        instance_id = InstanceId(unquote(written))
        return found[1] + self._access.operate_code(instance_id).encode()
