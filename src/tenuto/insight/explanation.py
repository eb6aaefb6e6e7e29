"""Why an instance does not go on: one sentence, the facts behind it, and what to do. Pure.

Says of every wait there is what must happen before it ends, as whoever owns that knows it: the
history (timers, events, attempts, children), the row (held, suspended, not begun), the host that
runs it (queues, functions that are not there, a store that does not answer).
"""

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

from tenuto.engine.standing import Look, QueuedWork
from tenuto.insight.labels import TIMERS, step_label
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.wording import duration, failure_text, moment, one_line
from tenuto.model.hold import Hold
from tenuto.model.ids import InstanceId
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds

LATE: Final = 60 * MICROSECONDS
"""What a host should have done so long ago is late."""

_FEW: Final = 3
_START_HOST: Final = "start a host: tenuto start APP"
_LOG: Final = "look at the host's log"


class Explanation(Struct, frozen=True, kw_only=True):
    """Why an instance does not go on.

    Attributes:
        sentence: What it waits for, as it follows the instance's name: ``waits for event 'go'``.
        advice: What to do; empty when there is nothing to do but wait.
        is_stuck: Whether the wait cannot end before somebody does something.
    """

    sentence: str
    advice: str = ""
    is_stuck: bool = False


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is known beside the instance itself.

    Attributes:
        now: The present, in microseconds since 1970 UTC.
        has_host: Whether a host carries things out.
        look: What its host says of it; None when that cannot be asked.
        children: Rows of children that it waits for, by id; None of those that are not there.
        untaken: Messages by instance that a running host has left lying while somebody looked.
        orchestrators: Those of the app that was named; None when none was.
        place: The options that name the place, for commands in advice.
        at: How a moment is written.
    """

    now: Microseconds
    has_host: bool
    look: Look | None = None
    children: Mapping[InstanceId, InstanceRecord | None] = {}
    untaken: Mapping[str, int] = {}
    orchestrators: frozenset[str] | None = None
    place: str = ""
    at: Callable[[Microseconds], str] = moment


def explain(run: Run, around: Surroundings) -> Explanation:
    """What an instance waits for.

    Args:
        run: The instance, and the steps of its current execution.
        around: What else is known.

    Example:
        ::

            explanation = explain(run, Surroundings(now=now, has_host=True))
            print(f"{run.record.instance_id} {explanation.sentence}")
    """
    record, look = run.record, around.look
    if record.status.is_finished:
        return Explanation(sentence=f"has ended ({record.status.label})")
    if record.hold is not None:
        return _held(record, record.hold, around)
    if look is not None and look.unavailable:
        return Explanation(
            sentence=f"waits for the store, which its host cannot write to: {look.unavailable}",
            advice="its host tries again by itself; " + _LOG,
        )
    if record.status is RuntimeStatus.SUSPENDED:
        return _suspended(record, around)
    if look is not None and not look.serves:
        return _unserved("orchestrator", record.name)
    if record.status is RuntimeStatus.PENDING:
        return _pending(record, around)
    if count := around.untaken.get(record.instance_id):
        return Explanation(
            sentence=f"{count:,} messages lie in its inbox, and the running host does not take "
            "them in",
            advice=f"{_LOG}; a restart of the host reads the inbox anew",
            is_stuck=True,
        )
    if look is not None and look.place is not None:
        before = f"{look.place - 1:,} before it" if look.place > 1 else "nobody before it"
        return Explanation(sentence=f"is queued for its turn, {before}")
    return _running(run, around)


def _held(record: InstanceRecord, hold: Hold, around: Surroundings) -> Explanation:
    resume = f"tenuto instances resume {record.instance_id}{around.place}"
    if hold.reason.is_harmful:
        advice = f"mend what it does, then {resume}; or terminate it, or fail it"
    else:
        advice = f"start a host with code that fits, or {resume}; or terminate it, or fail it"
    tried = "" if hold.tried is None else f", tried again {around.at(hold.tried)}"
    return Explanation(
        sentence=f"held since {around.at(hold.since)}{tried} ({hold.reason}): {hold.message}",
        advice=advice,
        is_stuck=True,
    )


def _suspended(record: InstanceRecord, around: Surroundings) -> Explanation:
    since = record.updated_at or record.created_at
    return Explanation(
        sentence=f"suspended since {around.at(since)} ({duration(around.now - since)})",
        advice=f"tenuto instances resume {record.instance_id}{around.place}",
    )


def _unserved(kind: str, name: str, standing: str = "") -> Explanation:
    standing = standing or "waits for a host that serves it"
    return Explanation(
        sentence=f"{standing}: the app has no {kind} {name!r}",
        advice="start a host whose app has it, or terminate the instance",
        is_stuck=True,
    )


def _pending(record: InstanceRecord, around: Surroundings) -> Explanation:
    if record.scheduled_at is not None and record.scheduled_at > around.now:
        return Explanation(sentence=f"begins at {around.at(record.scheduled_at)}")
    age = around.now - max(record.created_at, record.scheduled_at or 0)
    if _is_unknown(record, around):
        return _unserved("orchestrator", record.name, f"pending for {duration(age)}")
    if not around.has_host:
        return Explanation(
            sentence=f"pending for {duration(age)}: no host runs",
            advice=_START_HOST,
            is_stuck=True,
        )
    if age > LATE:
        return Explanation(
            sentence=f"pending for {duration(age)} although a host runs: perhaps its app has no "
            f"orchestrator {record.name!r}",
            advice=f"{_LOG}; start a host whose app has it",
            is_stuck=True,
        )
    return Explanation(sentence=f"pending for {duration(age)}")


def _is_unknown(record: InstanceRecord, around: Surroundings) -> bool:
    return around.orchestrators is not None and record.name not in around.orchestrators


# --- what a run waits for -------------------------------------------------------------------------


def _running(run: Run, around: Surroundings) -> Explanation:
    record, steps = run.record, run.open_steps()
    # It would be held at its next turn, which may be in three months: said before that.
    if _is_unknown(record, around):
        waits = ", ".join(_what(step, around) for step in steps[:_FEW])
        standing = f"waits for {waits}" if waits else "is between two steps"
        return _unserved("orchestrator", record.name, standing)
    if not steps:
        return Explanation(sentence="is between two steps")
    found = _overdue(steps, around) or _without_function(steps, around)
    if found is not None:
        return found
    shown = [_what(step, around) for step in steps[:_FEW]]
    if len(steps) > _FEW:
        shown.append(f"{len(steps) - _FEW:,} more")
    text = f"waits for {', '.join(shown)}"
    works = any(one.kind is StepKind.ACTIVITY and one.state is StepState.RUNNING for one in steps)
    if works and not around.has_host:
        return Explanation(sentence=f"{text}; no host runs", advice=_START_HOST, is_stuck=True)
    lost = [step for step in steps if _is_lost(record, step, around)]
    if lost and len(lost) == len(steps):
        return Explanation(
            sentence=f"{text}; nobody will answer it",
            advice=f"terminate or restart it: tenuto instances restart {record.instance_id}"
            f"{around.place}",
            is_stuck=True,
        )
    return Explanation(sentence=text, advice=_advice(record, steps, around))


def _overdue(steps: list[Step], around: Surroundings) -> Explanation | None:
    for step in steps:
        if step.due_at is not None and step.due_at < around.now - LATE:
            return Explanation(
                sentence=f"{_what(step, around)} is overdue by "
                f"{duration(around.now - step.due_at)}",
                advice=f"{_LOG} and its clock" if around.has_host else _START_HOST,
                is_stuck=True,
            )
    return None


def _without_function(steps: list[Step], around: Surroundings) -> Explanation | None:
    missing = () if around.look is None else around.look.unserved
    for step in steps:
        if step.kind is StepKind.ACTIVITY and step.name in missing:
            return _unserved("activity", step.name, f"waits for {_what(step, around)}")
    return None


def _is_lost(record: InstanceRecord, step: Step, around: Surroundings) -> bool:
    """Whether a child is not there any more, or another one has its id: it never answers."""
    name = step.instance_id
    if step.kind is not StepKind.CHILD or name is None or name not in around.children:
        return False
    if step.state is not StepState.RUNNING or around.now - step.changed_at < LATE:
        return False  # its start may be on its way
    child = around.children[name]
    return child is None or child.parent is None or child.parent.instance_id != record.instance_id


def _what(step: Step, around: Surroundings) -> str:
    at = around.at
    if step.state is StepState.RETRYING and step.due_at is not None:
        failed = "" if step.failure is None else f", after {failure_text(step.failure)}"
        again = f"attempt {step.attempt + 1} of {step.kind} {one_line(step.name)}"
        return f"{again} at {at(step.due_at)}{failed}"
    since = f"since {at(step.changed_at)} ({duration(around.now - step.changed_at)})"
    match step.kind:
        case StepKind.TIMER:
            due = "" if step.due_at is None else f" due at {at(step.due_at)}"
            return f"a {TIMERS[step.purpose]}{due}"
        case StepKind.EVENT:
            until = "" if step.due_at is None else f", until {at(step.due_at)}"
            return f"{step_label(step)} {since}{until}"
        case StepKind.CHILD:
            standing = _child(step, around)
            return f"sub-orchestration {one_line(step.name)} ({step.instance_id}{standing}) {since}"
        case StepKind.ACTIVITY | StepKind.MESSAGE:
            attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
            failed = "" if step.failure is None else f", after {failure_text(step.failure)}"
            queued = None if around.look is None else around.look.queued.get(step.number)
            standing = "running" if queued is None else _queued(queued)
            return f"activity {one_line(step.name)}{attempt}{failed}, {standing} {since}"


def _queued(work: QueuedWork) -> str:
    return f"queued at place {work.place:,} behind {work.behind}"


def _child(step: Step, around: Surroundings) -> str:
    """How a child stands, where that says more than that it runs."""
    name = step.instance_id
    if name is None or name not in around.children:
        return ""
    child = around.children[name]
    if child is None:
        return ", not there"
    if child.hold is not None:
        return f", held ({child.hold.reason})"
    return "" if child.status is RuntimeStatus.RUNNING else f", {child.status.label}"


def _advice(record: InstanceRecord, steps: list[Step], around: Surroundings) -> str:
    events = [step for step in steps if step.kind is StepKind.EVENT]
    if not events:
        return ""
    named = f"{record.instance_id} {events[0].name}"
    return f"tenuto instances raise-event {named} --data JSON{around.place}"
