"""The lines of a run's picture: what each says, and how they are folded until they fit. Pure.

A run becomes items, a line with lines below it. When there are too many, equal ones are folded
into one, the dullest first: a thousand completed activities are one line, a failed one stays.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Final

from msgspec import Struct, field, structs

from tenuto.insight.labels import step_label
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.wording import failure_text, one_line
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds

_FEWEST: Final = 3
"""So many equal neighbours become one line, before anything else is folded."""


class Item(Struct, kw_only=True):
    """A line, and the lines below it.

    Attributes:
        state: Chooses symbol and style.
        label: What it is; empty for a fold of different ones.
        begun_at: Microseconds since 1970 UTC.
        ended_at: None while it is open.
        due_at: When it goes on by itself.
        detail: What else there is to say.
        is_wait: Nothing was done in this time.
        count: How many lines were folded into this one.
        children: The lines below.
    """

    state: StepState
    label: str
    begun_at: int
    ended_at: int | None = None
    due_at: Microseconds | None = None
    detail: str = ""
    is_wait: bool = False
    count: int = 1
    children: list["Item"] = field(default_factory=list)

    @property
    def height(self) -> int:
        """Lines that it takes."""
        return 1 + sum(child.height for child in self.children)


# --- from runs to items ------------------------------------------------------------------------


def item_of_run(run: Run) -> Item:
    """The line of the instance itself, with its steps below."""
    record = run.record
    return Item(
        state=state_of(record.status),
        label=one_line(record.name),
        detail=_standing(record),
        begun_at=record.created_at,
        ended_at=record.completed_at,
        children=[_item_of_step(step) for step in run.steps],
    )


def state_of(status: RuntimeStatus) -> StepState:
    """An instance's status in the words of steps."""
    return _STATES[status]


_STATES: Final = {
    RuntimeStatus.RUNNING: StepState.RUNNING,
    RuntimeStatus.CONTINUED_AS_NEW: StepState.RUNNING,
    RuntimeStatus.PENDING: StepState.WAITING,
    RuntimeStatus.SUSPENDED: StepState.WAITING,
    RuntimeStatus.COMPLETED: StepState.COMPLETED,
    RuntimeStatus.FAILED: StepState.FAILED,
    RuntimeStatus.TERMINATED: StepState.CANCELED,
    RuntimeStatus.CANCELED: StepState.CANCELED,
}
_PLAIN: Final = {RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED, RuntimeStatus.FAILED}
"""Statuses that the symbol tells completely."""


def _standing(record: InstanceRecord) -> str:
    parts = [f"generation {record.generation + 1}"] if record.generation else []
    if record.status not in _PLAIN:
        parts.append(record.status.label.lower())
    if record.hold is not None:
        parts.append(f"held: {record.hold.reason}")
    return ", ".join(parts)


def _item_of_step(step: Step) -> Item:
    item = Item(
        state=step.state,
        label=step_label(step),
        detail=step_detail(step),
        begun_at=step.begun_at,
        ended_at=step.ended_at,
        due_at=step.due_at,
        is_wait=step.kind in {StepKind.TIMER, StepKind.EVENT, StepKind.QUESTION},
    )
    if step.run is not None:
        item.children = [_item_of_step(one) for one in step.run.steps]
        if step.state is StepState.RUNNING:
            item.state = state_of(step.run.record.status)
    return item


def step_detail(step: Step) -> str:
    """The facts, and what the symbol of a step that was given up says."""
    canceled = []
    if step.state is StepState.CANCELED:
        canceled = ["timed out" if step.is_expired else "canceled"]
    return ", ".join([*step_facts(step), *canceled])


def step_facts(step: Step) -> list[str]:
    """What else there is to say of a step: who does it, which attempt, what went wrong."""
    parts = []
    if step.state is StepState.UNREAD:
        parts.append("came when nobody waited for it")
    if step.kind is StepKind.CHILD:
        parts.append(one_line(step.instance_id or ""))  # whole: people copy it
        if step.is_detached:
            parts.append("not waited for")
        standing = "" if step.run is None else _standing(step.run.record)
        if standing:
            parts.append(standing)
    if step.kind is StepKind.QUESTION and step.state.is_open and step.url:
        parts.append(step.url)
    if step.request:
        parts.append(one_line(step.request))
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.failure is not None and step.state is not StepState.COMPLETED:
        past = "after " if step.state is StepState.RUNNING else ""
        parts.append(past + failure_text(step.failure))
    return parts


# --- folding -----------------------------------------------------------------------------------


def folded(item: Item, rows: int) -> Item:
    """The same in at most ``rows`` lines, if folding achieves that."""
    for fold in _FOLDS:
        if item.height <= rows:
            break
        item = _everywhere(item, fold)
    return item


def _everywhere(item: Item, fold: Callable[[list[Item]], list[Item]]) -> Item:
    children = [_everywhere(child, fold) for child in item.children]
    return structs.replace(item, children=fold(children))


def _completed_neighbours(items: list[Item]) -> list[Item]:
    """``charge x 12`` for completed steps of one name that follow each other."""
    result: list[Item] = []
    for key, group in groupby(items, lambda one: (one.label, _is_dull(one))):
        same = list(group)
        result += [_merged(same)] if key[1] and len(same) >= _FEWEST else same
    return result


def _without_steps(items: list[Item]) -> list[Item]:
    """Completed children lose their steps."""
    return [
        structs.replace(one, children=[]) if one.state is StepState.COMPLETED else one
        for one in items
    ]


def _equal_completed(items: list[Item]) -> list[Item]:
    """``charge x 12`` for completed steps of one name, wherever they stand."""
    return _fold(items, lambda one: one.label if _is_dull(one) else None)


def _equal_leaves(items: list[Item]) -> list[Item]:
    """``resize x 120`` for steps of one name and state, whatever the state."""
    return _fold(items, lambda one: None if one.children else f"{one.state} {one.label}")


def _equal(items: list[Item]) -> list[Item]:
    """The same for children with steps of their own, which are not shown then."""
    return _fold(items, lambda one: f"{one.state} {one.label}")


def _all_completed(items: list[Item]) -> list[Item]:
    """``12 completed`` for completed steps of any name."""
    return _fold(items, lambda one: "" if _is_dull(one) else None)


_FOLDS: Final = (
    _completed_neighbours,
    _without_steps,
    _equal_completed,
    _equal_leaves,
    _equal,
    _all_completed,
)
"""The dullest first."""


def _is_dull(item: Item) -> bool:
    return item.state is StepState.COMPLETED and not item.children


def _fold(items: list[Item], key_of: Callable[[Item], str | None]) -> list[Item]:
    """Make one of those with the same key, where the first of them stands."""
    groups: dict[str, list[Item]] = {}
    for one in items:
        key = key_of(one)
        if key is not None:
            groups.setdefault(key, []).append(one)
    folds = {id(same[0]): same for same in groups.values() if len(same) > 1}
    gone = {id(one) for same in folds.values() for one in same[1:]}
    return [
        _merged(folds[id(one)]) if id(one) in folds else one for one in items if id(one) not in gone
    ]


def _merged(items: list[Item]) -> Item:
    first = items[0]
    ends = [one.ended_at for one in items if one.ended_at is not None]
    return Item(
        state=first.state,
        label=first.label if all(one.label == first.label for one in items) else "",
        detail=first.detail if all(one.detail == first.detail for one in items) else "",
        begun_at=min(one.begun_at for one in items),
        ended_at=max(ends) if len(ends) == len(items) else None,
        is_wait=all(one.is_wait for one in items),
        count=sum(one.count for one in items),
    )
