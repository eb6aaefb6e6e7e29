"""Causes: what has led to what, over topics, queues and instances, as short texts.

``event:<topic>/<id>``, ``message:<queue>/<id>``, ``instance:<id>``,
``file:<function>/<path>#<id>``. An instance of a linked hub is ``instance:<hub>/<id>``, anything
else there ``linked:<hub>/`` and what it is called there.
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
_LINKED: Final = "linked:"


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
    """A cause in a linked hub, as it is called here: with the hub's name before it.

    Example:
        >>> beyond("instance:watch-1", "box-17"), beyond("event:readings/r1", "box-17")
        ('instance:box-17/watch-1', 'linked:box-17/event:readings/r1')
    """
    if cause.startswith(_INSTANCE):
        return f"{_INSTANCE}{hub}/{cause.removeprefix(_INSTANCE)}"
    return f"{_LINKED}{hub}/{cause}"


def hub_of(cause: str) -> tuple[str | None, str]:
    """The linked hub where a cause is, and what it is called there; None for one of this hub."""
    for mark in (_LINKED, _INSTANCE):
        if cause.startswith(mark):
            hub, slash, rest = cause.removeprefix(mark).partition("/")
            if slash:
                return hub, rest if mark == _LINKED else instance_cause(rest)
    return None, cause


def parted(cause: str) -> tuple[str, str, str]:
    """Kind (``event``, ``message``, ``file``, ``instance``), topic, queue or function, and id.

    Args:
        cause: As it is called in its own hub. One that is none of ours, such as a tag that somebody
            made up, comes as an instance's.
    """
    kind, colon, rest = cause.partition(":")
    place, slash, name = rest.partition("/")
    if f"{kind}{colon}" in {_EVENT, _MESSAGE, _FILE} and slash:
        return kind, place, name
    return "instance", "", rest if f"{kind}{colon}" == _INSTANCE else cause
