"""Runs of random programs: recorded once against a random environment, repeated at will.

A record is JSON: the program, and for each turn its time, what came in, and what was seen, which is
everything that a run must repeat: decisions to the letter, the custom status, the notes of the user
code. Tracebacks are left out, since they name lines of the interpreter's own library.
"""

# Records and what is in them are JSON.
# ruff: noqa: ANN401

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from tenuto.functions.registry import FunctionRegistry
from tenuto.model.actions import Action, TurnActions
from tenuto.model.codec import decode_turn, encode
from tenuto.model.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    Incoming,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import ExecutionId
from tenuto.model.limits import Limits
from tenuto.orchestration.session import Session
from tests.support.facts import execution_of
from tests.support.program_grammar import Choose, Node
from tests.support.program_interpreter import Notes, functions, orchestrator_of

Seen: TypeAlias = dict[str, Any]
Record: TypeAlias = dict[str, Any]

SECOND = 1_000_000
START = 1_767_225_600 * SECOND
EXECUTION = ExecutionId("0123456789abcdef" * 2)
_MOST_TURNS = 16
_LATE = 2
"""How many answers to given up work an environment delivers: they must change nothing."""

_INFO = execution_of(
    instance_id="instance",
    execution_id=EXECUTION,
    name="program",
    version=None,
    parent=None,
    tags=None,
    depth=0,
    limits=Limits(),
)


class Run:
    """A live session of a program."""

    def __init__(self, program: Node) -> None:
        self.notes: Notes = []
        orchestrator = FunctionRegistry().orchestrator(name="program")(
            orchestrator_of(program, self.notes)
        )
        self.session = Session(_INFO, orchestrator, functions)

    def turn(self, at: int, incoming: Sequence[Incoming], *, replaying: bool = False) -> Seen:
        """Take a turn; gives what was seen."""
        return self.see(self.session.run_turn(at, incoming, replaying=replaying))

    def see(self, answer: TurnActions) -> Seen:
        """What a turn's answer comes to."""
        status = answer.custom_status
        return {
            "actions": [_plain(action) for action in answer.actions],
            "status": None if status is msgspec.UNSET else status,
            "notes": list(self.notes),
        }

    def close(self) -> None:
        """Discard; every coroutine of a program lets itself be closed."""
        refused = self.session.close()
        assert refused == 0, f"{refused} coroutines refused to end"


def _plain(action: Action) -> Any:
    return _without_traces(json.loads(encode(action)))


def _without_traces(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_traces(one) for key, one in value.items() if key != "stackTrace"}
    return value


# --- the environment ----------------------------------------------------------------------------


