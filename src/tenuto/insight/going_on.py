"""What a host goes on with when it starts: how many instances, and what they wait for. Pure."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct, field

from tenuto.engine.state import InstanceState
from tenuto.insight.advice import command
from tenuto.model.hold import HoldReason
from tenuto.model.status import AT_ONCE, InstanceRecord, RuntimeStatus
from tenuto.model.timing import Microseconds


class WaitsFor(StrEnum):
    """What an instance waits for, in the words of the line; each is counted under one of these.

    The first that fits, in this order, says most of what happens next.
    """

    RESUME = "suspended"
    START = "begins later"
    TURN = "to begin"
    ACTIVITY = "activities"
    CHILD = "sub-orchestrations"
    EVENT = "events"
    TIMER = "timers"
    NOTHING = "nothing"


_WHY: dict[HoldReason, tuple[str, str]] = {
    **dict.fromkeys(
        (HoldReason.DECISIONS, HoldReason.GUARD, HoldReason.PAYLOAD),
        ("its code has changed", "their code has changed"),
    ),
    HoldReason.NOT_SERVED: (
        "it names a function that is not here",
        "they name functions that are not here",
    ),
    HoldReason.POISON: ("its turn has failed", "their turns have failed"),
    HoldReason.CRASHED: ("it has ended its host", "they have ended their host"),
    HoldReason.MEMORY: ("there was not enough memory", "there was not enough memory"),
    HoldReason.STORAGE: (
        "the store cannot hold what it decided",
        "the store cannot hold what they decided",
    ),
    HoldReason.BUDGET: ("its budget is used up", "their budget is used up"),
}
"""What is said of one that is held for a reason, and of several; reasons with the same words are
counted together."""


class GoingOn(Struct, kw_only=True):
    """What a host goes on with.

    Attributes:
        waits: How many instances wait for what; those that are held are not among them.
        held: How many are held, by reason.
        has_more: Whether there are more than were looked at.
    """

    waits: Counter[WaitsFor] = field(default_factory=Counter)
    held: Counter[HoldReason] = field(default_factory=Counter)
    has_more: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to go on with."""
        return not self.waits and not self.held


def waits_for(state: InstanceState, now: Microseconds) -> WaitsFor:
    """What an instance waits for that has not ended and is not held."""
    work = state.work
    if state.status is RuntimeStatus.SUSPENDED:
        return WaitsFor.RESUME
    if not state.next_turn:
        return WaitsFor.START if state.begins_later(now) else WaitsFor.TURN
    if work.activities:
        return WaitsFor.ACTIVITY
    if work.children:
        return WaitsFor.CHILD
    if work.awaits:
        return WaitsFor.EVENT
    return WaitsFor.TIMER if work.timers else WaitsFor.NOTHING


def waits_for_by_row(record: InstanceRecord, now: Microseconds) -> WaitsFor:
    """The same as far as its row tells: of one whose history is too long to be read for it."""
    if record.status is RuntimeStatus.SUSPENDED:
        return WaitsFor.RESUME
    if record.status is RuntimeStatus.PENDING:
        return WaitsFor.START if (record.scheduled_at or 0) > now else WaitsFor.TURN
    if record.wake_at is None:
        return WaitsFor.EVENT
    return WaitsFor.ACTIVITY if record.wake_at == AT_ONCE else WaitsFor.TIMER


def sentence(found: GoingOn, place: tuple[str, ...] = ()) -> str:
    """The line: ``goes on with 12 instances: 9 wait for timers, 3 for events``.

    Args:
        found: What there is.
        place: The options that name the store, for the command in it.
    """
    total = found.waits.total()
    more, newest = ("more than ", f"; of {total:,} looked at") if found.has_more else ("", "")
    text = f"goes on with {more}{total:,} {'instance' if total == 1 else 'instances'}{newest}"
    if found.waits:
        text = f"{text}: {', '.join(_waits(found.waits))}"
    if not found.held:
        return text
    listed = command("instances list", options=("--held", *place))
    return f"{text}; {', '.join(_held(found.held))} ({listed})"


def _waits(waits: Counter[WaitsFor]) -> Iterator[str]:
    """Most first; the verb is said once."""
    told = False
    for kind in (WaitsFor.TIMER, WaitsFor.EVENT, WaitsFor.ACTIVITY, WaitsFor.CHILD):
        if count := waits[kind]:
            verb = "" if told else "waits " if count == 1 else "wait "
            told = True
            yield f"{count:,} {verb}for {kind}"
    if count := waits[WaitsFor.TURN]:
        yield f"{count:,} {_are(count)} to begin"
    if count := waits[WaitsFor.START]:
        yield f"{count:,} {'begins' if count == 1 else 'begin'} later"
    if count := waits[WaitsFor.RESUME]:
        yield f"{count:,} {_are(count)} suspended"
    if count := waits[WaitsFor.NOTHING]:
        yield f"{count:,} {_are(count)} between two steps"


def _held(held: Counter[HoldReason]) -> Iterator[str]:
    """In the order of the table: first those whose owners can do something about it."""
    counts: Counter[tuple[str, str]] = Counter()
    for reason, why in _WHY.items():
        counts[why] += held[reason]
    for (one, several), count in counts.items():
        if count:
            yield f"{count:,} {_are(count)} held, {one if count == 1 else several}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
