"""What a package and history both count: the numbers of one execution.

A package gives each thing that it asks for the next whole number, and never says which; the host
must give the very same number to what answers it. Some numbers are taken without any action: when
an attempt of a call with retries fails, for the pause; when the pause is over, for the next
attempt; when a request is answered with 202, for two (in JavaScript). They are taken while the
package reads its events, so the events of a turn are put in an order in which all of them come
before what user code may ask for: first what takes numbers by itself, then the rest as it came.

The numbers are the event ids of history. What the package knows nothing of (waits for events,
polls that are hidden from it) has ids from ``PRIVATE`` on. One number that is missed shifts every
later answer to the wrong question, without an error: so a rebuilt execution goes through the very
same functions, and what it decides is compared with what was recorded.

Pure: no package, no pipe, no clock.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from tenuto.interop.contract import actions as kinds
from tenuto.interop.contract import events as contract
from tenuto.interop.contract.actions import Action, FollowedRequest
from tenuto.interop.contract.dialect import Dialect
from tenuto.interop.contract.events import EventWriter
from tenuto.interop.contract.held import HeldEvents, OpenWait
from tenuto.interop.contract.open_work import (
    Call,
    HttpCall,
    Open,
    Pause,
    Poll,
    Refused,
    RetriedCall,
    Timer,
    contract_answer,
    next_address,
)
from tenuto.interop.workers.protocol import HeldEvent
from tenuto.model.actions import Action as Decided
from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.errors import InputError, NonDeterminismError
from tenuto.model.events import (
    EventAwaited,
    EventRaised,
    EventTaken,
    ExecutionStarted,
    Incoming,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from tenuto.model.execution import ExecutionInfo
from tenuto.model.failure import FailureDetails
from tenuto.model.failure_chain import without_traces
from tenuto.model.http_call import HttpAnswer, asked_pause, poll_request
from tenuto.model.ids import InstanceId, child_instance_id
from tenuto.model.retry import RetryFacts
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.unread import UnreadEvent
from tenuto.orchestration.names import child_execution_id

PRIVATE: Final = 1_000_000_000
"""From here on ids are ours alone; no package counts that far."""

POLL_PAUSE: Final[Microseconds] = 30 * MICROSECONDS
"""Between two requests, when the server does not say; that of Durable Functions."""

MOST_ATTEMPTS: Final = 10_000
"""Of a call that has a retry timeout."""

NO_ENTITIES: Final = "entities cannot be used on this host yet"

_MILLISECOND: Final = 1_000
_read_answer: Final = msgspec.json.Decoder(HttpAnswer).decode
_encode: Final = msgspec.json.Encoder().encode


class RefusedActionError(InputError):
    """An orchestrator asks for what this host cannot do; it ends the execution."""


class Execution:
    """One execution as its package counts it.

    Args:
        info: Whose.
        dialect: The package's.
        poll_pause: Between two requests, when the server does not say.

    Attributes:
        decided: What this turn has decided so far.
        seen: Type and name of each action, in the order of the package.
    """

    def __init__(
        self, info: ExecutionInfo, dialect: Dialect, poll_pause: Microseconds = POLL_PAUSE
    ) -> None:
        self._info = info
        self._dialect = dialect
        self._poll_pause = poll_pause
        self._number = 0
        self._private = PRIVATE
        self._open: dict[int, Open] = {}
        self._timers: dict[int, int] = {}
        self._retries: dict[int, RetriedCall] = {}
        self._now: Microseconds = 0
        self._shown: Microseconds = 0
        self._given_up: set[int] = set()
        self._write = EventWriter(0)
        self.held: HeldEvents = HeldEvents(info.unread)
        self.decided: list[Decided] = []
        self.seen: list[tuple[int, str]] = []

    @property
    def now(self) -> Microseconds:
        """The turn's time."""
        return self._now

    # --- what comes in ---------------------------------------------------------------------------

    def take_in(self, timestamp: Microseconds, events: Sequence[Incoming]) -> list[Raw]:
        """Begin a turn; the events for the package, none when there is nothing for it to do."""
        self._now = timestamp
        self.decided = []
        self._show(timestamp)
        counting: list[Raw] = []
        others: list[Raw] = []
        # Twice through: numbers are taken in the order in which the package will read.
        rest: list[Incoming | Raw] = []
        for event in events:
            if not self._takes_numbers(event):
                rest.append(event)
                continue
            told = self._told(event)
            if self._raises_at_end(event):
                rest.append(told.pop())
            counting += told
        for one in rest:
            others += [one] if isinstance(one, Raw) else self._told(one)
        if not counting and not others:
            return []
        return [self._write.turn(), *counting, *others]

    def _show(self, timestamp: Microseconds) -> None:
        """The time as the package is told it, later than that of the turn before."""
        if self._dialect.has_milliseconds:
            whole = -(-timestamp // _MILLISECOND) * _MILLISECOND
            timestamp = max(whole, self._shown + _MILLISECOND)
        self._shown = timestamp
        self._write = EventWriter(timestamp)

    def _takes_numbers(self, event: Incoming) -> bool:
        match event:
            case TaskFailed() | SubOrchestrationInstanceFailed():
                found = self._open.get(event.task_scheduled_id)
                return isinstance(found, Call) and found.retried is not None
            case TimerFired():
                pause = self._open.get(event.timer_id)
                return isinstance(pause, Pause) and pause.retried.left > 0
            case TaskCompleted():
                call = self._open.get(event.task_scheduled_id)
                if not (self._dialect.polls and isinstance(call, HttpCall)):
                    return False
                # Any other answer than one to be followed lets user code go on.
                return next_address(call.request, _read_answer(event.result or "{}")) is not None
            case _:
                return False

    def _raises_at_end(self, event: Incoming) -> bool:
        """Whether the last that the package is told lets user code go on: all attempts are over."""
        return isinstance(event, TimerFired) and event.timer_id in self._given_up

    def _told(self, event: Incoming) -> list[Raw]:
        """One event of the engine as the package is told it: often one, sometimes none."""
        match event:
            case ExecutionStarted():
                return [self._write.started(self._info.facts, event.version)]
            case TaskCompleted():
                return self._completed(event)
            case SubOrchestrationInstanceCompleted():
                number = event.task_scheduled_id
                self._open.pop(number, None)
                return [self._write.completed(contract.CHILD_COMPLETED, number, event.result)]
            case TaskFailed() | SubOrchestrationInstanceFailed():
                return self._failed(event.task_scheduled_id, event.failure_details)
            case TimerFired():
                return self._fired(event)
            case EventRaised():
                wait = self.held.arrived(event)
                return [] if wait is None else [self._given(wait, event)]
            case _:  # pauses and the like are the engine's
                return []

    def _given(self, wait: OpenWait, event: EventRaised) -> Raw:
        self.decided.append(EventTaken(wait.event_id))
        return self._write.raised(wait.name, event.input)

    def _completed(self, event: TaskCompleted) -> list[Raw]:
        number = event.task_scheduled_id
        call = self._open.pop(number, None)
        if isinstance(call, HttpCall):
            return self._answered(call, event.result)
        return [self._write.completed(contract.TASK_COMPLETED, number, event.result)]

    def _failed(self, number: int, failure: FailureDetails) -> list[Raw]:
        found = self._open.pop(number, None)
        if isinstance(found, HttpCall):
            # Where it was raised is a place in this host, of which nothing is told.
            failure = without_traces(failure)
            return [self._failure(found.number, HTTP_ACTIVITY, failure, is_child=False)]
        if not isinstance(found, Call):  # pragma: no cover - the engine gives answers to open work
            raise NonDeterminismError(f"history has an answer to {number}, which is not open")
        told = [self._failure(number, found.name, failure, is_child=found.is_child)]
        retried = found.retried
        if retried is not None:
            pause = self._take_number()
            self._open[pause] = Pause(retried, failure)
            is_last = not retried.left or retried.is_too_late(self._now)
            due = self._now if is_last else self._now + retried.pause
            self.decided.append(TimerCreated(pause, due, "retry", retried.first_id))
        return told

    def _failure(self, number: int, name: str, failure: FailureDetails, *, is_child: bool) -> Raw:
        text = failure.error_message
        if is_child:
            kind, reason = contract.CHILD_FAILED, text
        else:
            if self._dialect.tells_type:
                text = f"{failure.error_type}: {text}"
            kind, reason = contract.TASK_FAILED, f"Activity function '{name}' failed: {text}"
        details = failure.stack_trace or text
        parts = failure if failure.properties is not None else None
        return self._write.failed(kind, number, reason, details, parts)

    def _fired(self, event: TimerFired) -> list[Raw]:
        number = event.timer_id
        found = self._open.pop(number, None)
        match found:
            case Poll() if number >= PRIVATE:
                self._ask_again(found)
                return []
            case Poll():
                self._ask_again(found)
            case Pause():
                return self._pause_over(number, event, found)
            case Refused():
                return self._refuse(number)
            case _:
                pass
        return [self._write.fired(number, event.fire_at)]

    def _refuse(self, number: int) -> list[Raw]:
        """The package waits for an event with the id of the request; it is told both now."""
        key = f"{self._info.facts.execution_id}:{number}"
        answer = {"result": _text(NO_ENTITIES), "exceptionType": "Error"}
        return [
            self._write.sent(number, "op", "", _text({"id": key})),
            self._write.raised(key, _text(answer)),
        ]

    # --- retries ---------------------------------------------------------------------------------

    def _pause_over(self, number: int, event: TimerFired, pause: Pause) -> list[Raw]:
        told = [self._write.fired(number, event.fire_at)]
        retried = pause.retried
        retried.pauses_over += 1
        self._stop_out_of_step(retried)
        if not retried.left:
            return told
        if not retried.is_too_late(self._now):
            retried.attempt += 1
            self._attempt(self._take_number(), retried)
            return told
        # No attempt is begun any more, but the package goes on counting: each of those that are
        # left fails at once, in this turn, and so does the pause after it.
        self._given_up.add(number)
        name = retried.action.function_name
        while retried.left:
            retried.attempt += 1
            retried.pauses_over += 1
            failed, after = self._take_number(), self._take_number()
            told.append(self._failure(failed, name, pause.failure, is_child=retried.is_child))
            told.append(self._write.fired(after, self._now))
        self._stop_out_of_step(retried)
        return told

    def check_retries(self, place: int, attempts: int) -> None:
        """The code asks again for the call with retries at this place among the actions.

        The pauses between its attempts, and for how long there may be any, are counted here alone:
        those of a call that has begun stay as history has them.

        Raises:
            NonDeterminismError: by the code it may have another number of attempts, and has come to
                where that makes a difference.
        """
        retried = self._retries[place]
        retried.attempts_in_code = attempts
        self._stop_out_of_step(retried)

    def _stop_out_of_step(self, retried: RetriedCall) -> None:
        if not retried.is_out_of_step:
            return
        facts = self._info.facts
        what = f"{kinds.WORDS[retried.action.action_type]} {retried.action.function_name!r}"
        old, new = retried.policy.max_attempts, retried.attempts_in_code
        raise NonDeterminismError(
            f"replay of instance {facts.instance_id!r} ({facts.name!r}) went another way: history "
            f"recorded a {what} of up to {_counted(old)}, the code allows {new}, and "
            f"{retried.pauses_over} have failed. The number of attempts was changed while this "
            "instance ran: restore the old number, or restart the instance.",
            f"{what}, up to {_counted(old)}",
            f"{what}, up to {_counted(new or 0)}",
        )

    def _attempt(self, number: int, retried: RetriedCall) -> None:
        if retried.is_child:
            self._child(number, retried.action, retried)
        else:
            self._activity(number, retried.action, retried)

    # --- requests over HTTP ----------------------------------------------------------------------

    def _answered(self, call: HttpCall, result: str | None) -> list[Raw]:
        answer = _read_answer(result or "{}")
        address = next_address(call.request, answer)
        told = [
            self._write.completed(contract.TASK_COMPLETED, call.number, contract_answer(answer))
        ]
        if address is None:
            return told
        call.request = poll_request(call.request, address, answer.url or None)
        due = self._now + self._pause_before_poll(answer)
        if self._dialect.polls:
            pause, following = self._take_number(), self._take_number()
            call.number = following
        else:
            pause, following = self._take_private(), self._take_private()
            told = []
        self._open[pause] = Poll(call, following)
        self.decided.append(TimerCreated(pause, due, "poll", call.first_id))
        return told

    def _pause_before_poll(self, answer: HttpAnswer) -> Microseconds:
        values = answer.headers.get("retry-after")
        asked = None if not values else asked_pause(values[0].strip(), self._now)
        return self._poll_pause if asked is None else max(asked, MICROSECONDS)

    def _ask_again(self, poll: Poll) -> None:
        self._request(poll.number, poll.call)

    def _request(self, number: int, call: HttpCall) -> None:
        self._open[number] = call
        self.decided.append(TaskScheduled(number, HTTP_ACTIVITY, _text(call.request)))

    # --- what the package asks for ---------------------------------------------------------------

    def decide(self, action: Action) -> None:
        """One more action of the package, in its order.

        Raises:
            RefusedActionError: this host cannot do it.
            InputError: it makes no sense.
        """
        self.seen.append((action.action_type, action.name))
        match action.action_type:
            case kinds.CALL_ACTIVITY:
                self._activity(self._take_number(), action, None)
            case kinds.CALL_CHILD:
                self._child(self._take_number(), action, None)
            case kinds.CALL_ACTIVITY_WITH_RETRY | kinds.CALL_CHILD_WITH_RETRY:
                self._retried(action, action.retry_facts)
            case kinds.CREATE_TIMER:
                self._timer(self._take_number(), action)
            case kinds.WAIT_FOR_EVENT:
                wait = OpenWait(self._take_private(), action.external_event_name)
                self.held.wait(wait)
                self.decided.append(EventAwaited(wait.event_id, wait.name))
            case kinds.CALL_HTTP:
                self._first_request(action.followed_request)
            case kinds.CALL_ENTITY:
                number = self._take_number()
                self._open[number] = Refused()
                self.decided.append(TimerCreated(number, self._now, "poll"))
            case kinds.CONTINUE_AS_NEW:
                pass  # takes no number; what it means is the session's to say
            case _:
                what = kinds.WORDS.get(action.action_type)
                if what is None:
                    raise RefusedActionError(f"action of type {action.action_type} is unknown here")
                raise RefusedActionError(f"{what} {action.instance_id or ''}: {NO_ENTITIES}")

    def decide_retried(self, action: Action, policy: RetryFacts) -> None:
        """A call with retries, of which history has the policy."""
        self.seen.append((action.action_type, action.name))
        self._retried(action, policy)

    def _retried(self, action: Action, policy: RetryFacts) -> None:
        if policy.timeout is not None and policy.max_attempts > MOST_ATTEMPTS:
            raise RefusedActionError(
                f"the call of {action.function_name!r} has a retry timeout and "
                f"{policy.max_attempts} attempts: with a timeout there may be {MOST_ATTEMPTS}, "
                "because those that are left when it has passed are counted one by one"
            )
        number = self._take_number()
        retried = RetriedCall(action, policy, number, self._now)
        self._retries[len(self.seen) - 1] = retried
        self._attempt(number, retried)

    def decide_http(self, request: FollowedRequest) -> None:
        """A call over HTTP, of which history has the request."""
        self.seen.append((kinds.CALL_HTTP, ""))
        self._first_request(request)

    def _first_request(self, request: FollowedRequest) -> None:
        number = self._take_number()
        self._request(number, HttpCall(request, number, number))

    def _timer(self, number: int, action: Action) -> None:
        self._timers[len(self.seen) - 1] = number
        self._open[number] = Timer()
        self.decided.append(TimerCreated(number, contract.moment_of(action.fire_at)))
        if action.is_canceled:
            self.cancel_number(number)

    def _activity(self, number: int, action: Action, retried: RetriedCall | None) -> None:
        self._open[number] = Call(action.function_name, is_child=False, retried=retried)
        text = action.activity_input
        if retried is None:
            self.decided.append(TaskScheduled(number, action.function_name, text))
            return
        is_first = retried.attempt == 1
        self.decided.append(
            TaskScheduled(
                number,
                action.function_name,
                text,
                retried.attempt,
                None if is_first else retried.first_id,
                retry=retried.policy if is_first else None,
            )
        )

    def _child(self, number: int, action: Action, retried: RetriedCall | None) -> None:
        self._open[number] = Call(action.function_name, is_child=True, retried=retried)
        mine = self._info.facts.execution_id
        chosen = action.chosen_id
        attempt = 1 if retried is None else retried.attempt
        is_first = attempt == 1
        self.decided.append(
            SubOrchestrationInstanceCreated(
                number,
                action.function_name,
                InstanceId(chosen) if chosen else child_instance_id(mine, number),
                child_execution_id(mine, number + 1, self._now),
                action.input_text,
                action.version,
                attempt=attempt,
                call_id=None if is_first or retried is None else retried.first_id,
                retry=retried.policy if is_first and retried is not None else None,
            )
        )

    def chosen_id(self, event: SubOrchestrationInstanceCreated) -> str | None:
        """The id of a child that the orchestrator has chosen; None when it left that to us."""
        derived = child_instance_id(self._info.facts.execution_id, event.event_id)
        return None if event.instance_id == derived else event.instance_id

    def cancel(self, place: int) -> None:
        """The package has canceled the timer at this place among its actions."""
        number = self._timers.get(place)
        if number is not None:
            self.cancel_number(number)

    def cancel_number(self, number: int) -> None:
        """The same, by the timer's number."""
        if isinstance(self._open.get(number), Timer):
            del self._open[number]
            self.decided.append(TaskCanceled(number))

    # --- events that are held --------------------------------------------------------------------

    def offered(self) -> tuple[list[UnreadEvent], list[HeldEvent]]:
        """Events that a worker may feed to the package in this turn, oldest first."""
        held = self.held.offered()
        raised = self._write.raised
        return held, [
            HeldEvent(one.event.name, raised(one.event.name, one.event.input)) for one in held
        ]

    def give_held(self, number: int) -> Raw | None:
        """The package was told this event; None when no wait for it is open."""
        found = self.held.take(number)
        return None if found is None else self._given(*found)

    def give_to_wait(self, event_id: int) -> Raw | None:
        """The same, of the event that has ended this wait."""
        found = self.held.take_for(event_id)
        return None if found is None else self._given(*found)

    def late(self) -> list[Raw]:
        """Events that were held and are waited for by now; the package is to be told them."""
        told = []
        while (found := self.held.match()) is not None:
            told.append(self._given(*found))
        return told

    def _take_number(self) -> int:
        number = self._number
        self._number += 1
        return number

    def _take_private(self) -> int:
        number = self._private
        self._private += 1
        return number


def _counted(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"


def _text(value: Any) -> str:  # noqa: ANN401 - JSON values
    return _encode(value).decode()
