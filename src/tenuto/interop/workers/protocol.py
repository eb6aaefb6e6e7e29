"""Messages between a host and a worker (``docs/worker-protocol.md`` has the whole story).

Each is the text of one frame: a JSON object whose ``type`` says what it is. A worker begins with
``hello``, the host answers with ``load``, the worker with ``loaded`` or ``refused``; from then on
both speak when they have something to say, and answers come in any order.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

VERSION: Final = 1
"""A worker that speaks another version is refused."""


class Http(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A request for a function. Its body is attached to the frame.

    Attributes:
        method: In capitals.
        url: Absolute, with the query.
        headers: Names in small letters; a name may come more than once.
        query: Decoded; a name may come more than once.
        params: Of the route, decoded.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = ()
    query: Sequence[tuple[str, str]] = ()
    params: Mapping[str, str] = {}


class HttpAnswer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a function answers. Its body is attached to the frame.

    Attributes:
        status: 100 to 599.
        headers: A name may come more than once, as ``set-cookie`` does.
    """

    status: int
    headers: Sequence[tuple[str, str]] = ()


class Datum(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A value for or from a function: one of these, or none for nothing at all.

    Attributes:
        string: A text as it is; packages read JSON in it where they can.
        json: The text of a JSON value.
        bytes: Bytes, in base64.
        http: A request.
        answer: The answer to a request.
    """

    string: str | None = None
    json: str | None = None
    bytes: str | None = None
    http: Http | None = None
    answer: HttpAnswer | None = None


class RetryException(Struct, frozen=True, rename="camel"):
    """What the try before has raised."""

    message: str
    source: str = ""
    stack_trace: str = ""


class Retry(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Which try of a function with a retry policy this is; the first has none.

    Attributes:
        retry_count: From 1.
        max_retry_count: How often it is tried again at most; -1 for ever.
        exception: What the try before has raised.
    """

    retry_count: int
    max_retry_count: int
    exception: RetryException | None = None


class Trace(Struct, frozen=True, rename="camel"):
    """The trace that a call belongs to, as W3C headers."""

    trace_parent: str
    trace_state: str = ""


# --- what a host says -----------------------------------------------------------------------------


class _ToWorker(
    Struct, frozen=True, tag_field="type", tag=str.lower, rename="camel", omit_defaults=True
):
    """Shared form: ``{"type": "call", "id": 1, ...}``."""


class Load(_ToWorker, frozen=True):
    """Load the app; the first message.

    Attributes:
        root: Its folder. The worker makes it its current one.
        options: What only this kind of worker knows, such as the name of the script.
        threads: How many sync functions may run at once.
        keeps_executors: Whether turns are to be run by executors that stay alive between them.
    """

    root: str
    options: Mapping[str, Any] = {}
    threads: int = 1
    keeps_executors: bool = True


class Call(_ToWorker, frozen=True):
    """Run a function that is no orchestrator.

    Attributes:
        id: Of the call; its answer has the same.
        function: Its name.
        invocation: Of this call, for logs and for the function.
        inputs: By the name of the binding.
        metadata: Of the trigger, beside its value.
    """

    id: int
    function: str
    invocation: str
    inputs: Mapping[str, Datum | None] = {}
    metadata: Mapping[str, Any] = {}
    retry: Retry | None = None
    trace: Trace | None = None


class HeldEvent(Struct, frozen=True, rename="camel"):
    """An event that came before anybody waited for it.

    Attributes:
        name: As it came; case does not count.
        event: An event of the contract, as it stands in a history once the package was told it.
            Its ``Name`` is then written as the wait spells it.
    """

    name: str
    event: Raw


class Turn(_ToWorker, frozen=True):
    """Run a turn of an orchestrator: exactly one call into its package.

    Attributes:
        id: Of the turn; its answer has the same.
        function: Its name.
        invocation: Of this turn, for logs.
        key: Of the session. An executor that stays alive is found by it.
        events: What came since the turn before, as events of the package's contract.
        history: All events with those included; None when an executor for ``key`` should be there.
        start: What does not change: ``input`` (any JSON), ``instanceId``, ``parentInstanceId`` and
            the other members of the contract's payload beside ``history`` and ``isReplaying``.
        known: How many actions of this execution the host knows.
        is_compared: Run it both ways, by the executor and without, and say where they differ.
        held: Events that wait for somebody to wait for them, oldest first: an executor is fed them
            in the same call, as soon as a wait is open.
    """

    id: int
    function: str
    invocation: str
    key: int
    events: Sequence[Raw]
    history: Sequence[Raw] | None = None
    start: Raw | UnsetType = UNSET
    known: int = 0
    is_compared: bool = False
    held: Sequence[HeldEvent] = ()


class Forget(_ToWorker, frozen=True):
    """The session is closed: drop its executor."""

    key: int


class Cancel(_ToWorker, frozen=True):
    """Nobody waits for this call any more."""

    id: int


class Ping(_ToWorker, frozen=True):
    """Say that you are there: answered at once by a worker whose loop is not held up."""

    id: int


class Limits(_ToWorker, frozen=True):
    """What the host takes; said before anything is asked. A worker may look to it that nothing
    longer is sent, which the host would have to read in order to refuse it.

    Attributes:
        payload_bytes: Longest result of an activity or an orchestrator, custom status, or input.
        payload_words: What an error says of that limit after a semicolon.
    """

    payload_bytes: int
    payload_words: str


class Stop(_ToWorker, frozen=True):
    """Begin nothing more, answer what runs, and end. A closed pipe means: end at once."""


# --- what a worker says ---------------------------------------------------------------------------


class _ToHost(
    Struct, frozen=True, tag_field="type", tag=str.lower, rename="camel", omit_defaults=True
):
    """Shared form, as above."""


class Hello(_ToHost, frozen=True):
    """The first message. ``runtime`` is for people and histories, such as ``node 22.11.0``."""

    protocol: int
    language: str
    runtime: str
    pid: int


class FunctionFacts(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A function of the app.

    Attributes:
        name: As the app says it.
        bindings: As in ``function.json``: ``name``, ``type``, ``direction`` and what else there is.
            One of them is the trigger: its type ends in ``Trigger``.
        aliases: Other names under which orchestrators call it.
        retry: Its retry policy, as in ``function.json``.
        file: Where it is defined, relative to the app's folder.
        line: In that file, from 1.
    """

    name: str
    bindings: Sequence[Mapping[str, Any]]
    aliases: Sequence[str] = ()
    retry: Mapping[str, Any] | None = None
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """File and line in the app, as far as they are known; else empty."""
        return f"{self.file}:{self.line}" if self.line else str(self.file or "")

    @property
    def trigger(self) -> Mapping[str, Any]:
        """What makes it run; empty when there is nothing."""
        for one in self.bindings:
            if str(one.get("type", "")).lower().endswith("trigger"):
                return one
        return {}


class Loaded(_ToHost, frozen=True):
    """The app is there.

    Attributes:
        functions: In the app's order.
        packages: The versions of the packages that matter, by name.
        notes: What a person should know, such as a package's own warning.
        http_uri: Where the worker takes requests itself, when the app streams bodies.
        capabilities: What else the app's model says that it can, as the app has set it.
    """

    functions: Sequence[FunctionFacts]
    packages: Mapping[str, str] = {}
    notes: Sequence[str] = ()
    http_uri: str | None = None
    capabilities: Mapping[str, str] = {}


class Refused(_ToHost, frozen=True):
    """The app cannot be run; the worker ends.

    Attributes:
        message: What is wrong and what to do, in one or two sentences.
        file: Where, relative to the app's folder.
        line: In that file, from 1.
        stack: For people who look closer.
    """

    message: str
    file: str | None = None
    line: int | None = None
    stack: str = ""


class Result(_ToHost, frozen=True):
    """A function has returned.

    Attributes:
        id: Of the call.
        value: What it returned.
        outputs: What it gave to output bindings, by their names.
    """

    id: int
    value: Datum | None = None
    outputs: Mapping[str, Datum | None] = {}


class Failed(_ToHost, frozen=True):
    """A function has raised, or a turn could not be run at all.

    Attributes:
        id: Of the call or turn.
        error_type: The name of the exception's class.
        message: Its text.
        stack: Where it came from.
        details: Of an error that says more of itself, as JSON text.
    """

    id: int
    error_type: str
    message: str
    stack: str = ""
    details: str | None = None


class Turned(_ToHost, frozen=True):
    """A turn was run.

    Attributes:
        id: Of the turn.
        is_done: As the contract's ``isDone``.
        actions: The contract's actions in the order in which they were first seen, compound ones
            replaced by what they are made of, repeats left out: those from ``first`` on.
        first: The place of the first of ``actions`` among all of this execution.
        canceled: Places of timers that were canceled, all of this execution so far.
        output: JSON text; None when the orchestrator has returned nothing.
        custom_status: JSON text; None when there is none.
        error: The text of what the orchestrator raised; None when it did not.
        failure_details: The contract's ``failureDetails``, as JSON text.
        is_kept: Whether an executor stays alive for ``key``.
        difference: Where the executor and the plain call differ; None when they do not, or were
            not compared.
        fed: Places of those of ``held`` that the package was told, in that order. A worker without
            executors tells it none: it is asked once more then.
    """

    id: int
    is_done: bool
    actions: Sequence[Raw]
    first: int = 0
    canceled: Sequence[int] = ()
    output: str | None = None
    custom_status: str | None = None
    error: str | None = None
    failure_details: str | None = None
    is_kept: bool = False
    difference: str | None = None
    fed: Sequence[int] = ()


class Lost(_ToHost, frozen=True):
    """There is no executor for the turn's key: send it again with all of its history."""

    id: int


class Log(_ToHost, frozen=True):
    """A line for the log.

    Attributes:
        text: What to say.
        level: ``trace``, ``debug``, ``information``, ``warning``, ``error`` or ``critical``.
        invocation: Whose; None for the worker itself.
        function: Its name.
        is_user: Whether the app has written it.
    """

    text: str
    level: str = "information"
    invocation: str | None = None
    function: str | None = None
    is_user: bool = False


class Pong(_ToHost, frozen=True):
    """The answer to ``ping``."""

    id: int


ToWorker: TypeAlias = Load | Limits | Call | Turn | Forget | Cancel | Ping | Stop
ToHost: TypeAlias = Hello | Loaded | Refused | Result | Failed | Turned | Lost | Log | Pong

encode_to_worker: Final = msgspec.json.Encoder().encode
decode_to_host: Final = msgspec.json.Decoder(ToHost).decode
