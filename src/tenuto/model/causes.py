"""Causes: what has led to what, over topics, queues and instances, as short texts.

``event:<topic>/<id>``, ``message:<queue>/<id>``, ``instance:<id>``,
``file:<function>/<path>#<id>``.
An event or a message knows its cause, an instance has it as a tag. So a flow that is glued by
events can be drawn as one tree.
"""

from typing import Final

CAUSE_TAG: Final = "tenuto.cause"
"""The tag of an instance that an event or a message has started."""

_EVENT: Final = "event:"
_MESSAGE: Final = "message:"
_INSTANCE: Final = "instance:"
_FILE: Final = "file:"
_MOST_PATH: Final = 500


def event_cause(topic: str, event_id: str) -> str:
    """That of what an event has led to."""
    return f"{_EVENT}{topic}/{event_id}"


def message_cause(queue: str, message_id: str) -> str:
    """That of what a message of a queue has led to."""
    return f"{_MESSAGE}{queue}/{message_id}"


def file_cause(function: str, path: str, file_id: str) -> str:
    """That of what a file in a folder has led to, in the course of a function; of a path that is
    too long to be a tag's, its end.
    """
    end = path if len(path) <= _MOST_PATH else f"...{path[-_MOST_PATH:]}"
    return f"{_FILE}{function}/{end}#{file_id[:8]}"


def instance_cause(instance_id: str) -> str:
    """That of what an instance has published, queued or started."""
    return f"{_INSTANCE}{instance_id}"


def beyond(cause: str, hub: str) -> str:
    """A cause in a linked hub, as it is called here: with the hub before its name."""
    kind, _, name = cause.partition(":")
    return f"{kind}:{hub}/{name}"


def parted(cause: str) -> tuple[str, str, str]:
    """Kind (``event``, ``message``, ``file``, ``instance``), topic, queue or function, and id.

    One that is none of ours, such as a tag that somebody made up, comes as an instance's.
    """
    kind, colon, rest = cause.partition(":")
    place, slash, name = rest.partition("/")
    if f"{kind}{colon}" in {_EVENT, _MESSAGE, _FILE} and slash:
        return kind, place, name
    return "instance", "", rest if f"{kind}{colon}" == _INSTANCE else cause
