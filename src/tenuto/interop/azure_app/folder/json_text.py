"""JSON as people write it in settings: with comments, commas at the end, a byte order mark.

What is not JSON is blanked out in place, so that an error names the line and column in the file.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tenuto.model.errors import AppLoadError

_TOKEN: Final = re.compile(
    r"""
    (?P<string> "(?:[^"\\\n]|\\.)*"? )     # an end may be missing; the parser says so
    | (?P<comment> //[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<blank> \s+ )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def read_json_object(path: Path, shown: str) -> dict[str, Any]:
    """The object in a file.

    Args:
        path: The file.
        shown: How errors call it.

    Raises:
        AppLoadError: it cannot be read, or holds no JSON object; with line and column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AppLoadError(f"{shown}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AppLoadError(f"{shown}: it is not UTF-8; save it as such") from None
    return parse_json_object(text, shown)


def parse_json_object(text: str, shown: str) -> dict[str, Any]:
    """The object in a text; see :func:`read_json_object`."""
    try:
        value = json.loads("".join(_plain(text)))
    except json.JSONDecodeError as error:
        what = f"{error.msg[0].lower()}{error.msg[1:]}"
        raise AppLoadError(
            f"{shown}:{error.lineno}:{error.colno}: not valid JSON: {what}"
        ) from None
    except RecursionError:
        raise AppLoadError(f"{shown}: it is nested too deeply") from None
    if not isinstance(value, dict):
        raise AppLoadError(f"{shown}: it must hold a JSON object: {{ ... }}")
    return value


def unplain_line(path: Path) -> int | None:
    """The first line that only this reader takes, and one of plain JSON does not; of a file that
    is sound. None when there is none.
    """
    text = path.read_text(encoding="utf-8")
    if text.startswith("\ufeff"):
        return 1
    plain = "".join(_plain(text))
    different = (place for place, one in enumerate(plain) if one != text[place])
    place = next(different, None)
    return None if place is None else text.count("\n", 0, place) + 1


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key of an object, by its names from the top; of text that is sound."""
    lines: dict[tuple[str, ...], int] = {}
    above: list[str | None] = []  # the key whose value each open container is; None in a list
    key: str | None = ""
    string, line = "", 1
    for piece in _plain(text):
        if piece.startswith('"'):
            string = piece
        elif piece == ":":
            key = json.loads(string)
            path = (*(one for one in above[1:] if one is not None), key)
            lines.setdefault(path, line)
        elif piece in {"{", "["}:
            above.append(key)
            key = None
        elif piece in {"}", "]"}:
            above.pop()
        line += piece.count("\n")
    return lines


def _plain(text: str) -> Iterator[str]:
    """The pieces of plain JSON, each as long as what it stands for."""
    comma: str | None = None
    before = "{"  # what stood before the comma; `{,}` is none at the end
    held: list[str] = []  # blanks behind a comma that may be one at the end
    for match in _TOKEN.finditer(text):
        piece = match.group()
        if match.lastgroup == "comment":
            piece = re.sub(r"[^\n]", " ", piece)
        if match.lastgroup in {"comment", "blank"}:
            held.append(piece)
            continue
        if comma is not None:
            yield " " if piece in "]}" and before not in "[{" else comma
            comma = None
        yield from held
        held.clear()
        if piece == ",":
            comma = piece
        else:
            before = piece
            yield piece
    yield comma or ""
    yield from held
