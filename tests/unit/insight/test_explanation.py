"""Why an instance does not move: one sentence for each reason, and what to do."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import structs

from tenuto.cli.findings import Finding, Level, standstill
from tenuto.engine.member_ports import Census, KnownHost, KnownPlace
from tenuto.engine.ports import BegunWork, QueuedWork
from tenuto.engine.standing import Look
from tenuto.insight.explanation import explain, told
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.surroundings import Surroundings
from tenuto.insight.wording import moment, utc_moment
from tenuto.model.built_in import HTTP_ACTIVITY, WEBHOOK_ACTIVITY
from tenuto.model.events import EventAwaited, TaskFailed, TaskScheduled, TimerCreated
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
    StoreUnavailable,
    Suspended,
    TopicWait,
    TurnWait,
    Unowned,
    Untaken,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import Hold, HoldReason
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.status import InstanceRecord, ParentInstance, RuntimeStatus
from tests.support.runs import at, child_call, completed, opening, running, turn

MINUTE = 60_000_000
CALLER = ParentInstance(InstanceId("t-1"), ExecutionId("e"), "trip", 1)
NOW = 1_000 * MINUTE
HOLD = Hold(HoldReason.CRASHED, "it ends hosts", at(1), tried=at(2))


def run_in(status: RuntimeStatus, *steps: Step, **more: Any) -> Run:
    given: dict[str, Any] = {
        "iid": 1,
        "instance_id": "t-1",
        "partition": 0,
        "name": "trip",
        "execution_id": "e",
        "created_at": NOW - 10 * MINUTE,
        "root_id": "t-1",
        "status": status,
    }
    untaken, is_telling = more.pop("untaken", 0), more.pop("is_telling", True)
    record = InstanceRecord(**(given | more))
    return Run(record=record, steps=list(steps), untaken=untaken, is_telling=is_telling)


def step(kind: StepKind, state: StepState, name: str = "", **more: Any) -> Step:
    begun_at = NOW - 5 * MINUTE
    given: dict[str, Any] = {
        "number": 1,
        "kind": kind,
        "name": name,
        "state": state,
        "begun_at": begun_at,
        "changed_at": begun_at,
    }
    return Step(**(given | more))


def around(*, has_host: bool = True, **more: Any) -> Surroundings:
    return Surroundings(now=NOW, has_host=has_host, **more)


def found_of(run: Run, surroundings: Surroundings) -> Finding:
    return standstill(run.record, explain(run, surroundings))


def hub(*owners: str | None, since: int | None = None, **knows: list[str]) -> Census:
    """A hub: by whom each partition is served, and what each host knows; of ``-name``, who died."""
    hosts = [
        KnownHost(member=name, description=f"process of {name}", orchestrators=names)
        for name, names in knows.items()
    ]
    places = [
        KnownPlace(
            partition=number,
            is_free=owner is None or owner.startswith("-"),
            member=owner,
            description="" if owner is None else f"process of {owner.removeprefix('-')}",
            until=since,
        )
        for number, owner in enumerate(owners)
    ]
    return Census(at=NOW, hosts=hosts, places=places)


def test_it_waits_for_its_partition_to_move_to_a_host_that_has_its_orchestrator() -> None:
    lacks = around(hub=hub("a", a=["other"], b=["trip"], c=["trip", "other"]))
    for surroundings in (lacks, structs.replace(lacks, look=Look(serves=False))):
        found = explain(run_in(RuntimeStatus.PENDING), surroundings)
        assert found.facts[0] == NotServed(
            kind="orchestrator",
            name="trip",
            partition=0,
            known_to=("process of b", "process of c"),
            at="process of a",
        )
        assert found.sentence == (
            "waits for a host that serves it: it waits for partition 0 to move to a host that has "
            "orchestrator 'trip': process of b; process of c; now it is at process of a, "
            "which has not"
        )
        assert not found.is_stuck
        assert "older app versions are stopped" in found.advice
        assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


def test_it_is_stuck_when_no_host_of_the_hub_has_its_orchestrator() -> None:
    found = explain(run_in(RuntimeStatus.PENDING), around(hub=hub("a", a=["other"], b=[])))
    assert "no host of the hub has orchestrator 'trip'" in found.sentence
    assert found.is_stuck


def test_one_that_is_held_for_want_of_its_orchestrator_says_who_has_it() -> None:
    hold = Hold(HoldReason.NOT_SERVED, "it is not here", at(1))
    run = run_in(RuntimeStatus.RUNNING, EVENT, hold=hold)
    found = explain(run, around(hub=hub("a", a=["other"], b=["trip"])))
    assert found.sentence.startswith("held since ")
    assert "waits for partition 0 to move to a host that has orchestrator 'trip'" in found.sentence
    assert not found.is_stuck


@pytest.mark.parametrize(("minutes", "is_stuck"), [(0, False), (5, True)])
def test_it_waits_for_a_host_to_take_its_partition(minutes: int, *, is_stuck: bool) -> None:
    since = NOW - minutes * MINUTE - 3_000_000
    found = explain(
        run_in(RuntimeStatus.RUNNING, EVENT), around(hub=hub("-b", since=since, a=["trip"]))
    )
    assert found.facts[0] == Unowned(partition=0, since=since, last_host="process of b")
    assert found.sentence.startswith("waits for a host to take partition 0, which none serves")
    assert found.sentence.endswith("; process of b had it last")
    assert found.is_stuck is is_stuck


def test_a_host_that_is_asked_says_which_other_one_knows_more() -> None:
    surroundings = around(hub=hub("a", a=["trip"], b=["trip"]), is_elsewhere=True)
    found = explain(ACTIVITY, surroundings)
    assert found.facts[-1] == Elsewhere(partition=0, host="process of a")
    assert found.sentence.endswith(
        "; partition 0 is served by process of a, which alone knows what runs and what is queued "
        "of it"
    )
    assert not found.advice
    owner = structs.replace(surroundings.hub.hosts[0], address="http://a:1")  # type: ignore[union-attr]
    known = structs.replace(surroundings.hub, hosts=[owner])  # type: ignore[type-var]
    found = explain(ACTIVITY, structs.replace(surroundings, hub=known))
    assert found.advice == "ask that host: tenuto instances show t-1 --url http://a:1"
    assert found.commands == ("tenuto instances show t-1 --url http://a:1",)


def test_a_hub_whose_hosts_serve_everything_adds_nothing() -> None:
    for run in (PENDING, ACTIVITY, INBOX):
        assert explain(run, around(hub=hub("a", a=["trip"]))) == explain(run, around())


NOTHING = "waits for something that nothing can bring: no timer, event, activity or child is open"
IDLE = run_in(RuntimeStatus.RUNNING, wake_at=None)
PENDING = run_in(RuntimeStatus.PENDING)
ACTIVITY = run_in(
    RuntimeStatus.RUNNING,
    step(
        StepKind.ACTIVITY, StepState.RUNNING, "book", attempt=2, failure=FailureDetails("E", "no")
    ),
)
INBOX = run_in(RuntimeStatus.RUNNING, step(StepKind.EVENT, StepState.WAITING, "go"), untaken=2)
OVERDUE = run_in(
    RuntimeStatus.RUNNING, step(StepKind.TIMER, StepState.WAITING, due_at=NOW - 2 * MINUTE)
)


@pytest.mark.parametrize(
    ("run", "surroundings", "level", "text", "advice"),
    [
        (
            run_in(RuntimeStatus.SUSPENDED, updated_at=NOW - 3 * MINUTE),
            around(place=("--url", "http://x")),
            Level.NOTE,
            "suspended since",
            "tenuto instances resume t-1 --url http://x",
        ),
        (
            run_in(RuntimeStatus.PENDING, scheduled_at=NOW + MINUTE),
            around(has_host=False),
            Level.NOTE,
            "begins at",
            "",
        ),
        (PENDING, around(has_host=False), Level.WRONG, "pending for 10 min 00 s; no host", "start"),
        (PENDING, around(), Level.WRONG, "although a host runs: perhaps its app has no", "log"),
        (
            PENDING,
            around(orchestrators=frozenset({"quick"})),
            Level.WRONG,
            "the app has no orchestrator 'trip'",
            "start a host whose app has it",
        ),
        (
            run_in(RuntimeStatus.PENDING, created_at=NOW - MINUTE // 2),
            around(),
            Level.NOTE,
            "pending for 30.0 s",
            "",
        ),
        (
            ACTIVITY,
            around(),
            Level.NOTE,
            "waits for attempt 2 of activity book since 1970-01-01",
            "",
        ),
        (ACTIVITY, around(has_host=False), Level.WRONG, "no host runs", "tenuto start"),
        (ACTIVITY, around(untaken={"t-1": 3}), Level.WRONG, "3 messages lie in its inbox", "log"),
        (ACTIVITY, around(untaken={"t-1": 1}), Level.WRONG, "1 message lies in its inbox", "log"),
        (
            INBOX,
            around(has_host=False),
            Level.WRONG,
            "t-1 (trip) 2 messages wait to be taken in; no host runs",
            "start a host",
        ),
        (
            run_in(RuntimeStatus.SUSPENDED, untaken=1),
            around(has_host=False),
            Level.WRONG,
            "1 message waits to be taken in; no host runs",
            "start a host",
        ),
        (INBOX, around(), Level.NOTE, "waits for event 'go' since", "raise-event"),
        (OVERDUE, around(), Level.WRONG, "a timer due at", "look at the host's log"),
        (
            OVERDUE,
            around(has_host=False),
            Level.WRONG,
            "overdue by 2 min 00 s; no host runs",
            "tenuto start",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW - MINUTE // 60),
            ),
            around(has_host=False),
            Level.WRONG,
            "overdue by 1.0 s; no host runs",
            "start a host: tenuto start",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW - MINUTE // 60),
            ),
            around(),
            Level.NOTE,
            "waits for a timer due at",
            "",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW + MINUTE),
            ),
            around(has_host=False),
            Level.NOTE,
            "; no host runs",
            "",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.EVENT, StepState.WAITING, "Paid", due_at=NOW + MINUTE),
            ),
            around(has_host=False),
            Level.NOTE,
            "; no host runs",
            "raise-event",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(
                    StepKind.ACTIVITY,
                    StepState.RETRYING,
                    "book",
                    due_at=NOW + MINUTE,
                    failure=FailureDetails("E", "no"),
                ),
            ),
            around(has_host=False),
            Level.NOTE,
            "waits for attempt 2 of activity book at",
            "",
        ),
        (
            run_in(RuntimeStatus.RUNNING, step(StepKind.EVENT, StepState.WAITING, "Approved")),
            around(),
            Level.NOTE,
            "waits for event 'Approved' since",
            "tenuto instances raise-event t-1 Approved --data JSON",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                step(StepKind.EVENT, StepState.WAITING, "Paid", due_at=NOW + MINUTE),
            ),
            around(),
            Level.NOTE,
            "), until ",
            "tenuto instances raise-event t-1 Paid --data JSON",
        ),
        (
            run_in(
                RuntimeStatus.RUNNING,
                *[
                    step(StepKind.CHILD, StepState.RUNNING, "trip", instance_id=f"c-{number}")
                    for number in range(5)
                ],
            ),
            around(),
            Level.NOTE,
            "sub-orchestration trip (c-2) since",
            "",
        ),
        (
            run_in(RuntimeStatus.RUNNING, is_telling=False),
            around(),
            Level.NOTE,
            "is between two steps",
            "",
        ),
        (
            run_in(RuntimeStatus.RUNNING, is_telling=False),
            around(has_host=False),
            Level.WRONG,
            "is between two steps; no host runs",
            "start a host",
        ),
        (run_in(RuntimeStatus.RUNNING), around(), Level.NOTE, "is between two steps", ""),
        (IDLE, around(), Level.WRONG, NOTHING, "mend its code"),
        (
            IDLE,
            around(look=Look()),
            Level.WRONG,
            NOTHING,
            "tenuto instances terminate t-1, then tenuto",
        ),
        (IDLE, around(has_host=False), Level.WRONG, f"{NOTHING}; no host runs", "mend its code"),
        (IDLE, around(look=Look(is_busy=True)), Level.NOTE, "is between two steps", ""),
        (
            run_in(RuntimeStatus.RUNNING, wake_at=None, untaken=1),
            around(),
            Level.NOTE,
            "is between two steps",
            "",
        ),
    ],
)
def test_each_reason_has_its_words_and_its_advice(
    run: Run, surroundings: Surroundings, level: Level, text: str, advice: str
) -> None:
    found = found_of(run, surroundings)
    assert found.level is level
    assert found.instance_id == "t-1"
    assert found.text.startswith("t-1 (trip) ")
    assert text in found.text
    assert advice in found.advice
    assert bool(found.advice) == bool(advice)


def test_many_open_steps_are_counted() -> None:
    steps = [step(StepKind.ACTIVITY, StepState.RUNNING, f"book-{one}") for one in range(5)]
    assert found_of(run_in(RuntimeStatus.RUNNING, *steps), around()).text.endswith("; 2 more")


def test_waits_that_are_said_with_the_same_words_are_said_once() -> None:
    same = [step(StepKind.ACTIVITY, StepState.RUNNING, "book") for _ in range(5)]
    other = [step(StepKind.ACTIVITY, StepState.RUNNING, name) for name in ("pay", "send", "file")]
    text = found_of(run_in(RuntimeStatus.RUNNING, *same, *other), around()).text
    assert text.count("activity book since ") == 1
    assert text.count(", 5 times; activity pay since ") == 1
    assert text.endswith("; 1 more")
    crowd = [step(StepKind.ACTIVITY, StepState.RUNNING, "book") for _ in range(100_000)]
    said = found_of(run_in(RuntimeStatus.RUNNING, *crowd), around()).text
    assert said.endswith(", 100 times; 99,900 more")


def test_an_instance_whose_orchestrator_is_gone_is_wrong_before_its_event_comes() -> None:
    run = run_in(RuntimeStatus.RUNNING, step(StepKind.EVENT, StepState.WAITING, "go"))
    found = found_of(run, around(orchestrators=frozenset({"other"})))
    assert found.level is Level.WRONG
    assert "waits for event 'go'" in found.text
    assert "the app has no orchestrator 'trip'" in found.text
    assert found_of(run, around(orchestrators=frozenset({"trip"}))).level is Level.NOTE


def test_what_it_waits_for_is_named_as_its_history_says() -> None:
    run = running(
        opening(
            TaskScheduled(1, "book"),
            child_call(2, "pay-1"),
            TimerCreated(3, at(60)),
            EventAwaited(4, "paid"),
        )
    )
    since = f"since {moment(at(0))} (5.0 s)"
    assert explain(run, Surroundings(now=at(5), has_host=True)).sentence == (
        f"waits for activity book {since}; sub-orchestration pay (pay-1) {since}; "
        f"a timer due at {moment(at(60))}; 1 more; with 1 of its children not looked at"
    )


def test_until_when_it_waits_and_what_is_tried_again_is_said() -> None:
    run = running(
        opening(
            TaskScheduled(1, "book"), EventAwaited(2, "paid"), TimerCreated(3, at(60), "timeout", 2)
        ),
        turn(1, TaskFailed(1, FailureDetails("E", "no")), TimerCreated(4, at(9), "retry", 1)),
    )
    found = explain(run, Surroundings(now=at(5), has_host=True))
    assert found.sentence == (
        f"waits for attempt 2 of activity book at {moment(at(9))}, after E: no; "
        f"event 'paid' since {moment(at(0))} (5.0 s), until {moment(at(60))}"
    )
    assert explain(completed(opening()), Surroundings(now=at(5), has_host=True)).sentence == (
        "has ended (Completed)"
    )


@pytest.mark.parametrize(
    ("steps", "more", "sentence", "is_stuck"),
    [
        ([], {"look": Look(place=3)}, "is queued for its turn, 2 before it", False),
        ([], {"look": Look(place=1)}, "is queued for its turn, nobody before it", False),
        ([], {"look": Look(unavailable="disk full")}, "cannot write to: disk full", False),
        ([], {"look": Look(serves=False)}, "serves it: the app has no orchestrator 'trip'", True),
        (
            [step(StepKind.ACTIVITY, StepState.RUNNING, "book")],
            {"look": Look(unserved=("book",))},
            "the app has no activity 'book'",
            True,
        ),
        (
            [step(StepKind.ACTIVITY, StepState.RUNNING, "book")],
            {"look": Look(stages={1: QueuedWork(4, "the limit of activity 'book', 2 at once")})},
            "queued at place 4 behind the limit of activity 'book', 2 at once, since",
            False,
        ),
        (
            [step(StepKind.ACTIVITY, StepState.RUNNING, "book")],
            {"look": Look(stages={1: BegunWork(NOW - MINUTE)})},
            f"activity book, running since {moment(NOW - MINUTE)} (1 min 00 s)",
            False,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")],
            {"children": {"p-1": None}},
            "sub-orchestration pay (p-1), which is not there and will never answer, since",
            True,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="hub/p-1")],
            {"children": {"hub/p-1": None}},
            "sub-orchestration pay (hub/p-1, on the linked hub hub) since",
            False,
        ),
        (
            [
                step(
                    StepKind.CHILD,
                    StepState.RUNNING,
                    "pay",
                    instance_id="p-1",
                    changed_at=NOW - MINUTE // 60,
                )
            ],
            {"children": {"p-1": None}},
            "sub-orchestration pay (p-1, not there yet) since",
            False,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")],
            {"children": {"p-1": run_in(RuntimeStatus.RUNNING, parent=CALLER, hold=HOLD).record}},
            "sub-orchestration pay (p-1), which is held (crashed), since",
            True,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")],
            {
                "children": {"p-1": run_in(RuntimeStatus.RUNNING, parent=CALLER).record},
                "unserved": frozenset({"p-1"}),
            },
            "sub-orchestration pay (p-1), whose orchestrator is not there, since",
            True,
        ),
        (  # what is stuck comes first, whatever stands beside it
            [
                step(StepKind.EVENT, StepState.WAITING, "go"),
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW + MINUTE),
                step(StepKind.TIMER, StepState.WAITING, due_at=NOW + MINUTE),
                step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1"),
            ],
            {"children": {"p-1": None}},
            "waits for sub-orchestration pay (p-1), which is not there",
            True,
        ),
        (
            [
                step(StepKind.EVENT, StepState.WAITING, "go"),
                step(
                    StepKind.ACTIVITY,
                    StepState.RETRYING,
                    "book",
                    due_at=NOW + MINUTE,
                    failure=FailureDetails("E", "no"),
                ),
            ],
            {},
            "waits for attempt 2 of activity book at",
            False,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")],
            {"children": {"p-1": run_in(RuntimeStatus.SUSPENDED, parent=CALLER).record}},
            "sub-orchestration pay (p-1, Suspended) since",
            False,
        ),
        (
            [step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")],
            {"children": {"p-1": run_in(RuntimeStatus.RUNNING).record}},
            "pay (p-1), whose id another instance has, so that nobody will answer, since",
            True,
        ),
    ],
)
def test_what_its_host_and_its_children_say_is_said(
    steps: list[Step], more: dict[str, Any], sentence: str, *, is_stuck: bool
) -> None:
    found = explain(run_in(RuntimeStatus.RUNNING, *steps), around(**more))
    assert sentence in found.sentence
    assert found.is_stuck is is_stuck


SINCE = NOW - 5 * MINUTE
STARTED = NOW - 10 * MINUTE
EVENT = step(StepKind.EVENT, StepState.WAITING, "go")
CHILD = step(StepKind.CHILD, StepState.RUNNING, "pay", instance_id="p-1")
EVENT_WAIT = EventWait(name="go", since=SINCE)
OF_TOPIC = step(StepKind.EVENT, StepState.WAITING, "flights", place="topic", key="rome")
CHILD_WAIT = ChildWait(name="pay", instance_id=InstanceId("p-1"), since=SINCE)


@pytest.mark.parametrize(
    ("run", "surroundings", "facts"),
    [
        (
            run_in(RuntimeStatus.SUSPENDED, EVENT, hold=HOLD, updated_at=at(1)),
            around(has_host=False),
            (
                Held(reason=HOLD.reason, message=HOLD.message, since=at(1), tried=at(2)),
                Suspended(since=at(1)),
                EVENT_WAIT,
                NoHost(),
            ),
        ),
        (
            PENDING,
            around(look=Look(serves=False, unavailable="disk full", place=3)),
            (
                StoreUnavailable(error="disk full"),
                NotServed(kind="orchestrator", name="trip"),
                Pending(since=STARTED),
                TurnWait(place=3),
            ),
        ),
        (
            run_in(RuntimeStatus.PENDING, scheduled_at=NOW - MINUTE),
            around(),
            (Pending(since=NOW - MINUTE),),
        ),
        (
            run_in(RuntimeStatus.RUNNING, EVENT),
            around(untaken={"t-1": 3}, orchestrators=frozenset()),
            (
                Untaken(count=3),
                EVENT_WAIT,
                NotServed(kind="orchestrator", name="trip", by="app"),
            ),
        ),
        (
            ACTIVITY,
            around(look=Look(unserved=("book",), stages={1: QueuedWork(4, "the queue")})),
            (
                ActivityWait(
                    id=1,
                    name="book",
                    since=SINCE,
                    attempt=2,
                    failure=FailureDetails("E", "no"),
                    stage="queued",
                    place=4,
                    behind="the queue",
                ),
                NotServed(kind="activity", name="book"),
            ),
        ),
        (
            run_in(RuntimeStatus.RUNNING, CHILD),
            around(children={"p-1": None}),
            (structs.replace(CHILD_WAIT, is_missing=True, is_lost=True),),
        ),
        (
            run_in(RuntimeStatus.RUNNING, CHILD),
            around(children={"p-1": run_in(RuntimeStatus.PENDING, hold=HOLD).record}),
            (structs.replace(CHILD_WAIT, status="Pending", held=HoldReason.CRASHED, is_lost=True),),
        ),
        (
            run_in(RuntimeStatus.RUNNING, OF_TOPIC),
            around(),
            (TopicWait(topic="flights", key="rome", since=SINCE),),
        ),
        (IDLE, around(), (NothingOpen(),)),
        (INBOX, around(has_host=False), (Untaken(count=2), EVENT_WAIT, NoHost())),
        (run_in(RuntimeStatus.FAILED, EVENT), around(), (Ended(status="Failed"),)),
        (run_in(RuntimeStatus.RUNNING), around(), ()),
    ],
)
def test_the_facts_come_along_in_their_order_and_through_json(
    run: Run, surroundings: Surroundings, facts: tuple[Fact, ...]
) -> None:
    found = explain(run, surroundings)
    assert found.facts == facts
    assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found


def test_no_two_facts_look_alike_to_machines() -> None:
    kinds = get_args(Fact)
    types = [kind.__struct_config__.tag for kind in kinds]
    assert len(set(types)) == len(types) == 18
    assert {kind.__struct_config__.tag_field for kind in kinds} == {"type"}


@pytest.mark.parametrize(
    ("instance_id", "event", "command"),
    [
        ("t-1", "go", "t-1 go --data JSON --storage 'sqlite:///my trips.db'"),
        (
            "my trip",
            "it's on",
            "'my trip' 'it'\"'\"'s on' --data JSON --storage 'sqlite:///my trips.db'",
        ),
        ("-t", "go", "--data JSON --storage 'sqlite:///my trips.db' -- -t go"),
        (
            "t-1",
            "a\nb\x1b'",
            "t-1 $'a\\x0ab\\x1b\\'' --data JSON --storage 'sqlite:///my trips.db'",
        ),
    ],
)
def test_what_is_pasted_arrives_as_it_was_meant(instance_id: str, event: str, command: str) -> None:
    run = run_in(
        RuntimeStatus.RUNNING,
        step(StepKind.EVENT, StepState.WAITING, event),
        instance_id=instance_id,
    )
    found = explain(run, around(place=("--storage", "sqlite:///my trips.db")))
    assert found.advice == f"tenuto instances raise-event {command}"
    assert found.commands == (found.advice,), "nobody has to find it in the words"


@pytest.mark.parametrize(
    ("topic", "key", "pasted"),
    [
        ("flights", "rome", "flights JSON --event-key rome"),
        ("my flights", "it's", "'my flights' JSON --event-key 'it'\"'\"'s'"),
        ("-t", "-k", "--event-key -k -- -t JSON"),
    ],
)
def test_an_event_of_a_topic_is_published_there(topic: str, key: str, pasted: str) -> None:
    wait = structs.replace(OF_TOPIC, name=topic, key=key, due_at=NOW + MINUTE)
    found = explain(run_in(RuntimeStatus.RUNNING, wait), around())
    assert f"waits for an event of topic {topic!r} with key {key!r} since " in found.sentence
    assert ", until " in found.sentence
    assert found.advice == f"tenuto topics publish {pasted}"


def test_who_is_told_the_facts_says_them_in_their_own_zone_and_for_their_own_place() -> None:
    run = run_in(RuntimeStatus.SUSPENDED, updated_at=NOW - MINUTE)
    there = explain(run, around(at=utc_moment))
    here = told(run.record, there.facts, around(place=("--url", "http://x"), at=lambda _: "then"))
    assert here.facts == there.facts
    assert here.sentence == "suspended since then (1 min 00 s)"
    assert here.advice == "tenuto instances resume t-1 --url http://x"
    assert here.commands == (here.advice,)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            HTTP_ACTIVITY,
            '{"method":"GET","url":"https://me:pw@x.org:81/a/b?key=1","headers":{"k":["v"]}}',
            "an HTTP call (GET https://x.org:81/a/b)",
        ),
        (
            HTTP_ACTIVITY,
            '{"method":"GET","url":"../state?t=1","base":"http://x.org/jobs/7/"}',
            "an HTTP call (GET http://x.org/jobs/state)",
        ),
        (HTTP_ACTIVITY, '{"method":"GET","url":"http://x.org:port/"}', "an HTTP call"),
        (HTTP_ACTIVITY, "no JSON", "an HTTP call"),
        (WEBHOOK_ACTIVITY, '"paid"', "the address of a webhook"),
        ("book", '"x"', "activity book"),
    ],
)
def test_what_tenuto_itself_does_is_said_without_secrets(name: str, text: str, words: str) -> None:
    failed = TaskFailed(1, FailureDetails("E", "no"))
    first = opening(TaskScheduled(1, name, text))
    retrying = turn(1, failed, TimerCreated(2, at(9), "retry", 1))
    here = Surroundings(now=at(5), has_host=True)
    assert f"waits for {words} since" in explain(running(first), here).sentence
    found = explain(running(first, retrying), here)
    assert f"waits for attempt 2 of {words} at" in found.sentence
