"""Names of modules in records: one for each module, whatever launched the program.

The same file is ``__main__`` when Python runs it, ``__mp_main__`` in processes that it starts, and
``shop`` when it is imported. What is recorded must not depend on that, so the main program is
called as if it had been imported from its file. A folder that is no package (it has no
``__init__.py``) may still stand before that name elsewhere, as in ``import orders.shop``: names
that mean the same file are taken for the same. Reads nothing but where packages begin.
"""

import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
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
    if "<" in name:
        return None
    return NAMES.get(name, name.removeprefix(APART))


def is_recorded_as(name: str, recorded: str) -> bool:
    """Whether records mean a module of this process by a name, which another launch may have made.

    Args:
        name: The module's name here.
        recorded: The name in a record.
    """
    if recorded_module_name(name) == recorded:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return False
    shortest = recorded_file_name(file)
    if shortest is None or not f".{recorded}".endswith(f".{shortest}"):
        return False
    place = os.path.abspath(file).removesuffix(".py").removesuffix(f"{os.sep}__init__")  # noqa: PTH100 - as below
    return place.replace(os.sep, ".").endswith(f".{recorded}")


def modules_recorded_as(recorded: str) -> Iterator[ModuleType]:
    """The modules of this process that records may mean by a name, the main program first."""
    likely = (MAIN, IMPORTED_MAIN, recorded)
    others = (name for name in [*sys.modules] if name not in likely and _may_be(name, recorded))
    for name in (*likely, *others):
        module = sys.modules.get(name)
        if module is not None and is_recorded_as(name, recorded):
            yield module


def _may_be(name: str, recorded: str) -> bool:
    last = recorded.rpartition(".")[2]
    return name in NAMES or name.removeprefix(APART).rpartition(".")[2] == last


def recorded_file_name(file: str) -> str | None:
    """The name under which records know the module in a file; None when there is none."""
    name = module_name_of(os.path.abspath(file))[1]  # noqa: PTH100 - this room has no pathlib
    return None if name in {MAIN, IMPORTED_MAIN, ""} or "<" in name else name


def record_as_its_file(name: str, file: str) -> None:
    """Call a module by its file in records, as it would be if the file had been launched."""
    recorded = recorded_file_name(file)
    if recorded is not None and recorded != name:
        NAMES[name] = recorded


@lru_cache(maxsize=1024)
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
