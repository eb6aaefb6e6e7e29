"""Names of exception classes in records, and back to the class.

The name is made by one rule, whatever launched the program (``module_names``). The way back looks
only at what this process has imported already: a name in a store makes nobody import a module.
"""

import builtins
import sys
from collections.abc import Iterator
from types import ModuleType

from tenuto.model.module_names import (
    MAIN,
    is_recorded_as,
    modules_recorded_as,
    recorded_module_name,
)
from tenuto.model.texts import storable_text


def type_name(error: type) -> str:
    """The name under which an exception class is recorded: ``ValueError``, ``shop.SoldOut``.

    A class of the main program has the name that it has when the file is imported, and only its
    own when there is no file.
    """
    name, module = error.__qualname__, error.__module__
    if module == "builtins":
        return name
    known: object = module  # which a class may set to anything
    recorded = recorded_module_name(known) if isinstance(known, str) else None
    return storable_text(name if recorded is None else f"{recorded}.{name}")


def is_named(error: type, recorded: str) -> bool:
    """Whether records mean a class by a name."""
    if type_name(error) == recorded:
        return True
    end = f".{error.__qualname__}"
    module: object = error.__module__
    if not recorded.endswith(end) or not isinstance(module, str):
        return False
    return is_recorded_as(module, recorded.removesuffix(end))


def loaded_class(recorded: str) -> type | None:
    """The class that is recorded under a name, if this process has imported it.

    Nothing is imported for it, and no code of users runs to find it.
    """
    for module, name in _places(recorded):
        found: object = module
        for part in name.split("."):
            members = vars(found) if isinstance(found, ModuleType | type) else {}
            found = members.get(part)
        # A module may hold anything under that name, such as a class of another module.
        if isinstance(found, type) and is_named(found, recorded):
            return found
    return None


def _places(recorded: str) -> Iterator[tuple[ModuleType, str]]:
    """Modules in which it may be, and its name there."""
    yield builtins, recorded
    if recorded_module_name(MAIN) is None and MAIN in sys.modules:  # nothing that has a file
        yield sys.modules[MAIN], recorded
    parts = recorded.split(".")
    for length in range(len(parts) - 1, 0, -1):
        prefix, name = ".".join(parts[:length]), ".".join(parts[length:])
        for module in modules_recorded_as(prefix):
            yield module, name
