"""What would keep the files of a Python app from being loaded, told without running them.

Goes from the script to the modules of the app that it imports. Only what stands in a module itself
counts: what is in a function, an ``if`` or a ``try`` may never be reached.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.interpreters import (
    DEPLOYED_PACKAGES,
    Interpreter,
    ask_interpreter,
)
from tenuto.interop.azure_app.folder.python_source import invalid, is_registration, parameter_names
from tenuto.interop.azure_app.folder.settings import AppSettings

_APPS: Final = {"FunctionApp", "DFApp", "AsgiFunctionApp", "WsgiFunctionApp", "FunctionRegister"}
_WHOLE_APPS: Final = {"AsgiFunctionApp", "WsgiFunctionApp"}
"""These register their function themselves."""

_DYNAMIC: Final = {"__import__", "import_module", "exec", "runpy"}
_CONTEXT: Final = "context"
_FIND: Final = """
import sys
sys.path[:] = [p for p in sys.path if p]  # before anything in the current folder is imported
import importlib.machinery, importlib.util, json
sys.path[:0] = sys.argv[1:3]

def is_there(name):
    first, *others = name.split(".")
    if first in sys.builtin_module_names:
        return True
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):
        return True  # somebody else looks for it, and that cannot be told
    for part in others:
        # A package that runs may have anything; only a folder of packages can be looked into.
        if spec is None or spec.loader is not None and spec.origin is not None:
            break
        first += "." + part
        spec = importlib.machinery.PathFinder.find_spec(first, spec.submodule_search_locations)
    return spec is not None

json.dump({"missing": [one for one in sys.argv[3:] if not is_there(one)]}, sys.stdout)
"""


class _Missing(Struct, frozen=True):
    missing: tuple[str, ...] = ()


class _Module(Struct, frozen=True):
    """A file of the app that is loaded with it."""

    file: str
    tree: ast.Module


class _Loaded(Struct, frozen=True):
    """The script and what it imports of the app; what else it imports, with the first place."""

    modules: list[_Module] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    imports: dict[str, tuple[str, int]] = field(default_factory=dict)


def python_obstacles(
    root: Path, script: str, interpreter: Interpreter, settings: AppSettings
) -> list[Finding]:
    """What would keep an app of the programming model v2 from being loaded.

    Args:
        root: Its folder.
        script: The file that it begins in.
        interpreter: Runs it; is asked for the modules that it finds, and imports none.
        settings: The app's.

    Raises:
        AppLoadError: the interpreter does not answer.
    """
    loaded = _load(root, script)
    findings = [*loaded.findings, *_missing(root, loaded, interpreter, settings)]
    if findings:
        return findings  # one of these may be why no app is seen
    nothing = None if _may_be_elsewhere(loaded) else _nothing_made(loaded)
    if nothing is not None:
        findings.append(_wrong(*nothing, script))
    for one in loaded.modules:
        findings += _signatures(one)
    return findings


# --- what is loaded -----------------------------------------------------------------------------


def _load(root: Path, script: str) -> _Loaded:
    loaded = _Loaded()
    waiting, seen = [root / script], set[Path]()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        shown = path.relative_to(root).as_posix()
        try:
            tree = ast.parse(path.read_bytes(), shown)
        except (SyntaxError, ValueError) as error:  # ValueError: bytes that are no source
            if shown != script:  # told of already
                loaded.findings.append(invalid(shown, error))
            continue
        loaded.modules.append(_Module(shown, tree))
        for name, line in _imported(tree, path.parent, root):
            own = _files_of(root, name)
            waiting += own
            if not own:
                loaded.imports.setdefault(name, (shown, line))
    return loaded


def _imported(tree: ast.Module, folder: Path, root: Path) -> Iterator[tuple[str, int]]:
    """The modules that a file imports; of ``from x import y`` both, for ``y`` may be one."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((one.name, node.lineno) for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ""
            if node.level:
                base = folder
                for _ in range(node.level - 1):
                    base = base.parent
                if not base.is_relative_to(root):
                    continue  # Python says so itself
                above = ".".join(base.relative_to(root).parts)
            module = ".".join(filter(None, (above, node.module)))
            names = [module] if module else []
            names += [f"{module}.{one.name}" if module else one.name for one in node.names]
            # Relative ones are looked at where they are there, and not missed.
            yield from (
                (one, node.lineno)
                for one in names
                if not one.endswith("*") and (not node.level or _files_of(root, one))
            )


