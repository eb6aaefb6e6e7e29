"""A flow as people see it: a tree of lines, what happened when, and what has failed. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from tenuto.insight.wording import duration, moment, one_line
from tenuto.model.flow import Flow, FlowItem
from tenuto.model.timing import Microseconds

_NAME: Final = 100
_ERROR: Final = 300


class FlowLine(Struct, frozen=True, kw_only=True):
    """A line of the picture.

    Attributes:
        item: What it is of.
        lasts: For each level above and its own, whether that one is the last of its siblings; empty
            at the top.
        words: What it says.
        time: When it was, beside it.
        is_asked: Whether it is what was asked about.
    """

    item: FlowItem
    lasts: tuple[bool, ...]
    words: str
    time: str
    is_asked: bool = False


def flow_lines(flow: Flow) -> list[FlowLine]:
    """The lines of a flow, from its first cause on.

    Args:
        flow: As it was read.
    """
    below: defaultdict[str, list[FlowItem]] = defaultdict(list)
    for one in flow.items:
        if one.ref != flow.root and one.cause is not None:
            below[one.cause].append(one)
    begun = next((one.at for one in flow.items if one.at is not None), None)
    return [
        FlowLine(
            item=one,
            lasts=lasts,
            words=_words(one),
            time=_time(one, begun, is_root=not lasts),
            is_asked=one.ref == flow.asked,
        )
        for one, lasts in _walked(flow, below)
    ]


def _walked(
    flow: Flow, below: defaultdict[str, list[FlowItem]]
) -> Iterator[tuple[FlowItem, tuple[bool, ...]]]:
    """Depth first, without recursion: a flow may be deeper than Python's stack."""
    stack: list[tuple[FlowItem, tuple[bool, ...]]] = [
        (one, ()) for one in flow.items if one.ref == flow.root
    ]
    while stack:
        item, lasts = stack.pop()
        yield item, lasts
        children = below[item.ref]
        last = len(children) - 1
        stack.extend((children[at], (*lasts, at == last)) for at in range(last, -1, -1))


def _words(item: FlowItem) -> str:
    name, own_id = one_line(item.name, _NAME), one_line(item.id)
    if item.hub is not None:
        what = own_id if item.kind == "instance" else f"{name}/{own_id}"
        return f"{item.kind} {what} on the linked hub {one_line(item.hub)!r}, which knows more"
    gone = " (gone: deleted, done with, or kept no longer)" if item.is_gone else ""
    match item.kind:
        case "event":
            type_ = "" if item.type is None else f" {one_line(item.type, _NAME)}"
            key = "" if item.key is None else f" key {one_line(item.key, _NAME)}"
            return f"event {name}/{own_id}{type_}{key}{gone}"
        case "message":
            return f"message {name}/{own_id}{gone}"
        case "file":
            return f"file {own_id}, taken by {name}"
        case "instance":
            of = f" ({name})" if name else ""
            status = "" if item.status is None else f" {item.status}"
            return f"instance {own_id}{of}{status}{_why(item)}{gone}"
        case "failed":
            attempts = f"{item.attempts} attempt{'' if item.attempts == 1 else 's'}"
            return f"PUT ASIDE by {name} after {attempts}{_why(item)} (number {own_id})"


def _why(item: FlowItem) -> str:
    return "" if item.error is None else f": {one_line(item.error, _ERROR)}"


def _time(item: FlowItem, begun: Microseconds | None, *, is_root: bool) -> str:
    if item.at is None or begun is None:
        return ""
    text = moment(item.at) if is_root else f"+{duration(item.at - begun)}"
    if item.ended_at is None:
        return text
    return f"{text}, took {duration(item.ended_at - item.at)}"
