"""Runs, turns and forms as they stand in answers. Pure data. Absent means default."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Raw, Struct

from tenuto.insight.forms import Sendable
from tenuto.insight.past import Moment
from tenuto.insight.step_events import StepEvent
from tenuto.insight.steps import Attempt, Run, Step
from tenuto.insight.turn_words import TurnWords
from tenuto.model.code_frames import CodeFrame, CodeTask
from tenuto.model.codec import encode
from tenuto.model.events import TimerPurpose
from tenuto.model.failure import FailureDetails
from tenuto.model.form import Form
from tenuto.model.hold import Hold
from tenuto.model.status import InstanceRecord
from tenuto.model.timing import Microseconds

_MOST_WORDS = 20
_MOST_TEXTS = 200


class _Body(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Fields in camelCase, as everywhere over HTTP."""


class AttemptBody(_Body, frozen=True, kw_only=True):
    """One attempt of a call. Times are microseconds since 1970 UTC.

    Attributes:
        attempt: Which one, from 1.
        begun_at: The time of the turn that decided it.
        ended_at: The time of the turn that learned of its end.
        failure: Why it failed.
    """

    attempt: int
    begun_at: Microseconds
    ended_at: Microseconds | None = None
    failure: FailureDetails | None = None

    @classmethod
    def of(cls, one: Attempt) -> "AttemptBody":
        """The body for an attempt."""
        return cls(
            attempt=one.attempt, begun_at=one.begun_at, ended_at=one.ended_at, failure=one.failure
        )


class StepBody(_Body, frozen=True, kw_only=True):
    """One thing that an orchestrator did or waits for. Times are microseconds since 1970 UTC.

    Attributes:
        number: The event id of the call or wait; below zero for events that nobody awaited when
            they arrived.
        kind: What it is.
        name: Of the function or event, the title of a question; empty for timers.
        state: How it stands.
        begun_at: The time of the turn that decided it.
        changed_at: The time of the turn that brought it to its state and attempt.
        ended_at: The time of the turn that learned of its end.
        turn: Which turn decided it, from 1; 0 for what earlier generations have left.
        ended_turn: Which turn learned of its end.
        attempt: Which attempt is or was the last.
        attempts: Each attempt, of a call that had more than one.
        due_at: When a timer fires, the next attempt begins, or a wait for an event is given up.
        purpose: Of a timer.
        is_expired: A wait for an event that ended because its time was over.
        failure: Of the last attempt that failed.
        instance_id: The child, or the receiver of a message.
        is_detached: A child whose result nobody waits for.
        request: What an HTTP call of Tenuto's own asks for.
        url: Where a question is answered.
        place: ``topic`` or ``queue``, where a message went or an event is to come from.
        key: Of an event of a topic, where it has one.
        call: What an activity does that Tenuto itself has, in words.
        run: What the child did, when that was read.
    """

    number: int
    kind: Literal["activity", "orchestration", "timer", "event", "question", "message"]
    name: str = ""
    state: Literal["running", "waiting", "retrying", "completed", "failed", "canceled", "unread"]
    begun_at: Microseconds
    changed_at: Microseconds
    ended_at: Microseconds | None = None
    turn: int = 0
    ended_turn: int | None = None
    attempt: int = 1
    attempts: Sequence[AttemptBody] = ()
    due_at: Microseconds | None = None
    purpose: TimerPurpose = "timer"
    is_expired: bool = False
    failure: FailureDetails | None = None
    instance_id: str | None = None
    is_detached: bool = False
    request: str = ""
    url: str = ""
    place: str = ""
    key: str = ""
    call: str = ""
    run: "RunBody | None" = None

    @classmethod
    def of(cls, step: Step) -> "StepBody":
        """The body for a step, with what is below it."""
        attempts = step.attempts if len(step.attempts) > 1 else ()
        return cls(
            number=step.number,
            kind=step.kind.value,
            name=step.name,
            state=step.state.value,
            begun_at=step.begun_at,
            changed_at=step.changed_at,
            ended_at=step.ended_at,
            turn=step.turn,
            ended_turn=step.ended_turn,
            attempt=step.attempt,
            attempts=tuple(AttemptBody.of(one) for one in attempts),
            due_at=step.due_at,
            purpose=step.purpose,
            is_expired=step.is_expired,
            failure=step.failure,
            instance_id=step.instance_id,
            is_detached=step.is_detached,
            request=step.request,
            url=step.url,
            place=step.place,
            key=step.key,
            call=step.call,
            run=None if step.run is None else RunBody.of(step.run),
        )