def _files_of(root: Path, name: str) -> list[Path]:
    """The files of the app that are loaded by an import: the module, and the packages above."""
    parts = name.split(".")
    path = root.joinpath(*parts)
    own = [path.with_suffix(".py"), path / "__init__.py"]
    above = [root.joinpath(*parts[:end], "__init__.py") for end in range(1, len(parts))]
    return [one for one in (*above, *own) if one.is_file()]


def _missing(
    root: Path, loaded: _Loaded, interpreter: Interpreter, settings: AppSettings
) -> Iterator[Finding]:
    if not loaded.imports:
        return
    places = (str(root), str(root / DEPLOYED_PACKAGES))
    arguments = ("-c", _FIND, *places, *loaded.imports)
    missing = ask_interpreter(interpreter, arguments, _Missing, settings).missing
    for name in missing:
        if name.rpartition(".")[0] in missing:
            continue
        file, line = loaded.imports[name]
        yield _wrong(
            f"imports {name}, which {interpreter.path} does not find",
            "put its package into requirements.txt, and pip install -r requirements.txt",
            file,
            line,
        )


# --- what it makes ------------------------------------------------------------------------------


def _nothing_made(loaded: _Loaded) -> tuple[str, str] | None:
    """What is missing, and what to do; None when app and functions seem to be there."""
    if not any(_makes_app(one.tree) for one in loaded.modules):
        return (
            "has no app: it needs one FunctionApp (or DFApp, AsgiFunctionApp, WsgiFunctionApp)",
            "app = func.FunctionApp()",
        )
    if not any(_registers(one.tree) for one in loaded.modules):
        return (
            "has no functions: nothing in it or in what it imports registers one",
            "such as @app.route(...) above a function",
        )
    return None


def _may_be_elsewhere(loaded: _Loaded) -> bool:
    """Whether app and functions may come from what is not looked at.

    That is a package which the script imports by name, or a module that code chooses.
    """
    if not loaded.modules:
        return True  # the script is no Python
    usual = {*sys.stdlib_module_names, "azure"}
    script = loaded.modules[0].tree
    if any(_name(one) in _DYNAMIC for one in ast.walk(script) if isinstance(one, ast.expr)):
        return True
    named = [one.module for one in script.body if isinstance(one, ast.ImportFrom) and one.module]
    return any(one in loaded.imports and one.partition(".")[0] not in usual for one in named)


def _makes_app(tree: ast.Module) -> bool:
    names = (one for one in ast.walk(tree) if isinstance(one, ast.Name | ast.Attribute))
    return any(_name(one) in _APPS for one in names)


def _registers(tree: ast.Module) -> bool:
    """Whether anything in a file looks as if it made a function of an app."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_registration(node.attr):
            return True
        if isinstance(node, ast.Call) and _name(node.func) in _WHOLE_APPS:
            return True
    return False


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _signatures(module: _Module) -> Iterator[Finding]:
    """Functions with a parameter that no binding fills."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bound = parameter_names(node.decorator_list)
            unbound = [] if bound is None else _unbound(node.args, bound)
            if unbound:
                many = "s" if len(unbound) > 1 else ""
                names = ", ".join(map(repr, unbound))
                yield _wrong(
                    f"function {node.name!r} has the parameter{many} {names} without a binding",
                    "give it one, or a default value",
                    module.file,
                    min(one.lineno for one in (node, *node.decorator_list)),
                )


def _unbound(arguments: ast.arguments, bound: Sequence[str]) -> list[str]:
    plain = [*arguments.posonlyargs, *arguments.args]
    without_default = plain[: len(plain) - len(arguments.defaults)]
    without_default += [
        one
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is None
    ]
    return [one.arg for one in without_default if one.arg not in {*bound, _CONTEXT}]


def _wrong(text: str, advice: str, file: str, line: int | None = None) -> Finding:
    return Finding(
        level=Level.UNSUPPORTED,
        topic="functions",
        text=text,
        advice=advice,
        file=file,
        line=line,
    )
