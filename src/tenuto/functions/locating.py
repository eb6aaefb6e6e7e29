"""Where a function stands, so that another process can find it: by module and name.

Owns the test of that, and the import on the other side. A function inside another function, or one
that was typed into an interactive session, cannot be found again and is refused. The main program
stands in its own process as ``__main__``; elsewhere it is imported from its file as
``__mp_main__``, the name that multiprocessing has made known, so that nothing under
``if __name__ == "__main__":`` happens again. Code is never sent, only its name.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from contextvars import ContextVar
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from msgspec import Struct

from tenuto.model.errors import AppLoadError, InputError
from tenuto.model.module_names import IMPORTED_MAIN, MAIN

loading: ContextVar[str | None] = ContextVar("tenuto_loading", default=None)
"""What is being imported for its functions; a run in the middle of that would not see all of it."""


def check_not_importing() -> None:
    """Refuse to run an app in the middle of the import that defines it.

    Raises:
        AppLoadError: naming what is being imported.
    """
    if (module := loading.get()) is not None:
        raise AppLoadError(
            f"{module} runs its app while it is imported; put what is to happen only when it "
            'is started as a script under `if __name__ == "__main__":`'
        )


class Place(Struct, frozen=True, array_like=True):
    """Where a function stands.

    Attributes:
        module: The module's name.
        name: The qualified name inside it.
        file: The module's file; None when its name is all there is.
        package: The package that relative imports of a main program start from.
    """

    module: str
    name: str
    file: str | None = None
    package: str | None = None

    def __str__(self) -> str:
        if self.module in {MAIN, IMPORTED_MAIN}:
            return f"{self.file}:{self.name}"
        return f"{self.module}:{self.name}"


def place_of(function: Callable[..., Any]) -> Place:
    """Where a function stands.

    Raises:
        InputError: another process could not find it, and why.
    """
    module_name = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if module_name is None or name is None:
        raise InputError(f"a worker process could not find it: {function!r} has no name")
    if _is_bound(function):
        raise InputError(
            "a worker process could not find it: it is bound to an object; make it a function"
        )
    if "<" in name:
        raise InputError(
            f"a worker process could not find it: {name} stands inside a function; "
            "move it to the top level of its module"
        )
    module = sys.modules.get(module_name)
    if module is None:
        raise InputError(
            f"a worker process could not find it: module {module_name!r} was not imported by name"
        )
    file = getattr(module, "__file__", None)
    if module_name in {MAIN, IMPORTED_MAIN}:
        if file is None or not Path(file).is_file():
            raise InputError(
                "a worker process could not find it: the main program is no file; "
                "put the function into a module"
            )
        return Place(module_name, name, _absolute(file), module.__package__)
    return Place(module_name, name, file and _absolute(file))


def _is_bound(function: Callable[..., Any]) -> bool:
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, type | ModuleType)


def standing_at(place: Place) -> object:
    """What stands there in this process, None when nothing does."""
    found: object = sys.modules.get(place.module)
    for part in place.name.split("."):
        found = getattr(found, part, None)
    return found


def import_from(place: Place) -> object:
    """Import the module in this process and give what stands there.

    Raises:
        ImportError: there is no such module, or nothing of that name in it.
        Exception: whatever the module raises while it is imported.
    """
    mark = loading.set(place.file or place.module)
    try:
        module = _import_module(place)
    finally:
        loading.reset(mark)
    found: object = module
    for part in place.name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ImportError(f"there is no {part!r} in {found!r}; looking for {place}") from None
    return found


def _import_module(place: Place) -> ModuleType:
    is_main = place.module in {MAIN, IMPORTED_MAIN}
    known = sys.modules.get(IMPORTED_MAIN if is_main else place.module)
    # multiprocessing gives that name to this very program, for which nobody looks here.
    if known is not None and _is_from(getattr(known, "__file__", None), place.file):
        return known
    if is_main:
        return _import_main(place)
    spec = importlib.util.find_spec(place.module)
    if spec is not None and _is_from(spec.origin, place.file):
        return importlib.import_module(place.module)
    return _import_file(place)


def _is_from(file: str | None, wanted: str | None) -> bool:
    if file is None or wanted is None:
        return file is wanted
    return _absolute(file) == wanted


def _absolute(file: str) -> str:
    return str(Path(file).absolute())


def _import_main(place: Place) -> ModuleType:
    assert place.file is not None
    if place.package:
        importlib.import_module(place.package)
    module = ModuleType(IMPORTED_MAIN)
    module.__file__ = place.file
    module.__package__ = place.package
    code = SourceFileLoader(IMPORTED_MAIN, place.file).get_code(IMPORTED_MAIN)
    assert code is not None
    _execute_as(IMPORTED_MAIN, module, lambda: exec(code, vars(module)))  # noqa: S102 - what an import does
    sys.modules[MAIN] = module
    return module


def _import_file(place: Place) -> ModuleType:
    """Import a file that stands under a name of its own, as ``tenuto start`` may have done."""
    spec = (
        None
        if place.file is None
        else importlib.util.spec_from_file_location(place.module, place.file)
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no module {place.module!r}; looking for {place}")
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    _execute_as(place.module, module, lambda: loader.exec_module(module))
    return module


def _execute_as(name: str, module: ModuleType, execute: Callable[[], None]) -> None:
    sys.modules[name] = module
    try:
        execute()
    except BaseException:
        del sys.modules[name]
        raise