class RecordBody(_Body, frozen=True, kw_only=True):
    """What is said of the instance of a run. Times are microseconds since 1970 UTC.

    Attributes:
        instance_id: Its id.
        name: Its orchestrator.
        status: Its runtime status, in Durable Functions' spelling.
        created_at: When it was created.
        updated_at: When it last changed.
        completed_at: When it ended.
        generation: How often it has continued as new, or was replaced.
        execution_id: Its current execution.
        version: What it was started with.
        tags: Labels.
        parent_instance_id: Who waits for its result.
        failure: Why it failed.
        hold: Why it cannot go on.
        custom_status: As JSON text.
    """

    instance_id: str
    name: str
    status: str
    created_at: Microseconds
    updated_at: Microseconds = 0
    completed_at: Microseconds | None = None
    generation: int = 0
    execution_id: str
    version: str | None = None
    tags: dict[str, str] | None = None
    parent_instance_id: str | None = None
    failure: FailureDetails | None = None
    hold: Hold | None = None
    custom_status: str | None = None

    @classmethod
    def of(cls, record: InstanceRecord) -> "RecordBody":
        """The body for a row."""
        return cls(
            instance_id=record.instance_id,
            name=record.name,
            status=record.status.label,
            created_at=record.created_at,
            updated_at=record.updated_at,
            completed_at=record.completed_at,
            generation=record.generation,
            execution_id=record.execution_id,
            version=record.version,
            tags=record.tags,
            parent_instance_id=None if record.parent is None else record.parent.instance_id,
            failure=record.failure,
            hold=record.hold,
            custom_status=record.custom_status,
        )


class RunBody(_Body, frozen=True, kw_only=True):
    """An instance and the steps of its current execution, in the order of their beginning.

    Attributes:
        record: The instance.
        pause_reason: Why it was suspended, where somebody said so.
        untaken: Messages in its inbox that it would take in now.
        steps: What it did and waits for.
    """

    record: RecordBody
    pause_reason: str = ""
    untaken: int = 0
    # An empty list is a run that has done nothing; it is no default.
    steps: Sequence[StepBody]

    @classmethod
    def of(cls, run: Run) -> "RunBody":
        """The body for a run."""
        return cls(
            record=RecordBody.of(run.record),
            pause_reason=run.pause_reason,
            untaken=run.untaken,
            steps=tuple(StepBody.of(one) for one in run.steps),
        )


class StepEventBody(_Body, frozen=True, kw_only=True):
    """One event of a step.

    Attributes:
        turn: Which one it belongs to, from 1; 0 for what earlier generations have left.
        at: The time of that turn, in microseconds since 1970 UTC.
        event: As it stands in the history: payloads are JSON text.
    """

    turn: int
    at: Microseconds
    event: Raw


class StepEventsBody(_Body, frozen=True, kw_only=True):
    """What one step took in and brought out.

    Attributes:
        number: Of the step.
        generation: The generation of the instance.
        events: Those that are about it, in their order.
    """

    number: int
    generation: int
    events: Sequence[StepEventBody]

    @classmethod
    def of(cls, number: int, generation: int, events: Sequence[StepEvent]) -> "StepEventsBody":
        """The body for the events of a step."""
        shown = tuple(
            StepEventBody(turn=one.turn, at=one.at, event=Raw(encode(one.event))) for one in events
        )
        return cls(number=number, generation=generation, events=shown)


class TurnBody(_Body, frozen=True, kw_only=True):
    """A turn in words.

    Attributes:
        turn: Which one, from 1.
        at: Its time, in microseconds since 1970 UTC.
        events: How many events it has.
        summary: What came in and what was decided, as far as that is few words.
    """

    turn: int
    at: Microseconds
    events: int
    summary: Sequence[str]

    @classmethod
    def of(cls, words: TurnWords) -> "TurnBody":
        """The body for a turn."""
        told = _bounded((*words.arrived, *words.decided), _MOST_WORDS)
        return cls(turn=words.turn, at=words.at, events=words.events, summary=told)


