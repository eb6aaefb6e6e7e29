"""Traces as OpenTelemetry has them: one for each orchestration, each step once."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tenuto import App, Context, RetryPolicy, Settings, current_activity
from tenuto.telemetry.export_settings import TelemetrySettings
from tenuto.testing import TestHost
from tests.support.otlp_receiver import OtlpReceiver

app = App()
failing: set[str] = set()


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as found:
        yield found


@app.activity
def echo(number: int) -> dict[str, str]:
    return dict(current_activity().trace_headers)


@app.activity(retry=RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1)))
def shaky() -> str:
    if current_activity().attempt == 1:
        raise ValueError("not the first time")
    return "done"


@app.orchestrator
async def child(ctx: Context, number: int) -> dict[str, str]:
    return await ctx.call_activity(echo, number)


@app.orchestrator
async def parent(ctx: Context, count: int) -> str:
    await asyncio.gather(*(ctx.call_sub_orchestrator(child, number) for number in range(count)))
    await ctx.create_timer(timedelta(hours=1))
    await ctx.call_activity(shaky)
    return await ctx.wait_for_external_event("go", event_type=str)


def settings(receiver: OtlpReceiver, **given: object) -> Settings:
    telemetry = TelemetrySettings(
        endpoint=receiver.endpoint,
        seconds=0.01,
        **given,  # type: ignore[arg-type]  # a test's
    )
    return Settings(telemetry=telemetry)


def by_id(spans: list[Span]) -> dict[bytes, Span]:
    return {one.span_id: one for one in spans}


async def test_a_fan_out_is_one_tree(receiver: OtlpReceiver) -> None:
    async with TestHost(app, settings=settings(receiver)) as host:
        handle = await host.start(parent, 3)
        await host.idle()
        await host.advance(timedelta(hours=2))
        await handle.raise_event("go", "now")
        assert await handle.result() == "now"
    spans = by_id(receiver.spans)
    assert len(spans) == len(receiver.spans)
    assert len({one.trace_id for one in receiver.spans}) == 1
    roots = [one for one in receiver.spans if not one.parent_span_id]
    assert [one.name for one in roots] == ["orchestration:parent"]
    for one in receiver.spans:
        assert not one.parent_span_id or one.parent_span_id in spans
    names = [one.name for one in receiver.spans]
    assert names.count("activity:echo") == names.count("orchestration:child") == 3
    assert names.count("activity:shaky") == 2
    for own in receiver.spans:
        if own.name == "orchestration:child":
            assert spans[own.parent_span_id].name == "call_orchestration:child"
