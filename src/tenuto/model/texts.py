"""Texts that people hand in: reasons, names, versions, labels. Checked once, where they enter.

What passes can be stored by every store and sent to every server. Keeps the promise
``bad_input_is_refused_whole``. What exceptions and logs say is not refused, but made storable.
"""

from typing import Final

from tenuto.model.errors import InputError, PayloadError

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

    Example:
        >>> checked_text("no seat\n", "the reason")
        'no seat\n'
    """
    if not isinstance(value, str):
        raise InputError(f"{what} must be a str, got {value!r}")
    text = value if type(value) is str else str.__str__(value)  # JSON knows no subclasses
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            reason = f"cannot be stored: it has a lone surrogate at character {error.start}"
            raise PayloadError(reason, path="", owner=what) from None
    return text


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


def storable_text(text: str) -> str:
    """Cut to what history keeps, with lone surrogates made visible (JSON cannot hold them)."""
    text = str.__str__(text)  # whatever class of text it is
    if len(text) > MOST_CHARACTERS:
        text = f"{text[: MOST_CHARACTERS // 2]}\n...\n{text[-MOST_CHARACTERS // 2 :]}"
    return text.encode("utf-8", "backslashreplace").decode()
