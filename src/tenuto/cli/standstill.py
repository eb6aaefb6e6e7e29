"""Why an instance does not move, and what to do about it. Pure."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tenuto.cli.findings import LATE, Finding, Level
from tenuto.cli.items import TIMERS, step_label
from tenuto.cli.wording import duration, failure_text, held_since, moment, one_line
from tenuto.client.steps import Run, Step, StepKind, StepState
from tenuto.model.hold import Hold
from tenuto.model.status import InstanceRecord, RuntimeStatus

_FEW: Final = 3


class Surroundings(Struct, frozen=True, kw_only=True):
    """What is known beside the instance itself.

    Attributes:
        now: The present, in microseconds since 1970 UTC.
        has_host: Whether a host carries things out.
        untaken: Messages by instance that a running host has left lying while the doctor looked.
        orchestrators: Those of the app that was named; None when none was.
        place: The options that name the place, for commands in advice.
    """

    now: int
    has_host: bool
    untaken: Mapping[str, int] = {}
    orchestrators: frozenset[str] | None = None
    place: str = ""


def standstill(run: Run, around: Surroundings) -> Finding:
    """What an unfinished instance waits for."""
    record = run.record
    if record.hold is not None:
        return _held(record, record.hold, around)
    if record.status is RuntimeStatus.SUSPENDED:
        return _suspended(record, around)
    if record.status is RuntimeStatus.PENDING:
        return _pending(record, around)
    if count := around.untaken.get(record.instance_id):
        return _finding(
            run.record,
            Level.WRONG,
            f"{count:,} messages lie in its inbox, and the running host does not take them in",
            "look at the host's log; a restart of the host reads the inbox anew",
        )
    return _running(run, around)


def _held(record: InstanceRecord, hold: Hold, around: Surroundings) -> Finding:
    since = f"held {held_since(hold)}"
    resume = f"tenuto instances resume {record.instance_id}{around.place}"
    if hold.reason.is_harmful:
        advice = f"mend what it does, then {resume}; or terminate it, or fail it"
    else:
        advice = f"start a host with code that fits, or {resume}; or terminate it, or fail it"
    return _finding(record, Level.WRONG, since, advice)


def _suspended(record: InstanceRecord, around: Surroundings) -> Finding:
    since = record.updated_at or record.created_at
    return _finding(
        record,
        Level.NOTE,
        f"suspended since {moment(since)} ({duration(around.now - since)})",
        f"tenuto instances resume {record.instance_id}{around.place}",
    )


def _pending(record: InstanceRecord, around: Surroundings) -> Finding:
    if record.scheduled_at is not None and record.scheduled_at > around.now:
        return _finding(record, Level.NOTE, f"begins at {moment(record.scheduled_at)}")
    age = around.now - max(record.created_at, record.scheduled_at or 0)
    if _is_unknown(record, around):
        return _unknown(record, f"pending for {duration(age)}")
    if not around.has_host:
        return _finding(
            record, Level.WRONG, f"pending for {duration(age)}: no host runs", _START_HOST
        )
    if age > LATE:
        return _finding(
            record,
            Level.WRONG,
            f"pending for {duration(age)} although a host runs: perhaps its app has no "
            f"orchestrator {record.name!r}",
            "look at the host's log; start a host whose app has it",
        )
    return _finding(record, Level.NOTE, f"pending for {duration(age)}")


_START_HOST: Final = "start a host: tenuto start APP"


def _is_unknown(record: InstanceRecord, around: Surroundings) -> bool:
    return around.orchestrators is not None and record.name not in around.orchestrators


def _unknown(record: InstanceRecord, standing: str) -> Finding:
    return _finding(
        record,
        Level.WRONG,
        f"{standing}: the app has no orchestrator {record.name!r}",
        "start a host whose app has it, or terminate the instance",
    )


def _running(run: Run, around: Surroundings) -> Finding:
    steps = run.open_steps()
    # It would be held at its next turn, which may be in three months: said before that.
    if _is_unknown(run.record, around):
        waits = ", ".join(_what(step, around.now) for step in steps[:_FEW])
        return _unknown(run.record, f"waits for {waits}" if waits else "is between two steps")
    if not steps:
        return _finding(run.record, Level.NOTE, "is between two steps")
    late = [step for step in steps if _is_late(step, around.now)]
    if late:
        step = late[0]
        assert step.due_at is not None, "that is why it is late"
        return _finding(
            run.record,
            Level.WRONG,
            f"{_what(step, around.now)} is overdue by {duration(around.now - step.due_at)}",
            "look at the host's log and its clock" if around.has_host else _START_HOST,
        )
    shown = [_what(step, around.now) for step in steps[:_FEW]]
    if len(steps) > _FEW:
        shown.append(f"{len(steps) - _FEW:,} more")
    text = f"waits for {', '.join(shown)}"
    works = [step for step in steps if step.kind is StepKind.ACTIVITY and _is_at_work(step)]
    if works and not around.has_host:
        return _finding(run.record, Level.WRONG, f"{text}; no host runs", _START_HOST)
    return _finding(run.record, Level.NOTE, text, _advice(run.record, steps, around))


def _is_late(step: Step, now: int) -> bool:
    return step.due_at is not None and step.due_at < now - LATE


def _is_at_work(step: Step) -> bool:
    return step.state is StepState.RUNNING


def _what(step: Step, now: int) -> str:
    if step.state is StepState.RETRYING and step.due_at is not None:
        failed = "" if step.failure is None else f", after {failure_text(step.failure)}"
        again = f"attempt {step.attempt + 1} of {step.kind} {one_line(step.name)}"
        return f"{again} at {moment(step.due_at)}{failed}"
    since = f"since {moment(step.changed_at)} ({duration(now - step.changed_at)})"
    match step.kind:
        case StepKind.TIMER:
            due = "" if step.due_at is None else f" due at {moment(step.due_at)}"
            return f"a {TIMERS[step.purpose]}{due}"
        case StepKind.EVENT:
            until = "" if step.due_at is None else f", until {moment(step.due_at)}"
            return f"{step_label(step)} {since}{until}"
        case StepKind.CHILD:
            return f"sub-orchestration {one_line(step.name)} ({step.instance_id}) {since}"
        case StepKind.ACTIVITY | StepKind.MESSAGE:
            attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
            failed = "" if step.failure is None else f", after {failure_text(step.failure)}"
            return f"activity {one_line(step.name)}{attempt}{failed}, running {since}"


def _advice(record: InstanceRecord, steps: list[Step], around: Surroundings) -> str:
    events = [step for step in steps if step.kind is StepKind.EVENT]
    if not events:
        return ""
    named = f"{record.instance_id} {events[0].name}"
    return f"tenuto instances raise-event {named} --data JSON{around.place}"


def _finding(record: InstanceRecord, level: Level, text: str, advice: str = "") -> Finding:
    return Finding(
        level=level,
        topic="instances",
        text=f"{record.instance_id} ({one_line(record.name, 60)}) {text}",
        advice=advice,
        instance_id=record.instance_id,
    )
