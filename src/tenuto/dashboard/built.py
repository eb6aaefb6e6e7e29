"""The files of the page, as its build has left them beside this module."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

_HERE: Final = Path(__file__).parent
COMPRESSED: Final = ".gz"
"""Behind the name of a file: the same, compressed by gzip."""


class Built(Struct, frozen=True):
    """What the build has made.

    Attributes:
        index: The page, in HTML.
        assets: All other files by name, those that are compressed too.
    """

    index: str
    assets: Mapping[str, Path]


def built(folder: Path = _HERE) -> Built | None:
    """The files, None where the page has not been built.

    Args:
        folder: Where they are.
    """
    index, assets = folder / "index.html", folder / "assets"
    if not index.is_file() or not assets.is_dir():
        return None
    found = {one.name: one for one in assets.iterdir() if one.is_file()}
    return Built(index.read_text(encoding="utf-8"), found)
