"""The source lines of code that runs, as long as its file still says the same.

A file may have been changed since it was loaded; lines of another version beside variables of this
one would mislead. So the file is compiled anew, which runs nothing of it, and its lines are shown
where the function in it is to the letter the one that runs.
"""

import linecache
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Final

from tenuto.model.code_frames import SourceLine
from tenuto.model.cuts import cut
from tenuto.model.texts import storable_text

CHANGED: Final = "the file has been changed since it was loaded"
UNREADABLE: Final = "the file cannot be read"

_MOST_BYTES: Final = 512 * 1024
_MOST_FILES: Final = 32
_AROUND: Final = 20
_WHOLE: Final = 60
"""A function with no more lines is shown whole."""
_LONGEST: Final = 300
_SHOWN_PARTS: Final = 2

_Functions = dict[tuple[str, int], CodeType]


class SourceFiles:
    """Reads files and keeps what was found out of the last ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int], _Functions] = OrderedDict()

    def lines(self, code: CodeType, line: int) -> tuple[SourceLine, ...] | str:
        """Lines of a function around one of them; why there are none, when there are none.

        Args:
            code: The function.
            line: The number of that line.
        """
        file = code.co_filename
        try:
            found = Path(file).stat()
        except (OSError, ValueError):
            return UNREADABLE
        if found.st_size > _MOST_BYTES:
            return "the file is too long to be shown"
        key = (file, found.st_mtime_ns, found.st_size)
        functions = self._known.pop(key, None)
        if functions is None:
            linecache.checkcache(file)
            functions = _functions_in(file)
        self._known[key] = functions
        if len(self._known) > _MOST_FILES:
            self._known.popitem(last=False)
        if functions.get((code.co_qualname, code.co_firstlineno)) != code:
            return CHANGED
        return _lines(linecache.getlines(file), code, line)


def shown_file(file: str) -> str:
    """The name of a file without the folders above the app: from where its import begins.

    Args:
        file: As a code object has it.
    """
    path = Path(file)
    folders = [Path(folder) for folder in sys.path if folder]
    inside = [folder for folder in folders if path.is_relative_to(folder)]
    if inside:
        return path.relative_to(max(inside, key=lambda folder: len(folder.parts))).as_posix()
    return "/".join(path.parts[-_SHOWN_PARTS:])


def _functions_in(file: str) -> _Functions:
    """The functions of a file as it is now, by name and first line; none when it is no code."""
    source = "".join(linecache.getlines(file))
    try:
        module = compile(source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return {(one.co_qualname, one.co_firstlineno): one for one in _all_in(module)}


def _all_in(module: CodeType) -> Iterator[CodeType]:
    left = [module]
    while left:
        code = left.pop()
        yield code
        left += [one for one in code.co_consts if type(one) is CodeType]


def _lines(lines: list[str], code: CodeType, line: int) -> tuple[SourceLine, ...]:
    first = code.co_firstlineno
    last = max((end for _, _, end in code.co_lines() if end is not None), default=first)
    if last - first >= _WHOLE:
        first, last = max(first, line - _AROUND), min(last, line + _AROUND)
    return tuple(
        SourceLine(line=number, text=storable_text(cut(text.rstrip(), _LONGEST)))
        for number, text in enumerate(lines[first - 1 : last], first)
    )
