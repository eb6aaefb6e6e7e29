"""Whose log line it is: adds the instance to records that are written while it runs.

Also to those of libraries that know nothing of Tenuto. What an orchestrator or a library under it
logs is shown once: silent in replay, as ``ctx.logger`` is (which also waits for the commit).
"""

import logging
from typing import Final

from tenuto.orchestration.loop import SessionLoop, running_loop
from tenuto.telemetry.running import running_activity

_NEVER_SILENT: Final = ("tenuto.", "asyncio")
"""Loggers that speak of the process, not of the orchestrator in whose turn they happen to speak."""


class ContextFilter(logging.Filter):
    """For handlers: adds ``instance_id``, ``activity`` and ``attempt`` (inside activities), or
    ``instance_id``, ``execution_id`` and ``orchestrator`` (inside orchestrators) to each record.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the facts; False for what was said before."""
        loop = running_loop()
        if isinstance(loop, SessionLoop):
            return _in_orchestrator(record, loop)
        running = running_activity.get(None)
        if running is not None and not hasattr(record, "instance_id"):
            activity = running()
            record.instance_id = activity.instance_id
            record.activity = activity.name
            record.attempt = activity.attempt
        return True


def _in_orchestrator(record: logging.LogRecord, loop: SessionLoop) -> bool:
    owner = loop.owner
    if owner is None:
        return True
    if (owner.replaying or loop.dead) and not record.name.startswith(_NEVER_SILENT):
        return False
    if not hasattr(record, "instance_id"):
        record.instance_id = owner.info.instance_id
        record.execution_id = owner.info.facts.execution_id
        record.orchestrator = owner.info.facts.name
    return True
