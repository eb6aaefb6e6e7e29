"""Where output goes: what the terminal can show, errors in one form.

Standard output holds what was asked for, standard error everything else. Escape codes and the
live picture appear only on a terminal; ``NO_COLOR`` is respected.
"""

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from tenuto.cli.picture.drawing import Glyphs

_NARROWEST = 20
_SHOWN_EVERY_SECONDS = 0.2
_PERCENT = 100
_WIDE = 10_000
"""Columns for output that goes to a file or another program: nothing is cut."""


def prepare_streams() -> None:
    """Text that the terminal's character set lacks is spelled out instead of failing; a stream that
    the caller closed takes everything and keeps nothing.
    """
    sys.stdout = sys.stdout or nowhere()
    sys.stderr = sys.stderr or nowhere()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def nowhere() -> TextIO:
    """A stream that keeps nothing."""
    return Path(os.devnull).open("w")


def is_live() -> bool:
    """Whether a picture that moves can be shown."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def console(*, width: int | None = None) -> "Console":
    """Standard output for rich; ``width`` is that of what is no terminal."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    return Console(
        force_terminal=is_terminal,
        width=None if is_terminal else (width or _WIDE),
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=False,
    )


def show(output: "Console", picture: "RenderableType") -> None:
    """A table or text; in a file or pipe its lines have no blanks at their ends."""
    if output.is_terminal:
        output.print(picture)
        return
    with output.capture() as captured:
        output.print(picture)
    for line in captured.get().splitlines():
        say(line.rstrip())


def glyphs_for(output: "Console") -> "Glyphs":
    """The characters that this output can show."""
    from tenuto.cli.picture.drawing import ASCII, UNICODE

    return ASCII if output.options.ascii_only else UNICODE


def say(text: str, output: TextIO | None = None) -> None:
    """A line on standard output, or what stands in for it."""
    _write(output or sys.stdout, text)


def columns() -> int | None:
    """How wide the terminal is; None where output goes somewhere else, where nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def folded(text: str, first: str, more: str, colour: str | None = None) -> list[str]:
    """A text as lines that the terminal has room for, cut between words where that can be.

    Args:
        text: Without colours.
        first: What stands before the first line.
        more: What stands before the others, as wide.
        colour: Of the text.
    """
    width = columns()
    room = None if width is None else max(width - len(click.unstyle(first)), _NARROWEST)
    lines = (
        [text]
        if room is None or len(text) <= room
        else textwrap.wrap(text, room, break_on_hyphens=False)
    )
    return [
        f"{more if number else first}{line if colour is None else coloured(line, colour)}"
        for number, line in enumerate(lines or [""])
    ]


def note(text: str) -> None:
    """A line beside the result: on standard error."""
    _write(sys.stderr, text)


def complain(text: str, code: str | None = None) -> None:
    """An error: one message, what happened and what to do next."""
    mark = "error" if code is None else f"error {code}"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        mark = click.style(mark, fg="red", bold=True)
    note(f"{mark}: {text}")


def coloured(text: str, colour: str) -> str:
    """Text in a colour, where standard output shows colours."""
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return click.style(text, fg=colour)
    return text


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


@contextmanager
def percent(what: str) -> Iterator[Callable[[int, int], None]]:
    """How far long work is: on a terminal a line that moves, elsewhere nothing.

    Args:
        what: What is done, such as ``copied``.

    Yields:
        Takes how much is done, and of how much.
    """
    is_moving = sys.stderr.isatty()
    shown_at = 0.0

    def told(done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if is_moving and now - shown_at >= _SHOWN_EVERY_SECONDS:
            shown_at = now
            sys.stderr.write(f"\r{what} {done * _PERCENT // max(total, 1)} %")
            sys.stderr.flush()

    try:
        yield told
    finally:
        if shown_at:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
