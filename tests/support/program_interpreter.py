"""Runs random programs (``program_grammar``) as orchestrators, and notes what happens when.

The notes are what two runs of one program must agree on: every step of user code in its order,
with its value or its error.
"""

# Values of programs may be anything.
# ruff: noqa: ANN401

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from datetime import timedelta
from typing import Any, TypeAlias

from tenuto import RetryPolicy
from tenuto.functions.registry import FunctionRegistry
from tests.support.program_grammar import Node

Notes: TypeAlias = list[str]
Steps: TypeAlias = Generator[Any, Any, Any]

functions = FunctionRegistry()
"""What programs call by reference; never run, the environment answers."""


@functions.activity
def work(number: int) -> int:
    return number


meanwhile: list[Callable[[], None]] = []
"""What goes on in the process at each step of a program, and has no part in it."""

VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE", default=0)
ERRORS = (ValueError, KeyError, LookupError)
_MODES = (asyncio.FIRST_COMPLETED, asyncio.ALL_COMPLETED, asyncio.FIRST_EXCEPTION)


def orchestrator_of(program: Node, notes: Notes) -> Callable[..., Any]:
    """The orchestrator that a program stands for; ``notes`` gets what happens until it ends."""
    sort = program["sort"]

    async def run_async(ctx: Any) -> object:
        actor = Actor(ctx, notes, sort=sort)
        try:
            value = await actor.run(program["body"])
            if program["again"]:
                ctx.continue_as_new()
            return [value, len(notes)]
        finally:
            actor.is_over = True

    def run_generator(ctx: Any) -> Steps:
        actor = GeneratorActor(ctx, notes, sort=sort)
        value = yield from actor.steps(program["body"])
        if program["again"]:
            ctx.continue_as_new()
        return [value, len(notes)]

    return run_generator if program["style"] == "generator" else run_async


def shape(error: BaseException) -> str:
    """What of an error must be the same in every run."""
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}[{', '.join(shape(one) for one in error.exceptions)}]"
    return f"{type(error).__name__}({error})"


class _Notebook:
    """What both styles share."""

    def __init__(self, ctx: Any, notes: Notes, *, sort: bool) -> None:
        self.ctx = ctx
        self.notes = notes
        self.sort = sort
        self.is_over = False

    def note(self, node: Node, what: object) -> None:
        for one in meanwhile:
            one()
        if not self.is_over:
            self.notes.append(f"{node['at']} {node['op']} {what}")

    def durable(self, node: Node) -> Any:
        """The task of a leaf that is one."""
        ctx, number = self.ctx, node["at"]
        op = node["op"]
        if op == "activity":
            if not node["typed"] and not node["retries"]:
                return ctx.call_activity("elsewhere", number)
            policy = None
            if node["retries"]:
                policy = RetryPolicy(max_attempts=1 + node["retries"], backoff=2.0)
            return ctx.call_activity(work.options(retry=policy), number)
        if op in {"timer", "sleep"}:
            return ctx.create_timer(timedelta(seconds=node["seconds"]))
        if op == "child":
            instance_id = None if node["id"] is None else f"{node['id']}-{number}"
            return ctx.call_sub_orchestrator("child", number, instance_id=instance_id)
        seconds = node["seconds"]
        timeout = None if seconds is None else timedelta(seconds=seconds)
        return ctx.wait_for_external_event(node["name"], timeout=timeout)

    def simple(self, node: Node) -> object:
        """A leaf that waits for nothing."""
        ctx, op = self.ctx, node["op"]
        if op == "raise":
            raise ERRORS[node["error"]](node["at"])
        if op == "variable":
            VARIABLE.set(VARIABLE.get() + 1)
            return VARIABLE.get()
        if op == "clock":
            loop_time = asyncio.get_running_loop().time()
            return [str(ctx.current_time), loop_time, str(ctx.new_uuid()), ctx.random.random()]
        if op == "status":
            ctx.set_custom_status(len(self.notes))
        elif op == "start":
            return ctx.start_orchestrator("child", node["at"])
        elif op == "send":
            ctx.send_event("other", "hello", node["at"])
        return None


