"""One execution of an orchestrator, run by the package's own classes.

A turn makes one call into the package. Either the executor is made and fed the whole history (the
stateless call of the contract), or it was kept and is fed what is new. What the orchestrator sees
is the same both ways: the clock, its GUIDs, ``is_replaying`` and the history. That is why what a
replay would have marked as played is marked here as soon as its turn is over.
"""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .exception_texts import message_of
from .sizes import cut
from .waits import Event, OpenWaits, feed_held

# With its line ends, which JSON has only in another spelling: in the state it cannot stand.
LABEL = "\n\n$OutOfProcData$:"
_CREATE_TIMER = 5
_WAIT_FOR_EVENT = 6
_ORCHESTRATOR_STARTED = 12
_EXECUTION_STARTED = 0
_EVENT_RAISED = 15
_WAIT_FOR_EVENT = 6


class Turned:
    """What a turn has come to.

    Attributes:
        state: The contract's answer, without its actions.
        actions: Those that were asked for, as JSON.
        canceled: The places of timers that were canceled.
        fed: The places of the held events that the package was told.
    """

    def __init__(
        self,
        state: dict[str, Any],
        actions: Sequence[Any],
        canceled: Sequence[int],
        fed: Sequence[int] = (),
    ) -> None:
        self.state = state
        self.actions = actions
        self.canceled = canceled
        self.fed = fed

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended, one way or the other."""
        return bool(self.state["isDone"] or "error" in self.state)

    def message(self) -> dict[str, Any]:
        """The members of ``turned`` that do not depend on what the host knows."""
        return {
            "isDone": bool(self.state["isDone"]),
            "canceled": list(self.canceled) or None,
            "output": _text(self.state, "output"),
            "customStatus": _text(self.state, "customStatus"),
            "error": cut(self.state["error"]) if self.state.get("error") else None,
            "fed": list(self.fed) or None,
        }


def _text(state: dict[str, Any], member: str) -> str | None:
    return json.dumps(state[member]) if member in state else None


def payload(start: dict[str, Any], history: Sequence[Event]) -> str:
    """The text of the contract: everything that an orchestrator function is called with."""
    episodes = [
        place for place, event in enumerate(history) if event["EventType"] == _ORCHESTRATOR_STARTED
    ]
    was_played = any(
        event.get("IsPlayed") for event in history if event["EventType"] == _EXECUTION_STARTED
    )
    is_replaying = was_played or len(episodes) > 1
    return json.dumps({"isReplaying": is_replaying, **start, "history": list(history)})


def answer_of(call: Callable[[], str]) -> dict[str, Any]:
    """The contract's answer, from what a call returns or from the text of what it raises.

    Raises:
        Exception: the package could not run the orchestrator.
    """
    try:
        text = call()
    except Exception as error:
        state = _state_in(message_of(error))
        if state is None:
            raise
        return state
    return dict(json.loads(text))


def _state_in(text: str) -> dict[str, Any] | None:
    """The answer that the package has put behind an error's text; None where there is none."""
    _, label, rest = text.rpartition(LABEL)
    with suppress(ValueError):
        state = json.loads(rest) if label else None
        if isinstance(state, dict):
            return state
    return None


class PlainCall:
    """An orchestrator that is only known as the function that the contract describes."""

    def __init__(self, wrapper: Callable[[Any], str]) -> None:
        self._wrapper = wrapper

    def run(self, text: str) -> Turned:
        """A turn, from the whole history.

        Raises:
            Exception: the package could not run the orchestrator.
        """
        context = importlib.import_module("azure.functions").OrchestrationContext(text)
        state = answer_of(lambda: self._wrapper(context))
        actions = list(_leaves(one for inner in state.pop("actions") for one in inner))
        canceled = [place for place, one in enumerate(actions) if one.get("isCanceled")]
        return Turned(state, actions, canceled)