class Environment:
    """Answers what a program asks, in any order, in batches of any size."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.now = START
        self.activities: list[int] = []
        self.children: list[int] = []
        self.timers: dict[int, int] = {}
        self.given_up: list[int] = []
        self.is_ended = False
        self._late = _LATE
        self._values = 0

    def decided(self, actions: Sequence[Action]) -> None:
        """Note what a turn asked for."""
        for action in actions:
            match action:
                case TaskScheduled(event_id=task_id):
                    self.activities.append(task_id)
                case SubOrchestrationInstanceCreated(event_id=task_id, detached=False):
                    self.children.append(task_id)
                case TimerCreated(event_id=task_id, fire_at=fire_at):
                    self.timers[task_id] = fire_at
                case TaskCanceled(task_id=task_id):
                    self._give_up(task_id)
                case ExecutionCompleted() | ContinueAsNew():
                    self.is_ended = True
                case _:
                    pass  # nobody answers

    def _give_up(self, task_id: int) -> None:
        if self.timers.pop(task_id, None) is None:
            self.given_up.append(task_id)
            for ones in (self.activities, self.children):
                if task_id in ones:
                    ones.remove(task_id)

    def batch(self) -> list[Incoming]:
        """What comes in next; time passes."""
        self.now += 1 + self.choose(3) * SECOND // 2
        return [self._event() for _ in range(1 + self.choose(4))]

    def _event(self) -> Incoming:
        choices: list[Callable[[], Incoming]] = [self._raise_event]
        if self.given_up and self._late:
            choices.append(self._answer_late)
        # The first is the simplest: what moves the program on comes before what may not.
        if self.timers:
            choices.insert(0, self._fire_timer)
        if self.children:
            choices.insert(0, self._answer_child)
        if self.activities:
            choices.insert(0, self._answer_activity)
            choices.insert(0, self._answer_activity)
        return choices[self.choose(len(choices))]()

    def _take(self, ones: list[int]) -> int:
        return ones.pop(self.choose(len(ones)))

    def _value(self) -> str:
        self._values += 1
        return str(self._values * 10)

    def _answer_activity(self) -> Incoming:
        task_id = self._take(self.activities)
        if self.choose(8) == 1:
            return TaskFailed(task_id, self._failure())
        return TaskCompleted(task_id, self._value())

    def _answer_child(self) -> Incoming:
        task_id = self._take(self.children)
        if self.choose(8) == 1:
            return SubOrchestrationInstanceFailed(task_id, self._failure())
        return SubOrchestrationInstanceCompleted(task_id, self._value())

    def _failure(self) -> FailureDetails:
        kind = ("OSError", "TimeoutError")[self.choose(2)]
        return FailureDetails(kind, "refused", is_non_retriable=self.choose(4) == 1)

    def _fire_timer(self) -> Incoming:
        fire_at, task_id = min((fire_at, task_id) for task_id, fire_at in self.timers.items())
        del self.timers[task_id]
        self.now = max(self.now, fire_at)
        return TimerFired(task_id, fire_at)

    def _raise_event(self) -> Incoming:
        return EventRaised("aAbB"[self.choose(4)], self._value())

    def _answer_late(self) -> Incoming:
        self._late -= 1
        return TaskCompleted(self._take(self.given_up), self._value())


# --- recording and repeating --------------------------------------------------------------------


def record_run(program: Node, choose: Choose) -> Record:
    """Run a program hot against a random environment."""
    run, environment = Run(program), Environment(choose)
    turns: list[dict[str, Any]] = []
    incoming: list[Incoming] = [ExecutionStarted("program", EXECUTION)]
    while not environment.is_ended and len(turns) < _MOST_TURNS:
        answer = run.session.run_turn(environment.now, incoming)
        turns.append(
            {
                "at": environment.now,
                "incoming": json.loads(encode(incoming)),
                "seen": run.see(answer),
            }
        )
        environment.decided(answer.actions)
        incoming = environment.batch()
    run.close()
    return {"program": program, "turns": turns}


def incoming_of(turn: dict[str, Any]) -> list[Any]:
    """The events that came in with a recorded turn."""
    events: list[HistoryEvent] = decode_turn(json.dumps(turn["incoming"]))
    return list(events)


def repeat(record: Record, turns: int | None = None) -> list[Seen]:
    """Replay the first turns of a record in a fresh session; gives what was seen."""
    run = Run(record["program"])
    seen = [
        run.turn(turn["at"], incoming_of(turn), replaying=True) for turn in record["turns"][:turns]
    ]
    run.close()
    return seen


def repeat_with_crashes(record: Record, cuts: set[int]) -> list[Seen]:
    """Go through a record hot, but lose the session before the turns in ``cuts``."""
    run = Run(record["program"])
    seen: list[Seen] = []
    for number, turn in enumerate(record["turns"]):
        if number in cuts:
            run.close()
            run = Run(record["program"])
            for earlier in record["turns"][:number]:
                run.turn(earlier["at"], incoming_of(earlier), replaying=True)
        seen.append(run.turn(turn["at"], incoming_of(turn)))
    run.close()
    return seen


def repeat_in_batches(record: Record, sizes: Callable[[], int]) -> Notes:
    """Feed what came in at one and the same time, in batches of other sizes; gives the notes."""
    run = Run(record["program"])
    events = [event for turn in record["turns"] for event in incoming_of(turn)]
    while events:
        size = sizes()
        run.turn(START, events[:size])
        events = events[size:]
    run.close()
    return run.notes