class Actor(_Notebook):
    """Runs nodes as coroutines."""

    async def run(self, node: Node) -> Any:
        try:
            value = await self._act(node)
        except (Exception, asyncio.CancelledError) as error:
            self.note(node, shape(error))
            raise
        self.note(node, value)
        return value

    async def _act(self, node: Node) -> Any:
        op = node["op"]
        if op in {"activity", "timer", "event", "child"}:
            return await self.durable(node)
        if op == "sleep":
            return await asyncio.sleep(node["seconds"], "slept")
        if op == "yield":
            for _ in range(node["times"]):
                await asyncio.sleep(0)
            return None
        method: Callable[[Node], Awaitable[Any]] | None = getattr(self, f"do_{op}", None)
        return self.simple(node) if method is None else await method(node)

    def spawn(self, node: Node) -> asyncio.Task[Any]:
        return asyncio.create_task(self.run(node))

    def parts(self, node: Node, start: int = 0) -> list[Any]:
        return [self.run(part) for part in node["parts"][start:]]

    async def do_sequence(self, node: Node) -> list[Any]:
        return [await self.run(part) for part in node["parts"]]

    async def do_nested(self, node: Node) -> Any:
        async def inner() -> Any:
            return await self.run(node["parts"][0])

        return await inner()

    async def do_try(self, node: Node) -> Any:
        attempt, otherwise = node["parts"]
        try:
            return await self.run(attempt)
        except Exception:  # noqa: BLE001 - whatever it is
            return await self.run(otherwise)

    async def do_finally(self, node: Node) -> Any:
        attempt, cleanup = node["parts"]
        try:
            return await self.run(attempt)
        finally:
            await self.run(cleanup)

    # --- several at a time ----------------------------------------------------------------------

    async def do_gather(self, node: Node) -> list[Any]:
        first: list[Any] = [self.spawn(node["parts"][0])]
        given = [*first, *self.parts(node, 1), *(first if node.get("twice") else ())]
        results = await asyncio.gather(*given, return_exceptions=node.get("keep", False))
        return [shape(one) if isinstance(one, BaseException) else one for one in results]

    async def do_group(self, node: Node) -> list[Any]:
        async with asyncio.TaskGroup() as group:
            tasks: list[Any] = [group.create_task(self.run(part)) for part in node["parts"]]
            if node["durable"]:
                tasks.append(group.create_task(self.ctx.call_activity("elsewhere", node["at"])))
            await self.run(node["body"])
        return [task.result() for task in tasks]

    async def do_wait(self, node: Node) -> list[Any]:
        tasks = [self.spawn(part) for part in node["parts"]]
        done, pending = await asyncio.wait(
            tasks, timeout=node["seconds"], return_when=_MODES[node["mode"]]
        )
        order = [[tasks.index(one) for one in ones] for ones in (done, pending)]
        left = [tasks[index] for index in self.in_order(order[1])]
        if node["rest"] == 0:
            for task in left:
                task.cancel("not wanted")
        if node["rest"] != 1:
            await asyncio.gather(*left, return_exceptions=True)
        return [self.in_order(one) for one in order]

    def in_order(self, indices: list[int]) -> list[int]:
        return sorted(indices) if self.sort else indices

    async def do_as_completed(self, node: Node) -> list[Any]:
        results = []
        completed: Any = asyncio.as_completed(self.parts(node), timeout=node["seconds"])
        if node["form"] == 0:
            for coming in completed:
                results.append(await coming)
                self.note(node, results)
        else:
            async for done in completed:
                results.append(done.result())
                self.note(node, results)
        return results

    async def do_spawn(self, node: Node) -> Any:
        background, meanwhile = node["parts"]
        task = self.spawn(background)
        await self.run(meanwhile)
        match node["then"]:
            case "await":
                return await task
            case "wait":
                return len((await asyncio.wait([task]))[0])
            case "cancel":
                task.cancel("enough")
                try:
                    return await task
                except asyncio.CancelledError as error:
                    return shape(error)
            case _:
                return None

    # --- durable tasks by themselves ------------------------------------------------------------

    async def do_later(self, node: Node) -> list[Any]:
        tasks = [self.durable(part) for part in node["parts"]]
        await asyncio.sleep(0)
        return [await task for task in tasks]

    async def do_first(self, node: Node) -> Any:
        tasks = [self.durable(part) for part in node["parts"]]
        winner = await self.ctx.task_any(tasks)
        if node["cancel"]:
            for task in tasks:
                task.cancel()
        return [tasks.index(winner), await winner]

    async def do_every(self, node: Node) -> Any:
        return await self.ctx.task_all([self.durable(part) for part in node["parts"]])

    # --- time -----------------------------------------------------------------------------------

    async def do_timeout(self, node: Node) -> Any:
        async with asyncio.timeout(node["seconds"]) as timeout:
            value = await self.run(node["parts"][0])
        return [value, timeout.expired()]

    async def do_wait_for(self, node: Node) -> Any:
        return await asyncio.wait_for(self.run(node["parts"][0]), node["seconds"])

    async def do_shield(self, node: Node) -> Any:
        task = self.spawn(node["parts"][0])
        try:
            async with asyncio.timeout(node["seconds"]):
                return await asyncio.shield(task)
        except TimeoutError as error:
            return await task if node["keep"] else shape(error)

    # --- synchronisation ------------------------------------------------------------------------

    async def do_semaphore(self, node: Node) -> list[Any]:
        kind = asyncio.BoundedSemaphore if node["bounded"] else asyncio.Semaphore
        semaphore = kind(node["value"])
        return await self._each_holding(semaphore, node)

    async def do_lock(self, node: Node) -> list[Any]:
        return await self._each_holding(asyncio.Lock(), node)

    async def _each_holding(self, lock: Any, node: Node) -> list[Any]:
        async def hold(part: Node) -> Any:
            async with lock:
                self.note(node, f"holds for {part['at']}")
                return await self.run(part)

        return await asyncio.gather(*(hold(part) for part in node["parts"] * 2))

    async def do_queue(self, node: Node) -> Any:
        queue: asyncio.Queue[int] = asyncio.Queue(node["size"])
        parts = node["parts"]

        async def consume(who: int) -> None:
            while True:
                item = await queue.get()
                self.note(node, f"{who} got {item}")
                await self.run(parts[item % len(parts)])
                queue.task_done()

        consumers = [asyncio.create_task(consume(who)) for who in range(node["consumers"])]
        for item in range(node["items"]):
            await queue.put(item)
            self.note(node, f"put {item}")
        await queue.join()
        for consumer in consumers:
            consumer.cancel()
        return len(await asyncio.gather(*consumers, return_exceptions=True))

    async def do_condition(self, node: Node) -> list[Any]:
        condition = asyncio.Condition()

        async def wait(part: Node) -> Any:
            async with condition:
                async with asyncio.timeout(node["seconds"]):
                    await condition.wait()
                return await self.run(part)

        waiters = [asyncio.create_task(wait(part)) for part in node["parts"]]
        await asyncio.sleep(0)
        async with condition:
            condition.notify(node["notify"])
        await asyncio.sleep(0)
        async with condition:
            condition.notify_all()
        return await asyncio.gather(*waiters)

    async def do_gate(self, node: Node) -> list[Any]:
        gate = asyncio.Event()

        async def enter(part: Node) -> Any:
            await gate.wait()
            return await self.run(part)

        waiters = [asyncio.create_task(enter(part)) for part in node["parts"]]
        await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*waiters)

    async def do_barrier(self, node: Node) -> list[Any]:
        barrier = asyncio.Barrier(len(node["parts"]))

        async def meet(part: Node) -> Any:
            value = await self.run(part)
            return [value, await barrier.wait()]

        return await asyncio.gather(*(meet(part) for part in node["parts"]))

    async def do_pages(self, node: Node) -> list[Any]:
        async def pages() -> AsyncIterator[Any]:
            try:
                for part in node["parts"]:
                    yield await self.run(part)
            finally:
                self.note(node, "closing")
                await asyncio.sleep(0)
                self.note(node, "closed")

        read: list[Any] = []
        async for page in pages():
            read.append(page)
            if len(read) == node["take"]:
                break
        return read


