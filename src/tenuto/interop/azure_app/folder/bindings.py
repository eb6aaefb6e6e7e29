"""The bindings of functions: which are known here, and what is wrong with them.

Everything here is about what an app says of itself (``FunctionFacts``), whether a worker has said
it or it was read in files. What is not served is refused when the app is loaded, by name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import structs

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.host_json import HostOptions
from tenuto.interop.azure_app.folder.python_source import COMPUTED
from tenuto.interop.azure_app.folder.retry_policies import retry_policy
from tenuto.interop.azure_app.folder.settings import AppSettings, MissingSettingError
from tenuto.interop.workers.protocol import FunctionFacts
from tenuto.model.errors import AppLoadError

ENTITY_TRIGGER: Final = "entityTrigger"
KNOWN_BINDINGS: Final[Mapping[str, str]] = {
    "httpTrigger": "served",
    "http": "the answer of a function behind HTTP",
    "timerTrigger": "served",
    "orchestrationTrigger": "served",
    "activityTrigger": "served",
    "durableClient": "served",
    "orchestrationClient": "served; the older name of durableClient",
    "queueTrigger": "served: a queue of Azure Storage, or one of Tenuto",
    "queue": "served: messages into a queue of Azure Storage, or one of Tenuto",
    "blobTrigger": "served: blobs of Azure Storage that are new or have changed",
    "blob": "served: a blob of Azure Storage as input or output",
    "table": "served: rows of a table of Azure Storage as input or output",
    "eventGridTrigger": "served: events that are posted to the webhook",
    ENTITY_TRIGGER: "the app starts; calls of its entities are refused",
}
"""Each type of binding that is known, and what becomes of it."""

REQUIRES_GRPC: Final = "durableRequiresGrpc"
"""With this key a trigger of azure-functions-durable 2 says that it has another protocol."""

_RETRIED_OTHERWISE: Final = {
    "httptrigger": "let its caller try again",
    "activitytrigger": "give the call of it retry options, in the orchestrator",
    "orchestrationtrigger": "give the calls in it retry options",
    "entitytrigger": "remove it",
    "queuetrigger": "see extensions.queues.maxDequeueCount in host.json",
    "blobtrigger": "see extensions.blobs.poisonBlobThreshold in host.json",
    "eventgridtrigger": "remove it: an event is tried again without",
}
"""What to do instead of a retry policy, by the trigger of the function that has it."""

_KNOWN: Final = {name.lower(): name for name in KNOWN_BINDINGS}
_NAMES_OF_SETTINGS: Final = {"connection", "name", "type", "direction"}
"""Properties in which ``%name%`` is not replaced: they say what something is called."""

ScheduleParser = Callable[[str], object]
"""Reads a schedule; raises a ValueError that says what is wrong."""

RouteParser = Callable[[str], object]
"""The same of a route."""


def check_functions(
    functions: Sequence[FunctionFacts],
    *,
    settings: AppSettings | None = None,
    parse_schedule: ScheduleParser | None = None,
    parse_route: RouteParser | None = None,
) -> list[Finding]:
    """What is to be said of the functions of an app, such as bindings that are not served.

    Args:
        functions: Of the app, as a worker or its files say them.
        settings: What ``%name%`` in a binding stands for; None to leave those alone.
        parse_schedule: Reads the schedule of a timer; None to leave them unread.
        parse_route: The same of routes.

    Example:
        ``[one for one in check_functions(facts) if one.level is Level.UNSUPPORTED]``
    """
    return [
        *_same_names(functions),
        *(
            finding
            for function in functions
            for finding in _check_function(function, settings, parse_schedule)
        ),
        *(
            finding
            for function in functions
            for finding in _check_route(function, settings, parse_route)
        ),
    ]


def chosen_functions(
    functions: Sequence[FunctionFacts], host: HostOptions, settings: AppSettings
) -> list[FunctionFacts]:
    """The functions that are to be run, as the app says them.

    Left out are those that ``functions`` of ``host.json`` does not have, and those that a setting
    ``AzureWebJobs.<name>.Disabled`` switches off.
    """
    return [one for one in functions if host.runs(one.name) and not settings.is_disabled(one.name)]


def running_functions(
    functions: Sequence[FunctionFacts], host: HostOptions, settings: AppSettings
) -> list[FunctionFacts]:
    """The functions that are to be run, with settings in the places of ``%name%``.

    Raises:
        AppLoadError: a binding names a setting that is not there.
    """
    return [
        structs.replace(
            one, bindings=[_resolved(one, binding, settings) for binding in one.bindings]
        )
        for one in chosen_functions(functions, host, settings)
    ]


def _resolved(
    function: FunctionFacts, binding: Mapping[str, Any], settings: AppSettings
) -> Mapping[str, Any]:
    resolved = dict(binding)
    for key, value in _settable(binding):
        try:
            resolved[key] = settings.resolve(value)
        except MissingSettingError as error:
            text, advice = _missing(binding, key, str(error))
            raise AppLoadError(f"{_of(function)} {text}; {advice}") from None
    return resolved


def _settable(binding: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The members of a binding in which a setting may stand."""
    for key, value in binding.items():
        if isinstance(value, str) and key not in _NAMES_OF_SETTINGS:
            yield key, value


