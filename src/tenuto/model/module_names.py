"""Names of modules in records: one for each module, whatever launched the program.

The same file is ``__main__`` when Python runs it, ``__mp_main__`` in processes that it starts, and
``shop`` when it is imported. What is recorded must not depend on that, so the main program is
called as if it had been imported from its file. Reads nothing but where packages begin.
"""

import os.path
import sys
from functools import lru_cache
from typing import Final

MAIN: Final = "__main__"
IMPORTED_MAIN: Final = "__mp_main__"
APART: Final = "tenuto_app_"
"""Stands before the name of a loaded file whose own name another module has, such as ``json.py``;
launched in another way it would not, so it is left out of records.
"""

NAMES: dict[str, str] = {"asyncio.exceptions": "asyncio"}  # as everybody writes it
"""Modules that records call otherwise than this process does, such as those that were loaded by
name although their file alone would give them another one.
"""


def recorded_module_name(name: str) -> str | None:
    """The name under which records know a module of this process; None when there is none."""
    if name in {MAIN, IMPORTED_MAIN}:
        file = getattr(sys.modules.get(name), "__file__", None)
        return recorded_file_name(file) if isinstance(file, str) else None
    return None if "<" in name else NAMES.get(name, name.removeprefix(APART))


def recorded_file_name(file: str) -> str | None:
    """The name under which records know the module in a file; None when there is none."""
    name = module_name_of(os.path.abspath(file))[1]  # noqa: PTH100 - this room has no pathlib
    return None if name in {MAIN, IMPORTED_MAIN, ""} or "<" in name else name


def record_as_its_file(name: str, file: str) -> None:
    """Call a module by its file in records, as it would be if the file had been launched."""
    recorded = recorded_file_name(file)
    if recorded is not None and recorded != name:
        NAMES[name] = recorded


@lru_cache(maxsize=64)
def module_name_of(file: str) -> tuple[str, str]:
    """Where the import of a file starts, and under which name it stands there.

    Args:
        file: Its absolute path.
    """
    folder, base = os.path.split(file)
    stem = os.path.splitext(base)[0]  # noqa: PTH122 - as above
    parts = [] if stem == "__init__" else [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")):  # noqa: PTH113, PTH118 - as above
        folder, package = os.path.split(folder)
        parts.insert(0, package)
    return folder, ".".join(parts)