class TurnsBody(_Body, frozen=True, kw_only=True):
    """Turns of an execution.

    Attributes:
        generation: Which one.
        turns: Some of them, in their order; the page after the last one is empty.
    """

    generation: int
    turns: Sequence[TurnBody]


class WaitingStepBody(_Body, frozen=True, kw_only=True):
    """A step that something was still to come of.

    Attributes:
        kind: What it is.
        name: As of the step.
        number: Of the step.
    """

    kind: str
    name: str
    number: int


class MomentBody(_Body, frozen=True, kw_only=True):
    """What an orchestrator knew after one of its turns.

    Attributes:
        turn: Which one, from 1.
        at: Its time, in microseconds since 1970 UTC.
        generation: The generation.
        custom_status: As JSON text.
        arrived: What came in with the turn.
        decided: What was decided in it.
        steps: As they were then.
        waits: The open ones.
        frames: Where the orchestrator's code waited, the innermost function last; null when that
            cannot be shown.
        tasks: Where its other tasks waited.
        more_tasks: How many there are besides.
        why: Why ``frames`` is null.
        fits_through: The last turn that the code fits, when it does not fit all.
    """

    turn: int
    at: Microseconds
    generation: int
    custom_status: str | None = None
    arrived: Sequence[str]
    decided: Sequence[str]
    steps: Sequence[StepBody]
    waits: Sequence[WaitingStepBody]
    frames: Sequence[CodeFrame] | None
    tasks: Sequence[CodeTask] = ()
    more_tasks: int = 0
    why: str = ""
    fits_through: int | None = None

    @classmethod
    def of(cls, moment: Moment) -> "MomentBody":
        """The body for what was so after a turn."""
        words, places = moment.words, moment.places
        waits = tuple(
            WaitingStepBody(kind=one.kind.value, name=one.name, number=one.number)
            for one in moment.run.open_steps()
        )
        return cls(
            turn=words.turn,
            at=words.at,
            generation=moment.generation,
            custom_status=moment.custom_status,
            arrived=_bounded(words.arrived, _MOST_TEXTS),
            decided=_bounded(words.decided, _MOST_TEXTS),
            steps=tuple(StepBody.of(one) for one in moment.run.steps),
            waits=waits,
            frames=None if places is None else places.frames,
            tasks=() if places is None else places.tasks,
            more_tasks=0 if places is None else places.more_tasks,
            why=moment.why,
            fits_through=moment.fits_through,
        )


class ChoiceBody(_Body, frozen=True, kw_only=True):
    """An answer to choose.

    Attributes:
        label: As people read it.
        value: The answer itself.
    """

    label: str
    value: Raw


class FormBody(_Body, frozen=True, kw_only=True):
    """Something that an instance waits for and that a person can send.

    Attributes:
        kind: Whether it is an event, or the answer to a question.
        name: Of the event; of a question its title.
        number: Of the step that waits.
        title: What people call it.
        text: What a question says besides.
        schema: The JSON schema of what is to be sent; null where it may be anything, or nobody
            knows.
        choices: The answers to choose from, where one of them is the whole answer; else null.
        form: What a question wants to be filled in.
        url: Where a question is answered; null where there is no address.
    """

    kind: Literal["event", "question"]
    name: str
    number: int
    title: str
    text: str = ""
    schema: Mapping[str, Any] | None
    choices: Sequence[ChoiceBody] | None
    form: Form | None = None
    url: str | None

    @classmethod
    def of(cls, one: Sendable) -> "FormBody":
        """The body for what is waited for."""
        choices = tuple(
            ChoiceBody(label=each.label, value=Raw(each.value.encode())) for each in one.choices
        )
        return cls(
            kind=one.kind,
            name=one.name,
            number=one.number,
            title=one.title,
            text=one.text,
            schema=one.schema,
            choices=choices or None,
            form=one.form,
            url=one.url,
        )


def _bounded(texts: Sequence[str], most: int) -> Sequence[str]:
    if len(texts) <= most:
        return texts
    return (*texts[: most - 1], f"and {len(texts) - most + 1:,} more")
