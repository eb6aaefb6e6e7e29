"""Addresses of links, hidden from those who may only look.

Whoever has the address of a webhook or a question can use it, so a key that reads must not get it:
neither from a history nor from a status. The token is replaced where it leaves the server, in
whatever text it stands, by as many characters, so that no length changes.
"""

import re
from typing import Final

from starlette.types import Message, Send

_TOKEN_LENGTH: Final = 43
# Slashes may have come with a backslash before them, and with several in JSON within JSON.
_ADDRESS: Final = re.compile(
    rb"""(/callbacks\\*/[^/\\\s"]{1,1200}\\*/)[A-Za-z0-9_-]{%d}""" % _TOKEN_LENGTH
)
_HIDDEN: Final = rb"\1" + b"*" * _TOKEN_LENGTH


def without_tokens(body: bytes) -> bytes:
    """The same text, with the tokens of links replaced."""
    return _ADDRESS.sub(_HIDDEN, body) if b"/callbacks" in body else body


def hiding_tokens(send: Send) -> Send:
    """Send the same without the tokens of links."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": without_tokens(message.get("body", b""))}
        await send(message)

    return sending