def _missing(binding: Mapping[str, Any], key: str, setting: str) -> tuple[str, str]:
    where = f"as {key} of its binding {_shown(binding)}"
    return (
        f"has the setting {setting!r} {where}, which is not there or empty",
        "put it into local.settings.json, or into the environment",
    )


# --- one function -------------------------------------------------------------------------------


def _check_function(
    function: FunctionFacts, settings: AppSettings | None, parse_schedule: ScheduleParser | None
) -> Iterator[Finding]:
    for binding in function.bindings:
        yield from _check_binding(function, binding)
        if settings is not None:
            yield from _check_settings(function, binding, settings)
    triggers = [one for one in function.bindings if _type(one).lower().endswith("trigger")]
    if not triggers:
        yield _wrong(function, "has no trigger", "give it one; nothing would ever run it")
    elif len(triggers) > 1:
        names = ", ".join(map(_shown, triggers))
        yield _wrong(function, f"has several triggers: {names}", "make a function of each")
    for trigger in triggers:
        yield from _check_trigger(function, trigger, settings, parse_schedule)
    if function.retry is not None and triggers:
        yield from _check_retry(function, function.retry)


def _check_settings(
    function: FunctionFacts, binding: Mapping[str, Any], settings: AppSettings
) -> Iterator[Finding]:
    for key, value in _settable(binding):
        try:
            settings.resolve(value)
        except MissingSettingError as error:
            yield _wrong(function, *_missing(binding, key, str(error)))


def _check_binding(function: FunctionFacts, binding: Mapping[str, Any]) -> Iterator[Finding]:
    kind = _type(binding)
    known = _KNOWN.get(kind.lower())
    if not kind:
        yield _wrong(function, f"has a binding {_shown(binding)} without a type", "say its type")
    elif known is None:
        yield _wrong(
            function,
            f"has the binding {_shown(binding)}, which is not served",
            f"served are {', '.join(KNOWN_BINDINGS)}",
        )
    elif known == ENTITY_TRIGGER:
        yield _note(function, "is an entity: entities are not served yet", KNOWN_BINDINGS[known])
    if binding.get(REQUIRES_GRPC) is True and known != ENTITY_TRIGGER:
        yield _note(
            function,
            "is of azure-functions-durable 2, whose protocol is not served yet",
            "the app starts, calls of this function are refused; install azure-functions-durable<2",
        )


def _check_trigger(
    function: FunctionFacts,
    trigger: Mapping[str, Any],
    settings: AppSettings | None,
    parse_schedule: ScheduleParser | None,
) -> Iterator[Finding]:
    kind = _type(trigger).lower()
    if kind == "httptrigger":
        if not any(_type(one).lower() == "http" for one in function.bindings):
            yield _note(
                function,
                "is behind HTTP and has no output of the type http",
                "it answers 204, whatever it returns",
            )
    elif kind == "timertrigger":
        yield from _check_schedule(function, trigger.get("schedule"), settings, parse_schedule)


