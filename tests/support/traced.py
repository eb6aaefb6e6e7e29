"""Whether what a receiver of spans has got is what histories say."""

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tenuto.client.client import Client
from tenuto.model.events import (
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from tenuto.model.ids import InstanceId
from tenuto.model.spans import SpanRules

_STEPS = (TaskScheduled, SubOrchestrationInstanceCreated, TimerCreated)


def once(spans: list[Span]) -> dict[tuple[str, str], Span]:
    """By trace and span id; what was sent again must be the same to the letter."""
    found: dict[tuple[str, str], Span] = {}
    for one in spans:
        key = one.trace_id.hex(), one.span_id.hex()
        before = found.setdefault(key, one)
        assert before.SerializeToString() == one.SerializeToString()
    return found


def check_parents(spans: dict[tuple[str, str], Span]) -> None:
    """Nobody belongs to a span that is not there."""
    for (trace_id, _), one in spans.items():
        if one.parent_span_id:
            assert (trace_id, one.parent_span_id.hex()) in spans, one.name


def ids_in(instance_id: InstanceId, history: list[HistoryEvent]) -> set[tuple[str, str]]:
    """The ids of the spans that an execution has which has ended."""
    found: set[tuple[str, str]] = set()
    start = next(one for one in history if isinstance(one, ExecutionStarted))
    context = SpanRules().context(instance_id, start.execution_id, start.trace)
    found.add((context.trace_id, context.span_id()))
    for event in history:
        if isinstance(event, _STEPS) and getattr(event, "purpose", "") != "timeout":
            found.add((context.trace_id, context.span_id(event.event_id)))
    return found


async def check_spans(client: Client, spans: list[Span]) -> int:
    """All that histories tell is there once, and nothing else; how many spans that are."""
    found = once(spans)
    check_parents(found)
    wanted: set[tuple[str, str]] = set()
    async for one in client.query():
        wanted |= ids_in(InstanceId(one.instance_id), await client.history(one.instance_id))
    assert found.keys() == wanted
    return len(wanted)
