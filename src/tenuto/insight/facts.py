"""The facts behind a standstill, each as its owner knows it. Pure.

The row knows whether an instance is held, suspended, not begun; the history, what its code waits
for; the host, of queues, of functions that are not there, of a store that does not answer.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import structs

from tenuto.engine.ports import BegunWork, QueuedWork
from tenuto.engine.standing import Look
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.surroundings import Surroundings
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    Elsewhere,
    Ended,
    EventWait,
    Fact,
    Held,
    NoHost,
    NothingOpen,
    NotServed,
    Obstacle,
    Pending,
    QuestionWait,
    StoreUnavailable,
    Suspended,
    TimerWait,
    TopicWait,
    TurnWait,
    Unowned,
    Untaken,
    Wait,
)
from tenuto.model.ids import InstanceId, split_address
from tenuto.model.status import InstanceRecord, RuntimeStatus
from tenuto.model.timing import MICROSECONDS, Microseconds

LATE: Final = 60 * MICROSECONDS
"""What a host should have done so long ago is late."""

_NOTHING: Final = Look()


def facts_of(run: Run, around: Surroundings) -> tuple[Fact, ...]:
    """Why an instance does not go on, in the order in which ``Explanation.facts`` has it.

    Args:
        run: The instance, and the steps of its current execution.
        around: What else is known.
    """
    if run.record.status.is_finished:
        return (Ended(status=run.record.status.label),)
    steps = run.open_steps()
    come = _come(run, steps)
    waits = [_wait(run, step, around, come) for step in steps]
    waits.sort(key=lambda wait: _rank(wait, around))
    return (*_obstacles(run, around), *waits, *_beyond(run, waits, around))


def is_late(wait: Wait, around: Surroundings) -> bool:
    """Whether something is overdue: a host does it in time, and nobody else does it at all."""
    patience = LATE if around.has_host else 0
    return wait.until is not None and wait.until < around.now - patience


def _rank(wait: Wait, around: Surroundings) -> int:
    """What does not come by itself stands first, then what goes wrong."""
    if isinstance(wait, ChildWait) and wait.is_stuck:
        return 0
    if isinstance(wait, ActivityWait) and wait.name in (around.look or _NOTHING).unserved:
        return 0
    if is_late(wait, around):
        return 1
    has_failed = isinstance(wait, ActivityWait | ChildWait) and wait.failure is not None
    fails_below = isinstance(wait, ChildWait) and wait.below is not None
    return 2 if has_failed or fails_below else 3


def _obstacles(run: Run, around: Surroundings) -> Iterator[Obstacle]:
    """What stands in the way, the most important first."""
    record = run.record
    hold, look = record.hold, around.look or _NOTHING
    if run.untaken and not around.has_host:  # whatever they say: it is a host that is needed
        yield Untaken(count=run.untaken)
    if hold is not None:
        yield Held(
            reason=hold.reason,
            message=hold.message,
            since=hold.since,
            tried=hold.tried,
            recorded=hold.recorded,
            produced=hold.produced,
        )
    if look.unavailable:
        yield StoreUnavailable(error=look.unavailable)
    if record.status is RuntimeStatus.SUSPENDED:
        begins = record.scheduled_at or 0
        yield Suspended(
            since=record.updated_at or record.created_at,
            reason=run.pause_reason,
            until=begins if begins > around.now else None,
        )
    yield from _of_its_partition(record, around)
    if record.status is RuntimeStatus.PENDING:
        begins = record.scheduled_at or 0
        yield Pending(
            since=max(record.created_at, begins if begins <= around.now else 0),
            until=begins if begins > around.now else None,
        )
    if around.has_host and (count := around.untaken.get(record.instance_id)):
        yield Untaken(count=count)
    if look.place is not None:
        yield TurnWait(place=look.place)


def _of_its_partition(
    record: InstanceRecord, around: Surroundings
) -> Iterator[Unowned | NotServed]:
    """Whether a host serves it, and has its orchestrator; of several hosts, which others have."""
    hub, look = around.hub, around.look
    if hub is None:
        if look is not None and not look.serves:
            yield NotServed(kind="orchestrator", name=record.name)
        return
    place = hub.places[record.partition]
    owner = hub.serving(record.partition)
    if look is None and place.is_free and hub.alive:
        yield Unowned(partition=place.partition, since=place.until, last_host=place.description)
    if look is not None:
        is_served = look.serves
    else:
        is_served = owner is None or record.name in owner.orchestrators
    if not is_served:
        known_to = tuple(one.label for one in hub.knowing(record.name))
        yield NotServed(
            kind="orchestrator",
            name=record.name,
            partition=record.partition,
            known_to=known_to,
            at="" if owner is None else owner.label,
        )


def _beyond(
    run: Run, waits: Sequence[Wait], around: Surroundings
) -> Iterator[NotServed | NothingOpen | NoHost | Elsewhere]:
    """What will keep it when its waits are over, be that in three months."""
    record = run.record
    if not waits and _is_at_rest(run, around):
        yield NothingOpen()
    missing = (around.look or _NOTHING).unserved
    for name in dict.fromkeys(wait.name for wait in waits if isinstance(wait, ActivityWait)):
        if name in missing:
            yield NotServed(kind="activity", name=name)
    if around.orchestrators is not None and record.name not in around.orchestrators:
        yield NotServed(kind="orchestrator", name=record.name, by="app")
    if not around.has_host:
        yield NoHost()
    owner = None if around.hub is None else around.hub.serving(record.partition)
    if around.is_elsewhere and owner is not None:
        yield Elsewhere(partition=record.partition, host=owner.label, address=owner.address)


def _is_at_rest(run: Run, around: Surroundings) -> bool:
    """Whether its code waits, and no message is on its way to it.

    What a turn asks for is stored with the turn: a history that has begun and not ended, and has
    nothing open, is that of code which waits for something of its own.
    """
    record, look = run.record, around.look or _NOTHING
    return (
        run.is_telling
        and record.status is RuntimeStatus.RUNNING
        and record.wake_at is None
        and record.hold is None
        and not (run.untaken or look.is_busy)
    )


# --- what its code waits for ----------------------------------------------------------------------


def _come(run: Run, steps: Sequence[Step]) -> Collection[int]:
    """The waits whose events lie in the inbox, by number: the oldest has the first."""
    raised = Counter(map(str.casefold, run.raised))
    found = set[int]()
    for step in steps if raised else ():
        name = step.name.casefold()
        if step.kind is StepKind.EVENT and not step.place and raised[name]:
            raised[name] -= 1
            found.add(step.number)
    return found


def _wait(run: Run, step: Step, around: Surroundings, come: Collection[int]) -> Wait:
    since = step.changed_at
    match step.kind:
        case StepKind.TIMER:
            return TimerWait(since=since, until=step.due_at, purpose=step.purpose)
        case StepKind.EVENT if step.place:
            return TopicWait(topic=step.name, key=step.key, since=since, until=step.due_at)
        case StepKind.EVENT:
            return EventWait(
                name=step.name, since=since, until=step.due_at, has_come=step.number in come
            )
        case StepKind.QUESTION:
            return QuestionWait(
                id=step.number,
                title=step.name,
                since=since,
                until=step.due_at,
                url=step.url,
                answer=_kept_answer(run, step),
            )
        case StepKind.CHILD:
            return _child(run.record, step, around)
        case StepKind.ACTIVITY | StepKind.MESSAGE:  # messages are never open
            return _activity(step, around)


def _kept_answer(run: Run, step: Step) -> str | None:
    """What was answered, and waits in the inbox: the first counts."""
    meant = (one for one in run.answers if one.question in {step.number, step.name, None})
    return next((one.input or "null" for one in meant), None)


def _activity(step: Step, around: Surroundings) -> ActivityWait:
    attempt, until = _attempt(step)
    wait = ActivityWait(
        id=step.number,
        name=step.name,
        call=step.call,
        since=step.changed_at,
        attempt=attempt,
        until=until,
        failure=step.failure,
    )
    match None if until else (around.look or _NOTHING).stages.get(step.number):
        case QueuedWork(place=place, behind=behind):
            return structs.replace(wait, stage="queued", place=place, behind=behind)
        case BegunWork(at=at):
            return structs.replace(wait, stage="running", begun_at=at)
        case None:
            return wait


def _child(record: InstanceRecord, step: Step, around: Surroundings) -> ChildWait:
    name = step.instance_id or InstanceId("")
    child = around.children.get(name)
    # What runs on a linked hub is not here, and answers all the same.
    address = split_address(name)
    is_looked_for = name in around.children and address is None
    attempt, until = _attempt(step)
    return ChildWait(
        name=step.name,
        instance_id=step.instance_id,
        since=step.changed_at,
        attempt=attempt,
        until=until,
        failure=step.failure,
        status=None if child is None else child.status.label,
        held=None if child is None or child.hold is None else child.hold.reason,
        is_missing=child is None and is_looked_for,
        is_lost=is_looked_for and _is_lost(record, step, child, around.now),
        is_unserved=name in around.unserved,
        link_problem=None if address is None else around.troubled_links.get(address[0]),
        below=around.below.get(name),
    )


def _attempt(step: Step) -> tuple[int, int | None]:
    """Which attempt is meant, and when it begins if that is still to come."""
    if step.state is StepState.RETRYING:
        return step.attempt + 1, step.due_at
    return step.attempt, None


def _is_lost(
    record: InstanceRecord, step: Step, child: InstanceRecord | None, now: Microseconds
) -> bool:
    """Whether a child is not there any more, or another one has its id: it never answers."""
    if step.state is not StepState.RUNNING or now - step.changed_at < LATE:
        return False  # its start may be on its way
    return child is None or child.parent is None or child.parent.instance_id != record.instance_id
