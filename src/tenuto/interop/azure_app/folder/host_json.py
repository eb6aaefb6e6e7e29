"""``host.json``: what of it is in force, and what became of each of its keys.

Settings ``AzureFunctionsJobHost__extensions__http__routePrefix`` win over the file, as in the
original. The keys themselves stand in ``host_keys``.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.interop.azure_app.folder.findings import Finding, Level
from tenuto.interop.azure_app.folder.host_keys import (
    HOST_KEYS,
    HostKey,
    UnlikeKindError,
    read_value,
)
from tenuto.interop.azure_app.folder.json_text import key_lines, parse_json_object, read_json_object
from tenuto.interop.azure_app.folder.settings import AppSettings, MissingSettingError
from tenuto.interop.azure_services.messages import QueueOptions
from tenuto.model.errors import AppLoadError
from tenuto.model.timing import span

HOST_FILE: Final = "host.json"
OVERRIDES: Final = "AzureFunctionsJobHost"
_VERSION: Final = "2.0"
_HUB_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,44}")


class HttpOptions(Struct, frozen=True, kw_only=True):
    """``extensions.http``.

    Attributes:
        route_prefix: In front of all routes, without slashes at its ends; may be empty.
        max_running: How many requests may run at once; None for no bound.
        max_outstanding: How many may run or wait; None for no bound.
    """

    route_prefix: str = "api"
    max_running: int | None = 100
    max_outstanding: int | None = 200


class EventGridOptions(Struct, frozen=True, kw_only=True):
    """``extensions.durableTask.notifications.eventGrid``.

    Attributes:
        endpoint: The topic's address.
        key_setting: The app's setting that holds its key.
        retries: Further attempts; None when nothing is said.
        interval: Between two of them; None when nothing is said.
        event_types: Of what it is told, such as ``Started``; none for all.
    """

    endpoint: str
    key_setting: str
    retries: int | None = None
    interval: timedelta | None = None
    event_types: tuple[str, ...] = ()


class DurableOptions(Struct, frozen=True, kw_only=True):
    """``extensions.durableTask``.

    Attributes:
        hub_name: The task hub, in links and in what clients are told.
        max_activities: How many activities may run at once; None when nothing is said.
        http_poll_interval: Between two questions of a durable HTTP call.
        event_grid: Who is told what becomes of orchestrations; None for nobody.
    """

    hub_name: str = "TestHubName"
    max_activities: int | None = None
    http_poll_interval: timedelta = timedelta(seconds=30)
    event_grid: EventGridOptions | None = None


class BlobOptions(Struct, frozen=True, kw_only=True):
    """``extensions.blobs``.

    Attributes:
        concurrency: How many blobs run at once, of each function.
        attempts: Attempts before it is noted as poison.
    """

    concurrency: int = 8
    attempts: int = 5


class HostOptions(Struct, frozen=True, kw_only=True):
    """What of ``host.json`` is in force.

    Attributes:
        http: Of functions behind HTTP.
        durable: Of durable functions.
        queues: Of functions that queues start, and of what they send.
        blobs: Of functions that blobs start.
        function_timeout: After it a function has failed; None for never.
        functions: The only functions that are run; None for all of them.
        log_levels: Levels by category, in small letters (``none`` for nothing at all).
    """

    http: HttpOptions = HttpOptions()
    durable: DurableOptions = DurableOptions()
    queues: QueueOptions = QueueOptions()
    blobs: BlobOptions = BlobOptions()
    function_timeout: timedelta | None = timedelta(minutes=30)
    functions: tuple[str, ...] | None = None
    log_levels: Mapping[str, str] = {}

    def log_level_for(self, category: str) -> str:
        """The least important level that is logged for a category, such as ``Function.Hello``."""
        return self.named_log_level(category) or self.log_levels.get("default", "information")

    def named_log_level(self, category: str) -> str | None:
        """The same, when a name that fits is there; None when only ``default`` would say it."""
        parts = category.lower().split(".")
        levels = {name.lower(): level for name, level in self.log_levels.items()}
        for length in range(len(parts), 0, -1):
            if (found := levels.get(".".join(parts[:length]))) is not None:
                return found
        return None

    def runs(self, function: str) -> bool:
        """Whether a function is among those that are run."""
        if self.functions is None:
            return True
        return function.lower() in {name.lower() for name in self.functions}


class HostFile(Struct, frozen=True, kw_only=True):
    """``host.json`` as it was read.

    Attributes:
        options: What is in force.
        findings: What became of each key that is there.
    """

    options: HostOptions = HostOptions()
    findings: tuple[Finding, ...] = ()


def read_host_file(root: Path, settings: AppSettings) -> HostFile:
    """Read ``host.json``, and the settings that win over it.

    Raises:
        AppLoadError: it is no JSON, or a key that is honoured has a value of another kind; names
            file, line and key.
    """
    path = root / HOST_FILE
    lines: Mapping[tuple[str, ...], int] = {}
    content: dict[str, Any] = {"version": _VERSION}
    if path.is_file():
        content = read_json_object(path, HOST_FILE)
        lines = key_lines(path.read_text(encoding="utf-8-sig"))
        _check_version(content, lines)
    sources = _override(content, settings)
    uses = [
        _Use(path=names, value=value, source=sources.get(_lower(names)), line=lines.get(names))
        for names, value in _leaves(content, (), sources)
    ]
    findings = tuple(one.finding() for one in uses if path.is_file() or one.source is not None)
    values = {one.key.path: one.read(settings) for one in uses if one.key.level is Level.HONOURED}
    return HostFile(options=_options(values), findings=findings)


def _check_version(content: Mapping[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
    name = next((one for one in content if one.lower() == "version"), None)
    if name is None:
        raise AppLoadError(f'{HOST_FILE}: version is missing; it must be "{_VERSION}"')
    if content[name] != _VERSION:
        where = f"{HOST_FILE}:{lines[name,]}"
        raise AppLoadError(f'{where}: version is {content[name]!r}; it must be "{_VERSION}"')


class _Use(Struct, frozen=True, kw_only=True):
    """A key that is there.

    Attributes:
        path: Its names.
        value: Its value.
        source: The setting that says it; None for the file.
        line: In the file, from 1.
    """

    path: tuple[str, ...]
    value: object
    source: str | None
    line: int | None

    @property
    def key(self) -> HostKey:
        """Its row in the table."""
        return _key_for(self.path)

    def finding(self) -> Finding:
        """What becomes of it."""
        key, name = self.key, ".".join(self.path)
        return Finding(
            level=key.level,
            topic=HOST_FILE,
            text=f"{name} (setting {self.source})" if self.source else name,
            advice=key.text,
            file=None if self.source else HOST_FILE,
            line=None if self.source else self.line,
        )

    def read(self, settings: AppSettings) -> object:
        """Its value, checked."""
        try:
            value = self.value
            if isinstance(value, str) and self.key.path.endswith(".hubName"):
                value = _hub_name(settings.resolve(value))
            return read_value(self.key, value)
        except MissingSettingError as error:
            raise AppLoadError(
                f"{self._place()}: there is no setting {str(error)!r}; put it into "
                "local.settings.json, or into the environment"
            ) from None
        except UnlikeKindError as error:
            raise AppLoadError(f"{self._place()}: {error}") from None

    def _place(self) -> str:
        name = ".".join(self.path)
        if self.source is not None:
            return f"setting {self.source} ({name})"
        return f"{HOST_FILE}:{self.line}: {name}" if self.line else f"{HOST_FILE}: {name}"


def _hub_name(name: str) -> str:
    if not _HUB_NAME.fullmatch(name):
        raise UnlikeKindError(
            "expected the name of a task hub: a letter, then up to 44 letters, digits, '_' or '-'"
        )
    return name


def _options(values: Mapping[str, Any]) -> HostOptions:
    """The options that the values of the keys make; what is not said keeps its default."""
    http, durable = "extensions.http.", "extensions.durableTask."
    given = {
        "function_timeout": values.get("functionTimeout", HostOptions().function_timeout),
        "functions": values.get("functions"),
        "log_levels": values.get("logging.logLevel", {}),
    }
    options = HostOptions(**given)
    usual = HttpOptions()
    options = _replaced(
        options,
        http=HttpOptions(
            route_prefix=values.get(f"{http}routePrefix", usual.route_prefix).strip("/"),
            max_running=_bound(values.get(f"{http}maxConcurrentRequests", usual.max_running)),
            max_outstanding=_bound(
                values.get(f"{http}maxOutstandingRequests", usual.max_outstanding)
            ),
        ),
    )
    options = _replaced(options, queues=_queue_options(values), blobs=_blob_options(values))
    interval = values.get(f"{durable}httpSettings.defaultAsyncRequestSleepTimeMilliseconds")
    return _replaced(
        options,
        durable=DurableOptions(
            hub_name=values.get(f"{durable}hubName", DurableOptions().hub_name),
            max_activities=values.get(f"{durable}maxConcurrentActivityFunctions"),
            http_poll_interval=DurableOptions().http_poll_interval
            if interval is None
            else timedelta(milliseconds=interval),
            event_grid=_event_grid(values),
        ),
    )


def _event_grid(values: Mapping[str, Any]) -> EventGridOptions | None:
    """Of notifications.

    Raises:
        AppLoadError: there is an address without the name of the setting with its key.
    """
    grid = "extensions.durableTask.notifications.eventGrid."
    endpoint, key = values.get(f"{grid}topicEndpoint"), values.get(f"{grid}keySettingName")
    if not endpoint:
        return None
    if not key:
        raise AppLoadError(
            f"{HOST_FILE}: {grid}topicEndpoint needs {grid}keySettingName, the name of the app's "
            "setting that holds the key of the topic; managed identities are not served"
        )
    return EventGridOptions(
        endpoint=endpoint,
        key_setting=key,
        retries=values.get(f"{grid}publishRetryCount"),
        interval=values.get(f"{grid}publishRetryInterval"),
        event_types=values.get(f"{grid}publishEventTypes", ()),
    )


def _queue_options(values: Mapping[str, Any]) -> QueueOptions:
    queues, usual = "extensions.queues.", QueueOptions()
    longest: timedelta | None = values.get(f"{queues}maxPollingInterval")
    pause: timedelta | None = values.get(f"{queues}visibilityTimeout")
    return QueueOptions(
        batch_size=values.get(f"{queues}batchSize", usual.batch_size),
        new_batch_threshold=values.get(f"{queues}newBatchThreshold"),
        visibility_timeout=usual.visibility_timeout if pause is None else span(pause),
        max_dequeue_count=values.get(f"{queues}maxDequeueCount", usual.max_dequeue_count),
        max_polling_interval=usual.max_polling_interval if longest is None else span(longest),
        encoding=values.get(f"{queues}messageEncoding", usual.encoding),
    )


def _blob_options(values: Mapping[str, Any]) -> BlobOptions:
    blobs, usual = "extensions.blobs.", BlobOptions()
    return BlobOptions(
        concurrency=values.get(f"{blobs}maxDegreeOfParallelism", usual.concurrency),
        attempts=values.get(f"{blobs}poisonBlobThreshold", usual.attempts),
    )


_replaced = msgspec.structs.replace


def _bound(value: int | None) -> int | None:
    """A bound; -1 stands for none."""
    return None if value is not None and value < 1 else value


# --- keys ---------------------------------------------------------------------------------------


def _lower(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.lower() for name in path)


_BY_PATH: Final = {_lower(tuple(one.path.split("."))): one for one in HOST_KEYS}
_CONTAINERS: Final = {path[:length] for path in _BY_PATH for length in range(len(path))}


def _leaves(
    content: Mapping[str, Any], above: tuple[str, ...], sources: Mapping[tuple[str, ...], str]
) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each key that has a row of its own, or none at all, with its value."""
    for name, value in content.items():
        path = (*above, name)
        if _lower(path) not in _CONTAINERS:
            yield path, value
        elif isinstance(value, dict):
            yield from _leaves(value, path, sources)
        elif value is not None:
            source = sources.get(_lower(path))
            where = f"setting {source}" if source is not None else HOST_FILE
            raise AppLoadError(f"{where}: {'.'.join(path)} must be an object")


