"""Bindings to queues, blobs and tables: what is wrong with them, before anything of them is used.

For functions that an app's worker has said, or ``function.json``: code that is only searched does
not say names and paths.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tenuto.interop.azure_app.bindings.connections import (
    connection_name,
    connection_of,
    has_identity,
)
from tenuto.interop.azure_app.bindings.expressions import has_expressions
from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_services.blob_patterns import blob_pattern
from tenuto.interop.azure_services.connections import missing_package
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import InputError
from tenuto.model.topics import checked_place

_QUEUE: Final = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_TABLE: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_KINDS: Final = frozenset({"queuetrigger", "queue", "blobtrigger", "blob", "table"})
_RUN_AGAIN: Final = frozenset({"orchestrationtrigger", "entitytrigger"})

_EMULATED: Final = "UseDevelopmentStorage=true"
_Wrong = tuple[str, str]
"""What is wrong, and what to do."""


def check_storage(functions: Sequence[FunctionFacts], settings: AppSettings) -> list[Finding]:
    """What is to be said of bindings to queues, blobs and tables.

    Args:
        functions: With settings in the places of ``%name%``.
        settings: What their connections name.
    """
    found: list[Finding] = []
    uses_azure = False
    for function in functions:
        for binding in function.bindings:
            if _kind(binding) not in _KINDS:
                continue
            wrong = list(_wrong(function, binding, settings))
            found += [_finding(Level.UNSUPPORTED, function, binding, *one) for one in wrong]
            if wrong:
                continue
            found += [
                _finding(Level.NOTE, function, binding, *one) for one in _notes(binding, settings)
            ]
            uses_azure = uses_azure or connection_of(binding, settings) is not None
    package = missing_package() if uses_azure else None
    if package is not None:
        found.append(
            Finding(
                level=Level.UNSUPPORTED,
                topic="functions",
                text=f"functions use Azure Storage, and the package {package} is not installed",
                advice='pip install "tenuto[azure]"',
            )
        )
    return found


def _wrong(
    function: FunctionFacts, binding: Mapping[str, Any], settings: AppSettings
) -> Iterator[_Wrong]:
    if _kind(function.trigger) in _RUN_AGAIN:
        yield "is run again and again", "bind an activity, and call that"
        return
    properties = binding.get("properties")
    deferred = properties.get("supportsDeferredBinding") if isinstance(properties, dict) else None
    if str(deferred).lower() == "true":
        yield "wants a client of an SDK", "take its content, or make the client in the function"
        return
    direction = str(binding.get("direction") or "").lower()
    if direction not in {"in", "out"}:
        yield f"has the direction {direction or 'none'}", "in or out"
    elif _kind(binding) == "queue" and direction != "out":
        yield "is an input from a queue", "a queue is a trigger, or an output"
    try:
        connection = connection_of(binding, settings)
    except InputError as error:
        yield f"has the connection {connection_name(binding)}: {error}", "correct that setting"
        return
    is_queue = _kind(binding) in {"queue", "queuetrigger"}
    if connection is None and has_identity(binding, settings):
        yield (
            f"has the connection {connection_name(binding)}, an identity",
            "give a connection string",
        )
    elif connection is None and not is_queue:
        yield (
            f"has the connection {connection_name(binding)}, and there is no such setting",
            f"put a connection string there, such as {_EMULATED} for Azurite",
        )
    check = _CHECKS[_kind(binding)]
    try:
        check(binding, is_azure=connection is not None)
    except InputError as error:
        yield f"cannot be served: {error}", "correct it"


def _notes(binding: Mapping[str, Any], settings: AppSettings) -> Iterator[_Wrong]:
    name = connection_name(binding)
    is_queue = _kind(binding) in {"queue", "queuetrigger"}
    if is_queue and settings.get(f"AzureWebJobs{name}", name) is None:
        yield (
            f"is a queue of Tenuto: there is no setting {name}",
            "set it to UseTenuto=true when that is meant, else to a connection string",
        )
    if str(binding.get("source") or "").lower() == "eventgrid":
        yield "wants events of Event Grid", "the container is looked through instead"


# --- names --------------------------------------------------------------------------------------


def _check_queue(binding: Mapping[str, Any], *, is_azure: bool) -> None:
    name = _said(binding, "queueName")
    if has_expressions(name):
        if _kind(binding) == "queuetrigger":
            raise InputError(f"queueName {name!r} has an expression, which nothing fills")
    elif not is_azure:
        checked_place(name, "a queue")
    elif not _QUEUE.fullmatch(name.lower()):
        raise InputError(
            f"queueName {name!r} is none of Azure Storage: 3 to 63 letters, digits and single "
            "hyphens between them"
        )


def _check_blob(binding: Mapping[str, Any], *, is_azure: bool) -> None:
    del is_azure
    container, _, blob = _said(binding, "path").strip("/").partition("/")
    if not container or not blob:
        raise InputError("path is container/blob, such as plates/{name}.jpg")


def _check_pattern(binding: Mapping[str, Any], *, is_azure: bool) -> None:
    del is_azure
    blob_pattern(_said(binding, "path"))


def _check_table(binding: Mapping[str, Any], *, is_azure: bool) -> None:
    del is_azure
    name = _said(binding, "tableName")
    if not has_expressions(name) and not _TABLE.fullmatch(name):
        raise InputError(f"tableName {name!r} is none: 3 to 63 letters and digits, a letter first")


_CHECKS: Final[Mapping[str, Callable[..., None]]] = {
    "queuetrigger": _check_queue,
    "queue": _check_queue,
    "blobtrigger": _check_pattern,
    "blob": _check_blob,
    "table": _check_table,
}


def _said(binding: Mapping[str, Any], name: str) -> str:
    value = binding.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} is missing")
    return value


def _kind(binding: Mapping[str, Any]) -> str:
    return str(binding.get("type") or "").lower()


def _finding(
    level: Level, function: FunctionFacts, binding: Mapping[str, Any], text: str, advice: str
) -> Finding:
    shown = f"{binding.get('type')} ({binding.get('name')})"
    return Finding(
        level=level,
        topic="functions",
        text=f"function {function.name!r} has the binding {shown}, which {text}",
        advice=advice,
        file=function.file,
        line=function.line,
    )
