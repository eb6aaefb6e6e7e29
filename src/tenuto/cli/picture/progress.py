"""A run in plain lines, one for each thing that happens, for logs and pipes. Pure."""

from typing import Final

from tenuto.cli.picture.items import step_facts
from tenuto.insight.labels import step_label
from tenuto.insight.steps import Run, Step, StepKind, StepState
from tenuto.insight.wording import duration
from tenuto.model.hold import Hold

_WORDS: Final = {
    StepState.RUNNING: "started",
    StepState.WAITING: "waiting",
    StepState.RETRYING: "retrying",
    StepState.COMPLETED: "completed",
    StepState.FAILED: "failed",
    StepState.CANCELED: "canceled",
    StepState.UNREAD: "received",
}
_ARRIVALS: Final = {StepKind.EVENT: "received", StepKind.MESSAGE: "sent"}

_Key = tuple[str, int, str]


class Progress:
    """Tells what is new in each picture of a run. A step seen only at its end has one line."""

    def __init__(self) -> None:
        self._seen: dict[_Key, tuple[StepState, int, bool]] = {}
        self._holds: dict[str, Hold | None] = {}

    def lines(self, run: Run) -> list[str]:
        """What has happened since the last call, in the order of time."""
        news = self._news(run, "")
        news.sort(key=lambda one: one[0])
        began = run.record.created_at
        return [f"{duration(time - began):>12}  {text}" for time, text in news]

    def _news(self, run: Run, path: str) -> list[tuple[int, str]]:
        news = []
        hold = run.record.hold
        if hold != self._holds.get(path):
            self._holds[path] = hold
            if hold is not None:
                news.append((hold.since, f"{'held':<9}  {path}{hold.reason}: {hold.message}"))
        for step in run.steps:
            key = (path, step.number, step.name)
            stands = (step.state, step.attempt, bool(step.url) and step.state.is_open)
            if self._seen.get(key) != stands:
                self._seen[key] = stands
                news.append((step.changed_at, _line(step, path)))
            if step.run is not None:
                news += self._news(step.run, f"{path}{_called(step)} > ")
        return news


def _line(step: Step, path: str) -> str:
    word = _WORDS[step.state]
    if step.state is StepState.COMPLETED:
        word = _ARRIVALS.get(step.kind, word)
    parts = [f"{word:<9}  {path}{_called(step)}"]
    if facts := step_facts(step):
        parts.append(", ".join(facts))
    if step.due_at is not None and step.state is StepState.RETRYING:
        parts.append(f"(again in {duration(step.due_at - step.changed_at)})")
    if step.ended_at is not None and step.ended_at > step.begun_at:
        parts.append(f"({duration(step.ended_at - step.begun_at)})")
    return "  ".join(parts)


def _called(step: Step) -> str:
    """Calls carry the number that they have in the history: one function may be called often."""
    label = step_label(step)
    return f"{label}#{step.number}" if step.kind in _CALLS else label


_CALLS: Final = {StepKind.ACTIVITY, StepKind.CHILD}
