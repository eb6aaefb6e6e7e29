"""What starts a function of an app, besides requests and schedules, as people read it.

Must never show a secret: of a connection there is nothing here.
"""

from pathlib import Path
from typing import Literal, assert_never

from msgspec import Struct

from tenuto.engine.program import (
    AzureBlobTrigger,
    AzureQueueTrigger,
    EventGridTrigger,
    FileTrigger,
    QueueTrigger,
    TopicTrigger,
    TriggeredFunction,
)
from tenuto.http.events.event_grid import PATH as EVENT_GRID


class EventFunctionInfo(Struct, frozen=True, rename="camel"):
    """A function, or an orchestrator, that events start.

    Attributes:
        name: Its name; of a topic's, that of the subscription.
        trigger: What starts it: events of a ``topic``, messages of a ``queue``, ``files`` of a
            folder, blobs (``blob``) or messages (``azureQueue``) of Azure Storage, or an ``event``
            that Event Grid posts.
        source: Topic, queue, folder with pattern, container with pattern, or the path to post to.
    """

    name: str
    trigger: Literal["topic", "queue", "files", "blob", "azureQueue", "event"]
    source: str


def event_function_info(function: TriggeredFunction) -> EventFunctionInfo:
    """What starts a function."""
    name, trigger = function.name, function.trigger
    match trigger:
        case TopicTrigger():
            return EventFunctionInfo(trigger.subscription, "topic", trigger.topic)
        case QueueTrigger():
            return EventFunctionInfo(name, "queue", trigger.queue)
        case FileTrigger():
            return EventFunctionInfo(name, "files", str(Path(trigger.folder, trigger.pattern)))
        case AzureBlobTrigger():
            return EventFunctionInfo(name, "blob", trigger.path)
        case AzureQueueTrigger():
            return EventFunctionInfo(name, "azureQueue", trigger.queue)
        case EventGridTrigger():
            return EventFunctionInfo(name, "event", f"{EVENT_GRID}?functionName={name}")
        case _:
            assert_never(trigger)