def _check_schedule(
    function: FunctionFacts,
    schedule: object,
    settings: AppSettings | None,
    parse_schedule: ScheduleParser | None,
) -> Iterator[Finding]:
    if not isinstance(schedule, str) or not schedule.strip():
        advice = "such as 0 */5 * * * *"
        yield _wrong(function, "is run by a timer and has no schedule", advice)
        return
    text = schedule
    if settings is not None:
        try:
            text = settings.resolve(schedule)
        except MissingSettingError:
            return  # told of already
    if parse_schedule is None or "%" in text:  # a setting, or what code computes
        return
    try:
        parse_schedule(text)
    except ValueError as error:
        # The value of a setting is not shown, not even a wrong one: it may be in the wrong place.
        shown = str(error) if text == schedule else f"correct the setting in {schedule!r}"
        yield _wrong(function, "has a schedule that cannot be read", shown)


def _check_retry(function: FunctionFacts, retry: Mapping[str, Any]) -> Iterator[Finding]:
    """Its retry policy: that of a timer is followed, any other is not, as in Azure."""
    kind = _type(function.trigger).lower()
    if kind == "timertrigger":
        if retry.get("strategy") == COMPUTED:
            return
        try:
            retry_policy(retry)
        except ValueError as error:
            yield _wrong(function, "has a retry policy that cannot be followed", str(error))
    elif kind in _RETRIED_OTHERWISE:
        yield _note(
            function,
            "has a retry policy, which is ignored, as Azure Functions ignores it: functions of "
            "timers alone are tried again",
            _RETRIED_OTHERWISE[kind],
        )


def _check_route(
    function: FunctionFacts, settings: AppSettings | None, parse_route: RouteParser | None
) -> Iterator[Finding]:
    for binding in function.bindings:
        route = binding.get("route")
        if _type(binding).lower() != "httptrigger" or not isinstance(route, str):
            continue
        try:
            text = route if settings is None else settings.resolve(route)
        except MissingSettingError:
            continue  # told of already
        if parse_route is not None and "%" not in text:
            try:
                parse_route(text)
            except ValueError as error:
                shown = str(error) if text == route else f"the setting in {route!r} makes no route"
                yield _wrong(function, f"cannot be served: {shown}", "correct the route")


def _same_names(functions: Sequence[FunctionFacts]) -> Iterator[Finding]:
    first: dict[str, FunctionFacts] = {}
    for one in functions:
        other = first.setdefault(one.name.lower(), one)
        if other is not one:
            where = f" in {other.place}" if other.file else ""
            named = f" as {other.name!r}" if other.name != one.name else ""
            yield _wrong(one, f"is there twice, first{where}{named}", "give it another name")


# --- words --------------------------------------------------------------------------------------


def _type(binding: Mapping[str, Any]) -> str:
    return str(binding.get("type") or "")


def _shown(binding: Mapping[str, Any]) -> str:
    kind, name = _type(binding), binding.get("name")
    return f"{kind or '?'} ({name})" if name else kind or "?"


def _of(function: FunctionFacts) -> str:
    where = f"{function.place}: " if function.file else ""
    return f"{where}function {function.name!r}"


def _wrong(function: FunctionFacts, text: str, advice: str) -> Finding:
    return _finding(Level.UNSUPPORTED, function, text, advice)


def _note(function: FunctionFacts, text: str, advice: str) -> Finding:
    return _finding(Level.NOTE, function, text, advice)


def _finding(level: Level, function: FunctionFacts, text: str, advice: str) -> Finding:
    return Finding(
        level=level,
        topic="functions",
        text=f"function {function.name!r} {text}",
        advice=advice,
        file=function.file,
        line=function.line,
    )
