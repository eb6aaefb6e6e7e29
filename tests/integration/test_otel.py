"""Traces as OpenTelemetry has them: one for each orchestration, each step once."""

import asyncio
import gzip
import importlib
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Raw, structs
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tenuto import App, Context, Event, Host, RetryPolicy, Settings, current_activity
from tenuto.cli.command import run_command_line
from tenuto.engine.rows import Lease
from tenuto.engine.topic_ports import Progress
from tenuto.host.server import Server
from tenuto.host.settings import load_settings
from tenuto.http.options import HttpSettings
from tenuto.model.errors import InputError, SettingsError, StorageUnavailableError
from tenuto.model.ids import ExecutionId, InstanceId
from tenuto.model.requests import StartRequest
from tenuto.model.spans import TOPIC, SpanRules
from tenuto.model.topics import PublishedEvent
from tenuto.model.trace import TraceContext
from tenuto.telemetry.export_settings import TelemetrySettings
from tenuto.testing import TestHost
from tests.support.answering_server import Reply, answering_server
from tests.support.facts import asks
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.postgres import Postgres
from tests.support.traced import check_parents, once
from tests.support.waiting import until

CALLER = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")
SECOND = timedelta(seconds=1)
app = App()


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as found:
        yield found


@app.activity
def echo(number: int) -> str:
    logging.getLogger("of.the.app").warning("echo %d", number, extra={"color": "blue"})
    return current_activity().trace_headers["traceparent"]


@app.activity(retry=RetryPolicy(max_attempts=2, first_interval=SECOND))
def shaky() -> str:
    if current_activity().attempt == 1:
        raise ValueError("not the first time")
    return "done"


@app.orchestrator
async def child(ctx: Context, number: int) -> str:
    ctx.logger.warning("child %d", number)
    return await ctx.call_activity(echo, number)


@app.orchestrator
async def parent(ctx: Context, count: int) -> str:
    await asyncio.gather(*(ctx.call_sub_orchestrator(child, number) for number in range(count)))
    await ctx.create_timer(timedelta(hours=1))
    await ctx.call_activity(shaky)
    ctx.start_orchestrator(child, 7)
    return await ctx.wait_for_external_event("go", event_type=str)


@app.orchestrator
async def again(ctx: Context, left: int) -> int:
    await ctx.call_activity(echo, left)
    if left:
        ctx.continue_as_new(left - 1)
    return left


@app.orchestrator
async def waits(ctx: Context) -> str:
    _ = ctx.call_activity(echo, 1)
    try:
        await ctx.wait_for_external_event("never", timeout=SECOND)
    except TimeoutError:
        ctx.send_event("nobody", "late", None)
    raise ValueError("it never came")


@app.orchestrator
async def asks_web(ctx: Context, url: str) -> int:
    return (await ctx.call_http("GET", url)).status_code


@app.orchestrator
async def publishes(ctx: Context) -> None:
    await ctx.call_activity(echo, 1)
    await ctx.publish("orders", {"id": 1})


@app.subscribe("orders")
@app.orchestrator
async def ordered(ctx: Context, event: Event) -> str:
    return event.topic


def settings(receiver: OtlpReceiver, **given: Any) -> Settings:
    telemetry = TelemetrySettings(endpoint=receiver.endpoint, **{"seconds": 0.01, **given})
    return Settings(telemetry=telemetry)


def request(name: str, trace: TraceContext | None = CALLER, input: str = "null") -> StartRequest:  # noqa: A002 - as the model has it
    return asks(instance_id="i", execution_id="e", name=name, trace=trace, input=input)


def names(spans: list[Span]) -> dict[str, Span]:
    return {one.name: one for one in spans}


