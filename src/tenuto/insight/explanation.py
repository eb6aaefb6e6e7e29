"""Why an instance does not go on, in one sentence, with what to do. Pure.

The words are made of the facts (``insight.facts``) and of nothing else, so that whoever shows the
facts in another form, another zone or for another place says the same.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

from msgspec import structs

from tenuto.insight.advice import WAIT, Advice, command
from tenuto.insight.facts import LATE, facts_of, is_late
from tenuto.insight.steps import Run
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.waits import wait_text
from tenuto.insight.wording import duration, held_since, one_line
from tenuto.model.explanation import (
    ActivityWait,
    ChildWait,
    Elsewhere,
    Ended,
    EventWait,
    Explanation,
    Fact,
    Held,
    NoHost,
    NothingOpen,
    NotServed,
    Pending,
    QuestionWait,
    StoreUnavailable,
    Suspended,
    TopicWait,
    TurnWait,
    Unowned,
    Untaken,
    Wait,
)
from tenuto.model.hold import HoldReason
from tenuto.model.status import InstanceRecord

_FEW: Final = 3
_LOOKED_AT: Final = 100
"""Waits among which those that are said with the same words are counted."""
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
    return told(run.record, facts_of(run, around), around)


def told(record: InstanceRecord, facts: tuple[Fact, ...], around: Surroundings) -> Explanation:
    """The words for facts, whoever has found them.

    Args:
        record: The instance.
        facts: Why it does not go on.
        around: The present, how a moment is written, and which place commands name.
    """
    found = structs.replace(_told(record, facts, around), facts=facts, at=around.now)
    if NoHost() in facts and not isinstance(facts[0], Held):  # whose message is long enough
        return structs.replace(found, sentence=f"{found.sentence}; no host runs")
    other = next((fact for fact in facts if isinstance(fact, Elsewhere)), None)
    return found if other is None else _served_elsewhere(record, found, other)


def _served_elsewhere(record: InstanceRecord, found: Explanation, other: Elsewhere) -> Explanation:
    """The same, with who knows more of it."""
    knows = f"partition {other.partition} is served by {one_line(other.host)}, which alone knows"
    sentence = f"{found.sentence}; {knows} what runs and what is queued of it"
    if found.advice or other.address is None:
        return structs.replace(found, sentence=sentence)
    show = command("instances show", record.instance_id, options=("--url", other.address))
    advice = Advice.of("ask that host: {}", show)
    return structs.replace(found, sentence=sentence, advice=advice.text, commands=advice.commands)


def _said(sentence: str, advice: Advice = WAIT, *, is_stuck: bool = False) -> Explanation:
    return Explanation(
        sentence=sentence, advice=advice.text, commands=advice.commands, is_stuck=is_stuck
    )


def _told(record: InstanceRecord, facts: Sequence[Fact], around: Surroundings) -> Explanation:
    """Of what stands in the way most, else of what its code waits for."""
    match facts[0] if facts else None:
        case Ended(status=status):
            return _said(f"has ended ({status})")
        case Untaken(count=count):
            return _untaken(count, around)
        case Held() as held:
            return _held(record, held, facts, around)
        case StoreUnavailable(error=error):
            return _said(
                f"waits for the store, which its host cannot write to: {error}",
                advice=Advice("its host tries again by itself; " + _LOG),
            )
        case Suspended() as suspended:
            return _said(
                _suspended(suspended, around) + _asked(facts, around),
                advice=Advice.of("{}", _command("resume", record, around)),
            )
        case Unowned() as unowned:
            return _unowned(unowned, around)
        case NotServed(kind="orchestrator", by="host") as missing:
            return _unserved(missing, "waits for a host that serves it")
        case Pending() as pending:
            return _pending(record, pending, facts, around)
        case TurnWait(place=place):
            before = f"{place - 1:,} before it" if place > 1 else "nobody before it"
            return _said(f"is queued for its turn, {before}")
        case _:
            return _running(record, facts, around)


def _command(verb: str, record: InstanceRecord, around: Surroundings) -> str:
    return command(f"instances {verb}", record.instance_id, options=around.place)


def _suspended(suspended: Suspended, around: Surroundings) -> str:
    since = suspended.since
    text = f"suspended since {around.at(since)} ({duration(around.now - since)})"
    if suspended.until is not None:
        text += f", and not to begin before {around.at(suspended.until)}"
    return f"{text}: {one_line(suspended.reason)}" if suspended.reason else text


def _asked(facts: Sequence[Fact], around: Surroundings) -> str:
    """What people are asked meanwhile, as they can answer; and the events that have come."""
    asked = [
        fact
        for fact in facts
        if isinstance(fact, QuestionWait) or (isinstance(fact, EventWait) and fact.has_come)
    ]
    return f"; {_waiting(asked, around)}" if asked else ""


def _anew(record: InstanceRecord, around: Surroundings, before: str = "") -> Advice:
    """How what will never end is run again: under an id of its own, so that both can be seen."""
    commands = (_command(verb, record, around) for verb in ("terminate", "restart"))
    return Advice.of(before + "end it, and run it again: {}, then {}", *commands)


def _start_host(around: Surroundings) -> Advice:
    return Advice.of("start a host: {}", command("start", "APP", options=around.place))


def _untaken(count: int, around: Surroundings) -> Explanation:
    messages, them = ("message", "it") if count == 1 else ("messages", "them")
    if not around.has_host:
        return _said(
            f"{count:,} {messages} {_verb('wait', count)} to be taken in",
            advice=_start_host(around),
            is_stuck=True,
        )
    return _said(
        f"{count:,} {messages} {_verb('lie', count)} in its inbox, and the running host "
        f"does not take {them} in",
        advice=Advice(f"{_LOG}; a restart of the host reads the inbox anew"),
        is_stuck=True,
    )


def _verb(verb: str, count: int) -> str:
    return f"{verb}s" if count == 1 else verb


def _unowned(unowned: Unowned, around: Surroundings) -> Explanation:
    """A host takes it within seconds, unless something is wrong with all of them."""
    age = None if unowned.since is None else around.now - unowned.since
    since = "" if age is None else f" for {duration(age, least_unit='s')} now"
    last = f"; {one_line(unowned.last_host)} had it last" if unowned.last_host else ""
    who = command("hosts", options=around.place)
    return _said(
        f"waits for a host to take partition {unowned.partition}, which none serves{since}{last}",
        advice=Advice.of("hosts take it within seconds; who is there: {}", who),
        is_stuck=age is not None and age > LATE,
    )


def _held(
    record: InstanceRecord, held: Held, facts: Sequence[Fact], around: Surroundings
) -> Explanation:
    missing = _missing(facts, "orchestrator")
    if missing is not None and missing.known_to and held.reason is HoldReason.NOT_SERVED:
        return _unserved(missing, f"held since {around.at(held.since)}")
    resume = _command("resume", record, around)
    if held.reason is HoldReason.BUDGET:
        text = "start a host with a larger budget (one for the day begins again at midnight, UTC); "
        advice = Advice(f"{text}or terminate it, or fail it")
        return _said(f"held {held_since(held, around.at)}", advice, is_stuck=True)
    if held.reason.is_harmful:
        text = "mend what it does, then {}; or terminate it, or fail it"
    else:
        text = "start a host with code that fits, or {}; or terminate it, or fail it"
    advice = Advice.of(text, resume)
    return _said(f"held {held_since(held, around.at)}", advice, is_stuck=True)


def _unserved(missing: NotServed, standing: str) -> Explanation:
    if missing.known_to:
        who = "; ".join(map(one_line, missing.known_to[:_FEW]))
        more = f" and {len(missing.known_to) - _FEW:,} more" if missing.known_to[_FEW:] else ""
        now = f"; now it is at {one_line(missing.at)}, which has not" if missing.at else ""
        return _said(
            f"{standing}: it waits for partition {missing.partition} to move to a host "
            f"that has {missing.kind} {missing.name!r}: {who}{more}{now}",
            advice=Advice.of(
                "it moves when the hosts of older app versions are stopped; `{}` lists them",
                command("hosts"),
            ),
        )
    if missing.partition is not None:
        return _said(
            f"{standing}: no host of the hub has {missing.kind} {missing.name!r}",
            advice=Advice("start a host whose app has it, or terminate the instance"),
            is_stuck=True,
        )
    return _said(
        f"{standing}: the app has no {missing.kind} {missing.name!r}",
        advice=Advice("start a host whose app has it, or terminate the instance"),
        is_stuck=True,
    )


def _pending(
    record: InstanceRecord, pending: Pending, facts: Sequence[Fact], around: Surroundings
) -> Explanation:
    if pending.until is not None:
        return _said(f"begins at {around.at(pending.until)}")
    age = around.now - pending.since
    standing = f"pending for {duration(age)}"
    missing = _missing(facts, "orchestrator")
    if missing is not None:
        return _unserved(missing, standing)
    if not around.has_host:
        return _said(standing, advice=_start_host(around), is_stuck=True)
    if age > LATE:
        return _said(
            f"{standing} although a host runs: perhaps its app has no orchestrator {record.name!r}",
            advice=Advice(f"{_LOG}; start a host whose app has it"),
            is_stuck=True,
        )
    return _said(standing)


def _missing(facts: Sequence[Fact], kind: str) -> NotServed | None:
    return next((one for one in facts if isinstance(one, NotServed) and one.kind == kind), None)


# --- what its code waits for ----------------------------------------------------------------------


def _running(record: InstanceRecord, facts: Sequence[Fact], around: Surroundings) -> Explanation:
    if NothingOpen() in facts:
        return _said(
            "waits for something that nothing can bring: no timer, event, activity or "
            "child is open",
            advice=_anew(
                record,
                around,
                "mend its code, which waits for something of its own, such as a lock or an "
                "asyncio.Event; then ",
            ),
            is_stuck=True,
        )
    waits = [fact for fact in facts if isinstance(fact, Wait)]
    text = _waiting(waits, around)
    # An orchestrator that is not there has it held at its next turn: said before that.
    missing = _missing(facts, "orchestrator") or _missing(facts, "activity")
    if missing is not None:
        return _unserved(missing, text)
    child = next((one for one in waits if isinstance(one, ChildWait) and one.is_stuck), None)
    if child is not None:
        advice = _advice_for_child(record, child, around)
        return _said(text, advice, is_stuck=True)
    late = any(is_late(wait, around) for wait in waits)
    works = any(isinstance(wait, ActivityWait) and wait.until is None for wait in waits)
    if not around.has_host and (late or works or not waits):
        return _said(text, advice=_start_host(around), is_stuck=True)
    if late:
        return _said(text, advice=Advice(f"{_LOG} and its clock"), is_stuck=True)
    return _said(text, advice=_advice(record, waits, around))


def _waiting(waits: Sequence[Wait], around: Surroundings) -> str:
    if not waits:
        return "is between two steps"
    texts = Counter(wait_text(wait, around) for wait in waits[:_LOOKED_AT])
    few = dict(islice(texts.items(), _FEW))
    shown = [text if times == 1 else f"{text}, {times} times" for text, times in few.items()]
    more = len(waits) - sum(few.values())
    if more:
        shown.append(f"{more:,} more")
    unknown = sum(isinstance(wait, ChildWait) and wait.is_unknown for wait in waits)
    if unknown:
        shown.append(f"with {unknown:,} of its children not looked at")
    # There are commas in each of them.
    return f"waits for {'; '.join(shown)}"


def _advice_for_child(record: InstanceRecord, child: ChildWait, around: Surroundings) -> Advice:
    if child.is_lost or child.instance_id is None:
        return _anew(record, around)
    whose = child.instance_id if child.below is None else child.below.instance_id
    return Advice.of("see {}", command("instances show", whose, options=around.place))


def _advice(record: InstanceRecord, waits: Sequence[Wait], around: Surroundings) -> Advice:
    asked = [wait for wait in waits if isinstance(wait, QuestionWait)]
    if asked:
        which = ("--question", str(asked[0].id)) if len(asked) > 1 else ()
        options = (*which, *around.place)
        answer = command("instances answer", record.instance_id, "ANSWER", options=options)
        return Advice.of("{}", answer)
    failing = next((wait for wait in waits if isinstance(wait, ChildWait) and wait.below), None)
    match next((wait for wait in waits if isinstance(wait, EventWait | TopicWait)), None):
        case EventWait(name=name):
            options = ("--data", "JSON", *around.place)
            raise_event = command(
                "instances raise-event", record.instance_id, name, options=options
            )
            return Advice.of("{}", raise_event)
        case TopicWait(topic=topic, key=key):
            options = ("--event-key", key, *around.place)
            publish = command("topics publish", topic, "JSON", options=options)
            return Advice.of("{}", publish)
        case None:
            return WAIT if failing is None else _advice_for_child(record, failing, around)
