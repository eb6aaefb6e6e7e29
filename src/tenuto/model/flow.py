"""A flow as one tree: events, messages, instances, deliveries that were put aside. Pure data."""

from typing import Literal

from msgspec import Struct

from tenuto.model.timing import Microseconds


class FlowItem(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something that happened in a flow.

    Attributes:
        ref: Its own name in the flow, as ``model.causes`` has it; of a delivery that was put aside
            ``failed:`` and its number.
        kind: What it is.
        name: The topic, the queue, the orchestrator, the function that took a file, or that failed.
        id: Of the event, message or instance; a file's path; the number of a delivery.
        cause: The ref of what has led to it; None at the top.
        at: When, in microseconds since 1970 UTC; None when nobody knows.
        ended_at: When an instance ended.
        status: Of an instance, in words.
        key: Of an event.
        type: Of an event.
        attempts: Of a delivery that was put aside.
        error: Why an instance or a delivery has failed, or is held.
        hub: The linked hub where it is: that one knows more of it. None for what is here.
        is_gone: Only its name is known: it was deleted, or done with.
    """

    ref: str
    kind: Literal["event", "message", "file", "instance", "failed"]
    name: str
    id: str
    cause: str | None = None
    at: Microseconds | None = None
    ended_at: Microseconds | None = None
    status: str | None = None
    key: str | None = None
    type: str | None = None
    attempts: int | None = None
    error: str | None = None
    hub: str | None = None
    is_gone: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether something is wrong with it."""
        return self.error is not None


class Flow(Struct, frozen=True, kw_only=True, rename="camel"):
    """What has led to something, and what that has led to.

    Attributes:
        asked: The ref of what was asked about.
        root: The ref of the first cause that is known.
        items: All of them, a cause before what it has led to.
        is_cut: Whether there is more below than was read.
    """

    asked: str
    root: str
    items: tuple[FlowItem, ...]
    is_cut: bool = False
