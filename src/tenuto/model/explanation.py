"""Why an instance does not go on: the facts, and the words made of them. Pure data.

One closed set of facts for whoever shows or reads them: people, pages, other programs. As JSON each
has a ``type``, and fields in camelCase; what has its default is left out. Times are microseconds
since 1970 UTC. Who finds the facts and makes the words: ``tenuto.insight``.
"""

from typing import Literal

from msgspec import Struct

from tenuto.model.events import TimerPurpose
from tenuto.model.failure import FailureDetails
from tenuto.model.hold import HoldReason
from tenuto.model.ids import InstanceId
from tenuto.model.timing import Microseconds


class _Fact(
    Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, tag_field="type"
):
    """Something that is so."""


# --- what stands in the way -----------------------------------------------------------------------


class Ended(_Fact, frozen=True, kw_only=True, tag="ended"):
    """It has ended.

    Attributes:
        status: How, in the words of Durable Functions: ``Completed``.
    """

    status: str


class Held(_Fact, frozen=True, kw_only=True, tag="held"):
    """It cannot go on, and has not ended.

    Attributes:
        reason: The kind.
        message: What happened, where, and what to do.
        since: When it was held first.
        tried: When it was last tried again, without success.
        recorded: What is stored, where two sides do not fit.
        produced: What the code says to it.
    """

    reason: HoldReason
    message: str
    since: Microseconds
    tried: Microseconds | None = None
    recorded: str | None = None
    produced: str | None = None


class StoreUnavailable(_Fact, frozen=True, kw_only=True, tag="storeUnavailable"):
    """Its host cannot write to the store now.

    Attributes:
        error: What the store says.
    """

    error: str


class Suspended(_Fact, frozen=True, kw_only=True, tag="suspended"):
    """Somebody has suspended it.

    Attributes:
        since: When its row last changed.
        reason: Theirs, where history has it.
        until: When it is to begin, if it goes on before that.
    """

    since: Microseconds
    reason: str = ""
    until: Microseconds | None = None


class NotServed(_Fact, frozen=True, kw_only=True, tag="notServed"):
    """A function that it needs is not there.

    Attributes:
        kind: Of the function.
        name: Of the function.
        by: Who does not have it: the host that runs the instance, or the app that somebody named.
        partition: That of the instance, on a hub with several hosts.
        known_to: The hosts of that hub that have it, for people: it waits for its partition to
            move to one of them.
        at: The host that has that partition now, for people; empty when none has, or it is not
            known.
    """

    kind: Literal["orchestrator", "activity"]
    name: str
    by: Literal["host", "app"] = "host"
    partition: int | None = None
    known_to: tuple[str, ...] = ()
    at: str = ""


class Unowned(_Fact, frozen=True, kw_only=True, tag="unowned"):
    """No host serves its partition now, although some run on the hub.

    Attributes:
        partition: Which.
        since: Since when; None when nobody has ever served it.
        last_host: Who had it and did not give it back, for people.
    """

    partition: int
    since: Microseconds | None = None
    last_host: str = ""


class Elsewhere(_Fact, frozen=True, kw_only=True, tag="elsewhere"):
    """Another host of the hub serves it than the one that was asked.

    Attributes:
        partition: That of the instance.
        host: Who serves it, for people.
        address: Where that can be asked; None when that is not known.
    """

    partition: int
    host: str
    address: str | None = None


class Pending(_Fact, frozen=True, kw_only=True, tag="pending"):
    """It has not begun.

    Attributes:
        since: When it was started, or should have begun.
        until: When it is to begin; None when it may at once.
    """

    since: Microseconds
    until: Microseconds | None = None


class Untaken(_Fact, frozen=True, kw_only=True, tag="untaken"):
    """Messages lie in its inbox: no host runs, or the one that does leaves them there.

    Attributes:
        count: How many.
    """

    count: int


class TurnWait(_Fact, frozen=True, kw_only=True, tag="turn"):
    """It is queued for its turn.

    Attributes:
        place: From 1: the next one.
    """

    place: int


class NothingOpen(_Fact, frozen=True, kw_only=True, tag="nothingOpen"):
    """Its code waits, and nothing is open that could wake it."""


class NoHost(_Fact, frozen=True, kw_only=True, tag="noHost"):
    """No host runs that would carry anything out."""


# --- what its code waits for ----------------------------------------------------------------------


class TimerWait(_Fact, frozen=True, kw_only=True, tag="timer"):
    """A timer.

    Attributes:
        since: The time of the turn that made it.
        until: When it fires.
        purpose: What it bounds or puts off; left out when the orchestrator just asked for it.
    """

    since: Microseconds
    until: Microseconds | None = None
    purpose: TimerPurpose = "timer"


class EventWait(_Fact, frozen=True, kw_only=True, tag="event"):
    """An external event.

    Attributes:
        name: Its name.
        since: The time of the turn that came to wait for it.
        until: When the wait is given up; None: never.
        has_come: Whether one has come, and waits until the instance goes on.
    """

    name: str
    since: Microseconds
    until: Microseconds | None = None
    has_come: bool = False


class TopicWait(_Fact, frozen=True, kw_only=True, tag="topic"):
    """An event of a topic: it is published there, nobody raises it on the instance.

    Attributes:
        topic: The topic.
        key: What the key of the event must be.
        since: The time of the turn that came to wait for it.
        until: When the wait is given up; None: never.
    """

    topic: str
    key: str
    since: Microseconds
    until: Microseconds | None = None


