"""The trace of an execution goes along: to its work, its children, its next generations."""

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tenuto import App, Client, Context, Host, Settings, current_activity
from tenuto.client.http_gateway import HttpGateway
from tenuto.engine.ports import ActivityWork
from tenuto.host.server import Server
from tenuto.http.options import HttpSettings
from tenuto.model.errors import InputError
from tenuto.model.events import (
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
)
from tenuto.model.ids import InstanceId, new_execution_id
from tenuto.model.requests import StartRequest
from tenuto.model.trace import TraceContext, checked_trace, trace_of_headers
from tenuto.telemetry.log_context import ContextFilter
from tenuto.testing import RecordingObserver, TestHost
from tests.support.answering_server import Reply, answering_server
from tests.support.facts import asks

TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")


def request(name: str, instance_id: str, **more: Any) -> StartRequest:
    return asks(
        instance_id=instance_id,
        execution_id=new_execution_id(0),
        name=name,
        **{"trace": TRACE, **more},
    )


@pytest.fixture
def app() -> App:
    app = App()

    @app.activity
    def act() -> int:
        return 1

    @app.orchestrator
    async def child(ctx: Context) -> int:
        return await ctx.call_activity(act)

    @app.orchestrator
    async def parent(ctx: Context) -> int:
        ctx.start_orchestrator(child)
        chosen = child.options(instance_id="chosen")
        return await ctx.call_sub_orchestrator(child) + await ctx.call_sub_orchestrator(chosen)

    @app.orchestrator
    async def again(ctx: Context, left: int) -> None:
        await ctx.call_activity(act)
        if left:
            ctx.continue_as_new(left - 1)

    return app


def traces(events: list[HistoryEvent]) -> list[TraceContext | None]:
    kinds = ExecutionStarted | TaskScheduled | SubOrchestrationInstanceCreated
    return [event.trace for event in events if isinstance(event, kinds)]


class SeesWork(RecordingObserver):
    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[ActivityWork] = []

    def activities_ended(self, outcomes: Any, now: int) -> None:  # noqa: ANN401 - as in the base
        super().activities_ended(outcomes, now)
        self.outcomes += outcomes


async def test_work_and_children_get_the_trace_of_who_asks(app: App) -> None:
    observer = SeesWork()
    async with TestHost(app, observer=observer) as test:
        await test.client.gateway.start(request("parent", "p"))
        await test.client.wait("p")
        await test.idle()
        found = await test.client.history("p")
        assert traces(found) == [TRACE] * 4
        kind = SubOrchestrationInstanceCreated
        children = [one.instance_id for one in found if isinstance(one, kind)]
        assert len(children) == 3
        for name in children:
            assert traces(await test.client.history(name)) == [TRACE, TRACE]
        assert [one.trace for one in observer.outcomes] == [TRACE] * 3
        assert {(one.version, one.tags is None) for one in observer.outcomes} == {(None, True)}


async def test_what_has_no_trace_gives_none(app: App) -> None:
    async with TestHost(app) as test:
        await (await test.start("parent", instance_id="p")).result()
        assert traces(await test.client.history("p")) == [None] * 4
        text = b"".join(await test.client.gateway.history(InstanceId("p")))
        assert b"trace" not in text


async def test_a_trace_outlives_restarts_and_generations(app: App, tmp_path: Path) -> None:
    async with TestHost(app, storage=f"sqlite:///{tmp_path}/hub.db") as test:
        later = test.client.gateway.now() + 3_600_000_000
        start = request("again", "a", input="2", scheduled_at=later)
        await test.client.gateway.start(start)
        await test.restart()
        await test.advance(timedelta(hours=2))
        await test.client.wait("a")
        found = await test.client.gateway.get(InstanceId("a"))
        assert found is not None
        assert (found.generation, found.trace) == (2, TRACE)
        assert traces(await test.client.history("a")) == [TRACE, TRACE]


