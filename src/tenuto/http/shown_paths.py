"""Paths as they may stand in logs and errors: two kinds of them open what they point to.

What the server takes for one of them shows no token. A path that is none to the server may still be
meant as one: with slashes or dots too many, quoted once more. Its token is as good, so that nothing
is shown behind the word that such paths have.
"""

import re
from typing import Final
from urllib.parse import unquote

_CALLBACK: Final = re.compile(r"(/callbacks/[^/]*/).*", re.IGNORECASE | re.DOTALL)
"""A webhook or a question: ``/callbacks/ID/TOKEN``."""
_RPC: Final = re.compile(r"((?<!/runtime/webhooks)/durabletask/)[^/]+", re.IGNORECASE)
"""What processes of the host ask it: ``/durabletask/TOKEN/...``."""

_ODD: Final = re.compile(r"//|/\.{1,2}(?:/|\Z)")
_ANY: Final = re.compile(r"(.*?/(?:callbacks|durabletask)/).+", re.IGNORECASE | re.DOTALL)
_MOST_QUOTED: Final = 8
"""So many times over: what is quoted more often is nobody's mistake."""


def without_token(path: str) -> str:
    """A path as it may stand in a log, in whatever case it was asked for.

    Args:
        path: Decoded once, as the server has it.

    Example:
        >>> without_token("/durabletask/secret/instances/a")
        '/durabletask/.../instances/a'
    """
    plain = path
    for _ in range(_MOST_QUOTED):
        plain = unquote(plain)
    if plain != path or _ODD.search(path):
        return path if _ANY.fullmatch(plain) is None else _ANY.sub(r"\1...", plain)
    return _RPC.sub(r"\1...", _CALLBACK.sub(r"\1...", path))