def facts(span: Span) -> dict[str, object]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_a_fan_out_is_one_tree(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        handle = await host.start(parent, 3)
        await host.idle()
        await host.advance(timedelta(hours=2))
        await handle.raise_event("go", "now")
        assert await handle.result() == "now"
        await host.idle()
    spans = once(receiver.spans)
    assert len(spans) == len(receiver.spans)
    check_parents(spans)
    assert len({one.trace_id for one in receiver.spans}) == 1
    assert [one.name for one in receiver.spans if not one.parent_span_id] == [
        "orchestration:parent"
    ]
    by_id = {one.span_id: one for one in receiver.spans}
    found = sorted(one.name for one in receiver.spans)
    assert found == sorted(
        4 * ["activity:echo", "orchestration:child"]
        + 3 * ["call_orchestration:child"]
        + 2 * ["activity:shaky"]
        + ["start_orchestration:child", "timer", "timer:retry", "event:go", "orchestration:parent"]
    )
    callers = sorted(
        by_id[one.parent_span_id].name
        for one in receiver.spans
        if one.name == "orchestration:child"
    )
    assert callers == [*3 * ["call_orchestration:child"], "start_orchestration:child"]
    timer = names(receiver.spans)["timer"]
    assert timer.end_time_unix_nano - timer.start_time_unix_nano >= 3_600 * 10**9
    failed = [one for one in receiver.spans if one.status.code == 2]
    assert [one.status.message for one in failed] == ["ValueError: not the first time"]
    assert receiver.services == {"tenuto"}


@pytest.mark.parametrize("way", ["restart", "crash"])
async def test_what_is_open_outlives_the_host(receiver: OtlpReceiver, way: str) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        handle = await host.start(parent, 2)
        await host.idle()
        for step in range(3):
            await getattr(host, way)()
            if step < 2:
                await host.advance(timedelta(minutes=61))
        await handle.raise_event("go", "now")
        assert await handle.result() == "now"
        await host.check_replay(handle.instance_id)
        await host.idle()
    spans = once(receiver.spans)
    check_parents(spans)
    assert len(spans) == 15
    root = names(receiver.spans)["orchestration:parent"]
    assert root.start_time_unix_nano == min(one.start_time_unix_nano for one in receiver.spans)


async def test_a_caller_has_its_trace_and_what_it_has_decided(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver, ratio=0.0)) as host:
        await host.client.gateway.start(request("child", input="1"))
        status = await host.client.wait("i")
        unsampled = TraceContext(f"{CALLER.parent[:-2]}00")
        await host.client.gateway.start(
            structs.replace(
                request("child", unsampled, "2"),
                facts=structs.replace(request("child", unsampled, "2").facts, instance_id="other"),
            )
        )
        silent = await host.client.wait("other")
        third = await host.run(child, 3)
    found = names(receiver.spans)
    assert found.keys() == {"orchestration:child", "activity:echo"}
    top, step = found["orchestration:child"], found["activity:echo"]
    assert top.trace_id.hex() == step.trace_id.hex() == CALLER.trace_id
    assert top.parent_span_id.hex() == CALLER.parent_id
    assert top.trace_state == "vendor=1"
    assert status.output == f"00-{CALLER.trace_id}-{step.span_id.hex()}-01"
    assert silent.output == unsampled.parent, "as it came: nothing of it is written here"
    assert third.endswith("-00"), "whoever is called need not write spans either"


async def test_a_share_of_the_traces_is_written(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver, ratio=0.5)) as host:
        for _ in range(30):
            await host.run(child, 1)
    traces = {one.trace_id for one in receiver.spans}
    assert 0 < len(traces) < 30
    assert len(receiver.spans) == 2 * len(traces), "all of a trace, or nothing"


