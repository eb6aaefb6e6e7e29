"""A host in small, for tests of a worker alone.

It numbers as durable-functions counts, answers activities at once, and has a clock of its own.

It drives a worker through whole orchestrations, turn by turn; the real host is the engine.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tenuto.interop.workers.protocol import Failed, Loaded, Result, Turned
from tests.support.worker_client import WorkerClient

YEARS = "36500.00:00:00"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVITY, RETRIED_ACTIVITY, CHILD, RETRIED_CHILD, AGAIN, TIMER, EVENT, HTTP = 0, 1, 2, 3, 4, 5, 6, 8

Event = dict[str, Any]
Action = Mapping[str, Any]


@dataclass
class Logical:
    """What a number stands for: an action, and how often it was tried."""

    action: Action
    attempt: int = 1
    is_timer: bool = False

    @property
    def is_retried(self) -> bool:
        return "retryOptions" in self.action

    @property
    def has_tries_left(self) -> bool:
        return bool(self.attempt < self.action["retryOptions"]["maxNumberOfAttempts"])


@dataclass
class Ran:
    """An instance that has ended, and what the worker answered on the way."""

    output: str | None = None
    error: str | None = None
    status: str | None = None
    turns: list[Turned] = field(default_factory=list)
    numbers: int = 0

    @property
    def value(self) -> object:
        return None if self.output is None else json.loads(self.output)


@dataclass
class ScriptedHost:
    """Runs instances of one app.

    Args:
        worker: Has loaded it.
        loaded: What it said then.
        takes_all: Whether a turn takes all that has come, or one thing.
        replays: Whether each turn comes with all of the history.
        compares: Whether each turn is run both ways.
        events: What is raised from outside right after the start, as name and JSON text.
        http: Answers a request with status, headers and content.
    """

    worker: WorkerClient
    loaded: Loaded
    takes_all: bool = True
    replays: bool = False
    compares: bool = False
    events: Sequence[tuple[str, str]] = ()
    http: Callable[[Action], Mapping[str, Any]] = lambda request: {"statusCode": 200, **request}
    keys: int = 0

    def run(
        self, name: str, given: object = None, instance: str = "i1", parent: object = None
    ) -> Ran:
        """Run an instance to its end, through all of its executions."""
        ran = Ran()
        while True:
            self.keys += 1
            execution = _Execution(self, name, given, instance, parent, ran)
            again = execution.run()
            self.worker.forget(execution.key)
            if again is None:
                return ran
            given = again.get("input")

    def trigger(self, function: str) -> str:
        """The name of its trigger's binding."""
        return str(
            next(one for one in self.loaded.functions if one.name == function).trigger["name"]
        )


