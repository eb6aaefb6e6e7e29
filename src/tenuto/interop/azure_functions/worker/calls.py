"""Calls of functions that are no orchestrators: async ones on one loop, sync ones in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .app import App, Binding, Function
from .exception_texts import message_of, stack_of
from .invocations import Out, context_of
from .logs import invocation
from .pipe import Message
from .pipe import encode as encode_message
from .requests import answer
from .signatures import RETURN, hints, takes_context
from .sizes import Sizes, cut
from .streaming import Streams
from .values import Value, decode, encode, has_implicit_output

Send = Callable[..., None]


class Calls:
    """Runs calls and answers them, each exactly once.

    Args:
        app: Whose functions are called.
        send: Sends a message that is encoded, from any thread.
        loop: Where async functions run, all of their life: what an app keeps between calls, such as
            a connection, belongs to it.
        threads: How many sync functions may run at once.
        streams: Where requests come from and answers go when the app streams; else None.
        sizes: What the host takes.
    """

    def __init__(
        self,
        app: App,
        send: Send,
        loop: asyncio.AbstractEventLoop,
        threads: int,
        streams: Streams | None,
        sizes: Sizes,
    ) -> None:
        self._app = app
        self._sizes = sizes
        self._send = send
        self._loop = loop
        self._streams = streams
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._queued: dict[int, _Queued] = {}
        self._running = 0
        self._none_runs = threading.Condition()

    def begin(self, message: Message, body: bytes) -> None:
        """Run a call."""
        with self._none_runs:
            self._running += 1
        try:
            function = self._app.function(message["function"])
        except LookupError as error:
            self._finish(message, failure(error), b"")
            return
        is_streamed = self._streams is not None and function.is_behind_http
        if is_streamed or inspect.iscoroutinefunction(function.callable):
            self._loop.call_soon_threadsafe(self._begin_async, function, message, body)
        else:
            queued = _Queued(function, message, body)
            self._queued[message["id"]] = queued
            self._pool.submit(contextvars.Context().run, self._run_queued, queued)

    def cancel(self, identifier: int) -> None:
        """Nobody waits for a call any more: an async function is cancelled, a sync one does not
        begin; one that has begun goes on.
        """
        queued = self._queued.pop(identifier, None)
        given = None if queued is None else queued.take()
        if given is not None:
            self._finish(given[1], failure(asyncio.CancelledError()), b"")
        else:
            self._loop.call_soon_threadsafe(self._cancel, identifier)

    def wait_until_done(self) -> None:
        """Until every call that was begun is answered."""
        with self._none_runs:
            self._none_runs.wait_for(lambda: self._running == 0)

    def _cancel(self, identifier: int) -> None:
        task = self._tasks.get(identifier)
        if task is not None:
            task.cancel()

    def _begin_async(self, function: Function, message: Message, body: bytes) -> None:
        identifier = message["id"]
        if self._streams is not None and function.is_behind_http:
            running = self._run_streamed(self._streams, function, message)
        else:
            running = self._run_async(function, message, body)
        task = self._loop.create_task(running)
        self._tasks[identifier] = task

        def ended(ended_task: asyncio.Task[None]) -> None:
            del self._tasks[identifier]
            if ended_task.cancelled():  # before it began: then nothing of it has run
                self._finish(message, failure(asyncio.CancelledError()), b"")

        task.add_done_callback(ended)

    async def _run_async(self, function: Function, message: Message, body: bytes) -> None:
        with invocation(message["invocation"], function.name):
            try:
                prepared = Prepared(function, message, body)
                result = prepared.result(await prepared.call())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's answer
                result = failure(error), b""
        self._finish(message, *result)

    async def _run_streamed(self, streams: Streams, function: Function, message: Message) -> None:
        """Run a function with its request, until all of its answer is sent."""
        result: Message = {}

        async def respond(request: Any) -> Any:
            prepared = Prepared(function, message, b"", request)
            if inspect.iscoroutinefunction(function.callable):
                returned = await prepared.call()
            else:
                run = contextvars.copy_context().run
                returned = await self._loop.run_in_executor(self._pool, run, prepared.call)
            returned, outputs = prepared.streamed(returned)
            result.update(outputs)
            return returned

        with invocation(message["invocation"], function.name):
            try:
                params = _params(function, message)
                await streams.run(message["invocation"], params, respond)
                result["type"] = "result"
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's answer
                result = failure(error)
        self._finish(message, result, b"")

    def _run_queued(self, queued: _Queued) -> None:
        given = queued.take()
        if given is not None:
            self._queued.pop(given[1]["id"], None)
            self._run_sync(*given)

    def _run_sync(self, function: Function, message: Message, body: bytes) -> None:
        with invocation(message["invocation"], function.name):
            try:
                prepared = Prepared(function, message, body)
                result = prepared.result(prepared.call())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's answer
                result = failure(error), b""
        self._finish(message, *result)

    def _finish(self, message: Message, result: Message, body: bytes) -> None:
        number = message["id"]
        try:
            _check_body(body)
            text = encode_message({"id": number, **result})
            if result["type"] == "result" and not self._sizes.are_surely_kept(text):
                text = self._within_limits(message, result, text)
        except Exception as error:  # noqa: BLE001 - what cannot be sent is a failure like others
            text, body = encoded_failure(number, error), b""
        self._send(text, body)
        with self._none_runs:
            self._running -= 1
            self._none_runs.notify_all()

    def _within_limits(self, message: Message, result: Message, text: bytes) -> bytes:
        function = self._app.function(message["function"])
        if function.trigger_type.lower() != "activitytrigger":
            return text
        failed = self._sizes.failed_activity(message, result)
        return text if failed is None else encode_message({**failed, "id": message["id"]})


class _Queued:
    """A call that waits for a thread; nothing of it is held once it runs or was canceled."""

    def __init__(self, function: Function, message: Message, body: bytes) -> None:
        self._given = [(function, message, body)]

    def take(self) -> tuple[Function, Message, bytes] | None:
        """What is to be run, for whoever asks first."""
        try:
            return self._given.pop()
        except IndexError:
            return None


class Prepared:
    """A call with its arguments, ready to run.

    Args:
        function: What is called.
        message: The call.
        body: What was attached to it.
        request: What came by the pipe, of a call that is streamed.

    Raises:
        TypeError: a binding's value cannot be made what the function takes.
    """

    def __init__(
        self, function: Function, message: Message, body: bytes, request: Any = None
    ) -> None:
        self._function = function
        self._outs: dict[str, tuple[Binding, Out]] = {}
        self._arguments: dict[str, Any] = {}
        inputs: Mapping[str, Value | None] = message.get("inputs") or {}
        metadata = message.get("metadata") or {}
        annotations = hints(function)
        for binding in function.bindings:
            name = str(binding.get("name"))
            if binding.get("direction") == "out":
                if name != RETURN:
                    self._outs[name] = binding, Out()
                    self._arguments[name] = self._outs[name][1]
            elif request is not None and binding is function.trigger:
                self._arguments[name] = request
            else:
                self._arguments[name] = decode(
                    binding, inputs.get(name), body, metadata, annotations.get(name)
                )
        if takes_context(function):
            self._arguments["context"] = context_of(message, function.name, function.directory)

    def call(self) -> Any:
        """What the function returns; to be awaited, when it is an async one."""
        function = self._function
        if function.trigger_type.lower() == "entitytrigger":
            # Its wrapper does not know the name that the app has chosen.
            return function.callable(self._arguments[function.trigger["name"]])
        return function.callable(**self._arguments)

    def result(self, returned: Any) -> tuple[Message, bytes]:
        """The answer to the call, and the body of what it answers over HTTP.

        Raises:
            TypeError: a value cannot be written for its binding.
            RuntimeError: it has returned something that nobody wants.
        """
        value, body = self._value(returned)
        answered, outputs = self._written()
        if answered is not None:
            if value is not None:  # for a binding that is none of HTTP
                outputs = {**(outputs or {}), RETURN: value}
            value, body = answer(answered)
        return {"type": "result", "value": value, "outputs": outputs}, body

    def streamed(self, returned: Any) -> tuple[Any, Message]:
        """What is to be answered over HTTP, and what the answer to the call has beside it.

        Raises:
            TypeError: a value cannot be written for its binding, or there is nothing to answer.
        """
        answered, outputs = self._written()
        answered = returned if answered is None else answered
        if answered is None:
            raise TypeError(
                f"function {self._function.name!r} has returned nothing; a function behind HTTP "
                "returns its answer, such as a Response"
            )
        return answered, {"outputs": outputs}

    def _written(self) -> tuple[Any, Message | None]:
        """What it has put into its outputs: the answer over HTTP, and the others."""
        answered, outputs = None, {}
        for name, (binding, out) in self._outs.items():
            if out.get() is None:
                continue
            if _is_http(binding):
                answered = out.get()
            else:
                outputs[name] = encode(binding, out.get(), None)
        return answered, outputs or None

    def _value(self, returned: Any) -> tuple[Value | None, bytes]:
        function = self._function
        for binding in function.bindings:
            if binding.get("name") == RETURN:
                if _is_http(binding):
                    return answer(returned)
                hint = hints(function).get("return")
                return (None if returned is None else encode(binding, returned, hint)), b""
        if has_implicit_output(function.trigger):
            return encode(function.trigger, returned, None), b""
        if returned is not None:
            raise RuntimeError(
                f"function {function.name!r} without a $return binding returned a non-None value"
            )
        return None, b""


def failure(error: BaseException) -> Message:
    """What the host is told of an exception."""
    return {
        "type": "failed",
        "errorType": type(error).__name__,
        "message": cut(message_of(error)),
        "stack": cut(stack_of(error)),
    }


def _check_body(body: object) -> None:
    """User code says what it is."""
    if not isinstance(body, bytes):
        raise TypeError(f"a body is bytes, got {type(body).__name__}")


def encoded_failure(number: int, error: BaseException) -> bytes:
    """The same as it is sent."""
    return encode_message({"id": number, **failure(error)})


def _params(function: Function, message: Message) -> Mapping[str, str]:
    """The parameters of the route of a request."""
    request: Mapping[str, Any] = message["inputs"][function.trigger["name"]]["http"]
    params: Mapping[str, str] = request.get("params") or {}
    return params


def _is_http(binding: Binding) -> bool:
    return str(binding.get("type")).lower() == "http"
