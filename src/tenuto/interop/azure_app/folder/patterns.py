"""Patterns of files, as in ``main`` of ``package.json``: ``src/{index.js,functions/*.js}``."""

import re
from pathlib import Path
from typing import Final

from tenuto.model.errors import AppLoadError

_LONGEST: Final = 1_000
_MOST: Final = 1_000
"""Patterns that the braces of one may make."""

_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def files_of_pattern(root: Path, pattern: str) -> list[Path]:
    """The files that a pattern means, each once, in the order of their names.

    Raises:
        AppLoadError: it means more patterns than anybody writes.
    """
    found = set()
    for one in _without_braces(pattern):
        plain = one.removeprefix("./").strip("/")
        if plain and ".." not in Path(plain).parts:
            found |= {path for path in root.glob(plain) if path.is_file()}
    return sorted(found)


def _without_braces(pattern: str) -> list[str]:
    if len(pattern) > _LONGEST:
        raise AppLoadError(f"a pattern of files is longer than {_LONGEST:,} characters")
    found, waiting = [], [pattern]
    while waiting:
        one = waiting.pop()
        braces = _BRACES.search(one)
        if braces is None:
            found.append(one)
        else:
            before, after = one[: braces.start()], one[braces.end() :]
            waiting += [f"{before}{choice}{after}" for choice in braces[1].split(",")]
        if len(found) + len(waiting) > _MOST:
            raise AppLoadError(
                f"the braces of the pattern {pattern!r} make more than {_MOST:,} patterns of it"
            )
    return found
