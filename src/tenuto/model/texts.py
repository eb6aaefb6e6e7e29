"""Texts that people hand in: reasons, names, versions, labels. Checked once, where they enter.

What passes can be stored by every store and sent to every server. None of them is a payload: what
is longer than a page belongs into an input or an event. Keeps the promise
``bad_input_is_refused_whole``. What exceptions and logs say is not refused, but made storable.
"""

from collections.abc import Iterable
from typing import Final

from tenuto.model.cuts import beginning, cut, end
from tenuto.model.errors import InputError, LimitError, PayloadError

MOST_BYTES: Final = 4 * 1024
"""Name, version and tags of an instance together, as UTF-8; a reason or an event's name alone."""

_MOST_SAID: Final = 1_000

MOST_CHARACTERS: Final = 32_768
"""What history keeps of a text that nobody has checked."""


def checked_text(value: object, what: str) -> str:
    r"""A text as plain ``str``, or refused.

    Args:
        value: What was given.
        what: What it is for, as a sentence begins: ``the reason``.

    Raises:
        InputError: it is no text.
        PayloadError: it holds half of a surrogate pair, which UTF-8 does not have.
        LimitError: it is longer than ``MOST_BYTES``.

    Example:
        >>> checked_text("no seat\n", "the reason")
        'no seat\n'
    """
    if not isinstance(value, str):
        raise InputError(f"{what} must be a str, got {value!r}")
    text = value if type(value) is str else str.__str__(value)  # JSON knows no subclasses
    check_unicode(text, what)
    check_together([text], what)
    return text


def check_unicode(text: str, what: str) -> None:
    """Refuse what UTF-8 cannot hold.

    Raises:
        PayloadError: it holds half of a surrogate pair.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        reason = f"cannot be stored: it has a lone surrogate at character {error.start}"
        raise PayloadError(reason, path="", owner=what) from None


def check_together(texts: Iterable[str], what: str) -> None:
    """Refuse texts that are too long together; each can be stored.

    Args:
        texts: The texts.
        what: What they are, as a sentence begins.

    Raises:
        LimitError: they are longer than ``MOST_BYTES``.
    """
    size = sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
    if size > MOST_BYTES:
        raise LimitError(
            f"{what}: {size:,} bytes; at most {MOST_BYTES:,} are allowed. What is longer belongs "
            "into the input, or into the data of an event"
        )


def checked_text_or_none(value: object, what: str) -> str | None:
    """The same where there need not be any."""
    if value is None or isinstance(value, str):
        return None if value is None else checked_text(value, what)
    raise InputError(f"{what} must be a str or None, got {value!r}")


def checked_name(value: object, what: str) -> str:
    """The same where it must not be empty."""
    if not value or not isinstance(value, str):
        raise InputError(f"{what} needs a name, a non-empty string; got {value!r}")
    return checked_text(value, f"the name of {what}")


def said(text: str) -> str:
    r"""What somebody else says, for a log or a table: a line, cut, and what does not print escaped.

    Args:
        text: It, of any length.

    Example:
        >>> said("no\nseat")
        'no\\nseat'
    """
    line = text[: _MOST_SAID + 1]
    if not line.isprintable():
        line = "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
    return cut(line, _MOST_SAID)


def storable_text(text: str) -> str:
    """Cut to what history keeps, with lone surrogates made visible (JSON cannot hold them)."""
    text = str.__str__(text)  # whatever class of text it is
    if len(text) > MOST_CHARACTERS:
        half = MOST_CHARACTERS // 2
        text = f"{beginning(text, half)}\n...\n{end(text, half)}"
    return text.encode("utf-8", "backslashreplace").decode()
