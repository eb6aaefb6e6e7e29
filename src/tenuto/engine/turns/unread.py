"""Events that an instance leaves unread which is ended from outside: a line for its log.

One that ends by itself knows what nobody has asked for, and says so (``orchestration.session``).
Here nobody is asked. History tells which events came while nobody waited for them; of these, a wait
that came later may have taken some at once.
"""

import logging
from collections import Counter
from typing import Final

from tenuto.engine.ports import Runtime
from tenuto.engine.state import InstanceState
from tenuto.model.execution import is_native
from tenuto.model.unread import unread_line

_WORDS: Final = (
    "was ended from outside; nobody waited for %d of the events that came for it when they came, "
    "and perhaps nobody has read them"
)


def unread_at_the_end(state: InstanceState, runtime: Runtime) -> list[logging.LogRecord] | None:
    """The line; None when there is nothing to say, or a program that tells of no waits.

    Args:
        state: The instance; it has followed all that came, and is not ended yet.
        runtime: What its orchestrator runs on.
    """
    counts = Counter(one.name for one in (() if state.unread is None else state.unread.events))
    for early in (state.work.early or {}).values():
        counts[early.name] += early.count
    name = state.facts.name
    if not counts or not is_native(runtime if isinstance(runtime, str) else runtime(name)):
        return None
    return [unread_line(state.instance_id, name, counts, _WORDS)]
