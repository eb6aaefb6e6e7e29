"""Whose log line it is: adds the instance to records that are written while it runs.

Also to those of libraries that know nothing of Tenuto. What an orchestrator or a library under it
logs is shown once: silent in replay, as ``ctx.logger`` is (which also waits for the commit).
"""

import logging
from collections.abc import Mapping
from typing import Final

from tenuto.model.trace import TraceContext
from tenuto.orchestration.loop import SessionLoop, running_loop
from tenuto.telemetry.running import running_activity

_NEVER_SILENT: Final = ("tenuto.", "asyncio")
"""Loggers that speak of the process, not of the orchestrator in whose turn they happen to speak."""

_NO_FACTS: Final[Mapping[str, object]] = {}


class ContextFilter(logging.Filter):
    """For handlers: adds ``instance_id``, ``activity`` and ``attempt`` (inside activities), or
    ``instance_id``, ``execution_id`` and ``orchestrator`` (inside orchestrators) to each record,
    ``trace_id`` to those of instances that belong to a trace, inside activities ``span_id`` too.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the facts; False for what was said before."""
        facts = facts_of(record)
        if facts is None:
            return False
        vars(record).update(facts)
        return True


def facts_of(record: logging.LogRecord) -> Mapping[str, object] | None:
    """Whose line a record is, if it does not say so itself; None for what was said before."""
    loop = running_loop()
    if isinstance(loop, SessionLoop):
        return _in_orchestrator(record, loop)
    running = running_activity.get(None)
    if running is None or hasattr(record, "instance_id"):
        return _NO_FACTS
    activity = running()
    return {
        "instance_id": activity.instance_id,
        "activity": activity.name,
        "attempt": activity.attempt,
        **_span_facts(activity.trace_headers.get("traceparent")),
    }


def _in_orchestrator(record: logging.LogRecord, loop: SessionLoop) -> Mapping[str, object] | None:
    owner = loop.owner
    if owner is None:
        return _NO_FACTS
    if (owner.replaying or loop.dead) and not record.name.startswith(_NEVER_SILENT):
        return None
    if hasattr(record, "instance_id"):
        return _NO_FACTS
    trace = owner.info.facts.trace
    return {
        "instance_id": owner.info.instance_id,
        "execution_id": owner.info.facts.execution_id,
        "orchestrator": owner.info.facts.name,
        **_trace_facts(None if trace is None else trace.parent),
    }


def _span_facts(parent: str | None) -> Mapping[str, object]:
    """The same with the span: that of the attempt where spans are written, else its caller's."""
    if parent is None:
        return _NO_FACTS
    trace = TraceContext(parent)
    return {"trace_id": trace.trace_id, "span_id": trace.parent_id}


def _trace_facts(parent: str | None) -> Mapping[str, object]:
    """Nothing for what belongs to no trace: most lines do not."""
    return _NO_FACTS if parent is None else {"trace_id": TraceContext(parent).trace_id}
