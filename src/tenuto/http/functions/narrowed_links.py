"""Links that programs make of templates, as they go out: each opens its own instance alone.

A template carries the system key, which opens all instances, as the program's package writes the id
of the instance in itself. So each system key in what a function answers is replaced: by what a link
of this server carries, where it stands at the end of a link to an instance, which opens that one,
for a while, to operate; and by nothing of use anywhere else. The key itself never goes out: what is
not understood is no reason to let it.

Packages write ids as they are and quote nothing, so what stands in the link is the id itself. The
text around it may be quoted: as JSON, as HTML, as a value in a query.
"""

import html
import re
from collections.abc import AsyncIterator, Callable
from typing import Final
from urllib.parse import unquote_to_bytes

from tenuto.http.access import Access
from tenuto.http.masking import HIDDEN
from tenuto.http.payloads import MOUNT
from tenuto.model.errors import InvalidInstanceIdError
from tenuto.model.ids import InstanceId, check_instance_id

_WINDOW: Final = 8 * 1024
"""So many bytes before a key are looked at: the longest id fits, however it is quoted."""
_BEGINNING: Final = f"{MOUNT}/instances/".lower()
_CODE: Final = re.compile(r"(?:[^\s\"'<>\\#?]*&)?code=", re.IGNORECASE)
_BELOW: Final = re.compile(r"(?:[A-Za-z]+(?:/[^\s\"'<>\\#/]*)?)?")
"""An operation, and the name of an event."""
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")


class NarrowedLinks:
    """Replaces the system key in links.

    Args:
        access: Has the key, and makes what replaces it.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self.key: bytes = access.system_key.encode()

    def narrowed(self, text: bytes, before: bytes = b"") -> bytes:
        """A text without the system key, its links each for its instance alone.

        Args:
            text: What goes out.
            before: What has gone out before it, as it was; the last of it is enough.
        """
        key = self.key
        if not key or key not in text:
            return text
        whole = before + text
        seen = before.rfind(key)
        looked = 0 if seen < 0 else seen + len(key)
        parts, kept = [], len(before)
        place = whole.find(key, kept)
        while place >= 0:
            # Never across another key: what stands before that belongs to another link.
            parts += [whole[kept:place], self._code(whole[max(looked, place - _WINDOW) : place])]
            kept = looked = place + len(key)
            place = whole.find(key, kept)
        return b"".join([*parts, whole[kept:]])

    def pieces(self, pieces: AsyncIterator[bytes]) -> "NarrowedPieces | AsyncIterator[bytes]":
        """The same for a text that comes piece by piece."""
        return NarrowedPieces(self, pieces) if self.key else pieces

    def _code(self, before: bytes) -> bytes:
        """What stands in the key's place, after this."""
        text = before.decode("utf-8", "replace")
        for spelled in _SPELLINGS:
            instance_id = _instance_of(spelled(text))
            if instance_id is not None:
                return self._access.operate_code(instance_id).encode()
        return HIDDEN


class NarrowedPieces:
    """The pieces of a text with links. A key that is cut in two waits for its rest.

    Args:
        links: Replaces the key in them.
        pieces: As they come.
    """

    def __init__(self, links: NarrowedLinks, pieces: AsyncIterator[bytes]) -> None:
        self._links = links
        self._pieces = pieces
        self._before = b""
        self._held = b""

    def __aiter__(self) -> "NarrowedPieces":
        """Itself: they come once."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece that can go out."""
        async for piece in self._pieces:
            text = self._held + piece
            whole = len(text) - self._cut_key(text)
            self._held = text[whole:]
            if whole:
                return self._narrowed(text[:whole])
        rest, self._held = self._held, b""
        if rest:
            return rest
        raise StopAsyncIteration

    def _narrowed(self, text: bytes) -> bytes:
        before, self._before = self._before, (self._before + text)[-_WINDOW:]
        return self._links.narrowed(text, before)

    def _cut_key(self, text: bytes) -> int:
        """How much of the end of a text may be the beginning of the key."""
        key = self._links.key
        last = text.rfind(key)  # one that ends as it begins is whole all the same
        rest = len(text) if last < 0 else len(text) - last - len(key)
        lengths = range(min(len(key) - 1, rest), 0, -1)
        return next((one for one in lengths if text.endswith(key[:one])), 0)

    async def aclose(self) -> None:
        """No more of them are wanted."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


def _instance_of(text: str) -> InstanceId | None:
    """The instance of the link that a text ends with, up to its key; None when there is none."""
    begins = text.lower().rfind(_BEGINNING)
    path, mark, query = text[begins + len(_BEGINNING) :].partition("?")
    written, _, below = path.partition("/")
    if begins < 0 or not mark or not _CODE.fullmatch(query) or not _BELOW.fullmatch(below):
        return None
    try:
        return check_instance_id(written)
    except InvalidInstanceIdError:
        return None


def _as_it_is(text: str) -> str:
    return text


def _in_json(text: str) -> str:
    """The inside of a JSON text, which may begin anywhere."""
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_unescaped, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return "\n" if found[2] in "bfnrt" else found[2]  # control characters all


def _in_query(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


_SPELLINGS: Final[tuple[Callable[[str], str], ...]] = (
    _as_it_is,
    _in_json,
    html.unescape,
    _in_query,
)
"""In this order: a text that can be read as it is, is not quoted."""
