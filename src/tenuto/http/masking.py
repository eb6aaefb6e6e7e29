"""What a caller who may only look must not see: addresses that do something when they are used.

The address of a webhook stands in the instance's history, and wherever its orchestrator has put it:
a custom status, an output, the input of the activity that sends the e-mail. Its token may stand
alone; who knows that can make the address. So answers are looked through as they are, whatever the
place and however the address was quoted. Tokens are recognised by what they are signed with, so
that nothing else that looks like one is touched.
"""

import asyncio
import re
from collections.abc import Iterator
from functools import partial
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

_RUNS: Final = re.compile(
    rb"(?<!%s)%s{%d,128}(?!%s)" % (_LETTERS, _LETTERS, TOKEN_LENGTH, _LETTERS)
)
"""What quoting leaves before a token (``%2F``, ``\\u002f``) may look like a part of it."""

_LINKS: Final = re.compile(rb"(?<=l1\.[op]\.)[0-9a-f]{1,16}\.%s{43}" % _LETTERS)
"""Tokens of links (``http.tokens``) that do more than read."""

_PIECE_BYTES: Final = 8 * 1024
"""At a time: in each run of 128 letters there are 86 places at which a token may stand."""


class Masking:
    """Hides addresses in answers.

    Args:
        secret: What the tokens of webhooks are signed with.
    """

    def __init__(self, secret: str) -> None:
        self._hide = partial(_without_tokens, secret)

    async def masked(self, body: bytes) -> bytes:
        """An answer without them; a long one a piece at a time."""
        if b"l1." in body:
            body = _LINKS.sub(HIDDEN, body)
        pieces = []
        for piece in _pieces(body):
            may_hold_one = _TOKEN_SHAPE in piece.translate(_TO_SHAPE)
            pieces.append(_RUNS.sub(self._hide, piece) if may_hold_one else piece)
            if len(piece) < len(body):
                await asyncio.sleep(0)
        return b"".join(pieces)


def _pieces(body: bytes) -> Iterator[bytes]:
    """The body, cut where no token stands."""
    start = 0
    while start < len(body):
        end = start + _PIECE_BYTES
        boundary = _BOUNDARY.search(body, end)
        end = len(body) if boundary is None else boundary.start()
        yield body[start:end]
        start = end


_BOUNDARY: Final = re.compile(rb"[^A-Za-z0-9_-]")


def _without_tokens(secret: str, found: "re.Match[bytes]") -> bytes:
    run = found[0]
    if not run.translate(None, _HEXADECIMAL):
        return run  # a digest, of which there may be thousands; no token is by chance like that
    for start in range(len(run) - TOKEN_LENGTH + 1):
        end = start + TOKEN_LENGTH
        if is_token(secret, run[start:end]):
            return run[:start] + HIDDEN + run[end:]
    return run
