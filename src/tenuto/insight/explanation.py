"""Why an instance does not go on, in one sentence, with what to do. Pure.

The words are made of the facts (``insight.facts``) and of nothing else, so that whoever shows the
facts in another form says the same.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from tenuto.insight.facts import LATE, facts_of
from tenuto.insight.labels import TIMERS
from tenuto.insight.steps import Run
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import duration, failure_text, held_since, one_line
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    Ended,
    EventWait,
    Explanation,
    Fact,
    Held,
    NoHost,
    NotServed,
    Pending,
    StoreUnavailable,
    Suspended,
    TimerWait,
    TurnWait,
    Untaken,
    Wait,
)
from tenuto.model.status import InstanceRecord, RuntimeStatus

_FEW: Final = 3
_START_HOST: Final = "start a host: tenuto start APP"
_LOG: Final = "look at the host's log"


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
    facts = facts_of(run, around)
    return structs.replace(_told(run.record, facts, around), facts=facts)


def _told(record: InstanceRecord, facts: Sequence[Fact], around: Surroundings) -> Explanation:
    """The words: of what stands in the way most, else of what its code waits for."""
    match facts[0] if facts else None:
        case Ended(status=status):
            return Explanation(sentence=f"has ended ({status})")
        case Held() as held:
            return _held(record, held, around)
        case StoreUnavailable(error=error):
            return Explanation(
                sentence=f"waits for the store, which its host cannot write to: {error}",
                advice="its host tries again by itself; " + _LOG,
            )
        case Suspended(since=since):
            return Explanation(
                sentence=f"suspended since {around.at(since)} ({duration(around.now - since)})",
                advice=f"tenuto instances resume {record.instance_id}{around.place}",
            )
        case NotServed(kind="orchestrator", by="host") as missing:
            return _unserved(missing, "waits for a host that serves it")
        case Pending() as pending:
            return _pending(record, pending, facts, around)
        case Untaken(count=count):
            return Explanation(
                sentence=f"{count:,} messages lie in its inbox, and the running host does not take "
                "them in",
                advice=f"{_LOG}; a restart of the host reads the inbox anew",
                is_stuck=True,
            )
        case TurnWait(place=place):
            before = f"{place - 1:,} before it" if place > 1 else "nobody before it"
            return Explanation(sentence=f"is queued for its turn, {before}")
        case _:
            return _running(record, facts, around)


def _held(record: InstanceRecord, held: Held, around: Surroundings) -> Explanation:
    resume = f"tenuto instances resume {record.instance_id}{around.place}"
    if held.reason.is_harmful:
        advice = f"mend what it does, then {resume}; or terminate it, or fail it"
    else:
        advice = f"start a host with code that fits, or {resume}; or terminate it, or fail it"
    return Explanation(sentence=f"held {held_since(held, around.at)}", advice=advice, is_stuck=True)


def _unserved(missing: NotServed, standing: str) -> Explanation:
    return Explanation(
        sentence=f"{standing}: the app has no {missing.kind} {missing.name!r}",
        advice="start a host whose app has it, or terminate the instance",
        is_stuck=True,
    )


def _pending(
    record: InstanceRecord, pending: Pending, facts: Sequence[Fact], around: Surroundings
) -> Explanation:
    if pending.until is not None:
        return Explanation(sentence=f"begins at {around.at(pending.until)}")
    age = around.now - pending.since
    standing = f"pending for {duration(age)}"
    missing = _missing(facts, "orchestrator")
    if missing is not None:
        return _unserved(missing, standing)
    if NoHost() in facts:
        return Explanation(sentence=f"{standing}: no host runs", advice=_START_HOST, is_stuck=True)
    if age > LATE:
        return Explanation(
            sentence=f"{standing} although a host runs: perhaps its app has no "
            f"orchestrator {record.name!r}",
            advice=f"{_LOG}; start a host whose app has it",
            is_stuck=True,
        )
    return Explanation(sentence=standing)


def _missing(facts: Sequence[Fact], kind: str) -> NotServed | None:
    return next((one for one in facts if isinstance(one, NotServed) and one.kind == kind), None)


# --- what its code waits for ----------------------------------------------------------------------


def _running(record: InstanceRecord, facts: Sequence[Fact], around: Surroundings) -> Explanation:
    waits = [fact for fact in facts if isinstance(fact, Wait)]
    missing = _missing(facts, "orchestrator")
    shown = [wait_text(wait, around) for wait in waits[:_FEW]]
    text = f"waits for {', '.join(shown)}" if waits else "is between two steps"
    if missing is not None:  # it would be held at its next turn: said before that
        return _unserved(missing, text)
    found = _overdue(waits, facts, around) or _without_function(waits, facts, around)
    if found is not None:
        return found
    if len(waits) > _FEW:
        text += f", {len(waits) - _FEW:,} more"
    works = any(isinstance(wait, ActivityWait) and wait.until is None for wait in waits)
    if works and NoHost() in facts:
        return Explanation(sentence=f"{text}; no host runs", advice=_START_HOST, is_stuck=True)
    if waits and all(isinstance(wait, ChildWait) and wait.is_lost for wait in waits):
        return Explanation(
            sentence=f"{text}; nobody will answer it",
            advice=f"terminate or restart it: tenuto instances restart {record.instance_id}"
            f"{around.place}",
            is_stuck=True,
        )
    return Explanation(sentence=text, advice=_advice(record, waits, around))


def _overdue(
    waits: Sequence[Wait], facts: Sequence[Fact], around: Surroundings
) -> Explanation | None:
    for wait in waits:
        if wait.until is not None and wait.until < around.now - LATE:
            late = duration(around.now - wait.until)
            return Explanation(
                sentence=f"{wait_text(wait, around)} is overdue by {late}",
                advice=_START_HOST if NoHost() in facts else f"{_LOG} and its clock",
                is_stuck=True,
            )
    return None


def _without_function(
    waits: Sequence[Wait], facts: Sequence[Fact], around: Surroundings
) -> Explanation | None:
    missing = _missing(facts, "activity")
    if missing is None:
        return None
    wait = next(one for one in waits if isinstance(one, ActivityWait) and one.name == missing.name)
    return _unserved(missing, f"waits for {wait_text(wait, around)}")


def _advice(record: InstanceRecord, waits: Sequence[Wait], around: Surroundings) -> str:
    event = next((wait for wait in waits if isinstance(wait, EventWait)), None)
    if event is None:
        return ""
    named = f"{record.instance_id} {event.name}"
    return f"tenuto instances raise-event {named} --data JSON{around.place}"


def wait_text(wait: Wait, around: Surroundings) -> str:
    """What is waited for, in a few words.

    Args:
        wait: It.
        around: The present, and how a moment is written.
    """
    at = around.at
    since = f"since {at(wait.since)} ({duration(around.now - wait.since)})"
    match wait:
        case TimerWait():
            due = "" if wait.until is None else f" due at {at(wait.until)}"
            return f"a {TIMERS[wait.purpose]}{due}"
        case EventWait():
            until = "" if wait.until is None else f", until {at(wait.until)}"
            return f"event {one_line(wait.name)!r} {since}{until}"
        case ActivityWait(until=None):
            attempt = f", attempt {wait.attempt}" if wait.attempt > 1 else ""
            return f"activity {one_line(wait.name)}{attempt}{_after(wait)}, {_work(wait)} {since}"
        case ChildWait(until=None):
            return (
                f"sub-orchestration {one_line(wait.name)} "
                f"({wait.instance_id}{_child(wait)}) {since}"
            )
        case ActivityWait(until=until) | ChildWait(until=until):
            assert until is not None, "it was looked at"
            kind = "activity" if isinstance(wait, ActivityWait) else "orchestration"
            again = f"attempt {wait.attempt} of {kind} {one_line(wait.name)}"
            return f"{again} at {at(until)}{_after(wait)}"


def _after(wait: ActivityWait | ChildWait) -> str:
    return "" if wait.failure is None else f", after {failure_text(wait.failure)}"


def _work(wait: ActivityWait) -> str:
    if wait.place is None:
        return "running"
    return f"queued at place {wait.place:,} behind {wait.behind}"


def _child(wait: ChildWait) -> str:
    """How a child stands, where that says more than that it runs."""
    if wait.is_missing:
        return ", not there"
    if wait.held is not None:
        return f", held ({wait.held})"
    is_plain = wait.status is None or wait.status == RuntimeStatus.RUNNING.label
    return "" if is_plain else f", {wait.status}"
