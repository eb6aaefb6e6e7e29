"""Actions of the contract: what a package answers that it wants done.

What is in an action comes from user code, and packages look at little of it: a time that is none, a
number that is no number, a name that is a list. That is a mistake of the orchestrator, which fails
by it as in the original; only what no package writes is a fault of the worker.
"""

import math
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tenuto.interop.workers.nesting import TOO_DEEP
from tenuto.model.errors import InputError, WorkerProtocolError
from tenuto.model.http_call import MANAGED_IDENTITY, HttpRequest, ManagedIdentity
from tenuto.model.retry import RetryFacts

CALL_ACTIVITY: Final = 0
CALL_ACTIVITY_WITH_RETRY: Final = 1
CALL_CHILD: Final = 2
CALL_CHILD_WITH_RETRY: Final = 3
CONTINUE_AS_NEW: Final = 4
CREATE_TIMER: Final = 5
WAIT_FOR_EVENT: Final = 6
CALL_ENTITY: Final = 7
CALL_HTTP: Final = 8
SIGNAL_ENTITY: Final = 9
SIGNAL_ENTITY_LATER: Final = 10
LOCK_ENTITIES: Final = 13
RELEASE_ENTITIES: Final = 14

WITH_RETRY: Final = frozenset({CALL_ACTIVITY_WITH_RETRY, CALL_CHILD_WITH_RETRY})

WORDS: Final = {
    CALL_ACTIVITY: "call of activity",
    CALL_ACTIVITY_WITH_RETRY: "call with retries of activity",
    CALL_CHILD: "call of sub-orchestrator",
    CALL_CHILD_WITH_RETRY: "call with retries of sub-orchestrator",
    CONTINUE_AS_NEW: "continue-as-new",
    CREATE_TIMER: "timer",
    WAIT_FOR_EVENT: "wait for event",
    CALL_ENTITY: "call of entity",
    CALL_HTTP: "HTTP call",
    SIGNAL_ENTITY: "signal to entity",
    SIGNAL_ENTITY_LATER: "signal to entity",
    LOCK_ENTITIES: "lock of entities",
    RELEASE_ENTITIES: "release of entities",
}
"""What people are told an action is."""

_MILLISECOND: Final = 1_000
_MOST_ATTEMPTS: Final = 2**31 - 1
"""Nobody tries so often; more would not fit where it is recorded."""
LONGEST_PAUSE: Final = 365_000 * 24 * 3600 * 1_000_000
"""Microseconds of a thousand years: a wait that every clock and store can still hold."""


class RetryOptions(Struct, frozen=True, rename="camel"):
    """A retry policy as a package sends it; intervals are milliseconds."""

    first_retry_interval_in_milliseconds: float
    max_number_of_attempts: float
    backoff_coefficient: float | None = None
    max_retry_interval_in_milliseconds: float | None = None
    retry_timeout_in_milliseconds: float | None = None

    @property
    def facts(self) -> RetryFacts:
        """The same in the words of the house.

        Raises:
            InputError: a number is none, or has no end.
        """
        attempts, backoff = self.max_number_of_attempts, self.backoff_coefficient or 1.0
        if not math.isfinite(attempts) or not math.isfinite(backoff):
            raise InputError(
                "retry options need numbers that have an end, got "
                f"{attempts} attempts and a backoff of {backoff}"
            )
        return RetryFacts(
            min(max(1, int(attempts)), _MOST_ATTEMPTS),
            _microseconds(self.first_retry_interval_in_milliseconds),
            backoff,
            _microseconds_or_none(self.max_retry_interval_in_milliseconds),
            _microseconds_or_none(self.retry_timeout_in_milliseconds),
        )


class TokenSource(Struct, frozen=True, rename="camel"):
    """Whose token goes along with a request."""

    resource: str = ""
    kind: str = ""


class FollowedRequest(HttpRequest, frozen=True, kw_only=True):
    """A request of the house, and whether an answer 202 is followed, which is nobody else's."""

    polls: bool = True


