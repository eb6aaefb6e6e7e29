"""The settings of a host: one typed model, and where each value came from.

Sources, the later ones winning: defaults, ``tenuto.toml`` or ``[tool.tenuto]`` of
``pyproject.toml`` in the current folder, environment variables ``TENUTO_*``, then what the caller
gives (command line options, keyword arguments). A key that does not exist and a value that is not
allowed are refused, naming source and key (promise ``bad_input_is_refused_whole``). Nothing else
in Tenuto reads configuration.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from tenuto.functions.outbound import OutboundSettings
from tenuto.host.deploying.options import DeploySettings
from tenuto.host.notifications.options import NotificationSettings
from tenuto.host.on_demand.options import OnDemandSettings
from tenuto.http.options import HttpSettings
from tenuto.interop.workers.options import WorkerSettings
from tenuto.link.options import LinkSettings
from tenuto.messaging.options import TopicSettings
from tenuto.model.errors import SettingsError
from tenuto.model.limits import Limits
from tenuto.storage import Sharing, is_postgres
from tenuto.telemetry.export_settings import TelemetrySettings
from tenuto.telemetry.log_options import InstanceLogSettings
from tenuto.telemetry.usage_settings import UsageSettings

DEFAULT_STORAGE: Final = "sqlite:///tenuto.db"
DEFAULT_PARTITIONS: int = 1
"""Of a store in a file that is made while the setting is left out."""

DEFAULT: Final = "default"
"""The source of values that nobody set."""

SECRET: Final = frozenset({"http.keys", "telemetry.headers", "telemetry.connection_string"})
"""Settings whose values are never shown."""

_PREFIX: Final = "TENUTO_"
_NO_SETTINGS: Final = frozenset({"TENUTO_HTTP_KEY", "TENUTO_AZURE_CONNECTION_STRING"})
"""Variables that are no settings: what the command line opens a host with, or an account."""

_OWN_FILE: Final = "tenuto.toml"
_SHARED_FILE: Final = "pyproject.toml"
_TABLE: Final = "[tool.tenuto]"

_Count = Annotated[int, Meta(ge=1)]
_CountOrZero = Annotated[int, Meta(ge=0)]
_MAY_BE_ZERO: Final = {"nesting_depth", "open_descendants"}
"""Limits that may forbid sub-orchestrations altogether."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a host may use.

    Attributes:
        storage: Storage URL.
        storage_direct: URL of the same database in PostgreSQL without the pooler that ``storage``
            leads to: notifications and leases go there.
        partitions: In how many parts the instances of a store are divided that this host makes;
            None for 1, in PostgreSQL 32. A store keeps the number that it was made with.
        limits: What one orchestration may use up.
        max_deliveries: After so many deaths of the host's process while it ran alone, an instance
            is held.
        on_mismatch: What becomes of an instance that the code does not fit any more: ``hold`` it
            until code that fits is there, or ``fail`` it at once. None for ``hold``; for a
            ``TestHost``, ``fail``.
        hot_sessions: Live sessions kept in memory at most.
        hot_session_bytes: Memory of live sessions at most, as far as it can be told.
        delivery_bytes: Events of subscriptions and messages of queues in memory at most, of all of
            them; each may have one.
        activity_threads: Threads for sync activities; None for four per processor (8 to 32).
        async_activities: Async activities in flight at most.
        drain_seconds: How long a stopping host waits for running activities.
        guard_every: The guard looks at each call of one turn in this many; 1 for all, 0 for none.
        blocked_turn_seconds: How long one turn may hold up all others before the log says so; 0
            for never.
        blocked_loop_seconds: The same for anything else on the host's loop: an async activity, a
            function behind HTTP.
        lease_seconds: How long the instances of a host that has died wait until other hosts on the
            same store take them over. In PostgreSQL.
        blocked_host_seconds: A host whose loop has not answered for so long is taken for dead.
        app_version: Of the app; hosts of one version must know the same orchestrators. Empty for
            what the app says (``App(version=…)``).
        cpu_workers: Processes for activities with ``cpu_bound=True``; None for one per processor.
        cpu_workers_least: Of these, as many stay once they were needed; with 0, idling costs
            nothing.
        cpu_idle_seconds: How long such a process without work stays otherwise.
        http: How the server listens, and what it lets in.
        outbound: Where ``ctx.call_http`` and ``app.push`` may go.
        topics: How long events of topics are kept.
        links: What may wait for linked hubs, and how patient links are.
        workers: What the processes of an Azure Functions app may use.
        instance_log: How much of what instances log is kept in memory, to be looked at.
        usage: How what functions use is told apart, kept and priced.
        telemetry: Where traces, metrics and logs are sent.
        deploy: What deployments may use, on a server that takes some.
        on_demand: When a server that is there on demand sleeps.
        notifications: Whom to tell what becomes of instances.
        log_format: ``text`` for people or ``json`` for machines.
        log_level: The least important lines that are shown.

    Raises:
        SettingsError: for a value of another type or out of range.
    """

    storage: Annotated[str, Meta(min_length=1)] = DEFAULT_STORAGE
    storage_direct: Annotated[str, Meta(min_length=1)] | None = None
    partitions: Annotated[int, Meta(ge=1, le=1024)] | None = None
    limits: Limits = Limits()
    on_mismatch: Literal["hold", "fail"] | None = None
    max_deliveries: _Count = 3
    hot_sessions: _Count = 10_000
    hot_session_bytes: _Count = 64 * 1024 * 1024
    delivery_bytes: _Count = 64 * 1024 * 1024
    activity_threads: _Count | None = None
    async_activities: _Count = 1_000
    drain_seconds: Annotated[float, Meta(ge=0)] = 10.0
    guard_every: _CountOrZero = 1_000
    blocked_turn_seconds: Annotated[float, Meta(ge=0)] = 5.0
    blocked_loop_seconds: Annotated[float, Meta(ge=0)] = 1.0
    lease_seconds: Annotated[float, Meta(ge=1)] = 10.0
    blocked_host_seconds: Annotated[float, Meta(ge=1)] = 60.0
    app_version: Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*$")] = ""
    cpu_workers: _Count | None = None
    cpu_workers_least: _CountOrZero = 0
    cpu_idle_seconds: Annotated[float, Meta(ge=0)] = 60.0
    http: HttpSettings = HttpSettings()
    outbound: OutboundSettings = OutboundSettings()
    topics: TopicSettings = TopicSettings()
    links: LinkSettings = LinkSettings()
    workers: WorkerSettings = WorkerSettings()
    instance_log: InstanceLogSettings = InstanceLogSettings()
    usage: UsageSettings = UsageSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    deploy: DeploySettings = DeploySettings()
    on_demand: OnDemandSettings = OnDemandSettings()
    notifications: NotificationSettings = NotificationSettings()
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def partitions_of(self, storage: str) -> int | None:
        """How many partitions a store gets that is made now; None for as many as its kind has.

        Args:
            storage: Its URL.
        """
        return self.partitions or (None if is_postgres(storage) else DEFAULT_PARTITIONS)

    @property
    def sharing(self) -> Sharing:
        """How hosts share a store."""
        return Sharing(lease_seconds=self.lease_seconds, blocked_seconds=self.blocked_host_seconds)

    def __post_init__(self) -> None:
        for section, kind in _SECTIONS.items():
            if not isinstance(getattr(self, section), kind):
                given = getattr(self, section)
                raise SettingsError(f"setting {section} must be a {kind.__name__}, got {given!r}")
        for key, kind in _KINDS.items():
            _convert(key, kind, _value_of(self, key), None)


_SECTIONS: Final[dict[str, type[Struct]]] = {
    "limits": Limits,
    "http": HttpSettings,
    "outbound": OutboundSettings,
    "topics": TopicSettings,
    "links": LinkSettings,
    "workers": WorkerSettings,
    "instance_log": InstanceLogSettings,
    "usage": UsageSettings,
    "telemetry": TelemetrySettings,
    "deploy": DeploySettings,
    "on_demand": OnDemandSettings,
    "notifications": NotificationSettings,
}


class LoadedSettings(Struct, frozen=True):
    """The settings in force.

    Attributes:
        values: The settings.
        sources: For each key (``limits.payload_bytes``), in words, where its value came from.
    """

    values: Settings
    sources: dict[str, str]


def load_settings(
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given_as: str = "argument {}",
    **given: object,
) -> LoadedSettings:
    """Put the settings together.

    Args:
        folder: Where the files are looked for; the current folder by default.
        environment: Variables; those of the process by default.
        given_as: How errors and sources call what the caller gives; ``{}`` is the name,
            ``{option}`` that of an option of ``tenuto start``.
        **given: Values that win over all others; None means not given. Those of a section are
            written ``limits_payload_bytes``.

    Raises:
        SettingsError: naming source and key, for an unknown key, a value that is not allowed, or
            a file that cannot be read.

    Example:
        ``load_settings(storage="sqlite:///travel.db").values.hot_sessions``
    """
    chosen: dict[str, tuple[str, Any]] = {}
    for source, key, value in _from_file(Path() if folder is None else folder):
        chosen[key] = source, _convert(key, _kind(key, source), value, source)
    for source, key, text in _from_environment(os.environ if environment is None else environment):
        # Text from outside: "8" is a number where a number is wanted.
        given_text = _taken_apart(text, _KINDS[key])
        chosen[key] = source, _convert(key, _KINDS[key], given_text, source, strict=False)
    for name, value in given.items():
        if value is not None:
            option = name.removeprefix("http_").replace("_", "-")
            source = given_as.format(name, option=option)
            key = _BY_FLAT_NAME.get(name, name)
            chosen[key] = source, _convert(key, _kind(key, source), value, source)
    return LoadedSettings(
        values=_settings({key: value for key, (_source, value) in chosen.items()}),
        sources={key: chosen[key][0] if key in chosen else DEFAULT for key in _KINDS},
    )


# --- keys --------------------------------------------------------------------------------------


def _kinds() -> dict[str, Any]:
    """The type of each key; nested ones are written with a dot."""
    kinds: dict[str, Any] = {}
    for one in msgspec.structs.fields(Settings):
        if one.type is Limits:
            for limit in msgspec.structs.fields(Limits):
                least = _CountOrZero if limit.name in _MAY_BE_ZERO else _Count
                kinds[f"{one.name}.{limit.name}"] = least
        elif one.name in _SECTIONS:
            for field in msgspec.structs.fields(_SECTIONS[one.name]):
                kinds[f"{one.name}.{field.name}"] = field.type
        else:
            kinds[one.name] = one.type
    return kinds


_KINDS: Final = _kinds()
_BY_FLAT_NAME: Final = {key.replace(".", "_"): key for key in _KINDS}


def _value_of(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _settings(values: Mapping[str, Any]) -> Settings:
    own = {key: value for key, value in values.items() if "." not in key}
    for section, kind in _SECTIONS.items():
        prefix = f"{section}."
        inside = {
            key.removeprefix(prefix): value
            for key, value in values.items()
            if key.startswith(prefix)
        }
        own[section] = kind(**inside)
    return Settings(**own)


def _kind(key: str, source: str) -> Any:  # noqa: ANN401 - an annotation
    kind = _KINDS.get(key)
    if kind is None:
        raise SettingsError(f"unknown setting {key} ({source}){_nearest(key, _KINDS)}")
    return kind


def _nearest(name: str, known: Mapping[str, object]) -> str:
    close = get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; there are {', '.join(known)}"


def _taken_apart(text: str, kind: Any) -> object:  # noqa: ANN401 - an annotation
    """Text from outside for a setting of several values: a list with commas, or JSON."""
    if get_origin(kind) is tuple and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if get_origin(kind) in {tuple, dict}:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
    return text


def _whose(value: object, kind: Any) -> str:  # noqa: ANN401 - an annotation
    """Which entry of a table is wrong, without what it holds."""
    if isinstance(value, dict):
        for name, one in value.items():
            try:
                msgspec.convert(one, get_args(kind)[-1])
            except msgspec.ValidationError:
                return f" for {name!r}"
    return ""


_PLAINLY: Final = (
    (re.compile(r"\bint\b"), "a whole number"),
    (re.compile(r"\bfloat\b"), "a number"),
    (re.compile(r"(?<=number) >= (\d+)(?:\.0)?$"), r", \1 or more"),
)
"""What is expected, as one says it."""


def _convert(
    key: str,
    kind: Any,  # noqa: ANN401 - an annotation
    value: object,
    source: str | None,
    *,
    strict: bool = True,
) -> Any:  # noqa: ANN401 - what the annotation says
    where = f" ({source})" if source else ""
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$`": what was got is said better by its value.
        expected = str(error).partition(" - at ")[0].partition(", got ")[0].replace("`", "")
        for number, plain in _PLAINLY:
            expected = number.sub(plain, expected)
        if get_origin(kind) is Literal:
            expected = f"expected {' or '.join(get_args(kind))}"
        shown, advice = repr(value), ""
        if key in SECRET:
            shown = f"what is given{_whose(value, kind)}"
            advice = "; `tenuto key` makes a key" if key == "http.keys" else ""
        raise SettingsError(
            f"setting {key}{where} cannot be {shown}: {expected[0].lower()}{expected[1:]}{advice}"
        ) from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise SettingsError(f"setting {key}{where} cannot be {value!r}: expected a finite number")
    return converted


# --- sources -----------------------------------------------------------------------------------


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Source, key and text of each variable; an empty one counts as not set."""
    known = {f"{_PREFIX}{name.upper()}": key for name, key in _BY_FLAT_NAME.items()}
    for name, text in sorted(environment.items()):
        if not name.startswith(_PREFIX) or not text or name in _NO_SETTINGS:
            continue
        if name not in known:
            raise SettingsError(f"unknown environment variable {name}{_nearest(name, known)}")
        yield f"environment {name}", known[name], text


def _from_file(folder: Path) -> Iterator[tuple[str, str, object]]:
    """Source, key and value of each entry of the one file that holds settings."""
    own, shared = folder / _OWN_FILE, folder / _SHARED_FILE
    # The parser is not loaded where there is nothing to parse: most scripts have no such file.
    table = _parse(shared).get("tool", {}).get("tenuto") if shared.is_file() else None
    if own.is_file():
        if table is not None:
            raise SettingsError(
                f"settings stand both in {_OWN_FILE} and in {_SHARED_FILE} {_TABLE}; keep one"
            )
        yield from _entries(_parse(own), "", _OWN_FILE)
    elif table is not None:
        source = f"{_SHARED_FILE} {_TABLE}"
        if not isinstance(table, dict):
            raise SettingsError(f"{source} must be a table, not {table!r}")
        yield from _entries(table, "", source)


def _parse(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - see _from_file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: not TOML, or not UTF-8
        raise SettingsError(f"settings cannot be read from {path.name}: {error}") from error


def _entries(
    table: Mapping[str, Any], prefix: str, source: str
) -> Iterator[tuple[str, str, object]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and any(one.startswith(f"{key}.") for one in _KINDS):
            yield from _entries(value, f"{key}.", source)
        else:
            yield source, key, value