def _key_for(path: tuple[str, ...]) -> HostKey:
    name = ".".join(path)
    known = _BY_PATH.get(_lower(path))
    if known is not None:
        return known
    close = get_close_matches(name, [one.path for one in HOST_KEYS], n=1, cutoff=0.85)
    hint = f"; did you mean {close[0]}?" if close else ""
    return HostKey(name, Level.IGNORED, f"nothing reads this key{hint}")


# --- settings that win over the file ------------------------------------------------------------


def _override(content: dict[str, Any], settings: AppSettings) -> Mapping[tuple[str, ...], str]:
    """Put the settings ``AzureFunctionsJobHost__…`` in; answers which said what."""
    sources: dict[tuple[str, ...], str] = {}
    for setting, path, value in settings.below(OVERRIDES):
        place: Any = content
        for depth, name in enumerate(path[:-1]):
            existing = _existing(place, name)
            inner = place.get(existing)
            if isinstance(inner, list):  # a list is a table of numbers to settings
                inner = {str(number): one for number, one in enumerate(inner)}
            elif not isinstance(inner, dict):
                inner = {}
            place[existing] = inner
            place = inner
            sources[_lower(path[: depth + 1])] = setting
        place[_existing(place, path[-1])] = _parsed(value, setting)
        sources[_lower(path)] = setting
    for name in [one for one in content if one.lower() == "functions"]:
        if isinstance(content[name], dict):
            content[name] = list(content[name].values())
    return sources


def _existing(place: Mapping[str, Any], name: str) -> str:
    return next((one for one in place if one.lower() == name.lower()), name)


def _parsed(value: str, setting: str) -> object:
    """An object where a setting holds one, as a text for a whole section may; else the text."""
    return (
        parse_json_object(value, f"setting {setting}") if value.lstrip().startswith("{") else value
    )
