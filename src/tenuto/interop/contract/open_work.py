"""What an execution has open: what it waits for, by the numbers that the package counts.

A call, the pause before its next attempt, a request over HTTP and the pause before the next one,
a timer: each becomes the next of these when what it waits for has come.
"""

from typing import Final

import msgspec
from msgspec import Struct

from tenuto.interop.contract import actions as kinds
from tenuto.interop.contract.actions import LONGEST_PAUSE, Action, FollowedRequest
from tenuto.model.failure import FailureDetails
from tenuto.model.http_call import HttpAnswer
from tenuto.model.retry import RetryFacts
from tenuto.model.timing import Microseconds

_ACCEPTED: Final = 202


class RetriedCall(Struct):
    """A call with a retry policy.

    Attributes:
        action: As it was asked for.
        policy: When it is tried again.
        first_id: Of its first attempt.
        begun_at: When that was scheduled.
        attempt: The one that is open, from 1.
        pauses_over: How many of the pauses after its attempts are over.
        attempts_in_code: How many there may be by the orchestrator's code, by which its package
            counts; None while nothing else is known than the policy.
    """

    action: Action
    policy: RetryFacts
    first_id: int
    begun_at: Microseconds
    attempt: int = 1
    pauses_over: int = 0
    attempts_in_code: int | None = None

    @property
    def left(self) -> int:
        """How many attempts are left."""
        return max(0, self.policy.max_attempts - self.attempt)

    @property
    def is_child(self) -> bool:
        """Whether it is the call of a sub-orchestrator."""
        return self.action.action_type == kinds.CALL_CHILD_WITH_RETRY

    @property
    def is_out_of_step(self) -> bool:
        """Whether its package counts it otherwise than history by now.

        A package reads the number of attempts when a pause is over, and nothing else of a policy.
        So another number in the code means nothing until as many pauses are over as the smaller of
        the two; from there on one of both goes on and the other does not.
        """
        wanted, allowed = self.attempts_in_code, self.policy.max_attempts
        if wanted is None or wanted == allowed:
            return False
        return self.pauses_over >= min(wanted, allowed)

    def is_too_late(self, now: Microseconds) -> bool:
        """Whether no further attempt is to be begun."""
        limit = self.policy.timeout
        return limit is not None and now - self.begun_at >= limit

    @property
    def pause(self) -> Microseconds:
        """How long until the next attempt."""
        policy = self.policy
        longest = LONGEST_PAUSE if policy.max_interval is None else policy.max_interval
        try:
            delay = policy.first_interval * policy.backoff ** (self.attempt - 1)
        except OverflowError:
            return longest
        return int(min(delay, longest))


class HttpCall(Struct):
    """A request over HTTP, up to its last answer.

    Attributes:
        request: The last one that was made.
        number: What the package waits for.
        first_id: Of the first request.
    """

    request: FollowedRequest
    number: int
    first_id: int


class Call(Struct, frozen=True):
    """An activity or a child that is out."""

    name: str
    is_child: bool
    retried: RetriedCall | None = None


class Pause(Struct, frozen=True):
    """The pause before the next attempt; after the last one, the package still counts one."""

    retried: RetriedCall
    failure: FailureDetails


class Poll(Struct, frozen=True):
    """The pause before the next request, which has ``number``."""

    call: HttpCall
    number: int


class Timer(Struct, frozen=True):
    """A timer of the orchestrator."""


class Refused(Struct, frozen=True):
    """A call of an entity: it fails as soon as the package can be told."""


Open = Call | HttpCall | Pause | Poll | Timer | Refused


def next_address(request: FollowedRequest, answer: HttpAnswer) -> str | None:
    """Where an answer says to ask again; None when it is the last one."""
    found = answer.headers.get("location")
    is_followed = request.polls and answer.status_code == _ACCEPTED and found
    return found[0] if is_followed and found else None


def contract_answer(answer: HttpAnswer) -> str:
    """As packages read it: names as one knows them, one text for each."""
    headers = {
        "-".join(part.capitalize() for part in name.split("-")): ", ".join(values)
        for name, values in answer.headers.items()
    }
    return msgspec.json.encode(
        {"statusCode": answer.status_code, "headers": headers, "content": answer.content}
    ).decode()
