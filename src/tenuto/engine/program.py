"""The Program port: what host, HTTP, client and command line must know of a program.

A program is a set of functions with the means to run them: an app of this process, functions in
another language behind a pipe, workers on a wire. Who starts an orchestrator asks the program
whether it is there, what its input may be and what new instances are marked with; the host has it
make the Runner. Nobody but the room of its kind knows what its functions are made of.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct

from tenuto.engine.ports import Clock, Runner
from tenuto.model.limits import Limits
from tenuto.model.timing import Microseconds
from tenuto.model.topics import Event, PublishedEvent, QueuedMessage
from tenuto.model.trace import TraceContext


class Served(Enum):
    """Whether, and where, an orchestrator of some name runs (ENGINE rule 36)."""

    HERE = "here"
    """On this host, now."""
    ELSEWHERE = "elsewhere"
    """On another host or worker that is there now."""
    LATER = "later"
    """Nowhere now, but it may come: starts are taken, and wait for it."""
    NEVER = "never"
    """Nowhere, and nobody is expected who has it: starts are refused."""


class Convention(Protocol):
    """How values of Python become an orchestrator's input, and its output a value again."""

    @property
    def takes_input(self) -> bool:
        """Whether there is any input that it takes."""

    def encode_arguments(self, args: tuple[Any, ...]) -> str | None:
        """The arguments of a call as JSON text, None when there are none.

        Raises:
            InputError: they are not what the orchestrator takes.
        """

    def decode_result(self, text: str | None) -> object:
        """A stored result as a value."""


class Orchestrator(Protocol):
    """What must be known of an orchestrator to start it; that of an app is one."""

    @property
    def name(self) -> str:
        """Its name in history, which need not be to the letter the one that was asked for."""

    @property
    def version(self) -> str | None:
        """What new instances are marked with; None for nothing."""

    @property
    def tags(self) -> Mapping[str, str] | None:
        """Labels of new instances; None for none."""

    @property
    def instance_id(self) -> str | None:
        """The id of a new instance; None for a fresh one."""

    @property
    def signature(self) -> Convention:
        """What goes in and comes out."""


class OrchestratorDirectory(Protocol):
    """Finds orchestrators by name: an app, or any program."""

    def get_orchestrator(self, name: str) -> Orchestrator:
        """The orchestrator of that name, also when it runs elsewhere or later.

        Raises:
            UnknownFunctionError: it is never served; says which there are.
        """


class ParameterDescription(Struct, frozen=True, kw_only=True):
    """A parameter of a function, for people.

    Attributes:
        name: Its name.
        required: Whether an input must hold it.
        schema: The JSON schema of its type; None when it has none.
    """

    name: str
    required: bool
    schema: dict[str, Any] | None = None


class FunctionDescription(Struct, frozen=True, kw_only=True):
    """An orchestrator or an activity, for people.

    Attributes:
        name: Its name in history.
        parameters: What its input fills.
        version: What new instances are marked with.
    """

    name: str
    parameters: Sequence[ParameterDescription] = ()
    version: str | None = None


class HttpRequest(Struct, frozen=True, kw_only=True):
    """A request for a function of a program.

    Attributes:
        method: In capitals.
        url: Absolute, as the caller sees it, with the query.
        headers: Names in small letters, in the order in which they came.
        query: Decoded, in the order in which it came.
        params: Of the route, decoded.
        body: All of it; piece by piece for functions that take it so, if there is one. Its end is
            an error when the caller goes away.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str]]
    query: Sequence[tuple[str, str]]
    params: Mapping[str, str]
    body: bytes | AsyncIterator[bytes]


class HttpResponse(Struct, frozen=True, kw_only=True):
    """What a function of a program answers.

    Attributes:
        status: 100 to 599.
        headers: A name may come more than once, as ``set-cookie`` does.
        body: At once, or piece by piece.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | AsyncIterator[bytes] = b""


