"""Commands that people are advised to give: what they paste does what was meant. Pure."""

import shlex
from collections.abc import Sequence
from typing import Final, Self

from msgspec import Struct


class Advice(Struct, frozen=True):
    """What to do, in words, and the commands that stand in them.

    Attributes:
        text: Empty when there is nothing to do but wait.
        commands: Each as it stands in the text.
    """

    text: str
    commands: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str, *commands: str) -> Self:
        """Words with a ``{}`` for each command, in their order."""
        return cls(text.format(*commands), commands)


WAIT: Final = Advice("")
"""There is nothing to do."""


def command(verb: str, *names: str, options: Sequence[str] = ()) -> str:
    """A command of ``tenuto``, for a shell.

    Args:
        verb: Of the command: ``instances resume``.
        names: What it is about; whatever stands in them, they arrive as they are.
        options: Its options, those that name the place among them.
    """
    if any(name.startswith("-") for name in names):
        words = [*options, "--", *names]
    else:
        words = [*names, *options]
    return " ".join(["tenuto", verb, *map(_quoted, words)])


def _quoted(word: str) -> str:
    """A word for a shell; what would steer a terminal is spelled out."""
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_spelled, word))}'"


def _spelled(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="replace"))
