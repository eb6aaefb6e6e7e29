"""What an instance waits for, each in a few words. Pure."""

from typing import Final

from tenuto.insight.facts import is_late
from tenuto.insight.labels import TIMERS, event_of_topic
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import duration, failure_text, one_line
from tenuto.model.explanation import (
    ActivityWait,
    Below,
    ChildWait,
    EventWait,
    Held,
    NothingOpen,
    NotServed,
    QuestionWait,
    Suspended,
    TimerWait,
    TopicWait,
    Wait,
)
from tenuto.model.ids import split_address
from tenuto.model.status import RuntimeStatus
from tenuto.model.timing import Microseconds

_LONG: Final = 300
"""Of what is wrong with a link so many are."""
_SHORT: Final = 100
"""Of an answer so many characters are shown."""


def wait_text(wait: Wait, around: Surroundings) -> str:
    """What is waited for, in a few words.

    Args:
        wait: It.
        around: The present, and how a moment is written.
    """
    if wait.until is not None and is_late(wait, around):
        return f"{_plainly(wait, around)}, overdue by {duration(around.now - wait.until)}"
    return _plainly(wait, around)


def _plainly(wait: Wait, around: Surroundings) -> str:
    at = around.at
    since = _since(wait.since, around)
    match wait:
        case TimerWait():
            due = "" if wait.until is None else f" due at {at(wait.until)}"
            return f"a {TIMERS[wait.purpose]}{due}"
        case EventWait(has_come=True):
            return f"event {one_line(wait.name)!r}, which has come and counts when it goes on"
        case EventWait():
            until = "" if wait.until is None else f", until {at(wait.until)}"
            return f"event {one_line(wait.name)!r} {since}{until}"
        case TopicWait():
            until = "" if wait.until is None else f", until {at(wait.until)}"
            return f"an {event_of_topic(wait.topic, wait.key)} {since}{until}"
        case QuestionWait(answer=str() as answer):
            said = one_line(answer, _SHORT)
            return f"{one_line(wait.title)!r}, answered with {said}, which counts when it goes on"
        case QuestionWait():
            until = "" if wait.until is None else f", until {at(wait.until)}"
            where = f" at {wait.url}" if wait.url else ""
            return f"a person to answer {one_line(wait.title)!r}{where} {since}{until}"
        case ActivityWait(until=None):
            attempt = f"attempt {wait.attempt} of " if wait.attempt > 1 else ""
            return f"{attempt}{_called(wait)}{_work(wait, around)}{_after(wait)}"
        case ChildWait(until=None):
            named = f"{wait.instance_id}{_standing(wait)}"
            called = f"sub-orchestration {one_line(wait.name)} ({named}){_trouble(wait)} {since}"
            return called if wait.below is None else f"{called}, {_below(wait.below, around)}"
        case ActivityWait(until=until) | ChildWait(until=until):
            assert until is not None, "it was looked at"
            return f"attempt {wait.attempt} of {_called(wait)} at {at(until)}{_after(wait)}"


def _called(wait: ActivityWait | ChildWait) -> str:
    if isinstance(wait, ActivityWait):
        return one_line(wait.call or f"activity {wait.name}")
    return f"orchestration {one_line(wait.name)}"


def _since(moment: Microseconds, around: Surroundings) -> str:
    return f"since {around.at(moment)} ({duration(around.now - moment)})"


def _after(wait: ActivityWait | ChildWait) -> str:
    return "" if wait.failure is None else f", after {failure_text(wait.failure)}"


def _work(wait: ActivityWait, around: Surroundings) -> str:
    """How far an attempt has come, as far as that is known."""
    since = _since(wait.since, around)
    if wait.stage == "running":
        began = wait.since if wait.begun_at is None else wait.begun_at
        return f", running {_since(began, around)}"
    if wait.stage == "queued":
        return f", queued at place {wait.place:,} behind {wait.behind}, {since}"
    return f" {since}"


def _standing(wait: ChildWait) -> str:
    """How a child stands, where that says more than that it runs."""
    address = split_address(wait.instance_id or "")
    if address is not None:
        problem = one_line(wait.link_problem or "", _LONG)
        away = f", to which nothing goes now ({problem})" if problem else ""
        return f", on the linked hub {address[0]}{away}"
    if wait.is_missing and not wait.is_lost:
        return ", not there yet"
    is_plain = wait.status is None or wait.status == RuntimeStatus.RUNNING.label
    return "" if is_plain else f", {wait.status}"


def _trouble(wait: ChildWait) -> str:
    """Why a child will not answer before somebody does something."""
    if wait.is_missing and wait.is_lost:
        return ", which is not there and will never answer,"
    if wait.is_lost:
        return ", whose id another instance has, so that nobody will answer,"
    if wait.held is not None:
        return f", which is held ({wait.held}),"
    return ", whose orchestrator is not there," if wait.is_unserved else ""


def _below(below: Below, around: Surroundings) -> str:
    """What keeps an instance below, which whoever waits above waits for in the end."""
    keeps = _keeping(below, around)
    if not below.levels:
        return f"which {keeps}"
    calls = "call" if below.levels == 1 else "calls"
    named = f"{below.instance_id} ({one_line(below.name)})"
    return f"and {below.levels} {calls} below that for {named}, which {keeps}"


def _keeping(below: Below, around: Surroundings) -> str:
    match below.fact:
        case Held(reason=reason):
            return f"is held ({reason})"
        case Suspended():
            return "is suspended"
        case NotServed(kind=kind, name=name, known_to=(first, *_), partition=partition):
            return (
                f"waits for partition {partition} to move to a host that has {kind} {name!r}, "
                f"such as {one_line(first)}"
            )
        case NotServed(kind=kind, name=name):
            return f"needs {kind} {name!r}, which is not there"
        case NothingOpen():
            return "waits for something that nothing can bring"
        case ActivityWait() | ChildWait() as wait:
            return f"waits for {wait_text(wait, around)}"
