"""A package of Durable Functions in little: it counts as the real ones do (specs: what is counted).

A program is a list of steps, each a list of tasks of which all or any are awaited. What completes a
task carries what the task is, so an answer that comes to the wrong number is seen at once.
"""

import json
from collections import deque
from collections.abc import Sequence
from typing import Any

from msgspec import Raw, Struct

from tenuto.interop.contract.dialect import Dialect
from tenuto.interop.contract.events import moment_text
from tenuto.interop.contract.rebuilding import rebuilding
from tenuto.interop.contract.session import ContractSession
from tenuto.interop.workers.errands import TurnRequest
from tenuto.interop.workers.protocol import Turned
from tenuto.model.events import HistoryEvent

ACTIONS = {
    "activity": 0,
    "retried": 1,
    "child": 2,
    "retried_child": 3,
    "timer": 5,
    "event": 6,
    "entity": 7,
    "http": 8,
}
Event = dict[str, Any]


def rebuild(session: ContractSession, turns: Sequence[Sequence[HistoryEvent]]) -> None:
    """Bring a fresh session to where its history ends, at once."""
    session.put_off(rebuilding(session, turns))
    session.rebuild()


class TaskPlan(Struct, frozen=True):
    """One task: its kind, and a number that makes its name, its attempts or its seconds.

    ``attempts``, when there are any, are so many in place of the number.
    """

    kind: str
    number: int = 1
    has_timeout: bool = False
    attempts: int = 0

    @property
    def most_attempts(self) -> int:
        return self.attempts or self.number


class Step(Struct, frozen=True):
    """Tasks that are awaited together; ``cancels`` the timers among them that are left over."""

    tasks: tuple[TaskPlan, ...]
    is_any: bool = False
    cancels: bool = False


class Task:
    """A task of a running program."""

    def __init__(self, plan: TaskPlan) -> None:
        self.plan = plan
        self.attempt = 1
        self.place = -1
        self.outcome: str | None = None
        self.is_canceled = False

    @property
    def name(self) -> str:
        return f"{self.plan.kind}{self.plan.number}"