class GeneratorActor(_Notebook):
    """Runs nodes in the generator style."""

    def steps(self, node: Node) -> Steps:
        try:
            value = yield from self._act(node)
        except Exception as error:
            self.note(node, shape(error))
            raise
        self.note(node, value)
        return value

    def _act(self, node: Node) -> Steps:
        op, parts = node["op"], node.get("parts", ())
        match op:
            case "activity" | "timer" | "event" | "child" | "sleep":
                return (yield self.durable(node))
            case "sequence":
                return (yield from self._sequence(parts))
            case "nested":
                return (yield from self.steps(parts[0]))
            case "try":
                try:
                    return (yield from self.steps(parts[0]))
                except Exception:  # noqa: BLE001 - whatever it is
                    return (yield from self.steps(parts[1]))
            case "every":
                return (yield self.ctx.task_all([self.durable(part) for part in parts]))
            case "first":
                tasks = [self.durable(part) for part in parts]
                winner = yield self.ctx.task_any(tasks)
                if node["cancel"]:
                    for task in tasks:
                        task.cancel()
                return [tasks.index(winner), (yield winner)]
            case _:
                return self.simple(node)

    def _sequence(self, parts: list[Node]) -> Steps:
        values: list[Any] = []
        for part in parts:
            value = yield from self.steps(part)
            values += [value]
        return values
