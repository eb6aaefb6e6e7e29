"""Functions and orchestrators of an app that events of a topic start: ``@app.subscribe``."""

import hashlib
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_origin

from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.client.client import Client
from tenuto.engine.program import Delivery, TopicTrigger, TriggeredFunction
from tenuto.host.native_calls import Offer
from tenuto.host.native_triggered import members_of, native_triggered
from tenuto.model.causes import CAUSE_TAG
from tenuto.model.errors import InputError, InstanceExistsError, InvalidInstanceIdError
from tenuto.model.ids import check_instance_id
from tenuto.model.joined_ids import joined
from tenuto.model.payload import encode
from tenuto.model.requests import IdReuse
from tenuto.model.topics import Event
from tenuto.orchestration.references import AnyOrchestrator, OrchestratorFunction

InstancePer: TypeAlias = Literal["event", "key"]
"""Whether each event starts an orchestration, or the first of each key."""

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_ANYTHING: Final = (Any, object, inspect.Parameter.empty)
_OFFER: Final = Offer(
    giver="a topic",
    info=Event,
    has_payload=True,
    words="any of `event: Event`, the event's data as one parameter of its type, and "
    "`client: Client` (`SyncClient` in a `def`), by their annotations",
)


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

        Raises:
            InputError: the event cannot start it, or something else has the instance id.
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
            instance_id = instance_id_of(self.orchestrator.name, event.key)
            arguments = (event.key,)
        else:
            instance_id = instance_id_of(self.name, event.id)
            arguments = (event,) if self.takes_event else self._input(event.data)
        if not self.orchestrator.signature.takes_input:
            arguments = ()
        client = client_of_host.get()
        try:
            await client.start(
                self.orchestrator, *arguments, instance_id=instance_id, reuse=IdReuse.NEVER
            )
        except InstanceExistsError:
            # It is there: what waits in it finds the event in the topic.
            await self._check_ours(client, instance_id, delivery)

    async def _check_ours(self, client: Client, instance_id: str, delivery: Delivery) -> None:
        """See that the instance is the one that this event or key has started.

        Raises:
            InputError: it is another one: nothing runs for the event, which must not be lost.
        """
        found = await client.get_status(instance_id)
        if found is None:
            raise InputError(f"instance {instance_id!r} was purged at this moment")
        is_ours = found.name == self.orchestrator.name
        if self.per == "event":
            is_ours = is_ours and found.tags.get(CAUSE_TAG) == delivery.cause
        if not is_ours:
            raise InputError(
                f"the instance id {instance_id!r} is taken by another instance, of {found.name!r}: "
                f"nothing was started for event {delivery.id!r} of subscription {self.name!r}"
            )

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
            takes_event=_takes_event(function, per),
        )
    if per == "key":
        raise InputError("instance_per='key' is for orchestrators; this is a plain function")
    return native_triggered(function, name, trigger, _OFFER, _told)


def _told(delivery: Delivery) -> object:
    return delivery.facts["event"]


def _takes_event(orchestrator: AnyOrchestrator, per: InstancePer) -> bool:
    """Whether it takes the event itself.

    Raises:
        InputError: it takes what it is not given.
    """
    try:
        found = inspect.signature(orchestrator.function, eval_str=True).parameters.values()
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError(
            f"an annotation cannot be resolved: {error}; its classes must be there at run time, "
            "defined before the function"
        ) from None
    inputs = [one for one in found if one.kind in _POSITIONAL][1:]  # the first is the context
    if not inputs:
        return False
    first, *others = inputs
    kinds = set(members_of(first.annotation))
    takes_event = Event in kinds
    if per == "key" and all(map(_is_never_text, kinds)):
        raise InputError(
            f"instance_per='key' gives the key, a text, to parameter {first.name!r}; annotate it "
            "as str"
        )
    for one in others:
        if Event in members_of(one.annotation):
            raise InputError(f"parameter {one.name!r} must be the only one, to be given the event")
        if one.default is one.empty and (per == "key" or takes_event):
            what = "the key" if per == "key" else "the event"
            raise InputError(f"it is given {what} alone, and parameter {one.name!r} gets nothing")
    return takes_event


def _is_never_text(kind: object) -> bool:
    """Whether no text is of this type; what is not plain is left to the first event."""
    if kind in _ANYTHING or get_origin(kind) is not None or not isinstance(kind, type):
        return False
    return not issubclass(kind, str | Enum)


def instance_id_of(first: str, second: str) -> str:
    """An id of both; where it cannot be one, of what stands for them."""
    try:
        return check_instance_id(joined(first, second))
    except InvalidInstanceIdError:
        digest = hashlib.sha256(second.encode()).hexdigest()[:32]
        return f"{hashlib.sha256(first.encode()).hexdigest()[:8]}-{digest}"
