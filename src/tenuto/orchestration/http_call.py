"""Durable HTTP: one call, its polls and its retries, as a task of the session.

Each request is an attempt of the reserved activity; the pauses between are durable timers, so that
a poll of days costs nothing. Never resolves an address and never touches the network: that is the
activity's. All time is the orchestrator's.
"""

from datetime import timedelta
from typing import Final

import msgspec

from tenuto.model.built_in import HTTP_ACTIVITY
from tenuto.model.failure import FailureDetails
from tenuto.model.http_call import (
    HttpAnswer,
    HttpCallOptions,
    HttpRequest,
    HttpResponse,
    asked_pause,
    poll_request,
)
from tenuto.model.timing import MICROSECONDS, Microseconds, span
from tenuto.orchestration.tasks import ActivityTask, Scheduler

_ACCEPTED: Final = 202
_LEAST_PAUSE: Final = MICROSECONDS
"""A server that says ``Retry-After: 0`` must not fill the history with polls."""
_read: Final = msgspec.json.Decoder(HttpAnswer).decode


class HttpCallTask(ActivityTask[HttpResponse]):
    """A call over HTTP, up to its last answer.

    Args:
        scheduler: The session.
        request: The first request.
        options: Polls, retries, timeout.
    """

    __slots__ = ("_deadline_id", "_options", "_request")

    def __init__(
        self, scheduler: Scheduler, request: HttpRequest, options: HttpCallOptions
    ) -> None:
        self._request = request
        self._options = options
        self._deadline_id: int | None = None
        if options.timeout is not None:
            # Before the request: a due time that is refused must not leave it behind.
            due = scheduler.loop.now + span(options.timeout)
            self._deadline_id = scheduler.set_timer(due, self._expired, "timeout")
        super().__init__(
            scheduler, HTTP_ACTIVITY, request_text(request), _response, options.retry, None
        )

    # --- answers ----------------------------------------------------------------------------------

    def completed(self, result: str | None) -> None:
        """A request was answered: poll, try again, or be done."""
        self._open_id = None
        if self.done():
            return  # by user code, which may set any future
        try:
            answer = _read(result or "")
            pause = self._pause_before_retry(answer)
        except Exception as error:  # noqa: BLE001 - the user's retry predicate, or a foreign answer
            self._drop_deadline()
            self.set_exception(error)
            return
        if pause is not None:
            self._pause(self._now + pause)
        elif self._is_to_be_polled(answer):
            self._poll_later(answer)
        else:
            self._drop_deadline()
            self._decoded(_response, result)

    def failed(self, failure: FailureDetails) -> None:
        """There was no answer: try again later, or give the error to whoever waits."""
        super().failed(failure)
        if self.done():
            self._drop_deadline()

    def _pause_before_retry(self, answer: HttpAnswer) -> Microseconds | None:
        retry = self._options.retry
        if retry is None or not retry.covers(answer.status_code):
            return None
        request = self._request
        text = f"{request.method} {request.url} was answered with {answer.status_code}"
        failure = FailureDetails("tenuto.HttpStatus", text)
        elapsed = timedelta(microseconds=self._now - self._begun_at)
        delay = retry.next_delay(self.attempt, failure, elapsed)
        return None if delay is None else span(delay)

    # --- polls ------------------------------------------------------------------------------------

    def _is_to_be_polled(self, answer: HttpAnswer) -> bool:
        if answer.status_code != _ACCEPTED or not self._options.poll:
            return False
        # A poll that is answered without a new address goes on where it was.
        return self._request.base is not None or self._address(answer) is not None

    def _address(self, answer: HttpAnswer) -> str | None:
        """Where to poll."""
        for name in self._options.poll_headers:
            found = answer.headers.get(name.lower())
            if found:
                return found[0]
        return None

    def _poll_later(self, answer: HttpAnswer) -> None:
        address = self._address(answer)
        if address is not None:
            self._request = poll_request(self._request, address, answer.url)
            self._input = request_text(self._request)
        due = self._now + self._pause_before_poll(answer)
        self._open_id = self._scheduler.set_timer(due, self._poll, "poll", self.first_id)
        self.first_id = None  # the poll is a call of its own, with attempts of its own

    def _poll(self) -> None:
        self.attempt = 0
        self._begun_at = self._now
        self.begin_attempt()

    def _pause_before_poll(self, answer: HttpAnswer) -> Microseconds:
        values = answer.headers.get("retry-after")
        asked = None if not values else asked_pause(values[0].strip(), self._now)
        if asked is None:
            return span(self._options.poll_interval)
        return min(max(asked, _LEAST_PAUSE), span(self._options.max_poll_interval))

    # --- ends -------------------------------------------------------------------------------------

    @property
    def _now(self) -> Microseconds:
        return self._scheduler.loop.now

    def _give_up(self) -> None:
        super()._give_up()
        self._drop_deadline()

    def _drop_deadline(self) -> None:
        if self._deadline_id is not None:
            self._scheduler.cancel_work(self._deadline_id)
            self._deadline_id = None

    def _expired(self) -> None:
        self._deadline_id = None
        if not self.done():
            self._give_up()
            request, timeout = self._request, self._options.timeout
            self.set_exception(
                TimeoutError(f"no answer to {request.method} {request.url} within {timeout}")
            )


def request_text(request: HttpRequest) -> str:
    """A request as history holds it."""
    return msgspec.json.encode(request).decode()


def _response(text: str | None) -> HttpResponse:
    answer = _read(text or "")
    return HttpResponse(
        status_code=answer.status_code,
        headers=answer.headers,
        content=answer.content,
        url=answer.url,
    )
