"""What histories say of usage: executions by function, counted from the rows of a store."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from tenuto.engine.ports import Storage
from tenuto.model.codec import decode_turn
from tenuto.model.events import TaskCompleted, TaskFailed, TaskScheduled
from tenuto.model.requests import InstanceQuery
from tenuto.model.usage import Amounts, FunctionKind, UsageRow

ALWAYS = (0, 1_000_000)

Function: TypeAlias = tuple[FunctionKind, str, str]
"""Kind, name and tag."""


class InHistories:
    """What the histories of a store hold; of instances that never continue as new.

    Attributes:
        executions: By function.
        waiting: Microseconds, by function.
        bytes: Of the rows, by function.
    """

    def __init__(self) -> None:
        self.executions: Counter[Function] = Counter()
        self.waiting: Counter[Function] = Counter()
        self.bytes: Counter[Function] = Counter()

    @classmethod
    async def of(cls, storage: Storage, tag_key: str = "") -> "InHistories":
        """Read all of them."""
        found = cls()
        after: str | None = None
        while True:
            page = await storage.query(InstanceQuery(limit=500, after=after, payloads=False))
            for record in page.records:
                tag = (record.tags or {}).get(tag_key, "")
                found._add(record.name, tag, await storage.history(record.instance_id))
            after = page.after
            if after is None:
                return found

    def _add(self, name: str, tag: str, turns: Iterable[bytes]) -> None:
        function = FunctionKind.ORCHESTRATOR, name, tag
        names: dict[int, str] = {}
        last: int | None = None
        for row in turns:
            self.executions[function] += 1
            self.bytes[function] += len(row)
            events = decode_turn(row)
            now = getattr(events[0], "timestamp")  # noqa: B009 - mypy: of a union
            self.waiting[function] += 0 if last is None else now - last
            last = now
            for event in events:
                if isinstance(event, TaskScheduled):
                    names[event.event_id] = event.name
                elif isinstance(event, TaskCompleted | TaskFailed):
                    activity = names[event.task_scheduled_id]
                    self.executions[FunctionKind.ACTIVITY, activity, tag] += 1


def by_function(rows: Iterable[UsageRow]) -> dict[Function, Amounts]:
    """Usage by function, over all days and apps."""
    sums: dict[Function, Amounts] = {}
    for row in rows:
        key = row.kind, row.function, row.tag
        sums[key] = sums.get(key, Amounts()) + row.amounts
    return sums


async def check_usage(storage: Storage, tag_key: str = "") -> dict[Function, Amounts]:
    """Usage is what the histories say, to the last one; gives it."""
    histories = await InHistories.of(storage, tag_key)
    used = by_function(await storage.usage(*ALWAYS))
    assert {key: one.executions for key, one in used.items()} == dict(histories.executions)
    for key, one in used.items():
        assert one.waiting == histories.waiting[key], key
        assert one.bytes == histories.bytes[key], key
        if key[0] is FunctionKind.ORCHESTRATOR:
            assert one.operations >= one.executions
    return used
