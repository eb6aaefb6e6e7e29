"""Functions of an app that streams bodies: request and answer pass by the pipe.

The call goes over the pipe as any other does. The request goes to the server in the worker that got
the call, under the invocation's id, and its answer comes from there while the function runs. A
request can be sent once: when its worker goes away, the function has failed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from tenuto.engine.program import HttpRequest, HttpResponse
from tenuto.interop.azure_app.functions import FunctionFailedError
from tenuto.interop.azure_app.worker_http import OF_A_CONNECTION, WorkerExchange, WorkerRequest

_LOGGER: Final = logging.getLogger("tenuto.app")
_NO_CONTENT: Final = 204
_LATE_SECONDS: Final = 10.0
"""For the answer of a function that has returned. It is on its way then, if there is one."""
_LAST_WORDS_SECONDS: Final = 0.05
"""For what a function that has failed had answered before."""
_OBITUARY_SECONDS: Final = 1.0
"""For the word that a worker has gone, once its connections are closed."""

_OWN_HEADERS: Final = frozenset({"x-forwarded-host", "x-forwarded-proto", "x-ms-invocation-id"})
_OF_THE_SERVER: Final = frozenset({"date"})

Head = tuple[int, Sequence[tuple[str, str]]]


class StreamedCall(Struct, frozen=True):
    """A call whose request and answer pass by the pipe.

    Attributes:
        invocation: Its id, under which the worker's server gets the request.
        began: Called when a worker has got it, with the address of that worker's server.
    """

    invocation: str
    began: Callable[[str], None]


async def stream(
    request: HttpRequest,
    invocation: str,
    call: Callable[[StreamedCall], Awaitable[Any]],
) -> HttpResponse:
    """Have a function answer a request, both piece by piece.

    Args:
        request: The request.
        invocation: The id of the call.
        call: Has the function called over the pipe; returns when it has.

    Raises:
        FunctionFailedError: the function has failed, or its worker has gone.
    """
    running = RunningFunction(call, invocation)
    try:
        head = await running.ask(request)
    except BaseException:
        await running.abandon()
        raise
    if head is None:
        await running.abandon()
        return HttpResponse(status=_NO_CONTENT)
    status, headers = head
    return HttpResponse(
        status=status,
        headers=[(name, value) for name, value in headers if name not in _OF_THE_SERVER],
        body=running,
    )


class RunningFunction:
    """A function that runs and is asked over HTTP; an async iterator over what it answers.

    Args:
        call: Has it called; it begins at once.
        invocation: The id of the call.
    """

    def __init__(self, call: Callable[[StreamedCall], Awaitable[Any]], invocation: str) -> None:
        loop = asyncio.get_running_loop()
        self._invocation = invocation
        self._began: asyncio.Future[str] = loop.create_future()
        self._invocation = invocation
        streamed = StreamedCall(invocation, self._note_begun)
        self._called: asyncio.Future[Any] = asyncio.ensure_future(call(streamed))
        # Who has read all of an answer does not ask what the call says; it is in the log.
        self._called.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._exchange: WorkerExchange | None = None

    def _note_begun(self, uri: str) -> None:
        if not self._began.done():
            self._began.set_result(uri)

    async def ask(self, request: HttpRequest) -> Head | None:
        """Send it the request; status and headers of its answer, None when it gives none.

        Raises:
            FunctionFailedError: it has failed, or its worker has gone.
        """
        await asyncio.wait({self._called, self._began}, return_when=asyncio.FIRST_COMPLETED)
        if not self._began.done():
            self._called.result()
        exchange = WorkerExchange(self._began.result(), for_worker(request, self._invocation))
        self._exchange = exchange
        head = asyncio.ensure_future(exchange.head())
        try:
            await asyncio.wait({head, self._called}, return_when=asyncio.FIRST_COMPLETED)
            if not head.done():
                self._called.result()
                await asyncio.wait({head}, timeout=_LATE_SECONDS)
            return head.result() if head.done() else None
        except ConnectionError as error:
            raise await self._failure(error) from error
        finally:
            await _ended(head)

    def __aiter__(self) -> "RunningFunction":
        """Itself: an answer is read once."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the answer.

        Raises:
            FunctionFailedError: the function has failed in the middle, or its worker has gone.
        """
        assert self._exchange is not None
        following = asyncio.ensure_future(self._exchange.piece())
        try:
            await asyncio.wait({following, *self._news}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await asyncio.wait({following}, timeout=self._patience)
            if not following.done():
                self._called.result()
            piece = await following
        except ConnectionError as error:
            failure = await self._failure(error)
            await self.abandon()
            raise failure from error
        except FunctionFailedError:
            await self.abandon()
            raise
        finally:
            await _ended(following)
        if piece is None:
            await self.aclose()
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Nobody wants more of it: hang up, unless all was said."""
        if self._exchange is not None and self._exchange.is_whole:
            # What the function still does is its own affair.
            await self._exchange.close()
        else:
            await self.abandon()

    async def abandon(self) -> None:
        """Hang up. A function that still runs is told that nobody waits for it."""
        if self._exchange is not None:
            await self._exchange.close()
        await _ended(self._called)

    @property
    def _news(self) -> set["asyncio.Future[Any]"]:
        """The call, while it may say more than that the function has returned."""
        called = self._called
        has_returned = called.done() and not called.cancelled() and called.exception() is None
        return set() if has_returned else {called}

    @property
    def _patience(self) -> float | None:
        """How long to wait for pieces: no longer than is needed when the function has failed."""
        return _LAST_WORDS_SECONDS if self._news else None

    async def _failure(self, error: Exception) -> FunctionFailedError:
        """What the call tells, which knows more of a worker that has gone than the connection."""
        await asyncio.wait({self._called}, timeout=_OBITUARY_SECONDS)
        if self._called.done() and isinstance(
            told := self._called.exception(), FunctionFailedError
        ):
            return told
        text = f"the answer broke off (invocation {self._invocation}): {error}"
        _LOGGER.error("%s", text)
        return FunctionFailedError(text, self._invocation)


def for_worker(request: HttpRequest, invocation: str) -> WorkerRequest:
    """A request as a worker's server gets it."""
    seen = urlsplit(request.url)
    dropped = OF_A_CONNECTION | _OWN_HEADERS
    headers = [(name, value) for name, value in request.headers if name not in dropped]
    headers += [
        ("x-ms-invocation-id", invocation),
        ("x-forwarded-host", seen.netloc),
        ("x-forwarded-proto", seen.scheme),
    ]
    body = request.body
    return WorkerRequest(
        method=request.method,
        target=f"{seen.path or '/'}{'?' if seen.query else ''}{seen.query}",
        headers=headers,
        body=None if isinstance(body, bytes) else body,
    )


async def _ended(task: "asyncio.Future[Any]") -> None:
    """Cancel a task and wait until it is over; how it ended is of no interest."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # taken, so that nobody misses it
