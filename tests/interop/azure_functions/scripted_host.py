"""A host of one orchestration at a time, in memory and in virtual time: what the worker needs.

Counts as ``azure-functions-durable`` counts, and delivers what it must deliver in the order that it
must have. Activities run in the worker, children run here.
"""

import heapq
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tenuto.interop.workers.protocol import Failed, Loaded, Result, Turned
from tests.support.worker_client import WorkerClient

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
A_CENTURY = "36500.00:00:00"
Event = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """How turns are run.

    Attributes:
        sends_history: Each time, so that the worker makes a new executor.
        is_compared: Whether the worker runs each turn both ways.
        one_by_one: One message per turn, instead of all that are there.
    """

    sends_history: bool = False
    is_compared: bool = False
    one_by_one: bool = False


@dataclass
class Outcome:
    """What has become of an orchestration."""

    output: Any
    error: str | None
    custom_status: Any
    turns: int
    numbers: int
    differences: list[str] = field(default_factory=list)


@dataclass
class Retried:
    action: dict[str, Any]
    attempt: int = 1

    @property
    def is_last(self) -> bool:
        return bool(self.attempt >= self.action["retryOptions"]["maxNumberOfAttempts"])

    @property
    def delay_seconds(self) -> float:
        return float(self.action["retryOptions"]["firstRetryIntervalInMilliseconds"]) / 1000


class ScriptedHost:
    """Runs orchestrations of a loaded app through its worker."""

    def __init__(self, client: WorkerClient, loaded: Loaded, way: Way) -> None:
        self.client = client
        self.loaded = loaded
        self.way = way
        self.triggers = {
            one.name: one.trigger["name"]
            for one in loaded.functions
            if one.trigger["type"] == "activityTrigger"
        }
        self.keys = itertools.count(1)
        self.turns_seen: list[tuple[Sequence[Event], Turned]] = []

    def watch(self, execution: "Execution", events: Sequence[Event], answer: Turned) -> None:
        """A turn is over."""

    def run(
        self,
        name: str,
        given: str | None = None,
        instance: str = "i1",
        events: Sequence[tuple[float, str, Any]] = (),
        parent: str | None = None,
    ) -> Outcome:
        """Run an orchestration to its end.

        Args:
            name: Of the orchestrator.
            given: The text of its input.
            instance: Its id.
            events: What comes from outside: after how many seconds, name, value.
            parent: The id of its parent.
        """
        outside = [
            (seconds, ("event", event, json.dumps(value))) for seconds, event, value in events
        ]
        now, turns = 0.0, 0
        differences: list[str] = []
        for number in itertools.count():
            execution = Execution(self, name, given, f"{instance}", parent, f"e{number}", now)
            for seconds, message in outside:
                execution.post(seconds, message)
            answer = execution.finish()
            turns += execution.turns
            differences += execution.differences
            again = [one for one in execution.actions if one["actionType"] == 4]
            if answer.error is None and again:
                now, given = execution.now, again[0]["input"]
                outside = [(due, message) for due, _, message in execution.inbox]
                continue
            status = answer.custom_status
            return Outcome(
                output=None if answer.output is None else json.loads(answer.output),
                error=answer.error,
                custom_status=None if status is None else json.loads(status),
                turns=turns,
                numbers=execution.next_number,
                differences=differences,
            )
        raise AssertionError