class HttpFunction(Protocol):
    """A function of a program that answers requests."""

    @property
    def name(self) -> str:
        """Its name, which keys of their own may be for."""

    @property
    def methods(self) -> Sequence[str]:
        """In capitals."""

    @property
    def route(self) -> str:
        """Below the program's prefix, in the words of ASP.NET: ``items/{id:int}``, ``{*rest}``."""

    @property
    def prefix(self) -> str:
        """The first part of its path, without slashes around it; often ``api``, or nothing."""

    @property
    def place(self) -> str:
        """Where it is written, ``file:line``, for errors; empty when that is not known."""

    @property
    def level(self) -> str:
        """Whom it answers: ``anonymous``, ``function`` (its own key, or an operator), ``admin``."""

    @property
    def takes_pieces(self) -> bool:
        """Whether it takes a body piece by piece, however long it is.

        No more of it is read than the function takes, and nothing keeps the whole: the limit for
        bodies that are kept is not for these.
        """

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; an error of the function is the answer 500."""


class TimerRetry(Struct, frozen=True):
    """A further attempt of a function that has failed.

    Attributes:
        count: Which it is, from 1.
        failure: What the attempt before has raised.
    """

    count: int
    failure: BaseException


class TimerFire(Struct, frozen=True, kw_only=True):
    """Why a function runs that a schedule starts.

    Attributes:
        due_at: The moment on the schedule, in microseconds; of a run at the start, that one.
        is_past_due: Whether that moment was missed: nobody was there to run it.
        last: The moment before, on the schedule; None when it never ran.
        next: The moment after this one; None when there is none.
        updated_at: When that was written down; None when it never was.
        is_startup: Whether it runs because its host starts, and for no moment on the schedule.
        retry: Which further attempt it is; None for the first of all.
    """

    due_at: Microseconds
    is_past_due: bool
    last: Microseconds | None
    next: Microseconds | None
    updated_at: Microseconds | None
    is_startup: bool = False
    retry: TimerRetry | None = None


class TimerFunction(Protocol):
    """A function of a program that a schedule starts."""

    @property
    def name(self) -> str:
        """Its name; what is known of its last run is kept under it."""

    @property
    def schedule(self) -> str:
        """NCRONTAB with five or six fields, or a time span such as ``00:05:00``."""

    @property
    def zone(self) -> str | None:
        """The time zone of the schedule; None for UTC."""

    @property
    def runs_on_startup(self) -> bool:
        """Whether it also runs each time its host starts."""

    @property
    def keeps_state(self) -> bool:
        """Whether a moment that was missed is made up for (``useMonitor``)."""

    def pause_before(self, attempt: int) -> Microseconds | None:
        """How long to wait before a further attempt, from 1, when it has failed; None when it is
        not tried again for this moment.
        """

    async def run(self, fire: TimerFire) -> None:
        """Run it; an error is logged, and the schedule goes on."""


class Delivery(Struct, frozen=True, kw_only=True):
    """What a trigger hands to a function: at least once, each time under the same id.

    Attributes:
        id: Of what is delivered, the same for each attempt; work that must not be done twice is
            done under it.
        attempt: Which attempt it is, from 1.
        last_attempt: Whether what is delivered is put aside when this one fails.
        data: The payload: a value of JSON, or bytes where the trigger's kind has those.
        facts: What else is known of it, such as the time it was published, under names that the
            trigger's kind has.
        cause: What the event is that functions which this one sets off were caused by; None where
            it is no part of a flow.
        occurrence: Tells it from what was delivered under the same id before, and was something
            else, such as a message whose id was used again; the same for each attempt. Empty where
            the id alone says what it is.
        trace: The trace that it belongs to, where it says so.
    """

    id: str
    attempt: int
    last_attempt: bool
    data: object
    facts: Mapping[str, object]
    cause: str | None = None
    occurrence: str = ""
    trace: TraceContext | None = None


class Redelivery(Struct, frozen=True, kw_only=True):
    """What is done with a delivery whose function has failed.

    Attributes:
        attempts: Attempts in all, before it is put aside as poison; at least 1.
        first_pause: Before the second attempt.
        backoff: Each pause is the one before times this.
        longest_pause: No pause is longer.
    """

    attempts: int = 5
    first_pause: Microseconds = 1_000_000
    backoff: float = 2.0
    longest_pause: Microseconds = 300_000_000

    def pause_before(self, attempt: int) -> Microseconds | None:
        """How long to wait before this attempt, from 2; None when there is to be none."""
        if attempt > self.attempts:
            return None
        # As a power it may be more than a float can hold.
        pause = float(self.first_pause)
        for _ in range(attempt - 2):
            pause *= self.backoff
            if pause >= self.longest_pause:
                break
        return min(round(pause), self.longest_pause)


class QueueTrigger(Struct, frozen=True, kw_only=True):
    """Messages of a queue of this hub start the function.

    Attributes:
        queue: Its name.
        concurrency: How many messages are worked on at once, on one host.
        redelivery: What is done with one that has failed.
    """

    queue: str
    concurrency: int = 16
    redelivery: Redelivery = Redelivery()


class TopicTrigger(Struct, frozen=True, kw_only=True):
    """Events of a topic start the function, or an orchestration.

    Attributes:
        topic: Its name.
        subscription: Under this name its place in the topic is kept.
        accepts: Whether it is for events like this one; None for all.
        from_beginning: Whether a subscription that is new gets what was published before it.
        concurrency: How many events are worked on at once; those of one key one after another.
        redelivery: What is done with one that has failed.
        starts: The orchestrator that each event starts, instead of the function's being run.
    """

    topic: str
    subscription: str
    accepts: Callable[[Event], bool] | None = None
    from_beginning: bool = False
    concurrency: int = 16
    redelivery: Redelivery = Redelivery()
    starts: str | None = None


class FileTrigger(Struct, frozen=True, kw_only=True):
    """Files that arrive in a folder start the function.

    Its deliveries have the facts ``path`` (a ``Path``), ``size`` and ``modified_at``, which is in
    microseconds.

    Attributes:
        folder: Its path.
        pattern: Which files, such as ``*.csv``.
        recursive: Whether folders in it count, too.
        settled: A file is complete when it has not changed for so long.
        concurrency: How many files are worked on at once.
        redelivery: What is done with one that has failed.
    """

    folder: str
    pattern: str = "*"
    recursive: bool = False
    settled: Microseconds = 1_000_000
    concurrency: int = 4
    redelivery: Redelivery = Redelivery()


class EventGridTrigger(Struct, frozen=True, kw_only=True):
    """Events that Event Grid, or another sender of CloudEvents, posts to a webhook of this host.

    They are kept in a topic before they are acknowledged, and delivered from there with the fact
    ``event`` (an ``Event``; ``model.event_grid.posted_form`` gives it as it was posted).

    Attributes:
        concurrency: How many events are worked on at once.
        redelivery: What is done with one that has failed.
    """

    concurrency: int = 16
    redelivery: Redelivery = Redelivery()


class AzureQueueTrigger(Struct, frozen=True, kw_only=True):
    """Messages of a queue of Azure Storage start the function.

    Attributes:
        queue: Its name.
        connection: The connection string; a secret.
        options: Batch size, attempts and pauses, as ``host.json`` has them.
    """

    queue: str
    connection: str
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"AzureQueueTrigger(queue={self.queue!r})"


class AzureBlobTrigger(Struct, frozen=True, kw_only=True):
    """Blobs of Azure Storage start the function, when they are new or have changed.

    Attributes:
        path: Container and pattern, such as ``plates/{name}.jpg``.
        connection: The connection string; a secret.
        options: Concurrency and attempts.
    """

    path: str
    connection: str
    options: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"AzureBlobTrigger(path={self.path!r})"


Trigger: TypeAlias = (
    QueueTrigger
    | TopicTrigger
    | FileTrigger
    | EventGridTrigger
    | AzureQueueTrigger
    | AzureBlobTrigger
)
"""What may start a function, besides requests and schedules."""


class TriggeredFunction(Protocol):
    """A function of a program that events start."""

    @property
    def name(self) -> str:
        """Its name; what is known of its deliveries is kept under it."""

    @property
    def trigger(self) -> Trigger:
        """What starts it."""

    async def run(self, delivery: Delivery) -> None:
        """Run it for one delivery; what it raises makes that delivery fail."""


class ProgramDescription(Struct, frozen=True, kw_only=True):
    """The functions of one program, for people.

    Attributes:
        kind: Of the program.
        orchestrators: In the program's order.
        activities: In the program's order.
    """

    kind: str
    orchestrators: Sequence[FunctionDescription]
    activities: Sequence[FunctionDescription]


async def _published_nowhere(
    events: Sequence[PublishedEvent], messages: Sequence[QueuedMessage]
) -> None:
    """Of means without a host, whose runners are never bound."""
    raise AssertionError((events, messages))


class RunnerMeans(Struct, frozen=True, kw_only=True):
    """What a host gives to a runner.

    Attributes:
        clock: The host's time.
        limits: What one orchestration may use up.
        webhook_base: The address under which the host is reached from outside.
        webhook_secret: What the tokens of webhooks are signed with; no caller knows it.
        client_binding: What functions of another language are given to reach this host, as JSON of
            Durable Functions, for a task hub of this name (None for the usual one); None when the
            host has no server.
        publish: Makes events and messages durable, while the host runs.
    """

    clock: Clock
    limits: Limits
    webhook_base: Callable[[], str]
    webhook_secret: str = ""
    client_binding: Callable[[str | None], str | None] = lambda _task_hub: None
    publish: Callable[[Sequence[PublishedEvent], Sequence[QueuedMessage]], Awaitable[None]] = (
        _published_nowhere
    )


@runtime_checkable
class HasVersion(Protocol):
    """A program whose app has a version."""

    @property
    def version(self) -> str:
        """Of the app; empty when it has none."""


class Program(OrchestratorDirectory, Protocol):
    """Functions with the means to run them. All answers are immediate: nothing waits for a worker.

    A program that others write for their own engine needs no base class; it is handed to the host:
    ``Host([app, program])``.
    """

    @property
    def kind(self) -> str:
        """What it is, in a word, such as ``native``; no other program of a host has the same."""

    @property
    def orchestrators(self) -> Collection[str]:
        """Names of the orchestrators that are known now, to be shown and to be guessed from."""

    @property
    def activities(self) -> Collection[str]:
        """Names of the activities that are known now."""

    def serves(self, name: str) -> Served:
        """Whether it runs the orchestrator of that name; answered without a look through all."""

    def check_input(self, name: str, text: str | None) -> None:
        """See that an orchestrator can take an input that came as JSON text, or none.

        Raises:
            UnknownFunctionError: no orchestrator of that name.
            PayloadError: the text is not what it takes.
        """

    @property
    def descriptions(self) -> Sequence[ProgramDescription]:
        """Its functions for people; one description for each program that it is made of."""

    @property
    def warnings(self) -> Sequence[str]:
        """What looks wrong without being refused, for the host to log at its start."""

    @property
    def http_functions(self) -> Sequence[HttpFunction]:
        """Its functions that answer requests, besides those that an app of this process has."""

    @property
    def timers(self) -> Sequence[TimerFunction]:
        """Its functions that a schedule starts."""

    @property
    def triggered(self) -> Sequence[TriggeredFunction]:
        """Its functions that events start."""

    def check(self) -> None:
        """See that it can be run; asked by the host before it opens its store.

        Raises:
            RegistrationError: what is wrong, and where.
        """

    def make_runner(self, means: RunnerMeans) -> Runner:
        """What runs its functions; made anew each time a host starts.

        It starts nothing before it is bound: one that never is, because another program's runner
        could not be made, is dropped and not stopped.
        """