def _leaves(actions: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for action in actions:
        inner = action.get("compoundActions")
        if inner is None:
            yield action
        else:
            yield from _leaves(inner)


class Execution:
    """An orchestrator and the executor that runs it, which may be kept between turns.

    Args:
        wrapper: What the package's decorator has made of the orchestrator.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._context: Any = None
        self._executor: Any = None
        self._completed = _Completed(list)
        self._fresh: list[Any] = []
        self._event_class: Any = None
        self._raised: Exception | None = None
        self._actions: list[Any] = []
        self._seen: set[int] = set()
        self._top = 0
        self._written = 0
        self._open_timers: list[tuple[int, Any]] = []
        self._canceled: list[int] = []
        self._waits = OpenWaits()

    def run(
        self, text: str, history: Sequence[Event], held: Sequence[dict[str, Any]] = ()
    ) -> Turned:
        """The first turn here, from the whole history, and what is held and waited for by then.

        Raises:
            Exception: the package could not run the orchestrator.
        """
        package = importlib.import_module("azure.durable_functions")
        context = package.DurableOrchestrationContext.from_json(text)
        context._input_expected_type = getattr(self._wrapper, "_df_input_type", None)
        self._context = context
        self._completed.update(context.open_tasks)
        context.open_tasks = self._completed
        orchestrator = package.Orchestrator(self._begin)
        self._executor = orchestrator.task_orchestration_executor
        self._fresh = list(context.histories)
        self._event_class = type(self._fresh[0])
        try:
            state = answer_of(lambda: orchestrator.handle(context))
        except Exception as error:
            if error is not self._raised:
                raise
            state = {"isDone": False, "error": message_of(error) or str(type(error))}
        return self._turned(state, history, held)

    def _begin(self, context: Any) -> Any:
        """The orchestrator, of which one without ``yield`` is over when it returns.

        The package lets through what it raises then, as if it had failed itself.
        """
        try:
            return self._wrapper.orchestrator_function(context)
        except Exception as error:
            self._raised = error
            raise

    def feed(self, events: Sequence[Event], held: Sequence[dict[str, Any]] = ()) -> Turned:
        """A further turn, from what came since the one before, and what is held.

        Raises:
            Exception: the package could not run the orchestrator.
        """
        executor = self._executor
        self._fresh = [self._event_class(**event) for event in events]
        self._context.histories.extend(self._fresh)
        executor._is_processing_new_events = True
        for event in self._fresh:
            executor.process_event(event)
            if executor.has_execution_completed:
                break
        return self._turned(answer_of(self._state), events, held)

    def actions(self, first: int) -> list[Any]:
        """Its actions from a place on, as JSON."""
        return [action.to_json() for action in self._actions[first:]]

    @property
    def action_count(self) -> int:
        return len(self._actions)

    def close(self) -> None:
        """The orchestrator is not needed any more: have it leave its ``finally`` blocks now."""
        generator = getattr(self._executor, "generator", None)
        if generator is not None:
            # As when a replay's generator is thrown away: nobody hears of it.
            with suppress(BaseException):
                generator.close()

    def _state(self) -> str:
        """The package's own word on outcome and status, without writing all actions once more.

        Those that are new it does write: it has words of its own for what is no JSON.
        """
        context = self._context
        actions = context._action_payload_v2
        context._action_payload_v2 = actions[self._written :]
        self._written = len(actions)
        try:
            return str(self._executor.get_orchestrator_state_str())
        finally:
            context._action_payload_v2 = actions

    def _turned(
        self, state: dict[str, Any], events: Sequence[Event], held: Sequence[dict[str, Any]]
    ) -> Turned:
        self._meet_new()
        self._waits.tell(events)
        fed: list[int] = []
        if held and not Turned(state, (), ()).is_over:
            fed = feed_held(held, self._waits, self._feed_one)
            if fed:
                state = answer_of(self._state)
        state.pop("actions", None)
        self._written = self._top
        self._meet_cancellations()
        self._mark_as_played()
        return Turned(state, (), self._canceled, fed)

    def _feed_one(self, event: Event) -> bool:
        """An event that was held: one more of this turn. False when the execution is over."""
        executor = self._executor
        one = self._event_class(**event)
        self._fresh.append(one)
        self._context.histories.append(one)
        executor.process_event(one)
        self._meet_new()
        return not executor.has_execution_completed

    def _meet_new(self) -> None:
        (top,) = self._context._actions
        for action in top[self._top :]:
            self._meet(action)
        self._top = len(top)

    def _meet(self, action: Any) -> None:
        """Number an action, or what it is made of, unless it was seen."""
        inner = getattr(action, "compound_tasks", None)
        if inner is not None:
            for one in inner:
                self._meet(one)
        elif id(action) not in self._seen:
            self._seen.add(id(action))
            if action.action_type == _CREATE_TIMER:
                self._open_timers.append((len(self._actions), action))
            elif action.action_type == _WAIT_FOR_EVENT:
                self._waits.add(action.external_event_name)
            self._actions.append(action)

    def _meet_cancellations(self) -> None:
        still_open = []
        for place, timer in self._open_timers:
            if timer.is_cancelled:
                self._canceled.append(place)
            else:
                still_open.append((place, timer))
        self._open_timers = still_open
        self._canceled.sort()

    def _mark_as_played(self) -> None:
        """From the next turn on, all of this one is replay."""
        for event in self._fresh:
            event._is_played = True
        for task in self._completed.taken:
            one = task
            # What is complete is told to the compound task that it is part of, and so on.
            while one is not None and (one is not task or one.is_completed):
                one.set_is_played(True)
                one = one.parent if one.is_completed else None
        self._completed.taken.clear()


class _Completed(defaultdict[Any, Any]):
    """The package's table of open tasks, which remembers what was taken out: that is complete."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        super().__init__(factory)
        self.taken: list[Any] = []

    def pop(self, key: Any, *default: Any) -> Any:
        taken = super().pop(key, *default)
        if isinstance(taken, list):
            # Several wait for an event of one name: the last of them gets it.
            self.taken += taken[-1:]
        else:
            self.taken.append(taken)
        return taken


@dataclass(frozen=True)
class Known:
    """Which of the package's classes are inside as they are known here.

    Attributes:
        actions: Whether a context has the actions of its orchestrator, each as one object.
        executors: Whether an executor goes on from where it was.
    """

    actions: bool = False
    executors: bool = False


def look_inside() -> Known:
    """Run an orchestrator of two turns, and look at what the package's classes say.

    Whatever is different in them, the call that the contract describes is still right.
    """
    execution = Execution(_Probe())
    known = Known()
    with suppress(Exception):
        execution.run(payload(_PROBE_START, _PROBE_EVENTS[:2]), _PROBE_EVENTS[:2])
        kinds = [action["actionType"] for action in execution.actions(0)]
        known = Known(actions=kinds == [_CREATE_TIMER, _WAIT_FOR_EVENT])
        output = execution.feed(_PROBE_EVENTS[2:]).state.get("output")
        known = Known(actions=known.actions, executors=known.actions and output == [1, False])
    return known


_PROBE_START: dict[str, Any] = {
    "input": None,
    "instanceId": "probe",
    "parentInstanceId": None,
    "upperSchemaVersion": 1,
    "upperSchemaVersionNew": 3,
}
_PROBE_EVENTS: list[Event] = [
    {"EventId": -1, "IsPlayed": False, "Timestamp": "2020-01-01T00:00:00.000000Z", **event}
    for event in (
        {"EventType": _ORCHESTRATOR_STARTED},
        {"EventType": _EXECUTION_STARTED, "Name": "probe", "Version": ""},
        {"EventType": _ORCHESTRATOR_STARTED},
        {"EventType": _EVENT_RAISED, "Name": "go", "Input": "1"},
    )
]


class _Probe:
    """An orchestrator for ``look_inside``, in the form that the package's decorator gives it."""

    @staticmethod
    def orchestrator_function(context: Any) -> Any:
        timer = context.create_timer(context.current_utc_datetime)
        event = context.wait_for_external_event("go")
        first = yield context.task_any([timer, event])
        timer.cancel()
        return [first.result, context.is_replaying]
