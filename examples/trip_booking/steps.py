"""What happened, read from the store by a process that is not the host.

Turns the history of a tree of instances into steps that can be drawn and checked. Works the same
while a host runs, while none does, and after everything has ended.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tenuto import Client, RuntimeStatus
from tenuto.model.events import (
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCreated,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)

MICROSECONDS = 1_000_000


@dataclass
class Step:
    """One call of an activity, with all its attempts. Times are seconds since 1970."""

    key: str
    name: str
    subject: str
    began: float
    attempts: int = 1
    ended: float | None = None
    error: str = ""
    result: str | None = None
    answers: dict[int, int] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.result is not None

    @property
    def is_answered_once(self) -> bool:
        """Whether each attempt that history scheduled has exactly one answer there."""
        return all(count == 1 for count in self.answers.values())


@dataclass
class Instance:
    """An orchestration with its steps."""

    instance_id: str
    name: str
    subject: str
    status: RuntimeStatus
    steps: list[Step]
    children: list[str]
    output: object


async def read_tree(client: Client, instance_id: str) -> AsyncIterator[Instance]:
    """An instance and everything below it, parents first."""
    status = await client.get_status(instance_id)
    if status is None:
        return
    history = await client.history(instance_id)
    children: list[str] = [
        event.instance_id for event in history if isinstance(event, SubOrchestrationInstanceCreated)
    ]
    yield Instance(
        instance_id,
        status.name,
        _subject(status.input),
        status.runtime_status,
        list(_steps(history, status.execution_id).values()),
        children,
        status.output,
    )
    for child in children:
        async for instance in read_tree(client, child):
            yield instance


def _steps(history: list[HistoryEvent], execution_id: str) -> dict[int, Step]:
    steps: dict[int, Step] = {}
    step_of: dict[int, Step] = {}
    now = 0.0
    for event in history:
        if isinstance(event, OrchestratorStarted):
            now = event.timestamp / MICROSECONDS
        elif isinstance(event, TaskScheduled):
            first = event.event_id if event.call_id is None else event.call_id
            if first not in steps:
                subject = _subject(None if event.input is None else json.loads(event.input))
                # The key that the activity hands to the booking office.
                steps[first] = Step(f"{execution_id}:{first}", event.name, subject, now)
            step = step_of[event.event_id] = steps[first]
            step.attempts = event.attempt
            step.ended = None
            step.answers[event.event_id] = 0
        elif isinstance(event, TaskCompleted | TaskFailed):
            step = step_of[event.task_scheduled_id]
            step.answers[event.task_scheduled_id] += 1
            step.ended = now
            if isinstance(event, TaskCompleted):
                step.result = event.result
            else:
                step.error = event.failure_details.error_message
    return steps


def _subject(value: object) -> str:
    """What an input is about, in a word or two."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return str(value.get("name") or value.get("what") or "")
    return ""