class _Execution:
    def __init__(
        self, host: ScriptedHost, name: str, given: object, instance: str, parent: object, ran: Ran
    ) -> None:
        self.host, self.name, self.ran, self.instance, self.key = (
            host,
            name,
            ran,
            instance,
            host.keys,
        )
        self.start = {
            "input": given,
            "instanceId": instance,
            "parentInstanceId": parent,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 3,
            "longRunningTimerIntervalDuration": YEARS,
            "maximumShortTimerDuration": YEARS,
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30_000,
        }
        self.now = BEGIN
        self.next = 0
        self.open: dict[int, Logical] = {}
        self.timers: dict[int, datetime] = {}
        self.places: list[int | None] = []
        self.waiters: defaultdict[str, int] = defaultdict(int)
        self.held = [self.event(15, Name=name, Input=text) for name, text in host.events]
        self.inbox = [self.event(0, Name=name, Version="", Input=json.dumps(given))]
        self.history: list[Event] = []
        self.is_kept = False

    def event(self, kind: int, **members: Any) -> Event:
        at = self.now.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": at, **members}

    def run(self) -> Action | None:
        """To the end of the execution; how it goes on when it continues as new."""
        while True:
            turned = self.turn(self.taken())
            actions = [json.loads(bytes(one)) for one in turned.actions][
                len(self.places) - turned.first :
            ]
            for action in actions:
                self.schedule(action)
            for place in turned.canceled:
                number = self.places[place]
                self.timers.pop(number if number is not None else -1, None)
            self.ran.status = turned.custom_status
            if turned.error is not None or turned.is_done:
                self.ran.output, self.ran.error = turned.output, turned.error
                self.ran.numbers = self.next
                return next((one for one in actions if one["actionType"] == AGAIN), None)

    def taken(self) -> list[Event]:
        for event in list(self.held):
            if self.waiters[event["Name"]]:
                self.waiters[event["Name"]] -= 1
                self.held.remove(event)
                self.inbox.append(event)
        if not self.inbox:
            number = min(self.timers, key=lambda one: self.timers[one])
            self.now = max(self.now, self.timers.pop(number))
            self.inbox.append(self.event(11, TimerId=number))
        count = len(self.inbox) if self.host.takes_all else 1
        taken, self.inbox = self.inbox[:count], self.inbox[count:]
        self.now += timedelta(milliseconds=1)
        return sorted(taken, key=lambda event: not self.takes_number(event))

    def takes_number(self, event: Event) -> bool:
        """Whether the package counts on when it sees this, before any code runs."""
        logical = self.open.get(number_of(event))
        if logical is None:
            return False
        if event["EventType"] in {6, 9}:
            return logical.is_retried
        if event["EventType"] == 5:
            return self.is_poll(logical, event)
        return logical.is_timer and logical.is_retried and logical.has_tries_left

    @staticmethod
    def is_poll(logical: Logical, event: Event) -> bool:
        if logical.action["actionType"] != HTTP:
            return False
        answer = json.loads(event["Result"])
        return answer["statusCode"] == 202 and "Location" in answer["headers"]

    def turn(self, taken: list[Event]) -> Turned:
        events = [self.event(12), *taken]
        for event in taken:
            self.apply(event)
        self.history += events
        whole = {"history": self.history, "start": self.start}
        given: dict[str, Any] = {"events": events, "known": len(self.places)}
        if self.host.compares:
            given |= {**whole, "is_compared": True}
        elif self.host.replays or not self.is_kept:
            given |= whole
        turned = self.host.worker.turn(self.name, self.key, **given)
        assert isinstance(turned, Turned), turned
        assert turned.difference is None
        self.is_kept = turned.is_kept
        self.ran.turns.append(turned)
        return turned

    def apply(self, event: Event) -> None:
        """Take the numbers that the package takes on its own, and do what they stand for."""
        hidden = self.takes_number(event)
        logical = self.open.pop(number_of(event), None)
        if not hidden or logical is None:
            return
        if event["EventType"] == 5:
            self.timer(Logical(logical.action), 5)
            self.work(Logical({**logical.action, "isPoll": True}))
        elif logical.is_timer:
            self.work(Logical(logical.action, logical.attempt + 1))
        else:
            interval = logical.action["retryOptions"]["firstRetryIntervalInMilliseconds"] / 1000
            self.timer(
                Logical(logical.action, logical.attempt, is_timer=True),
                interval if logical.has_tries_left else 0,
            )

    def number(self, logical: Logical) -> int:
        number, self.next = self.next, self.next + 1
        self.open[number] = logical
        return number

    def timer(self, logical: Logical, seconds: float) -> int:
        number = self.number(logical)
        self.timers[number] = self.now + timedelta(seconds=seconds)
        return number

    def schedule(self, action: Action) -> None:
        kind = action["actionType"]
        number: int | None = None
        if kind == EVENT:
            self.waiters[action["externalEventName"]] += 1
        elif kind == TIMER:
            number = self.number(Logical(action))
            if not action["isCanceled"]:
                self.timers[number] = datetime.fromisoformat(action["fireAt"])
        elif kind != AGAIN:
            number = self.work(Logical(action))
        self.places.append(number)

    def work(self, logical: Logical) -> int:
        number = self.number(logical)
        action = logical.action
        kind = action["actionType"]
        if kind in {ACTIVITY, RETRIED_ACTIVITY}:
            self.inbox.append(self.activity(number, action))
        elif kind in {CHILD, RETRIED_CHILD}:
            self.inbox.append(self.child(number, action))
        elif kind == HTTP:
            result = json.dumps(self.host.http(action))
            self.inbox.append(self.event(5, TaskScheduledId=number, Result=result))
        else:
            raise AssertionError(action)
        return number

    def activity(self, number: int, action: Action) -> Event:
        name, given = action["functionName"], action.get("input")
        text = given if isinstance(given, str) else json.dumps(given)
        answer = self.host.worker.activity(name, self.host.trigger(name), text)
        if isinstance(answer, Failed):
            reason = f"Activity function '{name}' failed: {answer.message}"
            return self.event(6, TaskScheduledId=number, Reason=reason, Details=answer.message)
        return self.event(5, TaskScheduledId=number, Result=result_text(answer))

    def child(self, number: int, action: Action) -> Event:
        instance = action.get("instanceId") or f"{self.instance}:{number}"
        events, self.host.events = self.host.events, ()
        ran = self.host.run(action["functionName"], action.get("input"), instance, self.instance)
        self.host.events = events
        if ran.error is not None:
            return self.event(9, TaskScheduledId=number, Reason=ran.error, Details=ran.error)
        return self.event(8, TaskScheduledId=number, Result=ran.output)


def number_of(event: Event) -> int:
    """Of what an event completes; -1 of one that completes nothing with a number."""
    for member in ("TaskScheduledId", "TimerId"):
        if member in event:
            return int(event[member])
    return -1


def result_text(answer: Result) -> str:
    """What an activity returned, as the JSON text of history."""
    if answer.value is None:
        return "null"
    if answer.value.json is not None:
        return answer.value.json
    return json.dumps(answer.value.string)
