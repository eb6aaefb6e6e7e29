"""What the steps of a run are called. Pure."""

from typing import Final

from tenuto.insight.steps import Step, StepKind
from tenuto.insight.wording import duration, local, one_line
from tenuto.model.built_in import plain_name
from tenuto.model.events import TimerPurpose
from tenuto.model.timing import MICROSECONDS

_HOUR: Final = 3600 * MICROSECONDS
_DAY: Final = 24 * _HOUR
_NEARLY_A_YEAR: Final = 300 * _DAY

TIMERS: Final[dict[TimerPurpose, str]] = {
    "timer": "timer",
    "timeout": "timeout",
    "poll": "pause before a poll",
    "retry": "pause before a retry",
}
"""What a timer is called, by its purpose."""


def step_label(step: Step) -> str:
    """What a step is, in a few words."""
    name = one_line(step.name)
    match step.kind:
        case StepKind.TIMER:
            return f"{TIMERS[step.purpose]} {_timer(step)}"
        case StepKind.EVENT if step.place:
            return event_of_topic(step.name, step.key)
        case StepKind.EVENT:
            return f"event {name!r}"
        case StepKind.QUESTION:
            return f"question {name!r}"
        case StepKind.MESSAGE if step.place == "queue":
            return f"message to queue {name!r}"
        case StepKind.MESSAGE if step.place:
            key = f", with key {one_line(step.key)!r}" if step.key else ""
            return f"event to topic {name!r}{key}"
        case StepKind.MESSAGE:
            return f"event {name!r} to {one_line(step.instance_id or '')}"
        case StepKind.ACTIVITY:
            return plain_name(name)
        case StepKind.CHILD:
            return name


def event_of_topic(topic: str, key: str) -> str:
    """What an event of a topic is called by who waits for it."""
    return f"event of topic {one_line(topic)!r} with key {one_line(key)!r}"


def _timer(step: Step) -> str:
    due_at = step.due_at or step.begun_at
    length = due_at - step.begun_at
    if length < _HOUR:
        return duration(length)
    if length < _DAY:
        return f"until {local(due_at):%H:%M}"
    if length < _NEARLY_A_YEAR:
        return f"until {local(due_at):%a %d %b %H:%M}"
    return f"until {local(due_at):%d %b %Y %H:%M}"
