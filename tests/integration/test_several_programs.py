"""A program of another kind runs beside an app: one host, one store, one server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto import App, Client, Context, HoldStatus, Host, OrchestrationHandle, Settings
from tenuto.engine.program import Program
from tenuto.engine.runners import RunnerSet
from tenuto.functions.runner import NativeRunner
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.http.payloads import MOUNT
from tenuto.model.errors import (
    InputError,
    OrchestrationFailedError,
    PayloadError,
    RegistrationError,
    StorageOwnedError,
    UnknownFunctionError,
)
from tenuto.model.events import ExecutionStarted
from tenuto.model.hold import HoldReason
from tenuto.orchestration.runtime import RUNTIME
from tests.support.foreign_program import ForeignProgram
from tests.support.waiting import until


def native_app() -> App:
    app = App()

    @app.activity
    def greet(name: str) -> str:
        return f"Hello {name}!"

    @app.orchestrator
    async def hello(ctx: Context, name: str) -> str:
        return await ctx.call_activity(greet, name)

    @app.orchestrator
    async def around(ctx: Context, name: str) -> str:
        echoed: str = await ctx.call_sub_orchestrator("echo", name)
        stamped: str = await ctx.call_activity("stamp", echoed)
        return stamped

    @app.orchestrator
    async def misspelled(ctx: Context) -> str:
        found: str = await ctx.call_activity("stamps")
        return found

    @app.http("GET", "/ping")
    def ping() -> str:
        return "pong"

    return app


def foreign_program() -> ForeignProgram:
    return ForeignProgram(
        {"echo": None, "relay": "stamp", "to_native": "greet"},
        {"stamp": lambda text: f'"stamped {len(text or "")}"'},
        expected=["soon"],
    )


@pytest.fixture
def foreign() -> ForeignProgram:
    return foreign_program()


@pytest.fixture
async def host(foreign: ForeignProgram) -> AsyncIterator[Host]:
    async with Host([native_app(), foreign], "sqlite://") as host:
        yield host


async def runtime_of(client: Client, instance_id: str) -> str:
    started = (await client.history(instance_id))[1]
    assert isinstance(started, ExecutionStarted)
    return started.runtime


async def hold_of(handle: OrchestrationHandle[Any]) -> HoldStatus:
    """What holds an instance, once it is held."""
    while (hold := (await handle.status()).hold) is None:  # noqa: ASYNC110 - the store's
        await asyncio.sleep(0.001)
    return hold


async def test_each_runs_its_own(host: Host, foreign: ForeignProgram) -> None:
    client = host.client
    native = await client.start("hello", "Ada")
    echo = await client.start("echo", "Ada")
    relay = await client.start("relay", "Ada")
    assert await native.result() == "Hello Ada!"
    assert await echo.result() == "Ada"
    assert await relay.result() == "stamped 5"
    (runner,) = foreign.runners
    assert set(runner.opened) == {echo.instance_id, relay.instance_id}
    assert runner.started == [["stamp"]]


async def test_history_says_what_ran_it(host: Host) -> None:
    for name, runtime in (("hello", RUNTIME), ("echo", "foreign 1")):
        handle = await host.client.start(name, "Ada")
        await handle.result()
        assert await runtime_of(host.client, handle.instance_id) == runtime


async def test_each_calls_functions_of_the_other(host: Host) -> None:
    around = await host.client.start("around", "Ada")
    assert await around.result() == "stamped 5"
    to_native = await host.client.start("to_native", "Ada")
    assert await to_native.result() == "Hello Ada!"


async def test_new_instances_are_marked_as_their_program_says(host: Host) -> None:
    handle = await host.client.start("ECHO", "Ada")
    assert await handle.result() == "Ada"
    status = await handle.status()
    assert (status.name, status.version, status.tags) == ("echo", "f-1", {"from": "foreign"})


async def test_what_a_program_does_not_take_is_refused(host: Host) -> None:
    with pytest.raises(PayloadError, match="must be a text"):
        await host.client.start("echo", 7)
    with pytest.raises(InputError, match="takes one text, got 2 values"):
        await host.client.start("echo", "a", "b")


async def test_an_unknown_name_is_refused_with_those_of_both(host: Host) -> None:
    said = (
        r"did you mean 'relay'\? "
        "registered: around, echo, hello, misspelled, relay, to_native"
    )
    with pytest.raises(UnknownFunctionError, match=said):
        await host.client.start("relai", "Ada")


async def test_an_unknown_activity_is_held_or_fails_with_those_of_both() -> None:
    programs: list[App | Program] = [native_app(), foreign_program()]
    async with Host(programs, "sqlite://") as holding:
        hold = await hold_of(await holding.client.start("misspelled"))
        assert hold.reason is HoldReason.NOT_SERVED
        assert "did you mean 'stamp'? registered: greet, stamp" in hold.message
    settings = Settings(on_mismatch="fail")
    async with Host(programs, "sqlite://", settings=settings) as failing:
        handle = await failing.client.start("misspelled")
        with pytest.raises(OrchestrationFailedError, match=r"did you mean 'stamp'\?"):
            await handle.result()


async def test_a_name_that_comes_later_is_started_and_waits(
    foreign: ForeignProgram, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with Host([native_app(), foreign], url) as host:
        handle = await host.client.start("soon", "Ada")
        assert (await hold_of(handle)).reason is HoldReason.NOT_SERVED
    foreign.scripts["soon"] = None
    async with Host([native_app(), foreign], url) as host:
        assert await host.client.handle(handle.instance_id).result() == "Ada"


async def test_a_foreign_session_is_rebuilt_by_its_own_runner(
    foreign: ForeignProgram, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    async with Host([native_app(), foreign], url) as host:
        foreign.runners[0].deliver = None  # its answers never come
        handle = await host.client.start("relay", "Ada")
        await until(lambda: foreign.runners[0].started)
        await host.abandon()
    async with Host([native_app(), foreign], url) as host:
        assert await host.client.handle(handle.instance_id).result() == "stamped 5"
        assert foreign.runners[1].replayed == [handle.instance_id]
    assert all(runner.is_stopped for runner in foreign.runners[1:])


async def test_a_host_with_one_program_gives_its_runner_to_the_engine(
    foreign: ForeignProgram,
) -> None:
    async with Host(native_app(), "sqlite://") as host:
        assert isinstance(host.engine.runner, NativeRunner)
    async with Host([foreign], "sqlite://") as host:
        assert host.engine.runner is foreign.runners[0]
        assert await (await host.client.start("echo", "Ada")).result() == "Ada"
    async with Host([native_app(), foreign], "sqlite://") as host:
        assert isinstance(host.engine.runner, RunnerSet)


async def test_the_same_orchestrator_twice_is_refused_at_the_start(tmp_path: Path) -> None:
    store = tmp_path / "hub.db"
    programs: list[App | Program] = [native_app(), ForeignProgram({"Hello": None})]
    host = Host(programs, f"sqlite:///{store}")
    said = "orchestrator 'hello' is in two programs of this host, 'native' and 'foreign'"
    with pytest.raises(RegistrationError, match=said):
        await host.start()
    assert not store.exists()


async def test_a_host_that_cannot_start_leaves_nothing_open(
    foreign: ForeignProgram, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    foreign.has_no_runner = True
    with pytest.raises(OSError, match="the pipe is broken"):
        await Host([native_app(), foreign], url).start()
    foreign.has_no_runner = False
    async with Host(native_app(), url):
        with pytest.raises(StorageOwnedError):
            await Host([native_app(), foreign], url).start()
        assert [runner.is_stopped for runner in foreign.runners] == [True]


async def test_two_apps_are_refused_at_the_start() -> None:
    with pytest.raises(RegistrationError, match="of the kind 'native'"):
        await Host([native_app(), App()], "sqlite://").start()


@pytest.mark.parametrize("wrong", [7, "travel.py", ["travel.py"], None, []])
def test_what_is_no_program_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="a host"):
        Host(wrong, "sqlite://")  # type: ignore[arg-type]


# --- over HTTP -----------------------------------------------------------------------------------


@pytest.fixture
async def http(foreign: ForeignProgram) -> AsyncIterator[httpx2.AsyncClient]:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        Server([native_app(), foreign], settings=settings) as server,
        httpx2.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("name", "output"), [("hello", "Hello Ada!"), ("echo", "Ada"), ("Relay", "stamped 5")]
)
async def test_both_are_started_over_http(http: httpx2.AsyncClient, name: str, output: str) -> None:
    path = f"{MOUNT}/orchestrators/{name}/one?timeout=20&pollingInterval=1"
    answer = await http.post(path, content='"Ada"')
    assert (answer.status_code, answer.json()) == (200, output)
    body = {"name": name, "input": "Ada", "instanceId": "two"}
    assert (await http.post("/admin/instances", json=body)).status_code == 201
    found = (await http.get("/admin/instances/two?wait=20")).json()
    assert found["output"] == f'"{output}"'
    assert found["name"] == name.lower()


async def test_an_instance_of_a_program_is_restarted_over_http(http: httpx2.AsyncClient) -> None:
    path = f"{MOUNT}/orchestrators/echo/one?timeout=20"
    assert (await http.post(path, content='"Ada"')).status_code == 200
    answer = await http.post(f"{MOUNT}/instances/one/restart?timeout=20")
    assert (answer.status_code, answer.json()) == (200, "Ada")


@pytest.mark.parametrize("path", [f"{MOUNT}/orchestrators/relai", "/admin/instances"])
async def test_over_http_unknown_names_and_bad_inputs_are_refused(
    http: httpx2.AsyncClient, path: str
) -> None:
    answer = await http.post(path, json={"name": "relai"})
    assert answer.status_code in {400, 404}
    assert "did you mean 'relay'? registered: around, echo, hello" in answer.json()["message"]
    answer = await http.post(path.replace("relai", "relay"), json={"name": "relay", "input": 7})
    assert answer.status_code == 400
    assert "must be a text" in answer.json()["message"]


async def test_a_server_lists_the_functions_of_both(http: httpx2.AsyncClient) -> None:
    found = (await http.get("/admin/functions")).json()
    assert [(one["name"], one["program"]) for one in found["orchestrators"]] == [
        ("hello", "native"),
        ("around", "native"),
        ("misspelled", "native"),
        ("echo", "foreign"),
        ("relay", "foreign"),
        ("to_native", "foreign"),
    ]
    assert found["orchestrators"][3] == {
        "name": "echo",
        "parameters": [],
        "program": "foreign",
        "version": "f-1",
    }
    assert [(one["name"], one["program"]) for one in found["activities"]] == [
        ("greet", "native"),
        ("stamp", "foreign"),
    ]


async def test_functions_of_the_app_answer_http_beside_another_program(
    http: httpx2.AsyncClient,
) -> None:
    assert (await http.get("/api/ping")).json() == "pong"


async def test_a_server_needs_no_app(foreign: ForeignProgram) -> None:
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with Server(foreign, settings=settings) as server:
        assert list(server.triggers) == []
        assert await (await server.host.client.start("echo", "Ada")).result() == "Ada"
