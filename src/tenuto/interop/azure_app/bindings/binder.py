"""Inputs and outputs of an app's functions beside their triggers: read before, written after."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from tenuto.interop.azure_app.bindings.blobs import BlobSink, BlobSource
from tenuto.interop.azure_app.bindings.connections import connection_of
from tenuto.interop.azure_app.bindings.ports import CallData, Publish, Sink, Source
from tenuto.interop.azure_app.bindings.queues import AzureQueueSink, HubQueueSink
from tenuto.interop.azure_app.bindings.tables import TableSink, TableSource
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_services.connections import Accounts, reason
from tenuto.interop.workers.protocol import Datum, FunctionFacts, Result
from tenuto.model.errors import TenutoError
from tenuto.model.timing import Microseconds, to_datetime

STORAGE: Final = frozenset({"queue", "blob", "table"})
RETURN: Final = "$return"


class StorageBindingError(TenutoError):
    """An input of a function of an app could not be had, or an output not be written."""


class BinderOptions(Struct, frozen=True, kw_only=True):
    """How outputs are written.

    Attributes:
        encoding: Of messages for Azure's queues: ``base64`` or ``none``.
        payload_bytes: How long a message of Tenuto's own queues may be.
        is_python: Whether the app's package is that for Python.
    """

    encoding: str
    payload_bytes: int
    is_python: bool


class BoundFunction:
    """A function with inputs or outputs in queues, blobs or tables.

    Args:
        function: The function.
        sources: Where its inputs come from, by name.
        sinks: Where its outputs go, by name.
        now: The host's time.
    """

    def __init__(
        self,
        function: FunctionFacts,
        sources: Mapping[str, Source],
        sinks: Mapping[str, Sink],
        now: Callable[[], Microseconds],
    ) -> None:
        self._function = function
        self._sources = sources
        self._sinks = sinks
        self._now = now

    def call(
        self,
        given: Datum | None,
        metadata: Mapping[str, Any],
        body: bytes = b"",
        cause: str | None = None,
    ) -> "BoundCall":
        """A call of it.

        Args:
            given: The value of its trigger.
            metadata: Of its trigger.
            body: Of the request that calls it.
            cause: What messages of it are caused by; None when nobody knows.
        """
        values = _values(self._function, given, metadata, body)
        data = CallData(values=values, now=to_datetime(self._now()), cause=cause)
        return BoundCall(self._sources, self._sinks, data)


class BoundCall(Struct, frozen=True):
    """One call of such a function."""

    sources: Mapping[str, Source]
    sinks: Mapping[str, Sink]
    data: CallData

    async def read(self) -> dict[str, Datum | None]:
        """The inputs, by name.

        Raises:
            StorageBindingError: naming the one that cannot be had.
        """
        found = await asyncio.gather(*(self._read(*one) for one in self.sources.items()))
        return dict(zip(self.sources, found, strict=True))

    async def write(self, result: Result) -> None:
        """Write the outputs that the function has given, in the app's order.

        Raises:
            StorageBindingError: naming the one that could not be written; those before it are.
        """
        for name, sink in self.sinks.items():
            value = result.outputs.get(name)
            if value is None and name == RETURN and result.value is not None:
                value = result.value if result.value.answer is None else None
            if value is None:
                continue
            try:
                await sink.write(value, self.data)
            except Exception as error:  # errors of the packages of Azure, and our own
                raise _told(f"its output {name!r} could not be written", error) from error

    async def _read(self, name: str, source: Source) -> Datum | None:
        try:
            return await source.read(self.data)
        except Exception as error:  # the same
            raise _told(f"its input {name!r} could not be read", error) from error


def _told(what: str, error: Exception) -> StorageBindingError:
    return StorageBindingError(f"{what}: {reason(error)}")


class Binder:
    """The bindings of an app to queues, blobs and tables.

    Args:
        functions: All of the app, checked.
        settings: What their connections name.
        options: How outputs are written.
        publish: Makes messages of this hub durable.
        now: The host's time.

    Raises:
        SettingsError: a connection is none.
    """

    def __init__(
        self,
        functions: Sequence[FunctionFacts],
        settings: AppSettings,
        options: BinderOptions,
        publish: Publish,
        now: Callable[[], Microseconds],
    ) -> None:
        self._accounts = Accounts()
        self._options = options
        self._publish = publish
        self._now = now
        self._bound: dict[str, BoundFunction] = {}
        for one in functions:
            sources: dict[str, Source] = {}
            sinks: dict[str, Sink] = {}
            for binding in filter(is_storage, one.bindings):
                connection = connection_of(binding, settings)
                if is_output(binding):
                    sinks[str(binding["name"])] = self._sink(binding, connection)
                else:
                    sources[str(binding["name"])] = self._source(binding, connection)
            if sources or sinks:
                self._bound[one.name] = BoundFunction(one, sources, sinks, now)

    def of(self, function: FunctionFacts) -> BoundFunction | None:
        """A function that has such bindings; None for one that has none, as most."""
        return self._bound.get(function.name)

    async def close(self) -> None:
        """Close all connections."""
        await self._accounts.close()

    def _source(self, binding: Mapping[str, Any], connection: str | None) -> Source:
        assert connection is not None, "it was checked"
        if kind_of(binding) == "blob":
            is_text = str(binding.get("dataType") or "").lower() == "string"
            return BlobSource(self._accounts, connection, str(binding["path"]), is_text=is_text)
        take = binding.get("take")
        return TableSource(
            accounts=self._accounts,
            connection=connection,
            table=str(binding["tableName"]),
            partition=_text(binding, "partitionKey"),
            row=_text(binding, "rowKey"),
            take=int(take) if take else None,
            filter=_text(binding, "filter"),
        )

    def _sink(self, binding: Mapping[str, Any], connection: str | None) -> Sink:
        options, kind = self._options, kind_of(binding)
        if kind == "queue":
            name = str(binding["queueName"])
            if connection is None:
                most, is_python = options.payload_bytes, options.is_python
                return HubQueueSink(self._publish, self._now, name, most, is_python=is_python)
            return AzureQueueSink(
                self._accounts, connection, name, options.encoding, is_python=options.is_python
            )
        assert connection is not None, "it was checked"
        if kind == "blob":
            return BlobSink(self._accounts, connection, str(binding["path"]))
        return TableSink(
            accounts=self._accounts,
            connection=connection,
            table=str(binding["tableName"]),
            partition=_text(binding, "partitionKey"),
            row=_text(binding, "rowKey"),
        )


def kind_of(binding: Mapping[str, Any]) -> str:
    """The type of a binding, in small letters."""
    return str(binding.get("type") or "").lower()


def is_storage(binding: Mapping[str, Any]) -> bool:
    """Whether it is an input or an output in queues, blobs or tables."""
    return kind_of(binding) in STORAGE


def is_output(binding: Mapping[str, Any]) -> bool:
    """Whether it is an output."""
    return str(binding.get("direction") or "").lower() == "out"


def _text(binding: Mapping[str, Any], name: str) -> str | None:
    value = binding.get(name)
    return None if value is None or value == "" else str(value)


def _values(
    function: FunctionFacts, given: Datum | None, metadata: Mapping[str, Any], body: bytes
) -> dict[str, object]:
    """What expressions may name.

    What a message says of itself goes before what its queue says; a route goes before a body.
    """
    said = _members(given, body)
    if given is not None and given.http is not None:
        query = dict(given.http.query)
        return {**query, **said, **metadata, **_sys(function)}
    return {**metadata, **said, **_sys(function)}


def _members(given: Datum | None, body: bytes) -> dict[str, object]:
    """The members of a payload that is a JSON object."""
    if given is None:
        return {}
    text = given.string if given.string is not None else given.json
    try:
        found = msgspec.json.decode(body if given.http is not None else text or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sys(function: FunctionFacts) -> dict[str, object]:
    return {"sys": {"methodname": function.name}}
