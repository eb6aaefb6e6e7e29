"""Waits for events of topics: what a turn means for the rows by which they are found. Pure.

The rows are written with the turn. So an event that is published later finds the wait, and one that
was published before is found when the wait is durable (``engine.correlation``).
"""

from collections.abc import Sequence

from tenuto.engine.rows import ALL_TOPIC_WAITS, TopicWaitRow
from tenuto.engine.state import InstanceState


def topic_wait_rows(state: InstanceState, *, is_over: bool) -> Sequence[TopicWaitRow]:
    """The rows of the waits that a turn has begun or ended; they are news no more then.

    Args:
        state: The instance; it has followed the turn.
        is_over: Whether the execution is over, and with it whatever it waited for.
    """
    changes, state.work.topics = state.work.topics or (), None
    iid, partition = state.iid, state.partition
    if is_over:
        if changes or any(one.topic is not None for one in state.work.awaits.values()):
            return [TopicWaitRow(iid, ALL_TOPIC_WAITS, partition, None)]
        return ()
    return [
        TopicWaitRow(iid, one, partition, None)
        if isinstance(one, int)
        else TopicWaitRow(iid, one.event_id, partition, one.topic, one.key, one.after)
        for one in changes
    ]
