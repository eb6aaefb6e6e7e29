"""Calls of functions that are no orchestrators: async ones on one loop, sync ones in threads."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .app import App, Binding, Function
from .invocations import Out, context_of
from .logs import invocation
from .pipe import Message
from .requests import answer
from .signatures import RETURN, hints, takes_context
from .values import Value, decode, encode, has_implicit_output

Send = Callable[..., None]

# Frames of ours say nothing to people of the app.
_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


class Calls:
    """Runs calls and answers them, each exactly once.

    Args:
        app: Whose functions are called.
        send: Sends a message, from any thread.
        loop: Where async functions run, all of their life: what an app keeps between calls, such as
            a connection, belongs to it.
        threads: How many sync functions may run at once.
    """

    def __init__(self, app: App, send: Send, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._app = app
        self._send = send
        self._loop = loop
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")
        self._tasks: dict[int, asyncio.Task[None]] = {}
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
        if inspect.iscoroutinefunction(function.callable):
            self._loop.call_soon_threadsafe(self._begin_async, function, message, body)
        else:
            run = contextvars.Context().run
            self._pool.submit(run, self._run_sync, function, message, body)

    def cancel(self, identifier: int) -> None:
        """Nobody waits for a call any more: an async function is cancelled, a sync one goes on."""
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
        task = self._loop.create_task(self._run_async(function, message, body))
        self._tasks[identifier] = task
        task.add_done_callback(lambda _: self._tasks.pop(identifier, None))

    async def _run_async(self, function: Function, message: Message, body: bytes) -> None:
        with invocation(message["invocation"], function.name):
            try:
                prepared = Prepared(function, message, body)
                result = prepared.result(await prepared.call())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's answer
                result = failure(error), b""
        self._finish(message, *result)

    def _run_sync(self, function: Function, message: Message, body: bytes) -> None:
        with invocation(message["invocation"], function.name):
            try:
                prepared = Prepared(function, message, body)
                result = prepared.result(prepared.call())
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's answer
                result = failure(error), b""
        self._finish(message, *result)

    def _finish(self, message: Message, result: Message, body: bytes) -> None:
        self._send({**result, "id": message["id"]}, body)
        with self._none_runs:
            self._running -= 1
            self._none_runs.notify_all()


class Prepared:
    """A call with its arguments, ready to run.

    Raises:
        TypeError: a binding's value cannot be made what the function takes.
    """

    def __init__(self, function: Function, message: Message, body: bytes) -> None:
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
        outputs = {}
        for name, (binding, out) in self._outs.items():
            if out.get() is None:
                continue
            if _is_http(binding):
                value, body = answer(out.get())
            else:
                outputs[name] = encode(binding, out.get(), None)
        return {"type": "result", "value": value, "outputs": outputs or None}, body

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
    trace = traceback.TracebackException.from_exception(error)
    own = [frame for frame in trace.stack if not frame.filename.startswith(_FOLDER)]
    trace.stack = traceback.StackSummary.from_list(own)
    return {
        "type": "failed",
        "errorType": type(error).__name__,
        "message": str(error),
        "stack": "".join(trace.format()),
    }


def _is_http(binding: Binding) -> bool:
    return str(binding.get("type")).lower() == "http"