class HttpRequestFields(Struct, frozen=True, rename="camel"):
    """A request as a package sends it."""

    method: str
    uri: str
    content: Any = None
    headers: dict[str, Any] | None = None
    token_source: TokenSource | None = None
    asynchronous_pattern_enabled: bool = True

    @property
    def request(self) -> FollowedRequest:
        """The same as the house's reserved activity takes it.

        Raises:
            InputError: the source of the token is not known, or the content is nested too deep.
        """
        headers = {name: _values(value) for name, value in (self.headers or {}).items()}
        content = self.content
        if content is not None and not isinstance(content, str):
            content = _text_of(content)
        if content is not None and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = ["text/plain; charset=utf-8"]
        source = self.token_source
        if source is not None and source.kind != MANAGED_IDENTITY:
            raise InputError(f"a request over HTTP has a token source of kind {source.kind!r}")
        token = None if source is None else ManagedIdentity(source.resource)
        return FollowedRequest(
            self.method.upper(),
            self.uri,
            content,
            headers,
            token,
            polls=self.asynchronous_pattern_enabled,
        )


class Action(Struct, frozen=True, rename="camel"):
    """One thing that is wanted. ``input`` is kept as the JSON text that came."""

    action_type: int
    function_name: str = ""
    input: Raw | UnsetType = UNSET
    retry_options: RetryOptions | None = None
    instance_id: str | None = None
    version: str | None = None
    fire_at: str | None = None
    is_canceled: bool = False
    external_event_name: str = ""
    http_request: HttpRequestFields | None = None
    operation: str = ""

    @property
    def name(self) -> str:
        """What tells it from another of its type in a replay."""
        if self.action_type == WAIT_FOR_EVENT:
            return self.external_event_name
        return self.function_name

    @property
    def chosen_id(self) -> str | None:
        """The id of a child that the orchestrator has chosen; None where that is left to us."""
        is_child = self.action_type in {CALL_CHILD, CALL_CHILD_WITH_RETRY}
        return (self.instance_id or None) if is_child else None

    @property
    def retry_facts(self) -> RetryFacts:
        """The retry policy.

        Raises:
            InputError: there is none, or none that can be counted.
        """
        if self.retry_options is None:
            raise InputError(f"the call of {self.function_name!r} came without its retry options")
        facts = self.retry_options.facts
        attempts = self.retry_options.max_number_of_attempts
        if not attempts.is_integer():  # the packages round it each in its own way
            raise InputError(
                f"the call of {self.function_name!r} has retry options with {attempts} attempts; "
                "that must be a whole number"
            )
        return facts

    @property
    def followed_request(self) -> FollowedRequest:
        """The request of a call over HTTP.

        Raises:
            InputError: there is none, or it cannot be made.
        """
        if self.http_request is None:
            raise InputError("an HTTP call came without its request")
        return self.http_request.request

    @property
    def input_text(self) -> str | None:
        """The input of a child: the JSON that came; None when there was none."""
        return None if self.input is UNSET else bytes(self.input).decode()

    @property
    def activity_input(self) -> str | None:
        """The input of an activity: a text is JSON already, anything else is put as JSON."""
        text = self.input_text
        if text is None or not text.startswith('"'):
            return text
        try:
            found: str = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise InputError(
                f"the input of activity {self.function_name!r} is no text: {error}"
            ) from error
        return found


class _Kind(Struct, frozen=True, rename="camel"):
    """What every action says, whatever else is in it."""

    action_type: int


# Numbers in texts are numbers, as for the original.
_read: Final = msgspec.json.Decoder(Action, strict=False).decode
_read_kind: Final = msgspec.json.Decoder(_Kind).decode


def read_action(text: bytes | Raw) -> Action:
    """An action from its JSON text.

    Raises:
        InputError: user code has put something into it that does not belong there.
        WorkerProtocolError: it is no action at all.
    """
    try:
        return _read(text)
    except msgspec.DecodeError as error:
        what = _kind_in_words(text)
        raise InputError(f"{what} with what does not belong there: {error}") from error
    except RecursionError:
        raise InputError(TOO_DEEP) from None


def _kind_in_words(text: bytes | Raw) -> str:
    try:
        kind = _read_kind(text).action_type
    except msgspec.DecodeError as error:
        raise WorkerProtocolError(
            f"a worker answered with what is no action of the contract: {error}"
        ) from error
    return WORDS.get(kind, f"action of type {kind}")


def _text_of(content: object) -> str:
    try:
        return msgspec.json.encode(content).decode()
    except RecursionError:
        raise InputError(TOO_DEEP) from None


def _values(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _microseconds(milliseconds: float) -> int:
    if math.isnan(milliseconds):
        raise InputError("retry options need intervals in milliseconds, got one that is no number")
    return int(min(max(milliseconds, 0.0) * _MILLISECOND, LONGEST_PAUSE))


def _microseconds_or_none(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else _microseconds(milliseconds)
