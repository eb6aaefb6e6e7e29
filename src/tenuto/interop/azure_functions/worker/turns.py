"""Turns of orchestrators: in one thread, in the order in which they came."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable
from typing import Any

from .app import App, Function
from .calls import encoded_failure, failure
from .executions import Execution, Known, PlainCall, Turned, look_inside, payload
from .logs import invocation
from .pipe import Message, encode
from .sizes import Sizes
from .timestamps import read_timestamps_fast

Send = Callable[[bytes], None]


class Turns:
    """Runs turns and answers them.

    Args:
        app: Whose orchestrators they are.
        send: Sends a message that is encoded, from any thread.
        sizes: What the host takes.
        keeps_executors: Whether the host wants executors to stay alive between turns.
    """

    def __init__(self, app: App, send: Send, sizes: Sizes, *, keeps_executors: bool) -> None:
        self._app = app
        self._sizes = sizes
        self._send = send
        self._known = Known()
        if any(_is_orchestrator(function) for function in app.functions):
            read_timestamps_fast()
            # Asked once: a package that is different inside stays so.
            self._known = look_inside()
        self._keeps = keeps_executors and self._known.executors
        self._kept: dict[int, tuple[str, Execution]] = {}
        self._waiting: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)
        self._thread.start()

    def take(self, message: Message) -> None:
        """Run a ``turn``, or ``forget`` a session, after those that came before."""
        self._waiting.put(message)

    def wait_until_done(self) -> None:
        """Until every turn that was taken is answered. Takes no more."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            if message["type"] == "forget":
                self._drop(message["key"])
            else:
                self._send(self._answered(message))

    def _answered(self, message: Message) -> bytes:
        """A turn's answer, whatever user code has done: all other turns wait behind this one."""
        number = message["id"]
        try:
            with invocation(message["invocation"], message["function"]):
                answer = self._turn(message)
                text = encode({"id": number, **answer})
                if self._sizes.are_surely_kept(text):
                    return text
                failed = self._sizes.failed_turn(message, answer)
                if failed is None:
                    return text
                self._drop(message["key"])
                return encode({"id": number, **failed})
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the turn's answer
            self._drop(message["key"])
            return encoded_failure(number, error)

    def _drop(self, key: int) -> None:
        _, execution = self._kept.pop(key, ("", None))
        if execution is not None:
            execution.close()

    def _turn(self, message: Message) -> Message:
        function = self._orchestrator(message["function"])
        history = message.get("history")
        if history is None:
            return self._turn_of_kept(function, message)
        text = payload(message["start"], history)
        if message.get("isCompared"):
            return self._compare(function, message, text)
        self._drop(message["key"])
        return self._turn_from_start(function, message, text, keeps=self._keeps)

    def _orchestrator(self, name: str) -> Function:
        function = self._app.function(name)
        if not _is_orchestrator(function):
            raise LookupError(f"function {name!r} is no orchestrator")
        if function.needs_durable_task:
            raise NotImplementedError(
                f"orchestrator {name!r} needs the Durable Task protocol, because the app has "
                "azure-functions-durable 2.x"
            )
        return function

    def _turn_of_kept(self, function: Function, message: Message) -> Message:
        key = message["key"]
        name, execution = self._kept.get(key, ("", None))
        if execution is None or name != function.name:
            return {"type": "lost"}
        turned = execution.feed(message["events"], message.get("held", ()))
        first = min(message.get("known", 0), execution.action_count)
        actions = execution.actions(first)
        return self._answer(message, execution, turned, actions=actions, first=first)

    def _turn_from_start(
        self, function: Function, message: Message, text: str, *, keeps: bool
    ) -> Message:
        if not self._known.actions or not hasattr(function.callable, "orchestrator_function"):
            turned = PlainCall(function.callable).run(text)
            return _answer(turned, turned.actions, first=0, is_kept=False)
        execution = Execution(function.callable)
        held = message.get("held", ()) if self._known.executors else ()
        turned = execution.run(text, message["history"], held)
        if keeps:
            self._kept[message["key"]] = function.name, execution
        return self._answer(message, execution, turned, actions=execution.actions(0), first=0)

    def _answer(
        self,
        message: Message,
        execution: Execution,
        turned: Turned,
        *,
        actions: list[Any],
        first: int,
    ) -> Message:
        if turned.is_over:
            self._kept.pop(message["key"], None)
        is_kept = message["key"] in self._kept
        if not is_kept:
            execution.close()
        return _answer(turned, actions, first=first, is_kept=is_kept)

    def _compare(self, function: Function, message: Message, text: str) -> Message:
        """The turn both ways; the stateless answer counts, and the executor goes."""
        name, execution = self._kept.pop(message["key"], ("", None))
        live: Message | None = None
        if execution is not None and name == function.name:
            try:
                turned = execution.feed(message["events"], message.get("held", ()))
                live = _answer(turned, execution.actions(0), first=0, is_kept=False)
            except Exception as error:  # noqa: BLE001 - that it raises is a difference
                live = failure(error)
            execution.close()
        answer = self._turn_from_start(function, message, text, keeps=False)
        if live is not None:
            answer["difference"] = difference(live, answer)
        return answer


def _is_orchestrator(function: Function) -> bool:
    return function.trigger_type.lower() == "orchestrationtrigger"


def _answer(turned: Turned, actions: Any, *, first: int, is_kept: bool) -> Message:
    return {
        "type": "turned",
        **turned.message(),
        "actions": list(actions),
        "first": first,
        "isKept": is_kept,
    }


def difference(live: Message, stateless: Message) -> str | None:
    """Where an executor that was kept and the stateless call have parted, for people."""
    for member in stateless:
        if live.get(member) != stateless[member]:
            return (
                f"{member}: the executor has {json.dumps(live.get(member), default=str)}, "
                f"the stateless call {json.dumps(stateless[member], default=str)}"
            )
    return None