class Execution:
    """One execution: from one beginning, or continuing as new, to the next."""

    def __init__(
        self,
        host: ScriptedHost,
        name: str,
        given: str | None,
        instance: str,
        parent: str | None,
        execution: str,
        now: float,
    ) -> None:
        self.host, self.name, self.instance, self.execution = host, name, instance, execution
        self.now = now
        self.key = next(host.keys)
        self.start = {
            "input": given,
            "instanceId": instance,
            "parentInstanceId": parent,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 3,
            "longRunningTimerIntervalDuration": A_CENTURY,
            "maximumShortTimerDuration": A_CENTURY,
        }
        self.history: list[Event] = []
        self.inbox: list[tuple[float, int, tuple[Any, ...]]] = []
        self.order = itertools.count()
        self.next_number = 0
        self.open: dict[int, dict[str, Any]] = {}
        self.waiters: Counter[str] = Counter()
        self.held: list[tuple[Any, ...]] = []
        self.actions: list[dict[str, Any]] = []
        self.canceled: set[int] = set()
        self.turns = 0
        self.differences: list[str] = []

    def post(self, due: float, message: tuple[Any, ...]) -> None:
        heapq.heappush(self.inbox, (max(due, self.now), next(self.order), message))

    def finish(self) -> Turned:
        answer = self.turn([])
        while answer.error is None and not answer.is_done:
            messages: list[tuple[Any, ...]] = []
            while not messages:
                assert self.inbox, f"{self.name} waits for {self.open} and {self.waiters}"
                messages = list(self.due())
            answer = self.turn(messages)
        return answer

    def due(self) -> Iterator[tuple[Any, ...]]:
        """What comes next: all of its moment, or one."""
        self.now = self.inbox[0][0]
        while self.inbox and self.inbox[0][0] == self.now:
            _, _, message = heapq.heappop(self.inbox)
            if message[0] == "event" and not self.waiters[message[1]]:
                self.held.append(message)
                continue
            if message[0] == "event":
                self.waiters[message[1]] -= 1
            yield message
            if self.host.way.one_by_one:
                return

    def event(self, kind: int, **members: Any) -> Event:
        moment = BEGIN + timedelta(seconds=self.now)
        stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        return {"EventType": kind, "EventId": -1, "IsPlayed": False, "Timestamp": stamp, **members}

    def turn(self, messages: Sequence[tuple[Any, ...]]) -> Turned:
        before = [dict(one) for one in self.history]
        for one in self.history:
            one["IsPlayed"] = True
        events = [self.event(12)]
        if not self.history:
            events.append(self.started())
        in_order = sorted(messages, key=lambda one: not self.takes_number(one))
        events += [self.arrival(message) for message in in_order]
        self.history += events
        self.turns += 1
        way = self.host.way
        given: dict[str, Any] = {"events": events, "known": len(self.actions)}
        if len(self.history) == len(events) or way.sends_history or way.is_compared:
            given |= {"history": self.history, "start": self.start}
        if way.is_compared and self.turns > 1:
            # What was compared is not kept: run the turn before once more, for its executor.
            self.host.client.turn(self.name, self.key, events=[], history=before, start=self.start)
            given["is_compared"] = True
        answer = self.host.client.turn(self.name, self.key, **given)
        assert isinstance(answer, Turned), answer
        self.host.turns_seen.append((events, answer))
        if answer.difference is not None:
            self.differences.append(answer.difference)
        self.take(answer)
        self.host.watch(self, events, answer)
        return answer

    def started(self) -> Event:
        return self.event(
            0,
            OrchestrationInstance={"InstanceId": self.instance, "ExecutionId": self.execution},
            ParentInstance=None,
            Name=self.name,
            Version="",
            Input=json.dumps(self.start["input"]),
            Tags=None,
        )

    # ---------------------------------------------------------------------- what comes

    def takes_number(self, message: tuple[Any, ...]) -> bool:
        """Whether the package counts on, hidden, when it sees this."""
        if message[0] == "failed":
            return self.open[message[1]]["retried"] is not None
        if message[0] == "fired":
            retried = self.open[message[1]]["retried"]
            return retried is not None and not retried.is_last
        return False

    def arrival(self, message: tuple[Any, ...]) -> Event:
        match message:
            case ("event", name, text):
                return self.event(15, Name=name, Input=text)
            case ("fired", number):
                retried = self.open.pop(number)["retried"]
                if retried is not None and not retried.is_last:
                    retried.attempt += 1
                    self.attempt(retried)
                return self.event(11, TimerId=number, FireAt=None)
            case ("done", number, result):
                kind = self.open.pop(number)["completes"]
                return self.event(kind, TaskScheduledId=number, Result=result)
            case ("failed", number, reason, details):
                record = self.open.pop(number)
                retried = record["retried"]
                if retried is not None:
                    delay = 0.0 if retried.is_last else retried.delay_seconds
                    self.timer(self.now + delay, retried)
                return self.event(
                    record["completes"] + 1, TaskScheduledId=number, Reason=reason, Details=details
                )
            case other:
                raise AssertionError(other)

    # ------------------------------------------------------------------ what is asked for

    def take(self, answer: Turned) -> None:
        said = [msgspec.json.decode(one) for one in answer.actions]
        assert answer.first <= len(self.actions)
        again = said[: len(self.actions) - answer.first]
        for known, repeated in zip(self.actions[answer.first :], again, strict=True):
            assert known["actionType"] == repeated["actionType"]
        for action in said[len(again) :]:
            self.actions.append(action)
            self.schedule(len(self.actions) - 1, action)
        for place in set(answer.canceled) - self.canceled:
            number = self.actions[place]["number"]
            self.inbox = [one for one in self.inbox if one[2] != ("fired", number)]
            heapq.heapify(self.inbox)
        self.canceled = set(answer.canceled)

    def schedule(self, place: int, action: dict[str, Any]) -> None:
        match action["actionType"]:
            case 0 | 2:
                self.work(action, None)
            case 1 | 3:
                self.attempt(Retried(action))
            case 4:
                pass
            case 5:
                due = datetime.fromisoformat(action["fireAt"]) - BEGIN
                self.actions[place]["number"] = self.next_number
                self.timer(due.total_seconds(), None)
            case 6:
                self.wait(action["externalEventName"])
            case 8:
                content = {
                    "statusCode": 200,
                    "headers": {},
                    "content": action["httpRequest"]["uri"],
                }
                self.post(self.now, ("done", self.take_number(5, None), json.dumps(content)))
            case other:
                raise AssertionError(other)

    def take_number(self, completes: int, retried: Retried | None) -> int:
        number = self.next_number
        self.next_number += 1
        self.open[number] = {"completes": completes, "retried": retried}
        return number

    def timer(self, due: float, retried: Retried | None) -> None:
        self.post(due, ("fired", self.take_number(0, retried)))

    def wait(self, name: str) -> None:
        self.waiters[name] += 1
        for message in self.held:
            if message[1] == name:
                self.held.remove(message)
                self.post(self.now, message)
                return

    def attempt(self, retried: Retried) -> None:
        self.work(retried.action, retried)

    def work(self, action: dict[str, Any], retried: Retried | None) -> None:
        name = action["functionName"]
        if action["actionType"] in (0, 1):
            number = self.take_number(5, retried)
            self.post(self.now, self.activity(number, name, action["input"]))
        else:
            number = self.take_number(8, retried)
            self.post(self.now, self.child(number, action))

    def activity(self, number: int, name: str, text: str) -> tuple[Any, ...]:
        answer = self.host.client.activity(name, self.host.triggers[name], text)
        if isinstance(answer, Result):
            assert answer.value is not None
            return ("done", number, answer.value.json)
        assert isinstance(answer, Failed)
        said = f"{answer.error_type}: {answer.message}"
        return ("failed", number, f"Activity function '{name}' failed: {said}", answer.stack)

    def child(self, number: int, action: dict[str, Any]) -> tuple[Any, ...]:
        instance = action["instanceId"] or f"{self.execution}:{number}"
        outcome = self.host.run(
            action["functionName"], action["input"], instance, parent=self.instance
        )
        if outcome.error is not None:
            return ("failed", number, outcome.error, outcome.error)
        return ("done", number, json.dumps(outcome.output))
