"""Where the packages of the two languages differ, as far as a host must know."""

from typing import Final

from msgspec import Struct


class Dialect(Struct, frozen=True, kw_only=True):
    """How one package counts and reads.

    Attributes:
        language: Of its apps, as people call it.
        polls: Whether the package itself asks again after a 202, and takes numbers for that;
            otherwise the host hides it.
        has_milliseconds: Whether it knows no shorter time: two turns must not have the same one.
        reads_text: Whether an orchestrator's input must come as text that holds JSON.
        tells_type: Whether the text of a failed activity begins with the exception's class.
    """

    language: str
    polls: bool
    has_milliseconds: bool
    reads_text: bool
    tells_type: bool


PYTHON: Final = Dialect(
    language="Python", polls=False, has_milliseconds=False, reads_text=True, tells_type=True
)
JAVASCRIPT: Final = Dialect(
    language="JavaScript", polls=True, has_milliseconds=True, reads_text=False, tells_type=False
)
