"""What a caller who may only look must not see: addresses that do something when they are used.

The address of a webhook stands in the instance's history, and wherever its orchestrator has put it:
a custom status, an output, the input of the activity that sends the e-mail. Its token may stand
alone; who knows that can make the address. So answers are looked through as they are, whatever the
place and however the address was quoted. Tokens are recognised by what they are signed with, so
that nothing else that looks like one is touched.
"""

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Final

from tenuto.model.webhook import TOKEN_LENGTH, is_token

HIDDEN: Final = b"***"

_LETTERS: Final = rb"[A-Za-z0-9_-]"
_TO_SHAPE: Final = bytes(
    ord("a") if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_-") else ord(" ")
    for byte in range(256)
)
_TOKEN_SHAPE: Final = b"a" * TOKEN_LENGTH
"""Most answers hold no text so long without a break, and that is found out quickly."""

_HEXADECIMAL: Final = b"0123456789abcdefABCDEF"

_LONGEST_RUN: Final = 128
"""What quoting leaves before a token (``%2F``, ``\\u002f``) may look like a part of it. A longer
text without a break holds none, and is passed over at once, however long it is.
"""

_RUNS_AT_A_TIME: Final = 32
"""Then others have their turn: in a run of 128 letters there are 86 places for a token."""

_LINKS: Final = re.compile(rb"(l1\.[op]\.)[0-9a-f]{1,16}\.%s{43}" % _LETTERS)
"""Tokens of links (``http.tokens``) that do more than read."""

_ESCAPED: Final = re.compile(
    rb"\\{1,16}u00(2[13-9A-Fa-f]|[346][0-9A-Fa-f]|5[0-9ABDEFabdef]|7[0-9A-Ea-e])"
)
"""A sign of ASCII but the quote and the backslash as JSON may write any, in JSON in JSON with more
backslashes.
"""
_TO_WORDS: Final = bytes(
    ord("a") if chr(byte) in set(map(chr, range(33, 127))) - {'"'} else ord(" ")
    for byte in range(256)
)
_THREAD_BYTES: Final = 64 * 1024

_STORED_ANSWER: Final = b"$http"
_STORED_BODY: Final = re.compile(rb'"body(\\*)":\1"([A-Za-z0-9+/]+=*)')
"""What a durable function answered (``http.functions.durable``) stands in base64."""


class Masking:
    """Hides addresses in answers.

    Args:
        secret: What the tokens of webhooks are signed with.
        hidden: One more text that opens things; empty for none.
    """

    def __init__(self, secret: str, hidden: str = "") -> None:
        self._secret = secret
        self._hidden = hidden.encode()

    async def without_hidden(self, body: bytes) -> bytes:
        """An answer without the one text that opens things: for who may use an address that stands
        there, but no more than that.
        """
        if _STORED_ANSWER in body:
            body = await _stored_answers(body, self.without_hidden)
        return await _with_escaped(body, self._without_hidden)

    async def masked(self, body: bytes) -> bytes:
        """An answer without them; a long one a part at a time."""
        if _STORED_ANSWER in body:
            body = await _stored_answers(body, self.masked)
        return await _with_escaped(body, self._masked)

    async def _without_hidden(self, body: bytes) -> bytes:
        return body.replace(self._hidden, HIDDEN) if self._hidden else body

    async def _masked(self, body: bytes) -> bytes:
        if b"l1." in body:
            body = _LINKS.sub(rb"\g<1>" + HIDDEN, body)
        if self._hidden and self._hidden in body:
            body = body.replace(self._hidden, HIDDEN)
        shape = body.translate(_TO_SHAPE)
        parts, kept, looked_at = [], 0, 0
        start = shape.find(_TOKEN_SHAPE)
        while start >= 0:
            end = shape.find(b" ", start)
            end = len(body) if end < 0 else end
            if end - start <= _LONGEST_RUN:
                parts += [body[kept:start], _without_tokens(self._secret, body[start:end])]
                kept = end
                looked_at += 1
                if looked_at % _RUNS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
            start = shape.find(_TOKEN_SHAPE, end)
        return b"".join([*parts, body[kept:]])


async def _stored_answers(body: bytes, masked: Callable[[bytes], Awaitable[bytes]]) -> bytes:
    """A text in which what durable functions answered is masked, too."""
    parts, kept = [], 0
    for found in _STORED_BODY.finditer(body):
        try:
            inside = b64decode(found[2], validate=True)
        except ValueError:  # of user code, which may say anything
            continue
        hidden = await masked(inside)
        if hidden != inside:
            parts += [body[kept : found.start(2)], b64encode(hidden)]
            kept = found.end(2)
    return b"".join([*parts, body[kept:]])


async def _with_escaped(body: bytes, masked: Callable[[bytes], Awaitable[bytes]]) -> bytes:
    """A text masked, as it is written, and where what is to be hidden has letters that are escaped;
    all else stays as it is.
    """
    body = await masked(body)
    escape = _ESCAPED.search(body)
    if escape is None:
        return body
    words = body.translate(_TO_WORDS)
    parts, kept, looked_at = [], 0, 0
    while escape is not None:
        start = words.rfind(b" ", kept, escape.start()) + 1 or kept
        end = words.find(b" ", escape.end())
        end = len(body) if end < 0 else end
        word = body[start:end]
        if len(word) > _THREAD_BYTES:
            plain = await asyncio.to_thread(_unescaped, word)
        else:
            plain = _unescaped(word)
        hidden = await masked(plain)
        if hidden != plain:
            parts += [body[kept:start], hidden]
            kept = end
        looked_at += 1
        if looked_at % _RUNS_AT_A_TIME == 0:
            await asyncio.sleep(0)
        escape = _ESCAPED.search(body, end)
    return b"".join([*parts, body[kept:]])


def _unescaped(word: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), word)


def _without_tokens(secret: str, run: bytes) -> bytes:
    if not run.translate(None, _HEXADECIMAL):
        return run  # a digest, of which there may be thousands; no token is by chance like that
    for start in range(len(run) - TOKEN_LENGTH + 1):
        end = start + TOKEN_LENGTH
        if is_token(secret, run[start:end]):
            return run[:start] + HIDDEN + run[end:]
    return run
