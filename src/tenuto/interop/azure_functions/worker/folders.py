"""Apps of model v1: one folder with a ``function.json`` per function."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from .app import App, Binding, Function, RefusedError
from .refusals import refusal

NAMESPACE = "__app__"
_FILE = "function.json"


def function_folders(root: str) -> list[str]:
    """The names of the folders that say they are functions, sorted."""
    return sorted(
        entry.name
        for entry in os.scandir(root)
        if entry.is_dir() and os.path.isfile(os.path.join(entry.path, _FILE))
    )


def load_folders(root: str, folders: Sequence[str]) -> App:
    """Import the functions of an app, each from its folder.

    Raises:
        RefusedError: one of them cannot be imported, or its ``function.json`` makes no sense.
    """
    namespace = ModuleType(NAMESPACE)
    namespace.__path__ = [root]
    sys.modules[NAMESPACE] = namespace
    functions, notes = [], []
    for folder in folders:
        description = _description(root, folder)
        if _is_disabled(description.get("disabled", False)):
            notes.append(f"Function {folder!r} is disabled in its function.json.")
            continue
        functions.append(_function(root, folder, description))
    return App(root, functions, notes)


def _description(root: str, folder: str) -> dict[str, Any]:
    file = os.path.join(folder, _FILE)
    with open(os.path.join(root, file), encoding="utf-8-sig") as stream:
        text = stream.read()
    try:
        description = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise RefusedError(f"{file} is not JSON: {error}.", file=file, line=line) from error
    bindings = description.get("bindings") if isinstance(description, dict) else None
    if not isinstance(bindings, list) or not all(isinstance(one, dict) for one in bindings):
        raise RefusedError(f'{file} must have a list of objects "bindings".', file=file)
    if not isinstance(description.get("retry") or {}, dict):
        raise RefusedError(f"Function {folder!r}: its retry policy is no object.", file=file)
    return dict(description)


def _is_disabled(said: Any) -> bool:
    """True or false, or the name of a setting that says so."""
    text = os.environ.get(said, "") if isinstance(said, str) else str(said)
    return text.strip().lower() in ("1", "true")


def _function(root: str, folder: str, description: dict[str, Any]) -> Function:
    script = str(description.get("scriptFile") or "__init__.py")
    path = os.path.relpath(os.path.join(root, folder, script), root)
    entry = str(description.get("entryPoint") or "main")
    if not os.path.isfile(os.path.join(root, path)):
        file = os.path.join(folder, _FILE)
        raise RefusedError(f"Function {folder!r}: there is no file {path}.", file=file)
    module = _module_name(path)
    try:
        entered = getattr(importlib.import_module(module), entry, None)
    except BaseException as error:  # even a module that exits has only failed to load
        raise refusal(error, root, path) from error
    if not callable(entered):
        raise RefusedError(
            f"Function {folder!r}: {path} has no function {entry!r}; define it, or name another as "
            f'"entryPoint" in {os.path.join(folder, _FILE)}.',
            file=path,
        )
    return Function(
        name=folder,
        callable=entered,
        bindings=[_binding(one) for one in description["bindings"]],
        directory=os.path.join(root, folder),
        retry=description.get("retry"),
    )


def _module_name(path: str) -> str:
    """Its name below the app's namespace: relative imports between folders need it."""
    parts = os.path.splitext(path)[0].split(os.sep)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join([NAMESPACE, *parts])


def _binding(described: Binding) -> Binding:
    binding = dict(described)
    for member in ("direction", "authLevel"):
        if isinstance(binding.get(member), str):
            binding[member] = binding[member].lower()
    if str(binding.get("type")).lower() == "orchestrationclient":  # its name in old apps
        binding["type"] = "durableClient"
    return binding
