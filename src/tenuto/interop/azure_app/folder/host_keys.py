"""The keys of ``host.json``, and what becomes of each. The only table of them.

``tenuto azure check`` and the table in ``docs/azure-functions.md`` are made from it. A row stands
for its key and all that is below it. Keys are compared without regard to case, as in the original.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from tenuto.interop.azure_app.folder.findings import Level
from tenuto.interop.azure_app.folder.time_spans import time_span

_Count = Annotated[int, Meta(ge=1)]
_Bound = Annotated[int, Meta(ge=-1)]
_Batch = Annotated[int, Meta(ge=1, le=32)]
_Threshold = Annotated[int, Meta(ge=0)]
LogLevel = Literal["trace", "debug", "information", "warning", "error", "critical", "none"]


class Pause(timedelta):
    """The kind of a key whose length of time may be nothing at all."""


class HostKey(Struct, frozen=True):
    """A key of ``host.json``.

    Attributes:
        path: Its names, with dots.
        level: What becomes of it.
        text: What it does here, or why it does nothing.
        kind: The type of its value, for keys that are honoured.
    """

    path: str
    level: Level
    text: str
    kind: Any = None


_NOTHING: Final = re.compile(r"[0:.]+")


class UnlikeKindError(Exception):
    """A value is not of the type of its key; says what was expected."""


def read_value(key: HostKey, value: object) -> Any:  # noqa: ANN401 - what the kind says
    """The value of a key that is honoured.

    Raises:
        UnlikeKindError: it is of another type, or out of range.
    """
    try:
        if key.kind is timedelta:
            return time_span(value)
        if key.kind is Pause:
            return _pause(value)
        if key.path == "logging.logLevel":
            return _log_levels(value)
        if key.path.endswith(".messageEncoding") and isinstance(value, str):
            value = value.lower()
        return msgspec.convert(value, key.kind, strict=False)
    except msgspec.ValidationError as error:
        if get_origin(key.kind) is Literal:  # whose own message would show what was given
            raise UnlikeKindError(f"expected {' or '.join(get_args(key.kind))}") from None
        expected = str(error).partition(" - at ")[0].partition(", got ")[0].replace("`", "")
        raise UnlikeKindError(f"{expected[0].lower()}{expected[1:]}") from None
    except ValueError as error:
        raise UnlikeKindError(str(error)) from None


def _log_levels(value: object) -> Mapping[str, str]:
    if isinstance(value, str):
        value = {"default": value}
    if not isinstance(value, dict):
        raise UnlikeKindError("expected an object: category to level")
    levels = {}
    for category, level in value.items():
        levels[category] = str(level).lower()
        try:
            msgspec.convert(levels[category], LogLevel)
        except msgspec.ValidationError:
            known = "Trace, Debug, Information, Warning, Error, Critical or None"
            raise UnlikeKindError(f"for {category!r} expected {known}") from None
    return levels


def _pause(value: object) -> timedelta:
    if isinstance(value, str) and _NOTHING.fullmatch(value.strip()):
        return timedelta()
    found = time_span(value)
    if found is None:
        raise UnlikeKindError("expected a length of time that ends")
    return found


def _honoured(path: str, kind: object, text: str) -> HostKey:
    return HostKey(path, Level.HONOURED, text, kind)


def _ignored(path: str, text: str) -> HostKey:
    return HostKey(path, Level.IGNORED, text)


_STORE = "instances are kept in the store of Tenuto (`--storage`)"
_PROXY = "headers of this kind are the matter of the proxy in front of the server"
_TRACING = "logs, metrics and histories of Tenuto say it (docs/operations.md)"
_ONE_HOST = "one host owns the store, and is refused where another one does"
_CHANNEL = "the worker speaks over a pipe of its own"
_ENTITIES = "entities are not served yet"
_VERSIONS = "orchestrations are not chosen by version here; one that the code does not fit is held"
_BINDINGS = "settings of bindings that are not served; a function that has one is refused"
_DURABLE = "extensions.durableTask"
_GRID = f"{_DURABLE}.notifications.eventGrid"
_QUEUES = "extensions.queues"
_BLOBS = "extensions.blobs"

HOST_KEYS: Final = (
    _honoured("version", Literal["2.0"], 'must be "2.0"'),
    _honoured("functions", tuple[str, ...], "only these functions are run"),
    _honoured(
        "functionTimeout", timedelta, "after it a function has failed; 30 minutes, -1 for no end"
    ),
    _honoured("logging.logLevel", None, "by category; the longest name that fits decides"),
    _honoured("extensions.http.routePrefix", str, "in front of all routes; `api` by default"),
    _honoured(
        "extensions.http.maxConcurrentRequests",
        _Bound,
        "requests that run at once, others wait; 100, -1 for no bound",
    ),
    _honoured(
        "extensions.http.maxOutstandingRequests",
        _Bound,
        "requests that run or wait, for more the answer is 429; 200, -1 for no bound",
    ),
    _honoured(f"{_DURABLE}.hubName", str, "in links and bindings; `%name%` is a setting"),
    _honoured(
        f"{_DURABLE}.maxConcurrentActivityFunctions",
        _Count,
        "activities at once, in all workers; 200",
    ),
    _honoured(
        f"{_DURABLE}.httpSettings.defaultAsyncRequestSleepTimeMilliseconds",
        Annotated[int, Meta(ge=0)],
        "between two questions of a durable HTTP call whose answers say no time; 30,000",
    ),
    _honoured(
        f"{_GRID}.topicEndpoint",
        str,
        "the topic of Event Grid that is told what becomes of orchestrations "
        "([notifications](notifications.md))",
    ),
    _honoured(f"{_GRID}.keySettingName", str, "the app's setting that holds the topic's key"),
    _honoured(
        f"{_GRID}.publishRetryCount", _Threshold, "further attempts; 19, then it is put aside"
    ),
    _honoured(
        f"{_GRID}.publishRetryInterval",
        timedelta,
        "between two attempts; 1 s, then twice the one before, up to 10 minutes",
    ),
    _honoured(
        f"{_GRID}.publishEventTypes",
        tuple[Literal["Started", "Completed", "Failed", "Terminated"], ...],
        "of what it is told; of all four",
    ),
    _honoured(f"{_QUEUES}.batchSize", _Batch, "messages that are fetched at once, 1 to 32; 16"),
    _honoured(
        f"{_QUEUES}.newBatchThreshold",
        _Threshold,
        "no more are fetched while more than so many run; half of a batch. With 0 and a batch of 1 "
        "one message is run after the other, over all hosts",
    ),
    _honoured(f"{_QUEUES}.visibilityTimeout", Pause, "between two attempts; none"),
    _honoured(
        f"{_QUEUES}.maxDequeueCount",
        _Count,
        "attempts, before a message goes into the queue `<name>-poison`; 5",
    ),
    _honoured(
        f"{_QUEUES}.maxPollingInterval",
        timedelta,
        "the longest pause between two looks into an empty queue; 1 minute",
    ),
    _honoured(f"{_QUEUES}.messageEncoding", Literal["base64", "none"], "of messages; base64"),
    _honoured(f"{_BLOBS}.maxDegreeOfParallelism", _Count, "blobs that run at once; 8"),
    _honoured(
        f"{_BLOBS}.poisonBlobThreshold",
        _Count,
        "attempts, before a message goes into the queue `webjobs-blobtrigger-poison`; 5",
    ),
    _ignored(
        f"{_DURABLE}.maxConcurrentOrchestratorFunctions",
        "a worker takes one turn at a time; see the setting `FUNCTIONS_WORKER_PROCESS_COUNT`",
    ),
    _ignored(
        f"{_DURABLE}.overridableExistingInstanceStates",
        "a start replaces an instance that has ended, never one that still runs",
    ),
    _ignored(f"{_DURABLE}.httpSettings.useForwardedHost", "see the setting `http.trusted_proxies`"),
    _ignored(
        f"{_DURABLE}.extendedSessionsEnabled",
        "instances stay in memory as long as there is room (`hot_sessions`)",
    ),
    _ignored(f"{_DURABLE}.extendedSessionIdleTimeoutInSeconds", "see the setting `hot_sessions`"),
    _ignored(f"{_DURABLE}.storageProvider", _STORE),
    _ignored(f"{_DURABLE}.azureStorageConnectionStringName", _STORE),
    _ignored(f"{_DURABLE}.tracing", _TRACING),
    _ignored(f"{_DURABLE}.traceInputsAndOutputs", _TRACING),
    _ignored(f"{_DURABLE}.logReplayEvents", _TRACING),
    _ignored(
        f"{_GRID}.publishRetryHttpStatus", "every answer but 200 to 299 is one to be tried again"
    ),
    _ignored(f"{_DURABLE}.maxOrchestrationActions", "see the setting `limits.actions_per_turn`"),
    _ignored(f"{_DURABLE}.storeInputsInOrchestrationHistory", "histories always have the inputs"),
    _ignored(
        f"{_DURABLE}.throwStatusExceptionsOnRaiseEvent",
        "an event for an instance that has ended is answered with 410",
    ),
    _ignored(f"{_DURABLE}.useAppLease", _ONE_HOST),
    _ignored(f"{_DURABLE}.appLeaseOptions", _ONE_HOST),
    _ignored(f"{_DURABLE}.useGracefulShutdown", "a host that stops always waits (`drain_seconds`)"),
    _ignored(f"{_DURABLE}.localRpcEndpointEnabled", "the address for clients is always there"),
    _ignored(f"{_DURABLE}.maxGrpcMessageSizeInBytes", _CHANNEL),
    _ignored(f"{_DURABLE}.grpcHttpClientTimeout", _CHANNEL),
    _ignored(f"{_DURABLE}.maxConcurrentEntityFunctions", _ENTITIES),
    _ignored(f"{_DURABLE}.maxEntityOperationBatchSize", _ENTITIES),
    _ignored(f"{_DURABLE}.entityMessageReorderWindowInMinutes", _ENTITIES),
    _ignored(f"{_DURABLE}.rollbackEntityOperationsOnExceptions", _ENTITIES),
    _ignored(f"{_DURABLE}.defaultVersion", _VERSIONS),
    _ignored(f"{_DURABLE}.versionMatchStrategy", _VERSIONS),
    _ignored(f"{_DURABLE}.versionFailureStrategy", _VERSIONS),
    _ignored(
        "extensions.http.dynamicThrottlesEnabled",
        "requests are counted (`maxOutstandingRequests`), the machine is not measured",
    ),
    _ignored("extensions.http.hsts", _PROXY),
    _ignored("extensions.http.customHeaders", _PROXY),
    _ignored("extensions.serviceBus", _BINDINGS),
    _ignored("extensions.eventHubs", _BINDINGS),
    _ignored("extensions.cosmosDB", _BINDINGS),
    _ignored("extensions.kafka", _BINDINGS),
    _ignored("extensions.sendGrid", _BINDINGS),
    _ignored("extensions.signalR", _BINDINGS),
    _ignored("extensionBundle", "there is nothing to download: what is served is built in"),
    _ignored("extensions.durableTask.extensionVersion", "what is served is built in"),
    _ignored("logging.fileLoggingMode", "logs go to standard error"),
    _ignored("logging.console", "logs go to standard error, as `log_format` says"),
    _ignored("logging.applicationInsights", _TRACING),
    _ignored("telemetryMode", _TRACING),
    _ignored("openTelemetry", _TRACING),
    _ignored("retry", "removed upstream; a retry policy belongs to a function or to a call of it"),
    _ignored("watchDirectories", "an app is read once, when it starts"),
    _ignored("watchFiles", "an app is read once, when it starts"),
    _ignored("aggregator", _TRACING),
    _ignored("healthMonitor", "the server answers on `/healthz` (docs/operations.md)"),
    _ignored("singleton", _ONE_HOST),
    _ignored("concurrency", "how much runs at once is set, not found out"),
    _ignored("managedDependency", "only PowerShell has it"),
    _ignored("sendCanceledInvocationsToWorker", "what is canceled before it began is not begun"),
    _ignored("id", "of version 1; the hub is named by `extensions.durableTask.hubName`"),
    _ignored("http", "of version 1; see `extensions.http`"),
    _ignored("durableTask", "of version 1; see `extensions.durableTask`"),
    _ignored("queues", "of version 1; see `extensions.queues`"),
    _ignored("serviceBus", _BINDINGS),
    _ignored("eventHub", _BINDINGS),
    _ignored("tracing", "of version 1; see `logging`"),
    _ignored("$schema", "for editors"),
    HostKey(
        "customHandler",
        Level.UNSUPPORTED,
        "a program of its own instead of a Python or JavaScript app",
    ),
)