class Package:
    """One execution of a program.

    Args:
        program: Its steps.
        dialect: Whose package it is.
    """

    def __init__(self, program: tuple[Step, ...], dialect: Dialect) -> None:
        self._steps = deque(program)
        self._all = len(program)
        self._dialect = dialect
        self.number = 0
        self.open: dict[object, Task] = {}
        self.waits: dict[str, list[Task]] = {}
        self.actions: list[tuple[Task, Event]] = []
        self.told: list[str] = []
        self.misfits: list[Event] = []
        self.now = ""
        self._step: Step | None = None
        self._tasks: list[Task] = []
        self.is_done = False

    # --- events -----------------------------------------------------------------------------------

    def take(self, event: Event) -> None:
        """Run through one event; like the real ones, without a word on what fits nothing."""
        if not self._fits(event):
            self.misfits.append(event)
            return
        match event["EventType"]:
            case 12:
                self.now = event["Timestamp"]
            case 0:
                self._next_step()
            case 5 | 8:
                self._completed(event)
            case 6 | 9:
                self._failed(event)
            case 11:
                self._fired(event)
            case 14:
                self.open[json.loads(event["Input"])["id"]] = self.open.pop(event["EventId"])
            case 15:
                self._raised(event)
            case _:
                pass

    def _fits(self, event: Event) -> bool:
        """Whether what it says is of the task that has its number."""
        kind = event["EventType"]
        if kind == 15:
            return bool(self.waits.get(event["Name"])) or event["Name"] in self.open
        keys = {5: "TaskScheduledId", 6: "TaskScheduledId", 8: "TaskScheduledId"}
        keys |= {9: "TaskScheduledId", 11: "TimerId", 14: "EventId"}
        if kind not in keys:
            return True
        task = self.open.get(event[keys[kind]])
        if task is None:
            return False
        if kind in {6, 9}:
            return task.name in str(event["Reason"])
        if kind not in {5, 8}:
            return (task.plan.kind == "entity") is bool(kind == 14)
        result = json.loads(event["Result"])
        return isinstance(result, dict) if task.plan.kind == "http" else bool(result == task.name)

    def _completed(self, event: Event) -> None:
        number = event["TaskScheduledId"]
        task = self.open.pop(number)
        if task.plan.kind == "http":
            answer = json.loads(event["Result"])
            if self._dialect.polls and answer["statusCode"] == 202:
                self.open[self._take()] = task
                self.open[self._take()] = task
                return
            self._end(task, "http")
            return
        self._end(task, task.name)

    def _failed(self, event: Event) -> None:
        task = self.open.pop(event["TaskScheduledId"])
        if task.plan.kind.startswith("retried"):
            self.open[self._take()] = task
        else:
            self._end(task, "failed")

    def _fired(self, event: Event) -> None:
        task = self.open.pop(event["TimerId"])
        if task.plan.kind == "timer":
            self._end(task, "fired")
        elif task.plan.kind.startswith("retried"):
            if task.attempt < task.plan.most_attempts:
                task.attempt += 1
                self.open[self._take()] = task
            else:
                self._end(task, "failed")

    def _raised(self, event: Event) -> None:
        waits = self.waits.get(event["Name"])
        if waits:
            task = waits.pop()
            self._end(task, event["Input"])
            return
        task = self.open.pop(event["Name"])
        assert task.plan.kind == "entity"
        self._end(task, "refused")

    # --- the program ------------------------------------------------------------------------------

    def _end(self, task: Task, outcome: str) -> None:
        task.outcome = outcome
        self.told.append(f"{task.name}={outcome}")
        step = self._step
        if self.is_done or step is None or task not in self._tasks:
            return
        ended = [one for one in self._tasks if one.outcome is not None]
        if step.is_any or len(ended) == len(self._tasks) or outcome == "failed":
            if step.cancels:
                for one in self._tasks:
                    one.is_canceled = one.plan.kind == "timer" and one.outcome is None
            self._next_step()

    def _next_step(self) -> None:
        if not self._steps:
            self.is_done = True
            return
        self._step = self._steps.popleft()
        self._tasks = [Task(one) for one in self._step.tasks]
        for task in self._tasks:
            self._ask(task)

    def _ask(self, task: Task) -> None:
        plan = task.plan
        action: Event = {"actionType": ACTIONS[plan.kind]}
        if plan.kind == "event":
            action["externalEventName"] = f"Go{plan.number}"
            self.waits.setdefault(f"Go{plan.number}", []).append(task)
        else:
            self.open[self._take()] = task
            action |= self._members(task)
        task.place = len(self.actions)
        self.actions.append((task, action))

    def _members(self, task: Task) -> Event:
        plan = task.plan
        if plan.kind == "timer":
            return {"fireAt": moment_text(plan.number * 1_000_000)}
        if plan.kind == "http":
            return {"httpRequest": {"method": "GET", "uri": "https://x/"}}
        if plan.kind == "entity":
            return {"instanceId": "@e@k", "operation": "add", "input": "1"}
        members: Event = {"functionName": task.name, "input": json.dumps("x")}
        if plan.kind == "child" and plan.number == 2:
            members["instanceId"] = "chosen"
        if plan.kind.startswith("retried"):
            members["retryOptions"] = {
                "firstRetryIntervalInMilliseconds": 1000,
                "maxNumberOfAttempts": plan.most_attempts,
                "retryTimeoutInMilliseconds": 1500 if plan.has_timeout else None,
            }
        return members

    def _take(self) -> int:
        self.number += 1
        return self.number - 1

    @property
    def begun(self) -> int:
        """How many steps are not left to do."""
        return self._all - len(self._steps)

    @property
    def canceled(self) -> list[int]:
        return [task.place for task, _ in self.actions if task.is_canceled]


class PackageWorker:
    """Runs turns of one program, as a worker does.

    Args:
        program: Its steps.
        dialect: Whose package it is.
        keeps: Whether executors stay alive, and events that came early are fed.
    """

    def __init__(self, program: tuple[Step, ...], dialect: Dialect, *, keeps: bool) -> None:
        self.program = program
        self._dialect = dialect
        self._keeps = keeps
        self._kept: dict[int, Package] = {}
        self.last: Package | None = None
        self.asked = 0

    def take(self, request: TurnRequest, answered: Any) -> None:  # noqa: ANN401 - a callback
        """Have a turn run, at once."""
        self.asked += 1
        events = request.events
        if request.history is None:
            package = self._kept[request.key]
        else:
            package, events = Package(self.program, self._dialect), request.history
        for event in events:
            if not package.is_done:
                package.take(json.loads(bytes(event)))
        fed = self._feed(package, request) if self._keeps else []
        self.last = package
        self._kept[request.key] = package
        first = request.known if request.history is None else 0
        answered(
            Turned(
                0,
                package.is_done,
                [Raw(json.dumps(action).encode()) for _, action in package.actions[first:]],
                first,
                package.canceled,
                json.dumps(package.told) if package.is_done else None,
                is_kept=self._keeps,
                fed=fed,
            )
        )

    @staticmethod
    def _feed(package: Package, request: TurnRequest) -> list[int]:
        fed: list[int] = []
        while not package.is_done:
            for place, one in enumerate(request.held):
                name = one.name.capitalize()
                if place not in fed and package.waits.get(name):
                    fed.append(place)
                    package.take({**json.loads(bytes(one.event)), "Name": name})
                    break
            else:
                break
        return fed

    def forget(self, key: int) -> None:
        """A session is closed."""
        self._kept.pop(key, None)
