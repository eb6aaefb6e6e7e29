"""Apps of model v2: functions with decorators in ``function_app.py``."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from .app import App, Binding, Function, RefusedError, own_file, relative
from .exception_texts import message_of
from .refusals import hiding_module, refusal

_UNIQUE = re.compile(r"Function (?P<name>\S+) does not have a unique function name")
_STRATEGIES = {"fixed_delay": "fixedDelay", "exponential_backoff": "exponentialBackoff"}
_RETRY_MEMBERS = {
    "delay_interval": "delayInterval",
    "minimum_interval": "minimumInterval",
    "maximum_interval": "maximumInterval",
}
# Where a durable trigger says another name than the function's.
_NAMED_BY_TRIGGER = ("orchestration", "activity", "entityName")


def load_decorated(root: str, script: str) -> App:
    """Import the script and read what its decorators have registered.

    Raises:
        RefusedError: it cannot be imported, or has not exactly one app.
    """
    module = _import(root, script)
    register = _only_register(module, root, script)
    try:
        built = register.get_functions()
    except Exception as error:
        raise _not_built(error, register, root, script) from error
    directory = os.path.dirname(os.path.join(root, script))
    bindings = [[_binding(text) for text in one.get_raw_bindings()] for one in built]
    aliases, notes = _aliases(built, bindings)
    functions = [
        Function(
            name=one.get_function_name(),
            callable=one.get_user_function(),
            bindings=bound,
            directory=directory,
            aliases=other,
            retry=_retry(one.get_settings_dict("retry_policy")),
        )
        for one, bound, other in zip(built, bindings, aliases)  # noqa: B905 - 3.9 has no strict
    ]
    return App(root, functions, notes, register)


def _import(root: str, script: str) -> ModuleType:
    name = os.path.splitext(script)[0].replace("/", ".").replace(os.sep, ".")
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # even a module that exits has only failed to load
        raise refusal(error, root, script) from error
    hiding = hiding_module(name, root)
    if hiding is not None:
        raise RefusedError(
            f"{script} cannot be imported: {hiding}. Give it another name, and that to the setting "
            "PYTHON_SCRIPT_FILE_NAME.",
            file=script,
        )
    return module


def _only_register(module: ModuleType, root: str, script: str) -> Any:
    kind = importlib.import_module("azure.functions").FunctionRegister
    found = {
        id(value): (name, value) for name, value in vars(module).items() if isinstance(value, kind)
    }
    if not found:
        raise RefusedError(
            f"{script} has no app: it needs one FunctionApp (or DFApp, AsgiFunctionApp, "
            "WsgiFunctionApp) in a variable of the module.",
            file=script,
        )
    if len(found) > 1:
        named = [name for name, _ in found.values()]
        names = " and ".join(map(repr, named))
        raise RefusedError(
            f"{script} has more than one app: {names}. Keep one, and make Blueprints of the others "
            "that it registers.",
            file=script,
            line=_line_of(named[-1], os.path.join(root, script)),
        )
    return next(iter(found.values()))[1]


def _line_of(name: str, path: str) -> int | None:
    """The line that gives a module its variable of that name; None when it is not that simple."""
    with open(path, "rb") as source:  # the parser knows in which encoding
        body = ast.parse(source.read()).body
    lines = [
        one.lineno
        for one in body
        if isinstance(one, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in one.targets)
    ]
    return lines[-1] if lines else None


def _not_built(error: Exception, register: Any, root: str, script: str) -> RefusedError:
    unique = _UNIQUE.search(message_of(error))
    if unique is None:
        return refusal(error, root, script)
    name = unique.group("name")
    codes = [
        one._function.get_user_function().__code__
        for one in getattr(register, "_function_builders", ())
        if one._function.get_function_name() == name
        and hasattr(one._function.get_user_function(), "__code__")
    ]
    file = own_file(codes[-1].co_filename, root) if codes else None
    return RefusedError(
        f"Two functions are called {name!r}. Rename one, or give it another name with "
        "@app.function_name().",
        file=file or script,
        line=codes[-1].co_firstlineno if file else None,
    )


def _binding(text: str) -> Binding:
    """A binding as ``function.json`` would have it: the decorators write enums in capitals."""
    binding: Binding = json.loads(text)
    for member in ("direction", "authLevel"):
        if isinstance(binding.get(member), str):
            binding[member] = binding[member].lower()
    return binding


def _retry(setting: dict[str, Any] | None) -> dict[str, Any] | None:
    if not setting:
        return None
    strategy = str(setting.get("strategy"))
    policy: dict[str, Any] = {"strategy": _STRATEGIES.get(strategy, strategy)}
    count = setting.get("max_retry_count")
    policy["maxRetryCount"] = int(count) if count is not None else -1
    for member, name in _RETRY_MEMBERS.items():
        if setting.get(member) is not None:
            policy[name] = setting[member]
    return policy


def _aliases(
    built: Sequence[Any], bindings: Sequence[Sequence[Binding]]
) -> tuple[list[list[str]], list[str]]:
    """Other names of each function, and what is to be said of those that stand for several.

    An orchestrator may call a function by what its trigger says, and by the name after ``def``:
    that is what the package sends when it is given the function itself.
    """
    wanted = [_other_names(one, bound) for one, bound in zip(built, bindings)]  # noqa: B905
    names = {one.get_function_name().lower() for one in built}
    often = Counter(alias.lower() for aliases in wanted for alias in aliases)
    ambiguous = {alias for aliases in wanted for alias in aliases if often[alias.lower()] > 1} | {
        alias for aliases in wanted for alias in aliases if alias.lower() in names
    }
    notes = [
        f"{alias!r} stands for more than one function; a call of it by an orchestrator finds the "
        "one that is registered under that name."
        for alias in sorted(ambiguous)
    ]
    return [[alias for alias in aliases if alias not in ambiguous] for aliases in wanted], notes


def _other_names(one: Any, bindings: Sequence[Binding]) -> list[str]:
    kinds = ("orchestrationtrigger", "activitytrigger", "entitytrigger")
    said = [
        str(binding[member])
        for binding in bindings
        if str(binding.get("type")).lower() in kinds
        for member in (*_NAMED_BY_TRIGGER, "")
        if binding.get(member)
    ]
    if any(str(binding.get("type")).lower() in kinds for binding in bindings):
        said.append(one.get_user_function().__name__)
    name = one.get_function_name().lower()
    return list(dict.fromkeys(alias for alias in said if alias.lower() != name))


def script_name(environment: Any) -> str:
    """The app's script: ``function_app.py`` unless a setting says otherwise."""
    return str(environment.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py")


def ignored_note(folders: Sequence[str], script: str, root: str) -> str:
    """What to say when an app is written in both models."""
    listed = ", ".join(relative(os.path.join(root, folder), root) for folder in folders)
    return (
        f"The functions in the folders {listed} are not used, because there is {script}: an app "
        "has one programming model."
    )
