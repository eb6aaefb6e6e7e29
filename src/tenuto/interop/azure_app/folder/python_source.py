"""The functions that a Python app seems to have: its files are parsed, not run.

Decorators are told by their names. What code computes is not seen.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.workers.protocol import FunctionFacts

COMPUTED: Final = "% computed"
"""Stands for a schedule that cannot be read: it has a percent sign, and names no setting."""

RETRIES: Final = {"strategy": COMPUTED}
"""Stands for a retry policy: that there is one is seen, what it says is not."""

HTTP_OUT: Final = {"type": "http", "name": "$return", "direction": "out"}
_NOT_OF_THE_APP: Final = {"venv", "env", "node_modules", "__pycache__", "tests", "test"}
_PYTHON_TRIGGERS: Final = {
    "route": "httpTrigger",
    "schedule": "timerTrigger",
    "cosmos_db_trigger_v3": "cosmosDBTrigger",
    "cosmos_db_trigger": "cosmosDBTrigger",
    "kafka_trigger": "kafkaTrigger",
    "event_hub_message_trigger": "eventHubTrigger",
    "service_bus_queue_trigger": "serviceBusTrigger",
    "service_bus_topic_trigger": "serviceBusTrigger",
    "sql_trigger": "sqlTrigger",
    "warm_up_trigger": "warmupTrigger",
}
_PYTHON_BINDINGS: Final = {
    "durable_client_input": "durableClient",
    "queue_output": "queue",
    "blob_input": "blob",
    "blob_output": "blob",
    "event_hub_output": "eventHub",
    "service_bus_queue_output": "serviceBus",
    "service_bus_topic_output": "serviceBus",
    "cosmos_db_input": "cosmosDB",
    "cosmos_db_output": "cosmosDB",
    "cosmos_db_input_v3": "cosmosDB",
    "cosmos_db_output_v3": "cosmosDB",
    "event_grid_output": "eventGrid",
    "table_input": "table",
    "table_output": "table",
    "kafka_output": "kafka",
    "sql_input": "sql",
    "sql_output": "sql",
}
_NAME_DECORATOR: Final = "function_name"
_PARAMETERS: Final = {
    "route": "trigger_arg_name",
    "timer_trigger": "arg_name",
    "schedule": "arg_name",
    "activity_trigger": "input_name",
    "queue_trigger": "arg_name",
    "queue_output": "arg_name",
    "blob_trigger": "arg_name",
    "blob_input": "arg_name",
    "blob_output": "arg_name",
    "table_input": "arg_name",
    "table_output": "arg_name",
    "event_grid_trigger": "arg_name",
    "durable_client_input": "client_name",
}
"""Decorators of bindings that are served, and the argument that names the parameter."""

_WITHOUT_PARAMETER: Final = {_NAME_DECORATOR, "retry"}
_TYPE_DECORATORS: Final = {
    "generic_trigger",
    "generic_input_binding",
    "generic_output_binding",
}


def scan_python(root: Path, script: str) -> tuple[list[FunctionFacts], list[Finding]]:
    """The functions in the files of an app, and what cannot be read in its script."""
    functions: list[FunctionFacts] = []
    findings: list[Finding] = []
    for path in python_files(root):
        shown = path.relative_to(root).as_posix()
        try:
            tree = ast.parse(path.read_bytes(), shown)
        except (SyntaxError, ValueError) as error:  # ValueError: bytes that are no source
            if shown == script:
                findings.append(invalid(shown, error))
        else:
            functions += _python_functions(tree, shown)
    return functions, findings


def invalid(file: str, error: SyntaxError | ValueError) -> Finding:
    """What is said of a file that is no Python."""
    return Finding(
        level=Level.UNSUPPORTED,
        topic="functions",
        text=f"not valid Python: {getattr(error, 'msg', error)}",
        advice="the app would not be loaded",
        file=file,
        line=getattr(error, "lineno", None),
    )


def python_files(root: Path) -> Iterator[Path]:
    """The app's own source files, without those of packages."""
    # An app in a folder of this one is another.
    others = {path.parent for path in root.glob("*/**/host.json")}
    for path in sorted(root.rglob("*.py")):
        above = path.relative_to(root).parts[:-1]
        is_aside = any(one in _NOT_OF_THE_APP or one.startswith(".") for one in above)
        if not is_aside and others.isdisjoint(path.parents):
            yield path


def _python_functions(tree: ast.Module, file: str) -> Iterator[FunctionFacts]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
            named = [(one.func.attr, one) for one in calls if isinstance(one.func, ast.Attribute)]
            bindings = [binding for name, call in named for binding in _python_bindings(name, call)]
            if bindings:
                names = [_text(call, "name") for name, call in named if name == _NAME_DECORATOR]
                yield FunctionFacts(
                    name=next(filter(None, names), node.name),
                    bindings=bindings,
                    retry=RETRIES if any(name == "retry" for name, _ in named) else None,
                    file=file,
                    # As Python itself has it: where its decorators begin.
                    line=min(one.lineno for one in (node, *node.decorator_list)),
                )


def _python_bindings(decorator: str, call: ast.Call) -> Iterator[Mapping[str, Any]]:
    kind = _PYTHON_TRIGGERS.get(decorator) or _PYTHON_BINDINGS.get(decorator)
    if decorator in _TYPE_DECORATORS:
        kind = _text(call, "type")
    elif kind is None and decorator.endswith("_trigger"):
        kind = _camel(decorator)
    if kind is None:
        return
    binding = {"type": kind}
    if kind == "timerTrigger":
        # What is computed is taken for a setting: it cannot be read here.
        binding["schedule"] = _text(call, "schedule", position=1) or COMPUTED
    route = _text(call, "route") if decorator == "route" else None
    if route is not None:
        binding["route"] = route
    yield binding
    if decorator == "route":
        yield HTTP_OUT


def is_registration(name: str) -> bool:
    """Whether a method of this name makes a function of an app, or takes in what makes some."""
    known = name in _PYTHON_TRIGGERS or name in _TYPE_DECORATORS or name == _NAME_DECORATOR
    return known or name.endswith("_trigger") or name.startswith("register_")


def parameter_names(decorators: Sequence[ast.expr]) -> list[str] | None:
    """The parameters that the decorators of a function fill; None where that cannot be told.

    It cannot where one is not known: it may make another function of it. Orchestrators and entities
    are called with one value, whatever its name.
    """
    names: list[str] = []
    is_triggered = False
    for one in decorators:
        if not (isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)):
            return None
        decorator = one.func.attr
        if decorator in _WITHOUT_PARAMETER:
            continue
        keyword = _PARAMETERS.get(decorator)
        if keyword is None:
            return None
        is_first = decorator not in {"route", "schedule"}
        is_triggered = is_triggered or decorator.endswith("_trigger") or not is_first
        given = [argument.value for argument in one.keywords if argument.arg == keyword]
        given += one.args[:1] if is_first and not given else []
        if not given and decorator == "route" and not one.args[1:]:
            names.append("req")
        elif given and isinstance(given[0], ast.Constant) and isinstance(given[0].value, str):
            if given[0].value != "$return":  # what the function returns
                names.append(given[0].value)
        else:
            return None
    return names if is_triggered else None


def _text(call: ast.Call, keyword: str, position: int = 0) -> str | None:
    """A text that a decorator is given by this name, or in this place."""
    values = [one.value for one in call.keywords if one.arg == keyword]
    values = values or call.args[position : position + 1]
    value = values[0] if values else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return None


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.title() for one in others)
