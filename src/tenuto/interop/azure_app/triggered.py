"""Functions of an app that queues, blobs and events start."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from tenuto.engine.program import (
    AzureBlobTrigger,
    AzureQueueTrigger,
    Delivery,
    EventGridTrigger,
    QueueTrigger,
    Redelivery,
    Trigger,
)
from tenuto.interop.azure_app.bindings.connections import connection_of
from tenuto.interop.azure_app.bindings.values import datum_of
from tenuto.interop.azure_app.calls import AppCaller
from tenuto.interop.azure_app.folder.host_json import HostOptions
from tenuto.interop.azure_app.folder.settings import AppSettings
from tenuto.interop.azure_app.functions import FunctionFailedError, trigger_type
from tenuto.interop.workers.protocol import Datum, FunctionFacts
from tenuto.model.event_grid import posted_form
from tenuto.model.timing import to_datetime
from tenuto.model.topics import Event

QUEUE: Final = "queuetrigger"
BLOB: Final = "blobtrigger"
EVENT_GRID: Final = "eventgridtrigger"
_NEVER: Final = "9999-12-31T23:59:59+00:00"
"""As Azure has it of a message that does not expire. Nobody else gets one that is in work."""
_encode: Final = msgspec.json.Encoder().encode


class AppTriggered:
    """A function of an app that events start.

    Args:
        function: The function.
        trigger: What starts it.
        caller: Who calls it, while a host runs the app.
    """

    def __init__(
        self,
        function: FunctionFacts,
        trigger: Trigger,
        caller: Callable[[], AppCaller | None],
    ) -> None:
        self._function = function
        self._caller = caller
        self.trigger: Trigger = trigger

    @property
    def name(self) -> str:
        """The function's."""
        return self._function.name

    async def run(self, delivery: Delivery) -> None:
        """Call the function.

        Raises:
            FunctionFailedError: it has failed, or no worker is there.
        """
        caller = self._caller()
        if caller is None:
            raise FunctionFailedError(
                f"function {self.name!r} cannot run: its app is not running", invocation=""
            )
        kind = trigger_type(self._function)
        given = _event(delivery) if kind == EVENT_GRID else self._text_or_bytes(delivery)
        metadata = {} if kind == EVENT_GRID else dict(delivery.facts)
        if kind == QUEUE:
            metadata = _queue_metadata(delivery, given)
        await caller.call(self._function, given, metadata=metadata)

    def _text_or_bytes(self, delivery: Delivery) -> Datum:
        """A payload as its package reads it: what the binding says, else what it is."""
        data, wanted = delivery.data, str(self._function.trigger.get("dataType") or "").lower()
        if not isinstance(data, str | bytes):
            data = _encode(data).decode()
        if isinstance(data, bytes) and wanted == "string":
            data = data.decode(errors="replace")
        if isinstance(data, str) and wanted == "binary":
            data = data.encode()
        return datum_of(data)


def _event(delivery: Delivery) -> Datum:
    """What was posted: the whole event, not its data alone."""
    event = delivery.facts.get("event")
    posted = posted_form(event) if isinstance(event, Event) else delivery.data
    return Datum(json=_encode(posted).decode())


def _queue_metadata(delivery: Delivery, given: Datum) -> dict[str, Any]:
    """What functions know of a message; all of it also of one of Tenuto's own queues."""
    text = {} if given.string is None else {"QueueTrigger": given.string}
    if "PopReceipt" in delivery.facts:
        return {**delivery.facts, **text}
    queued_at = delivery.facts.get("queued_at")
    moment = to_datetime(queued_at).isoformat() if isinstance(queued_at, int) else _NEVER
    return {
        "Id": delivery.id,
        "DequeueCount": delivery.attempt,
        "InsertionTime": moment,
        "ExpirationTime": _NEVER,
        "NextVisibleTime": _NEVER,
        "PopReceipt": f"{delivery.id}/{delivery.attempt}",
        **text,
    }


def triggered_functions(
    functions: Sequence[FunctionFacts],
    settings: AppSettings,
    host: HostOptions,
    caller: Callable[[], AppCaller | None],
    receipts: str,
) -> list[AppTriggered]:
    """Those of an app that queues, blobs and events start.

    Args:
        functions: All of the app, checked.
        settings: What their connections name.
        host: How much is fetched at once, and how often it is tried.
        caller: Who calls them, while a host runs the app.
        receipts: Under this name it is kept which blobs were run.

    Raises:
        SettingsError: a connection is none.
    """
    found = []
    for one in functions:
        trigger = _trigger_of(one, settings, host, receipts)
        if trigger is not None:
            found.append(AppTriggered(one, trigger, caller))
    return found


def _trigger_of(
    function: FunctionFacts, settings: AppSettings, host: HostOptions, receipts: str
) -> Trigger | None:
    said, kind = function.trigger, trigger_type(function)
    if kind == EVENT_GRID:
        return EventGridTrigger()
    if kind == QUEUE:
        return _queue_trigger(said, connection_of(said, settings), host)
    if kind == BLOB:
        connection = connection_of(said, settings)
        assert connection is not None, "it was checked"
        options = {**structs.asdict(host.blobs), "receipts": receipts}
        return AzureBlobTrigger(path=str(said["path"]), connection=connection, options=options)
    return None


def _queue_trigger(said: Mapping[str, Any], connection: str | None, host: HostOptions) -> Trigger:
    options, name = host.queues, str(said["queueName"])
    if connection is not None:
        return AzureQueueTrigger(
            queue=name.lower(), connection=connection, options=structs.asdict(options)
        )
    return QueueTrigger(
        queue=name,
        concurrency=options.concurrency,
        redelivery=Redelivery(
            attempts=options.max_dequeue_count,
            first_pause=options.visibility_timeout,
            backoff=1.0,
        ),
    )
