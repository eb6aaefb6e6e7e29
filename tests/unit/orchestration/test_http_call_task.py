"""A call over HTTP in a session driven by hand: polls, retries, timeouts, ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from tenuto import (
    ActivityError,
    Context,
    FailureDetails,
    HttpCallOptions,
    HttpRetry,
    InputError,
    RetryPolicy,
)
from tenuto.model.actions import Action
from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.events import (
    EventAwaited,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
)
from tests.support.sessions import SECOND, START, Driven, failed, names, raised, run

E = TypeVar("E")

URL = "https://example.org/jobs"
HEADERS = {"X-Functions-Key": "k", "Accept": "text/plain", "Content-Type": "a/b"}


def answer(
    task_id: int, status: int = 200, content: str | None = None, url: str = URL, **headers: str
) -> TaskCompleted:
    """What the reserved activity gives."""
    fields = {
        "statusCode": status,
        "headers": {name.replace("_", "-"): [value] for name, value in headers.items()},
        "content": content,
        "url": url,
    }
    return TaskCompleted(task_id, json.dumps(fields))


def only(actions: list[Action], kind: type[E]) -> E:
    (action,) = actions
    assert isinstance(action, kind), action
    return action


def asked(action: TaskScheduled) -> dict[str, Any]:
    assert action.name == HTTP_ACTIVITY
    request: dict[str, Any] = json.loads(action.input or "")
    return request


def caller(options: HttpCallOptions | None = None) -> Callable[[Context], Awaitable[list[Any]]]:
    async def calls(ctx: Context) -> list[Any]:
        try:
            got = await ctx.call_http("POST", URL, "x", HEADERS, options=options)
        except Exception as error:  # noqa: BLE001 - shown in the result
            return [type(error).__name__, str(error)]
        return [got.status_code, got.content, got.url, got.header("x-a")]

    return calls


def pause(driven: Driven, task_id: int, **headers: str) -> float:
    """Seconds until the poll after a 202 with these headers; the poll is begun."""
    timer = only(driven.turn(answer(task_id, 202, None, URL, **headers)).actions, TimerCreated)
    assert isinstance(timer, TimerCreated)
    waited = (timer.fire_at - driven.now) / SECOND
    driven.fire(timer)
    return waited


def test_status_codes_are_values() -> None:
    """S84."""
    driven = Driven(caller())
    scheduled = only(driven.start().actions, TaskScheduled)
    assert asked(scheduled) == {
        "method": "POST",
        "url": URL,
        "content": "x",
        "headers": {name: [value] for name, value in HEADERS.items()},
    }
    driven.turn(answer(1, 404, "no", x_a="1"))
    assert driven.result == [404, "no", URL, "1"]
    driven.close()


def test_a_202_with_a_location_is_polled_until_another_answer() -> None:
    """S85: relative Location, Retry-After, no body and no function's key in polls."""
    driven = Driven(caller())
    driven.start()
    timer = only(driven.turn(answer(1, 202, location="7", retry_after="90")).actions, TimerCreated)
    assert timer.fire_at == driven.now + 90 * SECOND
    poll = only(driven.fire(timer).actions, TaskScheduled)
    assert (poll.attempt, poll.call_id) == (1, None)
    assert asked(poll) == {
        "method": "GET",
        "url": "7",
        "headers": {"Accept": ["text/plain"]},
        "base": URL,
        "origin": URL,
    }
    there = "https://example.org/7"
    timer = only(driven.turn(answer(3, 202, url=there)).actions, TimerCreated)
    assert asked(only(driven.fire(timer).actions, TaskScheduled)) == asked(poll)
    timer = only(driven.turn(answer(5, 202, url=there, location="8")).actions, TimerCreated)
    last = asked(only(driven.fire(timer).actions, TaskScheduled))
    assert (last["url"], last["base"], last["origin"]) == ("8", there, URL)
    session = driven.replayed()
    driven.turn(answer(7, 200, "done", url="https://example.org/8"))
    assert driven.result == [200, "done", "https://example.org/8", None]
    session.close()
    driven.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("0", 1),
        (" 7 ", 7),
        ("9" * 40, 7 * 86_400),
        ("Thu, 01 Jan 2032 01:00:00 GMT", 7 * 86_400),
        ("Thu, 01 Jan 2026 01:00:01 GMT", 3_600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
        ("Thu, 41 Jan 2026 01:00:00 GMT", 30),
        ("Thu, 01 Foo 2026 01:00:00 GMT", 30),
        ("-5", 30),
        ("soon", 30),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(text: str, seconds: int) -> None:
    driven = Driven(caller())
    driven.start()
    assert driven.now == START
    assert pause(driven, 1, location="/7", retry_after=text) == seconds
    driven.close()


def test_the_longest_time_between_polls_is_an_option() -> None:
    """An absurd ``Retry-After`` parks nobody for a year."""
    driven = Driven(caller(HttpCallOptions(max_poll_interval=timedelta(days=30))))
    driven.start()
    assert pause(driven, 1, location="/7", retry_after="9" * 9) == 30 * 86_400
    driven.close()


def test_without_retry_after_the_gap_is_that_of_the_options() -> None:
    driven = Driven(caller())
    driven.start()
    assert pause(driven, 1, location="/7") == 30
    driven.close()
    driven = Driven(caller(HttpCallOptions(poll_interval=timedelta(minutes=5))))
    driven.start()
    assert pause(driven, 1, location="/7") == 300
    driven.close()


def test_a_202_is_the_result_when_there_is_nothing_to_poll_or_it_is_not_wanted() -> None:
    """S85: pattern off."""
    for options, headers in ((None, {}), (HttpCallOptions(poll=False), {"location": "/7"})):
        driven = Driven(caller(options))
        driven.start()
        driven.turn(answer(1, 202, **headers))
        assert driven.result[0] == 202
        driven.close()


def test_a_status_of_the_list_is_tried_again_and_others_are_not() -> None:
    """S86."""
    retry = HttpRetry(
        max_attempts=3, first_interval=timedelta(seconds=4), backoff=2, statuses=(404,)
    )
    driven = Driven(caller(HttpCallOptions(retry=retry)))
    driven.start()
    timer = only(driven.turn(answer(1, 404)).actions, TimerCreated)
    assert timer.fire_at == driven.now + 4 * SECOND
    again = only(driven.fire(timer).actions, TaskScheduled)
    assert (again.attempt, again.call_id) == (2, 1)
    driven.turn(answer(3, 500))
    assert driven.result[0] == 500
    driven.close()


def test_when_attempts_are_used_up_the_last_answer_is_the_result() -> None:
    """S86: exhausted by status."""
    driven = Driven(caller(HttpCallOptions(retry=HttpRetry(max_attempts=2))))
    driven.start()
    driven.fire(only(driven.turn(answer(1, 503)).actions, TimerCreated))
    driven.turn(answer(3, 503))
    assert driven.result[0] == 503
    driven.close()


def test_a_network_error_is_tried_again_and_surfaces_in_the_end() -> None:
    """S86: exhausted by error."""
    driven = Driven(caller(HttpCallOptions(retry=HttpRetry(max_attempts=2))))
    driven.start()
    driven.fire(only(driven.turn(failed(1, "ConnectionError", "refused")).actions, TimerCreated))
    driven.turn(failed(3, "ConnectionError", "refused again"))
    kind, text = driven.result
    assert kind == "ActivityError"
    assert "refused again" in text
    driven.close()


def test_a_poll_has_attempts_of_its_own() -> None:
    retry = HttpRetry(max_attempts=2, timeout=timedelta(minutes=1))
    driven = Driven(caller(HttpCallOptions(retry=retry)))
    driven.start()
    driven.fire(only(driven.turn(answer(1, 503)).actions, TimerCreated))
    assert pause(driven, 3, location="/7", retry_after="3600") == 3600
    (poll,) = driven.turns[-1][2:]
    assert isinstance(poll, TaskScheduled)
    timer = only(driven.turn(answer(poll.event_id, 503)).actions, TimerCreated)
    again = only(driven.fire(timer).actions, TaskScheduled)
    assert (again.attempt, again.call_id) == (2, poll.event_id)
    driven.turn(answer(again.event_id, 503))
    assert driven.result[0] == 503
    driven.close()


def test_the_retry_predicate_sees_the_status_and_its_error_surfaces() -> None:
    seen: list[str] = []

    def decide(failure: FailureDetails) -> bool:
        seen.append(str(failure))
        raise LookupError("mine")

    retry = HttpRetry(max_attempts=2, retry_if=decide)
    driven = Driven(caller(HttpCallOptions(retry=retry, timeout=timedelta(hours=1))))
    driven.start()
    driven.turn(answer(2, 503))
    assert driven.result[0] == "LookupError"
    assert seen == ["tenuto.HttpStatus: POST https://example.org/jobs was answered with 503"]
    driven.close()


def test_the_timeout_is_for_all_of_it() -> None:
    """S86: reached; what is open is given up."""
    driven = Driven(caller(HttpCallOptions(timeout=timedelta(minutes=1))))
    deadline, _scheduled = driven.start().actions
    assert isinstance(deadline, TimerCreated)
    assert deadline.fire_at == START + 60 * SECOND
    poll = only(driven.turn(answer(2, 202, location="/7")).actions, TimerCreated)
    canceled, _ending = driven.fire(deadline).actions
    assert canceled == TaskCanceled(poll.event_id)
    kind, text = driven.result
    assert kind == "TimeoutError"
    assert "0:01:00" in text
    driven.close()


@pytest.mark.parametrize("last", [answer(2, 200), failed(2)])
def test_an_end_in_time_takes_the_timeout_back(last: TaskCompleted | TaskFailed) -> None:
    """S86: not reached."""

    async def calls(ctx: Context) -> None:
        options = HttpCallOptions(timeout=timedelta(minutes=1))
        with suppress(ActivityError):
            await ctx.call_http("GET", URL, options=options)
        await ctx.wait_for_external_event("go on")

    driven = Driven(calls)
    driven.start()
    assert driven.turn(last).actions == [TaskCanceled(1), EventAwaited(3, "go on")]
    driven.close()


def test_cancelling_gives_up_request_and_timeout() -> None:
    async def calls(ctx: Context) -> None:
        task = ctx.call_http("GET", URL, options=HttpCallOptions(timeout=timedelta(minutes=1)))
        await ctx.wait_for_external_event("enough")
        task.cancel()
        await ctx.wait_for_external_event("go on")

    driven = Driven(calls)
    driven.start()
    driven.turn(raised("enough"))
    assert set(driven.of_type(TaskCanceled)) == {TaskCanceled(1), TaskCanceled(2)}
    driven.close()


def test_a_result_that_user_code_has_set_stays() -> None:
    async def calls(ctx: Context) -> int:
        options = HttpCallOptions(timeout=timedelta(seconds=90))
        task = ctx.call_http("GET", URL, options=options)
        other = ctx.call_http("GET", URL, options=options)
        task.set_result(None)  # type: ignore[arg-type]  # anything
        other.set_result(None)  # type: ignore[arg-type]  # anything
        await ctx.create_timer(timedelta(hours=1))
        return 7

    driven = Driven(calls)
    actions = driven.start().actions
    timers = [one for one in actions if isinstance(one, TimerCreated)]
    driven.turn(answer(2, 202, location="/7"), failed(4))
    driven.fire(timers[0])
    driven.fire(timers[-1])
    assert driven.result == 7
    driven.close()


def test_an_answer_that_is_none_fails_the_call_not_the_host() -> None:
    driven = Driven(caller())
    driven.start()
    driven.turn(TaskCompleted(1, None))
    assert driven.result[0] == "DecodeError"
    driven.close()


def test_calls_can_be_gathered_and_yielded() -> None:
    async def gathered(ctx: Context) -> list[int]:
        answers = await asyncio.gather(*(ctx.call_http("GET", URL) for _ in range(2)))
        return [one.status_code for one in answers]

    driven = Driven(gathered)
    assert names(driven.start().actions) == ["TaskScheduled", "TaskScheduled"]
    driven.turn(answer(2, 201), answer(1, 200))
    assert driven.result == [200, 201]
    driven.close()

    def yielded(ctx: Context) -> Generator[Any, Any, int]:
        got = yield ctx.call_http("GET", URL)
        return int(got.status_code)

    driven = Driven(yielded)
    driven.start()
    driven.turn(answer(1, 204))
    assert driven.result == 204
    driven.close()


def test_what_is_wrong_with_a_call_is_said_where_it_stands() -> None:
    async def calls(ctx: Context) -> None:
        with pytest.raises(InputError, match="HttpCallOptions"):
            _task = ctx.call_http("GET", URL, options=RetryPolicy(max_attempts=1))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="year 9999"):
            _task = ctx.call_http("GET", URL, options=HttpCallOptions(timeout=timedelta.max))
        with pytest.raises(InputError, match="address"):
            _task = ctx.call_http("GET", "nowhere")

    driven = Driven(calls)
    driven.start()
    assert driven.result is None
    assert len(driven.turns[-1]) == 3, "nothing was scheduled"
    driven.close()
    assert run(calls) is None
