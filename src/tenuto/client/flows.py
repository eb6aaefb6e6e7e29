"""Walks through a flow: up the causes to the first, then down to all that it has led to.

Level by level, a few questions to the store for each, as many items as are asked for.
"""

from typing import Final, Literal

from tenuto.engine.flow_ports import CausedInstance, FlowEvent, FlowFailure, FlowReader
from tenuto.model.causes import event_cause, hub_of, instance_cause, message_cause, parted
from tenuto.model.errors import EventNotFoundError, InstanceNotFoundError
from tenuto.model.flow import Flow, FlowItem
from tenuto.model.ids import InstanceId, check_instance_id
from tenuto.model.status import RuntimeStatus

MOST_ITEMS: Final = 10_000
"""More are not read of one flow."""

_MOST_UP: Final = 1_000
_KINDS: Final[dict[str, Literal["event", "message", "file", "instance"]]] = {
    "event": "event",
    "message": "message",
    "file": "file",
    "instance": "instance",
}
_FAILED: Final = frozenset({RuntimeStatus.FAILED, RuntimeStatus.TERMINATED})


async def read_flow(reader: FlowReader, of: str, limit: int) -> Flow:
    """The flow that something belongs to.

    Args:
        reader: The store.
        of: An instance id, or ``topic/event-id``; also ``queue/message-id``.
        limit: The most items.

    Raises:
        InstanceNotFoundError: there is no such instance.
        EventNotFoundError: there is no such event or message.
    """
    asked = await _asked(reader, of)
    root = await _first_cause(reader, asked)
    walk = _Walk(reader, limit)
    await walk.down_from(root)
    return Flow(asked=asked.ref, root=root.ref, items=tuple(walk.items), is_cut=walk.is_cut)


async def _asked(reader: FlowReader, of: str) -> FlowItem:
    place, slash, name = of.partition("/")
    if not slash:
        instance_id = check_instance_id(of)
        found = await reader.flow_instance(instance_id)
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return _item_of_instance(found)
    for ref in (event_cause(place, name), message_cause(place, name)):
        event = await reader.flow_event(ref)
        if event is not None:
            return _item_of_event(event)
    raise EventNotFoundError(
        f"topic {place!r} has no event {name!r}, and no queue has such a message: it was never "
        "there, its time is over (setting topics.keep_days), or the message is done with; "
        "`tenuto topics show` lists events"
    )


async def _first_cause(reader: FlowReader, item: FlowItem) -> FlowItem:
    """The first cause that is known, or named: of one that is gone, what it was."""
    seen = {item.ref}
    while item.cause is not None and item.cause not in seen and len(seen) < _MOST_UP:
        seen.add(item.cause)
        item = await _named(reader, item.cause)
    return item


async def _named(reader: FlowReader, ref: str) -> FlowItem:
    hub, there = hub_of(ref)
    kind, place, name = parted(there)
    if hub is not None:
        return _item_elsewhere(ref, hub)
    if kind == "instance":
        instance = await reader.flow_instance(InstanceId(name))
        if instance is not None:
            return _item_of_instance(instance)
        return FlowItem(ref=ref, kind="instance", name="", id=name, is_gone=True)
    if kind == "file":
        return FlowItem(ref=ref, kind="file", name=place, id=name.rpartition("#")[0] or name)
    event = await reader.flow_event(ref)
    if event is not None:
        return _item_of_event(event)
    is_event = kind == "event"
    return FlowItem(
        ref=ref, kind="event" if is_event else "message", name=place, id=name, is_gone=True
    )


def _item_elsewhere(ref: str, hub: str) -> FlowItem:
    """What a linked hub knows, and this one only by name."""
    found: str | None = hub
    there = ref
    hubs = []
    while found is not None:  # what that hub knows may be of one beyond it
        found, there = hub_of(there)
        if found is not None:
            hubs.append(found)
    kind, place, name = parted(there)
    return FlowItem(ref=ref, kind=_KINDS[kind], name=place, id=name, hub="/".join(hubs))


class _Walk:
    """Down from one item, as long as there is room."""

    def __init__(self, reader: FlowReader, limit: int) -> None:
        self.items: list[FlowItem] = []
        self.is_cut = False
        self._reader = reader
        self._limit = limit
        self._seen: set[str] = set()

    async def down_from(self, root: FlowItem) -> None:
        """Read all that it has led to."""
        level = self._taken([root])
        while level and not self.is_cut:
            refs = [one.ref for one in level if one.kind != "failed"]
            level = self._taken(await self._below(refs))

    async def _below(self, refs: list[str]) -> list[FlowItem]:
        most = self._limit - len(self.items) + 1
        events = await self._reader.flow(refs, most)
        instances = await self._reader.flow_instances(refs, most)
        failures = await self._reader.flow_failures(refs, most)
        return sorted(
            [
                *map(_item_of_event, events),
                *map(_item_of_instance, instances),
                *map(_item_of_failure, failures),
            ],
            key=lambda one: one.at or 0,
        )

    def _taken(self, found: list[FlowItem]) -> list[FlowItem]:
        new: list[FlowItem] = []
        for one in found:
            if one.ref in self._seen:
                continue
            if len(self.items) == self._limit:
                self.is_cut = True
                break
            self._seen.add(one.ref)
            self.items.append(one)
            new.append(one)
        return new


def _item_of_event(event: FlowEvent) -> FlowItem:
    is_event = event.kind == "event"
    ref = (event_cause if is_event else message_cause)(event.place, event.id)
    return FlowItem(
        ref=ref,
        kind="event" if is_event else "message",
        name=event.place,
        id=event.id,
        cause=event.cause,
        at=event.at,
        key=event.key,
        type=event.type,
    )


def _item_of_instance(one: CausedInstance) -> FlowItem:
    error = None
    if one.failure is not None:
        error = one.failure.summary
    elif one.hold is not None:
        error = f"held ({one.hold.reason}): {one.hold.message}"
    elif one.status in _FAILED:
        error = one.status.label.lower()
    return FlowItem(
        ref=instance_cause(one.instance_id),
        kind="instance",
        name=one.name,
        id=one.instance_id,
        cause=one.cause,
        at=one.at,
        ended_at=one.ended_at,
        status=one.status.label,
        error=error,
    )


def _item_of_failure(one: FlowFailure) -> FlowItem:
    return FlowItem(
        ref=f"failed:{one.number}",
        kind="failed",
        name=one.function,
        id=str(one.number),
        cause=one.cause,
        at=one.at,
        attempts=one.attempts,
        error=one.error,
    )
