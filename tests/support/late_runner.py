"""Runners that answer later, as those of foreign programs do.

``WorkerRunner`` asks a worker process over a pipe, which may die at any time. ``HandRunner``
leaves the answers to the test. ``beside`` puts one of them into hosts, beside the app's own.
"""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenuto.engine.ports import (
    ActivityWork,
    GivenBack,
    LateTurn,
    Session,
    WorkStage,
)
from tenuto.engine.runner_figures import ActivityLoad, PoolFacts, WorkerFacts
from tenuto.engine.runners import RunnerSet
from tenuto.functions.runner import NativeRunner
from tenuto.model.actions import Action, TurnActions
from tenuto.model.codec import encode
from tenuto.model.errors import UnknownFunctionError
from tenuto.model.events import HistoryEvent, Incoming, OrchestratorStarted, TaskCompleted
from tenuto.model.execution import ExecutionInfo

WORKER = Path(__file__).with_name("foreign_worker.py")


class Request:
    """A turn that is out."""

    def __init__(
        self, info: ExecutionInfo, history: list[HistoryEvent], incoming: Sequence[Incoming]
    ) -> None:
        self.instance_id = info.instance_id
        self.events = list(history)
        self.incoming: list[HistoryEvent] = list(incoming)
        self.late = LateTurn()
        self._history = history

    def complete(self, *actions: Action) -> None:
        self._history += actions
        self.late.answer(TurnActions(list(actions)))


class LateSession:
    """A session that is its history, and nothing else."""

    def __init__(
        self, info: ExecutionInfo, events: list[HistoryEvent], ask: Callable[[Request], None]
    ) -> None:
        self._info = info
        self._events = events
        self._ask = ask

    def run_turn(
        self, timestamp: int, events: Sequence[Incoming], *, replaying: bool = False
    ) -> LateTurn:
        self._events += [OrchestratorStarted(timestamp), *events]
        request = Request(self._info, self._events, events)
        self._ask(request)
        return request.late

    def close(self) -> int:
        return 0


class LateRunner:
    """What all runners of this file share: names, and activities that answer in the next round.

    Attributes:
        asked: How often user code was asked, by instance.
        rebuilt: How many sessions were rebuilt from history.
        ran: Activities that ran.
    """

    runtime = "foreign 1"
    running = 0
    queued = 0

    @property
    def hung(self) -> int:
        return 0

    def loads(self) -> Mapping[str, ActivityLoad]:
        return {}

    def workers(self) -> Sequence[WorkerFacts]:
        return ()

    def pools(self) -> Sequence[PoolFacts]:
        return ()

    def shortages(self) -> Sequence[str]:
        return ()

    def stages_of(self, _works: Sequence[ActivityWork]) -> Mapping[ActivityWork, WorkStage]:
        """They are not looked at."""
        return {}

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.rebuilt = 0
        self.ran: list[ActivityWork] = []
        self.names = ["chain"]
        self._deliver: Callable[[list[ActivityWork]], None] = lambda _outcomes: None
        self.appeared: Callable[[], None] = lambda: None

    @property
    def orchestrators(self) -> Sequence[str]:
        return self.names

    @property
    def activity_limits(self) -> Mapping[str, int | None]:
        return {"step": None}

    def serves(self, name: str) -> bool:
        return name in self.names

    def serves_activity(self, name: str) -> bool:
        return name == "step"

    def open_session(self, info: ExecutionInfo) -> Session:
        return self._session(info, [])

    def replay_session(
        self, info: ExecutionInfo, turns: Sequence[Sequence[HistoryEvent]]
    ) -> Session:
        self.rebuilt += 1
        return self._session(info, [event for turn in turns for event in turn])

    def _session(self, info: ExecutionInfo, events: list[HistoryEvent]) -> Session:
        if info.facts.name not in self.names:
            raise UnknownFunctionError("orchestrator", info.facts.name, self.names)
        return LateSession(info, events, self._count)

    def _count(self, request: Request) -> None:
        self.asked[request.instance_id] += 1
        self.ask(request)

    def ask(self, request: Request) -> None:
        raise NotImplementedError

    def bind(self, deliver: Callable[[list[ActivityWork]], None]) -> None:
        self._deliver = deliver

    def on_served(self, appeared: Callable[[], None]) -> None:
        self.appeared = appeared

    def start_activities(self, works: list[ActivityWork]) -> None:
        self.ran += works
        outcomes = [work.answered(TaskCompleted(work.task_id, work.input)) for work in works]
        asyncio.get_running_loop().call_soon(self._deliver, outcomes)

    def cancel_activity(self, work: ActivityWork) -> bool:
        return False

    async def drain(self, seconds: float) -> bool:
        return True

    async def stop(self) -> None:
        """Nothing runs by itself."""


class HandRunner(LateRunner):
    """Leaves the answers to the test.

    Attributes:
        requests: Turns that are out, or were recalled, oldest first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []

    def ask(self, request: Request) -> None:
        self.requests.append(request)


class WorkerRunner(LateRunner):
    """Asks one worker process, which answers in the order of the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.deaths = 0
        self.answered: Counter[tuple[str, int]] = Counter()
        self._out: deque[tuple[int, Request]] = deque()
        self._process: asyncio.subprocess.Process | None = None
        self._supervising: asyncio.Task[None] | None = None
        self._number = 0
        self._has_answered = False

    def ask(self, request: Request) -> None:
        self._number += 1
        self._out.append((self._number, request))
        if self._supervising is None:
            self._supervising = asyncio.get_running_loop().create_task(self._supervise())
        elif self._process is not None:
            self._send(self._number, request)

    def _send(self, number: int, request: Request) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        line = msgspec.json.encode({"id": number, "events": msgspec.Raw(encode(request.events))})
        self._process.stdin.write(line + b"\n")

    def kill(self) -> bool:
        """End the worker's process; whether there was one that is not just beginning.

        One that died with the same turn four times before it could answer anything, as on a slow
        machine, would have that instance held.
        """
        if self._process is None or self._process.returncode is not None:
            return False
        if self._out and not self._has_answered:
            return False
        self._process.kill()
        return True

    async def _supervise(self) -> None:
        while True:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(WORKER),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=1 << 24,
            )
            self._has_answered = False
            for number, request in list(self._out):
                self._send(number, request)
            assert process.stdout is not None
            while line := await process.stdout.readline():
                if not line.endswith(b"\n"):
                    break
                self._take(msgspec.json.decode(line, type=_Answer))
            await process.wait()
            self._process = None
            self.deaths += 1
            lost, self._out = self._out, deque()
            for index, (_number, request) in enumerate(lost):
                request.late.answer(GivenBack("the worker has died", has_killed=index == 0))

    def _take(self, answer: "_Answer") -> None:
        number, request = self._out.popleft()
        assert number == answer.id
        self._has_answered = True
        self.answered[request.instance_id, len(request.events)] += 1
        request.complete(*answer.actions)

    async def stop(self) -> None:
        if self._supervising is not None:
            self._supervising.cancel()
            await asyncio.wait([self._supervising])
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class _Answer(msgspec.Struct):
    id: int
    actions: list[Action]


def beside(monkeypatch: pytest.MonkeyPatch, late: LateRunner) -> None:
    """Hosts that start from now on have this runner beside their own."""

    def make(*arguments: Any, **more: Any) -> RunnerSet:
        return RunnerSet([late, NativeRunner(*arguments, **more)])

    monkeypatch.setattr("tenuto.functions.program.NativeRunner", make)
