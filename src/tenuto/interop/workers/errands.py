"""What workers are asked: turns and calls, from the asking to the answer."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from msgspec import UNSET, Raw, Struct, structs

from tenuto.engine.ports import GivenBack
from tenuto.interop.workers.link import Answer, WorkerLink
from tenuto.interop.workers.protocol import Call, Failed, HeldEvent, Result, ToWorker, Turn, Turned
from tenuto.model.timing import Microseconds


class TurnRequest(Struct, frozen=True):
    """What a worker is asked.

    Attributes:
        name: Of the orchestrator.
        instance_id: Whose turn, for logs.
        key: Of the session.
        events: What is new.
        history: All that the package must know; None when its executor is there.
        start: What does not change; None without history.
        known: How many actions are known.
        is_compared: Whether both ways are to be taken.
        held: Events that nobody waits for yet.
    """

    name: str
    instance_id: str
    key: int
    events: Sequence[Raw]
    history: Sequence[Raw] | None
    start: Raw | None
    known: int
    is_compared: bool
    held: Sequence[HeldEvent] = ()


TurnAnswer: TypeAlias = Turned | Failed | GivenBack
"""How a turn in a worker ended."""


class TurnTaker(Protocol):
    """Who has turns run by workers."""

    def take(self, request: TurnRequest, answered: Callable[[TurnAnswer], None]) -> None:
        """Have a turn run; answered once, on the host's loop."""

    def forget(self, key: int) -> None:
        """The session is closed: its turn is not wanted any more, its executor goes."""


class TurnEnd(Protocol):
    """Who is told that a turn was answered, before its session is."""

    def turn_ended(self, errand: "TurnErrand", answer: Turned | Failed) -> Turned | Failed:
        """Note where its session is now; what the session is to be told."""

    def turn_lost(self, errand: "TurnErrand") -> None:
        """The worker no longer had its session."""


class TurnErrand:
    """A turn that is asked for."""

    __slots__ = ("_answered", "_pool", "link", "request")

    is_turn: bool = True
    is_over: bool = False

    def __init__(
        self, pool: TurnEnd, request: TurnRequest, answered: Callable[[TurnAnswer], None]
    ) -> None:
        self._pool = pool
        self._answered = answered
        self.request: TurnRequest = request
        self.link: WorkerLink | None = None

    def message(self, number: int) -> tuple[ToWorker, bytes]:
        """The turn, as it goes over."""
        request = self.request
        return Turn(
            number,
            request.name,
            f"{request.instance_id}/{number}",
            request.key,
            request.events,
            request.history,
            UNSET if request.start is None else request.start,
            request.known,
            request.is_compared,
            request.held,
        ), b""

    def answered(self, answer: Answer, attachment: bytes) -> None:
        """The worker has answered."""
        del attachment
        if isinstance(answer, Turned | Failed):
            self._answered(self._pool.turn_ended(self, answer))
        else:
            self._pool.turn_lost(self)
            self._answered(GivenBack("its worker no longer had the session"))

    def give_back(self, reason: str, *, has_killed: bool = False) -> None:
        """Nobody could run it."""
        self._answered(GivenBack(reason, has_killed))


class CallErrand:
    """A call of a function that is no orchestrator.

    Args:
        call: The call; its id is given by whoever sends it.
        body: What is attached.
        ended: Called once with the answer, or with how its workers died.
        begun: Called each time it is sent.
        timeout: How long it may run, in microseconds; None for no end.
        is_repeatable: Whether another worker may run it when the one that it was sent to goes away.
            The body of one that may not be sent again is let go once it was sent.
    """

    __slots__ = (
        "_begun",
        "_body",
        "_call",
        "_ended",
        "deaths",
        "is_canceled",
        "is_over",
        "is_repeatable",
        "link",
        "timeout",
    )

    is_turn: bool = False

    def __init__(
        self,
        call: Call,
        body: bytes,
        ended: Callable[[Result | Failed, bytes], None],
        begun: Callable[[], None],
        timeout: Microseconds | None,
        *,
        is_repeatable: bool = True,
    ) -> None:
        self._call = call
        self._body = body
        self._ended = ended
        self._begun = begun
        self.timeout: Microseconds | None = timeout
        self.is_repeatable: bool = is_repeatable
        self.deaths: int = 0
        self.link: WorkerLink | None = None
        self.is_over: bool = False
        self.is_canceled: bool = False

    @property
    def function(self) -> str:
        """Whose call it is."""
        return self._call.function

    def message(self, number: int) -> tuple[ToWorker, bytes]:
        """The call, as it goes over."""
        self._begun()
        call, body = self._call, self._body
        if not self.is_repeatable:
            self._call, self._body = structs.replace(call, inputs={}, metadata={}), b""
        return structs.replace(call, id=number), body

    def answered(self, answer: Answer, attachment: bytes) -> None:
        """The worker has answered."""
        assert isinstance(answer, Result | Failed)
        self.end(answer, attachment)

    def end(self, answer: Result | Failed, attachment: bytes = b"") -> None:
        """It is over, whatever else may come."""
        if not self.is_over:
            self.is_over = True
            self._ended(answer, attachment)


AnyErrand: TypeAlias = TurnErrand | CallErrand
