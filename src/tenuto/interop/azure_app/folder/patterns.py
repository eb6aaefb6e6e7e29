"""Patterns of files, as in ``main`` of ``package.json``: ``src/{index.js,functions/*.js}``."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_BRACES: Final = re.compile(r"\{([^{}]*)\}")


def files_of_pattern(root: Path, pattern: str) -> list[Path]:
    """The files that a pattern means, each once, in the order of their names."""
    found = set()
    for one in _without_braces(pattern):
        plain = one.removeprefix("./").strip("/")
        if plain and ".." not in Path(plain).parts:
            found |= {path for path in root.glob(plain) if path.is_file()}
    return sorted(found)


def _without_braces(pattern: str) -> Iterator[str]:
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    for choice in braces[1].split(","):
        yield from _without_braces(f"{pattern[: braces.start()]}{choice}{pattern[braces.end() :]}")
