"""A random load on a few instance ids, in process and from outside; afterwards nothing is left.

``run_round`` fails when a request is not answered within ``SECONDS``, when something stays in the
host's memory, or when a row in the store belongs to nothing.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from tenuto import App, Client, Context, Host, IdReuse, SubOrchestrationError, TenutoError
from tenuto.testing import RecordingObserver
from tests.support.store_numbers import HISTORY_OF_NOBODY, number_in
from tests.support.waiting import until

SECONDS = 20.0
"""Until a request counts as never answered. Outsiders' purges give up by themselves after 30."""

app = App()


@app.orchestrator
async def waits(ctx: Context, count: int) -> int:
    for _ in range(count):
        await ctx.wait_for_external_event("go")
    return count


@app.orchestrator
async def sleeps(ctx: Context, seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.orchestrator
async def calls(ctx: Context, ids: list[str]) -> str:
    """Calls the first of the ids; that one calls the next, if there is one."""
    child, *others = ids
    try:
        if others:
            return await ctx.call_sub_orchestrator(calls.options(instance_id=child), others)
        return str(await ctx.call_sub_orchestrator(waits.options(instance_id=child), 1))
    except SubOrchestrationError as error:
        return str(error)


@app.orchestrator
async def opens(ctx: Context, other: str) -> None:
    ctx.start_orchestrator(waits.options(instance_id=other), 1)
    ctx.send_event(other, "go")


class Load:
    """Clients that ask at random. ``asked`` counts requests by kind, ``refused`` by error."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.random = random.Random(seed)
        self.ids = ids
        self.asked: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.unanswered: list[str] = []

    async def ask_often(self, client: Client, requests: int, where: str) -> None:
        for _ in range(requests):
            name, request = self._any_request(client)
            self.asked[f"{name} {where}"] += 1
            try:
                async with asyncio.timeout(SECONDS):
                    await request()
            except TimeoutError:
                self.unanswered.append(f"{name} {where}")
            except (TenutoError, ValueError) as error:
                self.refused[type(error).__name__] += 1
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.random() * 0.01)

    def _any_request(self, client: Client) -> tuple[str, Callable[[], Awaitable[object]]]:
        draw = self.random
        one, other = draw.choice(self.ids), draw.choice(self.ids)
        name, argument = draw.choice(
            [
                ("waits", draw.randrange(3)),
                ("waits", 1),
                ("sleeps", draw.choice([0.0, 0.02, 5.0])),
                ("calls", draw.choices(self.ids, k=draw.randrange(1, 3))),
                ("opens", other),
            ]
        )
        reuse = draw.choice(list(IdReuse))
        requests: list[tuple[int, str, Callable[[], Awaitable[object]]]] = [
            (
                8,
                f"start {reuse}",
                lambda: client.start(name, argument, instance_id=one, reuse=reuse),
            ),
            (6, "event", lambda: client.raise_event(one, "go")),
            (3, "terminate", lambda: client.terminate(one, recurse=draw.random() < 0.3)),
            (3, "purge by force", lambda: client.purge(one, force=True)),
            (1, "purge", lambda: client.purge(one)),
            (2, "restart", lambda: client.restart(one)),
            (1, "suspend", lambda: client.suspend(one)),
            (2, "resume", lambda: client.resume(one)),
        ]
        _, what, request = draw.choices(requests, [weight for weight, _, _ in requests])[0]
        return what, request


async def run_round(seed: int, path: Path, *, requests: int = 60) -> Load:
    """One host, four clients in its process and three outside, then the end of every instance."""
    ids = [f"id-{number}" for number in range(2 + seed % 3)]
    load = Load(seed, ids)
    observer = RecordingObserver()
    store = f"sqlite:///{path}"
    async with Host(app, store, observer=observer) as host, AsyncExitStack() as stack:
        outsiders = [await stack.enter_async_context(Client.open(store)) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(load.ask_often(host.client, requests, "inside"))
            for outsider in outsiders:
                group.create_task(load.ask_often(outsider, requests // 2, "outside"))
        assert load.unanswered == []
        await _end_all(host)
        async with asyncio.timeout(SECONDS):
            await until(lambda: host.engine.is_idle and not len(host.engine.residents))
        check_memory(host)
        problems = [text for _, text in observer.problems]
        assert [text for text in problems if not text.startswith("dead letter: ")] == []
    check_rows(path)
    return load


async def _end_all(host: Host) -> None:
    """Whatever is left is ended; what children and detached starts were on their way comes too."""
    left: list[str] = []
    for _ in range(50):
        left = [
            one.instance_id
            async for one in host.client.query()
            if not one.runtime_status.is_finished
        ]
        if not left and host.engine.is_idle:
            return
        for one in left:
            with suppress(TenutoError):  # it has ended by itself
                await host.client.terminate(one)
        await asyncio.sleep(0.05)
    raise AssertionError(f"these do not end: {left}")


def check_memory(host: Host) -> None:
    """Nothing waits for anything any more."""
    engine = host.engine
    left: dict[str, object] = {
        "residents": len(engine.residents),
        "requests": engine.callers.requests,
        "waiters": len(engine.callers.waiters),
    }
    for home in engine.partitions.values():
        starts, loader = home.starts, home.loader
        left |= {
            f"messages of {home.number}": len(home.delivery),
            f"starts of {home.number}": len(starts._undecided),
            f"claims of {home.number}": len(starts._claims),
            f"waiting in {home.number}": len(starts._waiting),
            f"to be loaded in {home.number}": len(loader._by_id) + len(loader._by_iid),
            f"open children of {home.number}": len(home.open_by_root),
        }
    assert left == dict.fromkeys(left, 0)


def check_rows(path: Path) -> None:
    """Each row of history belongs to an instance, and the inbox is empty."""
    counted = {
        what: number_in(path, query)
        for what, query in {
            "history without instance": HISTORY_OF_NOBODY,
            "inbox": "SELECT count(*) FROM inbox",
            "unfinished": "SELECT count(*) FROM instance WHERE status NOT IN (1, 3, 4, 5)",
            "finished without history": (
                "SELECT count(*) FROM instance WHERE iid NOT IN (SELECT iid FROM history)"
            ),
            "generations left behind": (
                "SELECT count(*) FROM history JOIN instance USING (iid)"
                " WHERE history.generation > instance.generation"
            ),
        }.items()
    }
    assert counted == dict.fromkeys(counted, 0)
