"""Loading an app: which model it is written in, what holds for both."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .app import App, Function, RefusedError
from .decorated import ignored_note, load_decorated, script_name
from .folders import function_folders, load_folders
from .refusals import check_package, how_to_install
from .signatures import check_request, check_signature
from .streaming import web_extension

_PACKAGES = ("azure-functions", "azure-functions-durable")
_SITE_PACKAGES = os.path.join(".python_packages", "lib", "site-packages")
_NO_STREAMING = (
    "The app imports azurefunctions.extensions.http: it is for apps with decorators only, in Azure "
    "too. Functions of a function.json get an azure.functions.HttpRequest."
)
_PACKAGE_FOLDERS = tuple(os.path.join("azure", name) for name in ("functions", "durable_functions"))


def load(root: str) -> App:
    """Import an app and check what can be checked before anything runs.

    Raises:
        RefusedError: says what is wrong with it, and where.
    """
    root = os.path.abspath(root)
    _enter(root)
    _wait_for_debugger()
    script = script_name(os.environ)
    folders = function_folders(root)
    has_script = os.path.isfile(os.path.join(root, script))
    if not has_script and not folders:
        raise RefusedError(
            f"There is no {script} in {root}, and no folder with a function.json: this is no app "
            "for Azure Functions in Python."
        )
    notes: list[str] = []
    with _notes_of_warnings(notes):
        check_package("azure.functions", "azure-functions")
        app = load_decorated(root, script) if has_script else load_folders(root, folders)
    if has_script and folders:
        notes.append(ignored_note(folders, script, root))
    notes += app.notes
    notes += [_later(function) for function in app.functions if function.needs_durable_task]
    extension = web_extension()
    if extension is not None and not has_script:
        notes.append(_NO_STREAMING)
    for function in app.functions:
        check_signature(function, root)
        if extension is not None and has_script:
            check_request(function, root)
    _check_names(app)
    return App(app.root, app.functions, notes, app.register, extension if has_script else None)


def versions() -> dict[str, str]:
    """The versions of the packages that matter, of those that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _enter(root: str) -> None:
    """Be where the app expects to be.

    As in Azure, the packages that were deployed with it come first and its own folder last: a
    folder of a function may be called ``http`` and hides no module from others.
    """
    if not os.path.isdir(root):
        raise RefusedError(f"There is no folder {root}.")
    os.chdir(root)
    packages = os.path.join(root, _SITE_PACKAGES)
    if os.path.isdir(packages):
        sys.path.insert(0, packages)
    if root not in sys.path:
        sys.path.append(root)
    importlib.invalidate_caches()


def _wait_for_debugger() -> None:
    port = os.environ.get("TENUTO_DEBUGPY")
    if not port:
        return
    # It warns of modules that are part of the interpreter, in which nobody sets a breakpoint.
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    try:
        debugpy = importlib.import_module("debugpy")
    except ModuleNotFoundError as error:
        raise RefusedError(
            "A debugger is to attach (--inspect, or the variable TENUTO_DEBUGPY), but debugpy is "
            f"not installed for {sys.executable}: run `{sys.executable} -m pip install debugpy`."
        ) from error
    try:
        debugpy.listen(("127.0.0.1", int(port)))
    except (RuntimeError, ValueError, OSError) as error:
        raise RefusedError(f"debugpy cannot listen on port {port}: {error}") from error
    if os.environ.get("TENUTO_DEBUGPY_WAIT") == "1":
        debugpy.wait_for_client()


@contextmanager
def _notes_of_warnings(notes: list[str]) -> Iterator[None]:
    """What the packages warn of while an app is loaded is for the person who starts it."""
    shown = warnings.showwarning

    def show(message: Any, category: Any, filename: str, *rest: Any, **more: Any) -> None:
        if any(folder in filename for folder in _PACKAGE_FOLDERS):
            notes.append(str(message))
        else:
            shown(message, category, filename, *rest, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


def _later(function: Function) -> str:
    return (
        f"Function {function.name!r} needs the Durable Task protocol, because the app has "
        "azure-functions-durable 2.x; it cannot be run yet. With `azure-functions-durable<2` in "
        f"requirements.txt it can ({how_to_install()})."
    )


def _check_names(app: App) -> None:
    seen: dict[str, str] = {}
    for function in app.functions:
        other = seen.setdefault(function.name.lower(), function.name)
        if other is not function.name:
            raise _refused(
                function,
                app.root,
                f"The functions {other!r} and {function.name!r} differ only in case, and are one "
                "for the host. Rename one.",
            )
        if function.name.startswith("@") and function.trigger_type == "orchestrationTrigger":
            raise _refused(
                function,
                app.root,
                f"The orchestrator {function.name!r} must not begin with '@': such names are those "
                "of entities.",
            )


def _refused(function: Function, root: str, message: str) -> RefusedError:
    file, line = function.place(root)
    return RefusedError(message, file=file, line=line)
