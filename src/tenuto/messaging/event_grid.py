"""Events that Event Grid has posted: delivered from the topic in which they are kept.

Event Grid is answered when they are durable there. From then on they are events like others: at
least once, each at its subscription's own place, put aside after the last attempt.
"""

from msgspec import Struct

from tenuto.engine.program import Delivery, EventGridTrigger, TopicTrigger, TriggeredFunction
from tenuto.messaging.listening import ListenerMeans
from tenuto.messaging.topics.listener import TopicListener
from tenuto.model.event_grid import topic_of


class KeptEvents(Struct, frozen=True):
    """A function that Event Grid starts, as one of the topic in which its events are kept.

    Attributes:
        function: The function.
        trigger: The topic.
    """

    function: TriggeredFunction
    trigger: TopicTrigger

    @property
    def name(self) -> str:
        """That of the function."""
        return self.function.name

    async def run(self, delivery: Delivery) -> None:
        """Run the function; what it raises is raised."""
        await self.function.run(delivery)


def kept_events(function: TriggeredFunction) -> KeptEvents:
    """A function that Event Grid starts, with the topic in which its events are kept."""
    trigger = function.trigger
    assert isinstance(trigger, EventGridTrigger), "the table of listeners says so"
    topic = topic_of(function.name)
    return KeptEvents(
        function,
        TopicTrigger(
            topic=topic,
            subscription=topic,
            from_beginning=True,
            concurrency=trigger.concurrency,
            redelivery=trigger.redelivery,
        ),
    )


class EventGridListener(TopicListener):
    """Delivers the events that Event Grid has posted for a function.

    Args:
        function: Has an ``EventGridTrigger``.
        means: The host.
    """

    def __init__(self, function: TriggeredFunction, means: ListenerMeans) -> None:
        super().__init__(kept_events(function), means)
