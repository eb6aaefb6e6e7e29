"""Links that programs make of templates, as they go out: each opens its own instance alone.

A template carries the system key, which opens all instances, as the program's package writes the id
of the instance in itself. Where such a link stands in what a function answers, the key is replaced
by what a link of this server carries: it opens that instance, for a while, to operate.
"""

import re
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import unquote

import msgspec

from tenuto.http.access import Access
from tenuto.http.payloads import MOUNT
from tenuto.model.ids import InstanceId

_ID: Final = rb"[^\"<>/?#\x00-\x1f]+"
"""Packages write ids as they are, spaces and all; JSON quotes some of their letters."""
_BELOW: Final = rb"[^\"'\s<>\\]*?"
_BEGINNING: Final = f"{MOUNT}/instances/".encode()
_END: Final = re.compile(rb"[\"<>\x00-\x1f]")
"""No link has one of these in it."""
_LONGEST: Final = 8 * 1024
"""Of links that are cut in two by the end of a piece."""


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

    def pieces(self, pieces: AsyncIterator[bytes]) -> "NarrowedPieces | AsyncIterator[bytes]":
        """A text that comes piece by piece, its links each for its instance alone."""
        return NarrowedPieces(self, pieces) if self._key else pieces

    def _replaced(self, found: re.Match[bytes]) -> bytes:
        try:
            written = msgspec.json.decode(b'"%s"' % found[2], type=str)
        except msgspec.DecodeError:  # no JSON around it, or of no text
            return found[0]
        instance_id = InstanceId(unquote(written))
        return found[1] + self._access.operate_code(instance_id).encode()


class NarrowedPieces:
    """The pieces of a text with links. One that a piece ends within waits for its rest.

    Args:
        links: Replaces the key in them.
        pieces: As they come.
    """

    def __init__(self, links: NarrowedLinks, pieces: AsyncIterator[bytes]) -> None:
        self._links = links
        self._pieces = pieces
        self._held = b""

    def __aiter__(self) -> "NarrowedPieces":
        """Itself: they come once."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece that can go out."""
        async for piece in self._pieces:
            text = self._links.narrowed(self._held + piece)
            whole = len(text) - _cut_link(text)
            self._held = text[whole:]
            if whole:
                return text[:whole]
        rest, self._held = self._held, b""
        if rest:
            return rest
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """No more of them are wanted."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


def _cut_link(text: bytes) -> int:
    """How much of the end of a text may belong to a link that goes on."""
    begins = text.rfind(_BEGINNING, -_LONGEST)
    if begins >= 0 and not _END.search(text, begins):
        return len(text) - begins
    lengths = range(min(len(_BEGINNING) - 1, len(text)), 0, -1)
    return next((one for one in lengths if text.endswith(_BEGINNING[:one])), 0)