async def test_generations_are_linked(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        assert await host.run(again, 3) == 0
    runs = [one for one in receiver.spans if one.name == "orchestration:again"]
    assert len({one.trace_id for one in receiver.spans}) == 1
    assert [bool(one.parent_span_id) for one in runs] == [False, True, True, True]
    assert {one.parent_span_id for one in runs[1:]} == {runs[0].span_id}
    for before, after in pairwise(runs):
        assert [one.span_id for one in after.links] == [before.span_id]
    assert [facts(one)["tenuto.outcome"] for one in runs] == [
        *3 * ["continued_as_new"],
        "completed",
    ]


async def test_generations_of_a_caller_are_linked_across_crashes(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        await host.client.gateway.start(request("again", input="1"))
        await host.client.wait("i")
        await host.crash()
    runs = [one for one in receiver.spans if one.name == "orchestration:again"]
    assert {one.parent_span_id.hex() for one in runs} == {CALLER.parent_id}
    assert [one.span_id for one in runs[1].links] == [runs[0].span_id]


async def test_what_ends_otherwise_says_so(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        handle = await host.start(waits)
        await host.advance(timedelta(minutes=1))
        assert (await host.client.wait(handle.instance_id)).failure is not None
        never = await host.start(parent, 0)
        await host.idle()
        await never.terminate("enough")
        await host.client.wait(never.instance_id)
    found = names(receiver.spans)
    assert found["event:never"].status.message == "timed out"
    assert found["send_event:late"].kind == Span.SPAN_KIND_PRODUCER
    assert found["orchestration:waits"].status.message == "ValueError: it never came"
    assert facts(found["timer"])["tenuto.outcome"] == "abandoned"
    assert found["orchestration:parent"].status.message == "terminated"
    check_parents(once(receiver.spans))


async def test_a_request_bears_the_span_of_its_step(receiver: OtlpReceiver) -> None:
    seen: list[str] = []

    def reply(asked: Any) -> Reply:  # noqa: ANN401 - of the support
        seen.append(asked.headers["traceparent"])
        return Reply()

    async with answering_server(reply) as web, TestHost(app, settings=settings(receiver)) as host:
        assert await host.run(asks_web, web.url) == 200
    step = names(receiver.spans)["http"]
    assert step.kind == Span.SPAN_KIND_CLIENT
    assert seen == [f"00-{step.trace_id.hex()}-{step.span_id.hex()}-01"]


async def test_an_event_brings_its_trace_to_who_is_started_by_it(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        await host.run(publishes)
        await host.idle()
    found = names(receiver.spans)
    assert found["orchestration:ordered"].trace_id == found["publish:orders"].trace_id
    assert found["orchestration:ordered"].parent_span_id == found["publish:orders"].span_id


async def test_what_is_not_taken_is_sent_again_and_said(receiver: OtlpReceiver) -> None:
    receiver.answer = lambda _path, number: 500 if number == 1 else 200
    async with TestHost(app, settings=settings(receiver, send=("traces",))) as host:
        await host.run(child, 1)
        await until(lambda: host.problems)
        assert "sent again in 1 s" in host.problems[0][1]
        found = await host.host.engine.storage.subscriptions()
        standing = next(one for one in found if one.name == TOPIC)
        assert standing.lag == 1
        await until(lambda: len(receiver.spans) == 2)
        await host.restart()
        assert await host.host.engine.storage.events(TOPIC, 0, 1, 1) == []
    assert len(receiver.spans) == 2


async def test_what_stays_unsent_is_sent_by_the_next_host(receiver: OtlpReceiver) -> None:
    receiver.answer = lambda _path, _number: 404
    async with TestHost(app, settings=settings(receiver, send=("traces",))) as host:
        await host.run(child, 1)
        await until(lambda: host.problems)
        await host.crash()
        assert receiver.spans == []
        receiver.answer = lambda _path, _number: 200
        await until(lambda: len(receiver.spans) == 2)


async def test_what_is_never_taken_holds_nothing_up(receiver: OtlpReceiver) -> None:
    # Two rows: of both together it says no, and then of the first alone.
    receiver.answer = lambda _path, number: 400 if number <= 2 else 200
    async with TestHost(app, settings=settings(receiver, send=("traces",), seconds=0.3)) as host:
        await host.run(child, 1)
        await host.run(child, 2)
        await until(lambda: receiver.requests == 3)
        await host.idle()
    assert [text for _, text in host.problems if "are dropped" in text]
    assert len(receiver.spans) == 2


async def test_what_is_no_span_is_dropped(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver, send=("traces",))) as host:
        with pytest.raises(InputError, match="Tenuto's own"):
            await host.client.publish(TOPIC, {"no": "span"})
        made_up = PublishedEvent("x", TOPIC, None, 0, None, 0, Raw(b'{"data":{"no":"span"}}'))
        await host.host.engine.storage.publish([made_up], [])
        await host.run(child, 1)
        await until(lambda: len(receiver.spans) == 2)
    assert "are dropped: they are none" in host.problems[0][1]


async def test_nothing_is_written_when_nothing_is_sent() -> None:
    async with TestHost(app) as host:
        with pytest.raises(Exception, match="traceparent"):
            await host.run(child, 1)
        assert await host.host.engine.storage.events(TOPIC, 0, 1, 1) == []


async def test_spans_of_several_hosts_on_postgres(
    receiver: OtlpReceiver, postgres: Postgres
) -> None:
    where = structs.replace(settings(receiver), storage=postgres.fresh_url(), partitions=4)
    async with Host(app, settings=where) as one, Host(app, settings=where):
        handles = [await one.client.start(again, 2) for _ in range(4)]
        for handle in handles:
            await handle.result()
        await until(lambda: len(once(receiver.spans)) == 4 * 6)
    check_parents(once(receiver.spans))


async def test_metrics_and_lines_are_sent_too(receiver: OtlpReceiver) -> None:
    where = structs.replace(
        settings(receiver, headers={"x-key": "hush"}),
        storage="sqlite://",
        http=HttpSettings(port=0),
    )
    logging.getLogger("of.the.app").setLevel(logging.INFO)
    async with Server(app, settings=where) as server:
        handle = await server.host.client.start(child, 5)
        await handle.result()
        await until(lambda: len(receiver.spans) == 2 and len(receiver.logs) >= 2)
    metrics = {one.name: one for one in receiver.metrics}
    assert metrics["tenuto_turns"].sum.data_points[0].as_int >= 2
    seconds = metrics["tenuto_activity_seconds"].histogram.data_points[0]
    assert seconds.count == 1 == sum(seconds.bucket_counts)
    line = next(one for one in receiver.logs if one.body.string_value == "echo 5")
    step = names(receiver.spans)["activity:echo"]
    assert (line.trace_id, line.span_id) == (step.trace_id, step.span_id)
    line_of_its_own = next(one for one in receiver.logs if one.body.string_value == "child 5")
    top = names(receiver.spans)["orchestration:child"]
    assert (line_of_its_own.trace_id, line_of_its_own.span_id) == (top.trace_id, top.span_id)
    told = {one.key: one.value.string_value for one in line.attributes}
    assert (told["color"], told["tenuto.activity"]) == ("blue", "echo")
    assert receiver.headers["x-key"] == "hush"


class Insights:
    """What Application Insights would have been told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.asked = 0
        self.refuses = 0
        insights = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                insights.asked += 1
                found = json.loads(body)
                status = 413 if insights.asked <= insights.refuses else 200
                if status == 200:
                    insights.told += found
                answer = json.dumps(
                    {"itemsReceived": len(found), "itemsAccepted": len(found), "errors": []}
                ).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as called
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def connection_string(self) -> str:
        key = "12345678-1234-1234-1234-123456789abc"
        port = self._server.server_address[1]
        return f"InstrumentationKey={key};IngestionEndpoint=http://127.0.0.1:{port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


async def test_application_insights_is_told_with_azures_exporter() -> None:
    insights = Insights()
    try:
        telemetry = TelemetrySettings(
            connection_string=insights.connection_string, seconds=0.01, service="shop"
        )
        async with TestHost(app, settings=Settings(telemetry=telemetry)) as host:
            assert await host.run(again, 1) == 0
    finally:
        insights.close()
    kinds = [one["data"]["baseType"] for one in insights.told]
    assert kinds.count("RequestData") == 2, "the two generations"
    assert kinds.count("RemoteDependencyData") == 2, "an activity of each"
    assert "MessageData" in kinds, "lines"
    request = next(one for one in insights.told if one["data"]["baseType"] == "RequestData")
    assert request["data"]["baseData"]["name"] == "orchestration:again"
    assert request["tags"]["ai.cloud.role"] == "shop"
    operations = {
        one["tags"]["ai.operation.id"]
        for one in insights.told
        if one["data"]["baseType"] in {"RequestData", "RemoteDependencyData"}
    }
    assert len(operations) == 1


async def test_a_wrong_connection_string_is_refused_at_the_start() -> None:
    telemetry = TelemetrySettings(connection_string="hush")
    host = Host(app, "sqlite://", settings=Settings(telemetry=telemetry))
    with pytest.raises(SettingsError, match=r"telemetry\.connection_string is none") as error:
        await host.start()
    assert "hush" not in str(error.value)


def test_a_missing_package_is_said_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    exporting = importlib.import_module("tenuto.telemetry.exporting")

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name.partition(".")[0])

    monkeypatch.setattr(exporting, "import_module", missing)
    with pytest.raises(SettingsError, match=r'pip install "tenuto\[otel\]"'):
        exporting.check_installed(TelemetrySettings(endpoint="http://127.0.0.1:1"))
    with pytest.raises(SettingsError, match=r'pip install "tenuto\[otel-azure\]"'):
        exporting.check_installed(TelemetrySettings(connection_string="InstrumentationKey=1"))
    exporting.check_installed(TelemetrySettings())


def test_secrets_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = '[telemetry]\nheaders = {"x-key" = "hush-1"}\nconnection_string = "hush-2"\n'
    (tmp_path / "tenuto.toml").write_text(text)
    assert run_command_line(["config"]) == 0
    shown = capsys.readouterr().out
    assert "telemetry.headers" in shown
    assert "hush" not in shown
    with pytest.raises(SettingsError) as error:
        load_settings(environment={"TENUTO_TELEMETRY_HEADERS": "hush-3"})
    assert "hush" not in str(error.value)


async def test_a_server_shows_no_secrets(receiver: OtlpReceiver) -> None:
    where = structs.replace(
        settings(receiver, headers={"x-key": "hush"}, send=("traces",)),
        storage="sqlite://",
        http=HttpSettings(port=0),
    )
    async with Server(app, settings=where) as server, httpx2.AsyncClient() as client:
        found = (await client.get(f"{server.url}/admin/info")).text
    assert "telemetry" in found
    assert "hush" not in found


async def test_what_was_taken_and_not_noted_comes_again_the_same(
    receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with TestHost(app, settings=settings(receiver, send=("traces",))) as host:
        storage = host.host.engine.storage
        write = storage.write_progress

        async def refuse(lease: Lease, progress: Sequence[Progress]) -> None:
            if progress[0].place.name == TOPIC and progress[0].place.position:
                raise StorageUnavailableError("the disk is full")
            await write(lease, progress)

        monkeypatch.setattr(storage, "write_progress", refuse)
        await host.run(child, 1)
        await until(lambda: host.problems)
        monkeypatch.undo()
        await host.crash()
        await until(lambda: len(receiver.spans) == 4)
    assert "the disk is full" in host.problems[0][1]
    assert len(once(receiver.spans)) == 2


async def test_who_has_taken_something_waits_for_the_others(receiver: OtlpReceiver) -> None:
    insights = Insights()
    receiver.answer = lambda _path, number: 503 if number == 1 else 200
    try:
        where = settings(receiver, send=("traces",), connection_string=insights.connection_string)
        async with TestHost(app, settings=where) as host:
            await host.run(child, 1)
            await until(lambda: len(receiver.spans) == 2)
    finally:
        insights.close()
    assert len(insights.told) == 2, "once each"


async def test_many_spans_of_a_turn_are_several_rows(receiver: OtlpReceiver) -> None:
    wide = App()

    @wide.orchestrator
    async def pauses(ctx: Context) -> None:
        await asyncio.gather(*(ctx.create_timer(SECOND) for _ in range(1_200)))

    async with TestHost(wide, settings=settings(receiver, send=("traces",))) as host:
        await host.run(pauses)
        await until(lambda: len(receiver.spans) == 1_201)
    assert len(once(receiver.spans)) == 1_201


async def test_what_application_insights_never_takes_holds_nothing_up() -> None:
    insights = Insights()
    insights.refuses = 1
    try:
        telemetry = TelemetrySettings(
            connection_string=insights.connection_string, seconds=0.01, send=("traces",)
        )
        async with TestHost(app, settings=Settings(telemetry=telemetry)) as host:
            await host.run(child, 1)
            await until(lambda: host.problems)
            await host.run(child, 2)
            await until(lambda: len(insights.told) == 2)
    finally:
        insights.close()
    assert "Application Insights refuses them" in host.problems[0][1]


def test_ids_are_derived() -> None:
    rules, execution = SpanRules(), ExecutionId("e")
    first = rules.context(InstanceId("i"), execution, None)
    assert first == rules.context(InstanceId("i"), execution, None)
    assert len({first.span_id(), first.span_id(0), first.span_id(1)}) == 3
    other = rules.context(InstanceId("j"), execution, None)
    assert (other.trace_id == first.trace_id, other.span_id() == first.span_id()) == (False, False)
    assert not SpanRules(0.0).context(InstanceId("i"), execution, None).is_sampled
