"""Functions and orchestrators of an app that events of a topic start: ``@app.subscribe``."""

import hashlib
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.engine.program import Delivery, TopicTrigger, TriggeredFunction
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import native_triggered
from tenuto.model.errors import InputError, InstanceExistsError, InvalidInstanceIdError
from tenuto.model.ids import check_instance_id
from tenuto.model.payload import encode
from tenuto.model.requests import IdReuse
from tenuto.model.topics import Event
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

EventFilter: TypeAlias = Callable[[Event], bool] | Mapping[str, object]
"""Which events a subscription is for: a function of the event, or values that its type, key,
source, subject, an attribute or a field of its data must have; a list of values for any of them."""

InstancePer: TypeAlias = Literal["event", "key"]
"""Whether each event starts an orchestration, or the first of each key."""

_OFFER: Final = Offer(
    giver="a topic",
    info=Event,
    has_payload=True,
    words="any of `event: Event`, the event's data as one parameter of its type, and "
    "`client: Client` (`SyncClient` in a `def`), by their annotations",
)
_OWN: Final = frozenset({"type", "key", "source", "subject", "id"})


class StartsOrchestration(Struct, frozen=True, kw_only=True):
    """A subscription whose events start an orchestration.

    Attributes:
        name: Of the subscription.
        trigger: What starts it.
        orchestrator: What is started.
        per: Each event starts one, or the first of each key.
        takes_event: Whether its input is the event, not the event's data.
    """

    name: str
    trigger: TopicTrigger
    orchestrator: AnyOrchestrator
    per: InstancePer
    takes_event: bool

    async def run(self, delivery: Delivery) -> None:
        """Start it, unless it was started for this event or key before: an event comes at least
        once, and its orchestration runs once.
        """
        event = delivery.facts["event"]
        assert isinstance(event, Event)
        arguments: tuple[object, ...] = ()
        if self.per == "key":
            if event.key is None:
                raise InputError(
                    f"event {event.id!r} of topic {event.topic!r} has no key, and subscription "
                    f"{self.name!r} starts an orchestration for each key; publish it with key="
                )
            instance_id = _instance_id(self.orchestrator.name, event.key)
            arguments = (event.key,)
        else:
            instance_id = _instance_id(self.name, event.id)
            arguments = (event,) if self.takes_event else self._input(event.data)
        if not self.orchestrator.signature.takes_input:
            arguments = ()
        client = client_of_host.get()
        try:
            await client.start(
                self.orchestrator, *arguments, instance_id=instance_id, reuse=IdReuse.NEVER
            )
        except InstanceExistsError:
            return  # it is there: what waits in it finds the event in the topic

    def _input(self, data: object) -> tuple[object, ...]:
        """The arguments that are in an event's data, each of its type."""
        return tuple(self.orchestrator.signature.decode_arguments(encode(data)))


def subscription(
    function: Callable[..., Any] | AnyOrchestrator,
    name: str,
    trigger: TopicTrigger,
    per: InstancePer,
) -> TriggeredFunction:
    """What a decorated function becomes.

    Raises:
        InputError: a parameter cannot be filled, or ``per`` is for orchestrators.
    """
    if per not in {"event", "key"}:
        raise InputError(f"instance_per must be 'event' or 'key', got {per!r}")
    if isinstance(function, OrchestratorFunction):
        return StartsOrchestration(
            name=name,
            trigger=trigger,
            orchestrator=function,
            per=per,
            takes_event=_takes_event(function),
        )
    if per == "key":
        raise InputError("instance_per='key' is for orchestrators; this is a plain function")
    return native_triggered(function, name, trigger, _OFFER, _told)


def _told(delivery: Delivery) -> object:
    return delivery.facts["event"]


def _takes_event(orchestrator: AnyOrchestrator) -> bool:
    parameters = list(inspect.signature(orchestrator.function, eval_str=True).parameters.values())
    return len(parameters) > 1 and parameters[1].annotation is Event


def _instance_id(first: str, second: str) -> str:
    """An id of both; where it cannot be one, of what stands for them."""
    text = f"{first}-{second}"
    try:
        return check_instance_id(text)
    except InvalidInstanceIdError:
        digest = hashlib.sha256(second.encode()).hexdigest()[:32]
        return f"{hashlib.sha256(first.encode()).hexdigest()[:8]}-{digest}"


def accepting(given: EventFilter | None) -> Callable[[Event], bool] | None:
    """A filter as a function of the event; None for all events.

    Raises:
        InputError: it is neither a function nor a mapping.
    """
    if given is None or callable(given):
        return given
    if not isinstance(given, Mapping):
        raise InputError(
            f"filter must be a function of the event, or a dict of names and values; got {given!r}"
        )
    wanted = {name: _values(value) for name, value in given.items()}

    def accepts(event: Event) -> bool:
        return all(_value(event, name) in values for name, values in wanted.items())

    return accepts


def _values(value: object) -> Collection[object]:
    return tuple(value) if isinstance(value, list | tuple | set | frozenset) else (value,)


def _value(event: Event, name: str) -> object:
    if name in _OWN:
        return getattr(event, name)
    if isinstance(event.data, dict) and name in event.data:
        return event.data[name]
    return event.attributes.get(name)