class QuestionWait(_Fact, frozen=True, kw_only=True, tag="question"):
    """The answer of a person.

    Attributes:
        id: The number of the question.
        title: What is asked.
        since: The time of the turn that asked.
        until: When it is given up; None: never.
        url: Where it is answered; left out until the address is there.
        answer: What was answered as JSON text, when that waits until the instance goes on.
    """

    id: int
    title: str
    since: Microseconds
    until: Microseconds | None = None
    url: str = ""
    answer: str | None = None


class ActivityWait(_Fact, frozen=True, kw_only=True, tag="activity"):
    """An activity.

    Attributes:
        id: The event id of the call.
        name: Of the activity.
        call: What it does, of one that Tenuto itself has: ``an HTTP call (GET https://x.org/)``.
        since: The time of the turn that asked for this attempt, or learned that one had failed.
        attempt: Which attempt runs or is queued; with ``until`` the one that begins then.
        until: When the next attempt begins, in the pause before it.
        failure: Of the attempt before.
        stage: How far the attempt has come, as its host knows; a store does not.
        begun_at: When it began, while it runs.
        place: Its place in the queue, from 1, while it is queued.
        behind: What it is queued behind: ``what runs in the worker threads``.
    """

    id: int
    name: str
    call: str = ""
    since: Microseconds
    attempt: int = 1
    until: Microseconds | None = None
    failure: FailureDetails | None = None
    stage: Literal["unknown", "queued", "running"] = "unknown"
    begun_at: Microseconds | None = None
    place: int | None = None
    behind: str = ""


class ChildWait(_Fact, frozen=True, kw_only=True, tag="orchestration"):
    """A sub-orchestration.

    Attributes:
        name: Of its orchestrator.
        instance_id: Its id.
        since: The time of the turn that asked for this attempt, or learned that one had failed.
        attempt: Which attempt runs; with ``until`` the one that begins then.
        until: When the next attempt begins, in the pause before it.
        failure: Of the attempt before.
        status: How the child stands, in the words of Durable Functions; None when it was not
            looked at, or is not there.
        held: Why it is held, when it is.
        is_missing: Whether there is no such instance.
        is_lost: Whether it will never answer: it is missing, or another one has its id.
        is_unserved: Whether its orchestrator is not there.
        link_problem: Why nothing goes over the link to the hub where it is; None while all is well,
            or for what is here.
        below: What keeps it, or an instance below it, when it waits itself.
    """

    name: str
    instance_id: InstanceId | None = None
    since: Microseconds
    attempt: int = 1
    until: Microseconds | None = None
    failure: FailureDetails | None = None
    status: str | None = None
    held: HoldReason | None = None
    is_missing: bool = False
    is_lost: bool = False
    is_unserved: bool = False
    link_problem: str | None = None
    below: "Below | None" = None

    @property
    def is_stuck(self) -> bool:
        """Whether it cannot go on before somebody does something."""
        is_stuck = self.held is not None or self.is_lost or self.is_unserved
        return is_stuck or (self.below is not None and self.below.is_stuck)

    @property
    def is_unknown(self) -> bool:
        """Whether it was not looked at."""
        return self.status is None and not self.is_missing


Trouble = Held | Suspended | NotServed | NothingOpen | ActivityWait | ChildWait
"""What keeps an instance and does not pass by itself, or has failed before."""


class Below(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What keeps an instance that somebody far above waits for.

    Attributes:
        instance_id: The instance.
        name: Of its orchestrator.
        levels: How many calls it stands below the sub-orchestration that is waited for; 0: it is
            that itself.
        fact: What keeps it.
    """

    instance_id: InstanceId
    name: str
    levels: int = 0
    fact: Trouble

    @property
    def is_stuck(self) -> bool:
        """Whether it cannot go on before somebody does something."""
        if isinstance(self.fact, NotServed) and self.fact.known_to:
            return False
        return not isinstance(self.fact, ActivityWait)


Wait = TimerWait | EventWait | TopicWait | QuestionWait | ActivityWait | ChildWait
"""What the code of an instance waits for."""

Obstacle = (
    Ended | Held | StoreUnavailable | Suspended | Unowned | NotServed | Pending | Untaken | TurnWait
)
"""What keeps an instance from going on, whatever its code waits for."""

Fact = Obstacle | NothingOpen | NoHost | Elsewhere | Wait


class Explanation(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Why an instance does not go on.

    Attributes:
        sentence: What it waits for, as it follows the instance's name: ``waits for event 'go'``.
        advice: What to do; empty when there is nothing to do but wait.
        commands: Those that stand in the advice, quoted for a shell; words in capitals (``APP``,
            ``ANSWER``, ``JSON``) are for the reader to replace.
        is_stuck: Whether the wait cannot end before somebody does something.
        facts: What the sentence is made of: first what stands in the way, then all that its code
            waits for, then what else would keep it; of each kind the most important first.
        at: When this was so, by the clock of whoever says it.
    """

    sentence: str
    advice: str = ""
    commands: tuple[str, ...] = ()
    is_stuck: bool = False
    facts: tuple[Fact, ...] = ()
    at: Microseconds = 0
