"""Runs of random programs on asyncio's own event loop, with the world of a recorded session.

Sessions promise asyncio's behaviour. Here the same program gets the same answers in the same order
from a stock loop, whose timers are fired by hand, and must take the same steps. Tasks and futures
are numbered as a session numbers them, because asyncio keeps them in sets.
"""

# Callbacks and results may be anything.
# ruff: noqa: ANN401

import asyncio
import json
import random
import sys
import uuid
from asyncio import events as asyncio_events
from asyncio import tasks as asyncio_tasks
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

from tenuto.model.errors import (
    ActivityError,
    ActivityTimeoutError,
    SubOrchestrationError,
    WorkError,
)
from tenuto.model.events import (
    EventRaised,
    ExecutionStarted,
    Incoming,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from tenuto.model.failure import FailureDetails
from tenuto.model.ids import child_instance_id
from tenuto.model.timing import to_datetime
from tenuto.orchestration.names import random_uuid
from tests.support.program_interpreter import Notes, orchestrator_of
from tests.support.program_runs import EXECUTION, SECOND, Record, incoming_of


class _NumberedFuture(asyncio.Future[Any]):
    """Hashes by a counter of its loop."""

    def __init__(self, loop: "StockLoop") -> None:
        self.number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class _NumberedTask(asyncio.Task[Any]):
    """The same; numbered first, since a stock task puts itself into a set at once."""

    def __init__(self, coroutine: Any, loop: "StockLoop", **options: Any) -> None:
        self.number = loop.next_number()
        super().__init__(coroutine, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


class StockLoop(asyncio.SelectorEventLoop):
    """asyncio's loop; time stands still, and timers fire when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0
        self.ids = 0
        self.now = 0
        self.origin = 0
        self.timers: dict[int, asyncio.TimerHandle] = {}
        # Tasks whose errors nobody looks at are part of the game.
        self.set_exception_handler(lambda _loop, _context: None)
        factory: Any = lambda loop, coroutine, **options: _NumberedTask(coroutine, loop, **options)  # noqa: E731
        self.set_task_factory(factory)

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def time(self) -> float:
        return (self.now - self.origin) / SECOND

    def create_future(self) -> asyncio.Future[Any]:
        return _NumberedFuture(self)

    def call_later(  # type: ignore[override]  # any callback
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        return self._when(self.now + round(delay * SECOND), callback, args, context)

    def call_at(  # type: ignore[override]  # any callback
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> Any:
        return self._when(self.origin + round(when * SECOND), callback, args, context)

    def _when(self, when: int, callback: Any, args: Sequence[Any], context: Any) -> Any:
        if when <= self.now:
            return self.call_soon(callback, *args, context=context)
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self.timers[self.next_id()] = handle
        return handle

    def fire(self, timer_id: int) -> None:
        handle = self.timers.pop(timer_id)
        if not handle.cancelled():
            self._ready.append(handle)  # type: ignore[attr-defined]

    def run_until_idle(self) -> None:
        """Run what is ready, and what that makes ready."""
        hooks = sys.get_asyncgen_hooks()
        asyncio_events._set_running_loop(self)
        sys.set_asyncgen_hooks(
            self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
            self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
        )
        try:
            while self._ready:  # type: ignore[attr-defined]
                self._run_once()  # type: ignore[attr-defined]
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio_events._set_running_loop(None)


class StockContext:
    """What a program sees of its context, over plain futures."""

    def __init__(self, loop: StockLoop) -> None:
        self.loop = loop
        self.open: dict[int, tuple[asyncio.Future[Any], Callable[[FailureDetails], WorkError]]] = {}
        self.waits: dict[str, deque[asyncio.Future[Any]]] = {}
        self.unread: dict[str, deque[Any]] = {}
        self.random = random.Random(EXECUTION)
        self._uuids = 0

    @property
    def current_time(self) -> datetime:
        return to_datetime(self.loop.now)

    def new_uuid(self) -> uuid.UUID:
        self._uuids += 1
        return random_uuid(EXECUTION, self._uuids)

    def call_activity(self, activity: Any, _number: int) -> asyncio.Future[Any]:
        name = activity if isinstance(activity, str) else activity.name

        def error(failure: FailureDetails) -> WorkError:
            kind = ActivityTimeoutError if failure.error_type == "TimeoutError" else ActivityError
            return kind(name, failure)

        return self._call(error)

    def call_sub_orchestrator(
        self, name: str, _number: int, instance_id: str | None
    ) -> asyncio.Future[Any]:
        return self._call(lambda failure: SubOrchestrationError(name, failure))

    def _call(self, error: Callable[[FailureDetails], WorkError]) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.open[self.loop.next_id()] = future, error
        return future

    def create_timer(self, delay: timedelta) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        self.open[self.loop.next_id()] = future, lambda _failure: WorkError("", _failure)
        return future

    def wait_for_external_event(self, name: str, timeout: None) -> asyncio.Future[Any]:
        future = self.loop.create_future()
        key = name.casefold()
        if self.unread.get(key):
            future.set_result(self.unread[key].popleft())
        else:
            self.loop.next_id()
            self.waits.setdefault(key, deque()).append(future)
        return future

    def start_orchestrator(self, _name: str, _number: int) -> str:
        return child_instance_id(EXECUTION, self.loop.next_id())

    def send_event(self, *_arguments: object) -> None:
        self.loop.next_id()

    def set_custom_status(self, status: object) -> None:
        pass

    def continue_as_new(self) -> None:
        pass

    def task_all(self, tasks: list[asyncio.Future[Any]]) -> asyncio.Future[list[Any]]:
        return asyncio.gather(*tasks)

    def task_any(self, tasks: list[asyncio.Future[Any]]) -> asyncio.Future[Any]:
        winner = self.loop.create_future()

        def finished(task: asyncio.Future[Any]) -> None:
            if not winner.done():
                winner.set_result(task)

        for task in tasks:
            task.add_done_callback(finished)
        return winner

    # --- the world ------------------------------------------------------------------------------

    def take(self, event: Incoming) -> None:
        """Something of the history happens."""
        match event:
            case TaskCompleted() | SubOrchestrationInstanceCompleted():
                self._answer(event.task_scheduled_id, json.loads(event.result or "null"))
            case TaskFailed() | SubOrchestrationInstanceFailed():
                self._answer(event.task_scheduled_id, event.failure_details)
            case TimerFired(timer_id=timer_id) if timer_id in self.loop.timers:
                self.loop.fire(timer_id)
            case TimerFired(timer_id=timer_id):
                self._answer(timer_id, None)
            case EventRaised():
                self._raise(event.name.casefold(), json.loads(event.input or "null"))
            case _:
                pass  # the start

    def _answer(self, task_id: int, value: object) -> None:
        # An id that is not known means that the loops went different ways: the notes tell where.
        future, error = self.open.pop(task_id, (None, None))
        if future is None or error is None or future.done():
            return
        if isinstance(value, FailureDetails):
            future.set_exception(error(value))
        else:
            future.set_result(value)

    def _raise(self, key: str, value: object) -> None:
        waits = self.waits.get(key, deque())
        while waits:
            future = waits.popleft()
            if not future.done():
                future.set_result(value)
                return
        self.unread.setdefault(key, deque()).append(value)


def stock_notes(record: Record) -> Notes:
    """The notes of a recorded program on a stock loop."""
    notes: Notes = []
    loop = StockLoop()
    with _numbered_gather():
        context = StockContext(loop)
        root: asyncio.Task[Any] | None = None
        for turn in record["turns"]:
            loop.now = turn["at"]
            loop.origin = loop.origin or loop.now
            for event in incoming_of(turn):
                if isinstance(event, ExecutionStarted):
                    root = loop.create_task(orchestrator_of(record["program"], notes)(context))
                context.take(event)
                loop.run_until_idle()
        seen = list(notes)
        assert root is not None
        _clean_up(loop, root)
    return seen


def _clean_up(loop: StockLoop, root: asyncio.Task[Any]) -> None:
    for _ in range(20):
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_idle()
    if root.done() and not root.cancelled():
        root.exception()
    loop.close()


@contextmanager
def _numbered_gather() -> Iterator[None]:
    """``gather`` makes its future by itself, which takes a number in a session."""
    stock = asyncio_tasks._GatheringFuture  # type: ignore[attr-defined]
    before = stock.__init__

    def init(self: Any, children: Any, *, loop: StockLoop) -> None:
        before(self, children, loop=loop)
        loop.next_number()

    with mock.patch.object(stock, "__init__", init):
        yield
