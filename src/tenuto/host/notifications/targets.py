"""Targets of notifications: each is a subscription to the topic of notices, with its own place.

So what holds for subscriptions holds here: at least once, one host of a hub at a time, those of one
instance in order, tried again after pauses, and put aside after the last attempt.
"""

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, cast

import msgspec
from msgspec import Struct

from tenuto.client.causes import client_of_host
from tenuto.engine.ports import Clock
from tenuto.engine.program import Delivery, Redelivery, TopicTrigger
from tenuto.functions.http_activity import http_of_host
from tenuto.host.notifications.options import NotificationSettings, NotificationTarget
from tenuto.host.notifications.signing import signed_headers, signing_keys
from tenuto.model.cloud_events import STRUCTURED, cloud_event_of
from tenuto.model.errors import InputError, RegistrationError
from tenuto.model.facts import InstanceFacts
from tenuto.model.http_call import HttpRequest, http_request
from tenuto.model.ids import InstanceId, new_execution_id
from tenuto.model.notices import ENDS, TOPIC, NoticeKind, notice_row
from tenuto.model.shown_urls import without_query
from tenuto.model.timing import MICROSECONDS, Microseconds
from tenuto.model.topics import Event, EventDetails, StoredEvent, event_of

PREFIX: Final = "notifications."
"""Names of subscriptions begin so; that of the target follows."""

_OK: Final = range(200, 300)
_STATUSES: Final = {
    NoticeKind.STARTED: "Running",
    NoticeKind.COMPLETED: "Completed",
    NoticeKind.FAILED: "Failed",
    NoticeKind.TERMINATED: "Terminated",
}


def notification_targets(
    settings: NotificationSettings, clock: Clock
) -> list["NotificationDelivery"]:
    """The targets of the settings, as functions that events start."""
    return [
        NotificationDelivery(name=f"{PREFIX}{name}", hub=settings.hub, target=target, clock=clock)
        for name, target in settings.targets.items()
    ]


class NotificationDelivery(Struct, frozen=True, kw_only=True):
    """Sends notices to one target.

    Attributes:
        name: Of the subscription: no function of an app is called so by chance.
        hub: How the hub is called.
        target: Where to, and which.
        clock: Says when a webhook is sent.
    """

    name: str
    hub: str
    target: NotificationTarget
    clock: Clock

    @property
    def trigger(self) -> TopicTrigger:
        """The notices that it wants."""
        target = self.target
        return TopicTrigger(
            topic=TOPIC,
            subscription=self.name,
            accepts=self.wants,
            redelivery=Redelivery(
                attempts=target.attempts,
                first_pause=int(target.first_seconds * MICROSECONDS),
                longest_pause=int(target.longest_seconds * MICROSECONDS),
            ),
        )

    def wants(self, event: Event) -> bool:
        """Whether a notice is for it."""
        target, data = self.target, event.data
        tags = data.get("tags") or {}
        return (
            data["kind"] in target.wanted
            and (target.children or "parentInstanceId" not in data)
            and all(tags.get(key) == value for key, value in target.tags.items())
            and (not target.functions or _is_like(data["name"], target.functions))
        )

    def check(self) -> None:
        """See that there is the secret; asked before the host opens its store.

        Raises:
            RegistrationError: the variable is not set, or what it holds cannot be used.
        """
        try:
            self._secret()
        except InputError as error:
            name = self.name.removeprefix(PREFIX)
            raise RegistrationError(f"notifications.targets.{name}: {error}") from None

    async def run(self, delivery: Delivery) -> None:
        """Send a notice.

        Raises:
            Exception: it was not accepted.
        """
        event = cast("Event", delivery.facts["event"])
        if self.target.kind == "topic":
            await client_of_host.get().publish(
                self.target.topic,
                event.data,
                key=event.key,
                type=event.type,
                event_id=event.id,
                details=EventDetails(source=self._source, subject=event.subject),
            )
        elif self.target.kind == "queue":
            await client_of_host.get().enqueue(
                self.target.queue, self._cloud_event(event), message_id=event.id
            )
        else:
            await self._post(event)

    async def _post(self, event: Event) -> None:
        request = self.request(event)
        place = without_query(request.url)
        try:
            status = await http_of_host.get().deliver(request)
        except (ConnectionError, TimeoutError) as error:  # which name the address
            kind = TimeoutError if isinstance(error, TimeoutError) else ConnectionError
            raise kind(str(error).replace(request.url, place)) from None
        if status not in _OK:
            raise ConnectionError(
                f"{place} answered {status} to notification {event.id!r}; it is accepted "
                "with any answer from 200 to 299, and redirects are not followed"
            )

    def request(self, event: Event) -> HttpRequest:
        """What is posted for a notice, at this moment.

        Raises:
            InputError: the secret is not there any more, or cannot be used.
        """
        secret = self._secret()
        headers: dict[str, str]
        if self.target.kind == "event_grid":
            body = msgspec.json.encode([self._of_event_grid(event)]).decode()
            headers = {"aeg-sas-key": secret, "Content-Type": "application/json"}
        else:
            body = msgspec.json.encode(self._cloud_event(event)).decode()
            seconds = self.clock.now() // MICROSECONDS
            headers = signed_headers(signing_keys(secret), event.id, seconds, body)
            headers["Content-Type"] = f"{STRUCTURED}; charset=utf-8"
        return http_request("POST", self.target.place, body, headers, None)

    @property
    def _source(self) -> str:
        return f"/hubs/{self.hub}"

    def _cloud_event(self, event: Event) -> dict[str, Any]:
        return cloud_event_of(event, self._source)

    def _of_event_grid(self, event: Event) -> dict[str, Any]:
        """As Durable Functions writes it (its ``EventGridLifeCycleNotificationHelper``)."""
        data: Mapping[str, Any] = event.data
        status = _STATUSES[data["kind"]]
        return {
            "id": event.id,
            "subject": f"durable/orchestrator/{status}",
            "eventType": "orchestratorEvent",
            "eventTime": data["eventTime"],
            "dataVersion": "1.0",
            "data": {
                "hubName": self.hub,
                "functionName": data["name"],
                "instanceId": data["instanceId"],
                "reason": data.get("reason") or "",
                "runtimeStatus": status,
                "eventType": "orchestratorEvent",
                "eventTime": data["eventTime"],
            },
        }

    def _secret(self) -> str:
        """Read anew each time: it is kept nowhere else."""
        variable = self.target.secret_variable
        if not variable:
            return ""
        value = os.environ.get(variable, "").strip()
        if not value:
            raise InputError(
                f"the variable {variable!r} of the environment is not set, which holds its secret"
            )
        if self.target.kind == "webhook":
            signing_keys(value)
        else:
            http_request("POST", self.target.place, None, {"aeg-sas-key": value}, None)
        return value


def event_for_test(target: NotificationTarget, now: Microseconds) -> Event:
    """A notice of an instance that there is not, of a kind that a target wants.

    Args:
        target: Who is to be told.
        now: When.
    """
    name = "tenuto-test"
    facts = InstanceFacts(InstanceId(name), new_execution_id(now), name, InstanceId(name))
    kind = min(target.wanted & ENDS or target.wanted)
    row = notice_row(kind, facts, now, iid=0)
    return event_of(
        StoredEvent(0, row.event_id, row.topic, row.key, row.published_at, row.cause, row.event)
    )


def _is_like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, one) for one in patterns)
