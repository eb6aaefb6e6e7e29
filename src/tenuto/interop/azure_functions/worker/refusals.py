"""From an exception while an app is loaded to words that help: what, where, what to do next."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import traceback
from types import TracebackType

from .app import RefusedError, own_file, relative
from .exception_texts import message_of, stack_of

_HOW_TO_INSTALL = "run `{python} -m pip install -r requirements.txt` in the app's folder"

_DURABLE_PACKAGE = os.path.join("azure", "durable_functions", "__init__.py")
_STRICT = (
    "azure-functions-durable, which this app imports, takes plain JSON alone: take out comments, "
    "commas at the end, and a byte order mark."
)


def how_to_install() -> str:
    """What to do about a package that is missing for this interpreter."""
    return _HOW_TO_INSTALL.format(python=sys.executable)


def check_package(module: str, package: str) -> None:
    """Refuse when a package that every app needs is not there.

    Raises:
        RefusedError: it cannot be found.
    """
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise RefusedError(
            f"The package {package} is not installed for {sys.executable}: add it to "
            f"requirements.txt, then {how_to_install()}."
        )


def refusal(error: BaseException, root: str, loaded: str) -> RefusedError:
    """Why an app cannot be run.

    Args:
        error: What was raised while it was imported.
        root: The app's folder.
        loaded: What was imported, for people, such as ``function_app.py``.
    """
    stack = stack_of(error)
    if isinstance(error, SyntaxError) and error.filename:
        return RefusedError(
            f"Python cannot read {relative(error.filename, root)}: {error.msg}.",
            file=relative(error.filename, root),
            line=error.lineno,
            stack=stack,
        )
    file, line = _innermost(error.__traceback__, root)
    name = error.name if isinstance(error, ImportError) else None
    hiding = hiding_module(name, root) if name else None
    if isinstance(error, json.JSONDecodeError) and _is_of_durable_package(error.__traceback__):
        file, line, message = "host.json", _line_in(error), _STRICT
    elif hiding is not None:
        message = f"The app imports {name!r}, and {hiding}. Rename what the app has."
    elif isinstance(error, ModuleNotFoundError) and error.name:
        message = _missing(error.name, root)
    else:
        message = f"{loaded} cannot be imported: {type(error).__name__}: {message_of(error)}"
    return RefusedError(message, file=file, line=line, stack=stack)


def _is_of_durable_package(trace: TracebackType | None) -> bool:
    """Whether an error about JSON is of the package, which reads ``host.json`` and nothing else."""
    frames = traceback.walk_tb(trace)
    return any(frame.f_code.co_filename.endswith(_DURABLE_PACKAGE) for frame, _ in frames)


def _line_in(error: json.JSONDecodeError) -> int:
    """The line of what is no JSON; of a comma at the end, and not of the bracket behind it."""
    place = error.pos
    if error.doc[place : place + 1] in ("]", "}"):
        place = max(error.doc.rfind(",", 0, place), 0)
    return error.doc.count("\n", 0, place) + 1


def hiding_module(name: str, root: str) -> str | None:
    """In words, that a module of others hides the app's own of that name; None when none does.

    Args:
        name: Of a module that was imported, or one inside it.
        root: The app's folder.
    """
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    if module is None or not _has(root, top):
        return None
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", ())]
    if any(own_file(place, root) is not None for place in places if place):
        return None
    where = places[0] or "the interpreter"
    return f"{top!r} is a module of {where}, which comes before the app's own, as in Azure"


def _has(root: str, top: str) -> bool:
    return any(os.path.exists(os.path.join(root, one)) for one in (top, f"{top}.py"))


def _missing(module: str, root: str) -> str:
    packages = {"azure": "azure-functions", "azure.functions": "azure-functions"}
    packages["azure.durable_functions"] = "azure-functions-durable"
    top = module.partition(".")[0]
    if package := packages.get(module):
        return (
            f"The package {package} is not installed for {sys.executable}: add it to "
            f"requirements.txt, then {how_to_install()}."
        )
    if _has(root, top):
        return f"The app imports {module!r}, which is not in its folder {top!r}."
    return (
        f"The app imports {module!r}, which is not installed for {sys.executable}: if its package "
        f"stands in requirements.txt, {how_to_install()}; else add it there first."
    )


def _innermost(trace: TracebackType | None, root: str) -> tuple[str | None, int | None]:
    """The last place in the app's own files that an exception went through."""
    place: tuple[str | None, int | None] = (None, None)
    for frame, line in traceback.walk_tb(trace):
        file = own_file(frame.f_code.co_filename, root)
        if file is not None:
            place = (file, line)
    return place
