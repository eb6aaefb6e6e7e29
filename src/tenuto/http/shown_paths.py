"""Paths as they may stand in logs and errors: two kinds of them open what they point to."""

import re
from typing import Final

_CALLBACK: Final = re.compile(r"(/callbacks/[^/]*/).*", re.IGNORECASE | re.DOTALL)
"""A webhook or a question: ``/callbacks/ID/TOKEN``."""
_RPC: Final = re.compile(r"((?<!/runtime/webhooks)/durabletask/)[^/]+", re.IGNORECASE)
"""What processes of the host ask it: ``/durabletask/TOKEN/...``."""


def without_token(path: str) -> str:
    """A path as it may stand in a log, in whatever case it was asked for."""
    return _RPC.sub(r"\1...", _CALLBACK.sub(r"\1...", path))