async def test_a_trace_comes_in_through_store_and_server(app: App, tmp_path: Path) -> None:
    store = Settings(storage=f"sqlite:///{tmp_path}/hub.db")
    async with Host(app, settings=store) as host, Client.open(store.storage, app) as client:
        await client.gateway.start(request("child", "outside"))
        await client.wait("outside")
        assert traces(await host.client.history("outside")) == [TRACE, TRACE]
    served = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with Server(app, settings=served) as server, Client(server.url) as client:
        assert isinstance(client.gateway, HttpGateway)
        await client.gateway.start(request("child", "served"))
        await client.wait("served")
        assert traces(await client.history("served")) == [TRACE, TRACE]
        wrong = request("child", "wrong", trace=TraceContext("from me"))
        with pytest.raises(InputError, match=r"trace\.parent must be"):
            await client.gateway.start(wrong)


async def test_a_trace_comes_in_by_headers_and_goes_out_with_calls_and_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    caplog.handler.addFilter(ContextFilter())
    caplog.set_level(logging.WARNING)

    @app.activity
    def told() -> dict[str, str]:
        logging.getLogger("mine").warning("in the activity")
        return dict(current_activity().trace_headers)

    @app.orchestrator
    async def asking(ctx: Context, url: str) -> dict[str, str]:
        logging.getLogger("mine").warning("in the orchestrator")
        await ctx.call_http("GET", url)
        await ctx.call_http("GET", url, headers={"Traceparent": "my own"})
        return await ctx.call_activity(told)

    sent = {"traceparent": TRACE.parent, "tracestate": "vendor=1"}
    settings = Settings(storage="sqlite://", http=HttpSettings(port=0))
    async with (
        answering_server(lambda _: Reply(200)) as elsewhere,
        Server(app, settings=settings) as server,
        Client(server.url) as client,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):
        path = "/runtime/webhooks/durabletask/orchestrators/asking/a"
        await http.post(path, json=elsewhere.url, headers=sent)
        body = {"name": "asking", "instanceId": "b", "input": elsewhere.url}
        await http.post("/admin/instances", json=body, headers={"traceparent": "from a proxy"})
        first, second = await client.wait("a"), await client.wait("b")
        assert (first.output, second.output) == (sent, {})
        parents = [one.headers.get("traceparent") for one in elsewhere.asked]
        assert sorted(map(str, parents)) == sorted([TRACE.parent, "my own", "None", "my own"])
        states = [one.headers.get("tracestate") for one in elsewhere.asked]
        assert states.count("vendor=1") == 1
    ids = [(one.getMessage(), vars(one).get("trace_id")) for one in caplog.records]
    for words in ("in the activity", "in the orchestrator"):
        found = [trace for said, trace in ids if said == words]
        assert sorted(map(str, found)) == [TRACE.trace_id, "None"]


@pytest.mark.parametrize(
    ("parent", "state", "expected"),
    [
        (TRACE.parent, "vendor=1", TRACE),
        (f" {TRACE.parent} ", " ", TraceContext(TRACE.parent)),
        (TRACE.parent, "x" * 513, TraceContext(TRACE.parent)),
        (TRACE.parent, "v=1\x01", TraceContext(TRACE.parent)),
        (None, "vendor=1", None),
        (TRACE.parent.upper(), None, None),
        (f"ff{TRACE.parent[2:]}", None, None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None, None),
        (f"00-{TRACE.trace_id}-{'0' * 16}-01", None, None),
    ],
)
def test_a_header_that_is_none_counts_as_not_sent(
    parent: str | None, state: str | None, expected: TraceContext | None
) -> None:
    assert trace_of_headers(parent, state) == expected


def test_only_a_trace_context_is_one() -> None:
    assert checked_trace(None) is None
    assert checked_trace(TRACE) is TRACE
    with pytest.raises(InputError, match="600 characters"):
        checked_trace(TraceContext(TRACE.parent, "x" * 600))
    with pytest.raises(InputError, match="printable ASCII"):  # it would be another header
        checked_trace(TraceContext(TRACE.parent, "a=1\r\nx-more: 2"))
