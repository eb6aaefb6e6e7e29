"""Topics of an app whose events go out as CloudEvents: what ``app.push`` makes of them."""

import os
import re
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct, structs

from tenuto.engine.program import Delivery, TopicTrigger
from tenuto.functions.http_activity import http_of_host
from tenuto.host.event_filters import EventFilter, accepting
from tenuto.host.native_triggered import redelivery_of
from tenuto.model.cloud_events import STRUCTURED, cloud_event_of
from tenuto.model.errors import InputError, RegistrationError
from tenuto.model.http_call import HttpRequest, http_request
from tenuto.model.retry import RetryPolicy
from tenuto.model.topics import Event, checked_own_topic, checked_place

_CONTENT_TYPE: Final = "Content-Type"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OK: Final = range(200, 300)


class PushedTopic(Struct, frozen=True, kw_only=True):
    """A subscription that posts each event of a topic to an address.

    Attributes:
        name: Of the subscription.
        trigger: Its topic.
        request: What is the same for each event.
        secrets: Headers whose values stand in variables of the environment, with those' names.
    """

    name: str
    trigger: TopicTrigger
    request: HttpRequest
    secrets: Mapping[str, str]

    def check(self) -> None:
        """See that there are the secrets; asked before the host opens its store.

        Raises:
            RegistrationError: a variable is not set, or no header can carry what it holds.
        """
        try:
            self._headers()
        except InputError as error:
            raise RegistrationError(f"push {self.name!r}: {error}") from None

    async def run(self, delivery: Delivery) -> None:
        """Post an event.

        Raises:
            Exception: it was not accepted.
        """
        event = cast("Event", delivery.facts["event"])
        body = cloud_event_of(event, f"/topics/{quote(event.topic)}")
        request = structs.replace(
            self.request, content=msgspec.json.encode(body).decode(), headers=self._headers()
        )
        status = await http_of_host.get().deliver(request)
        if status not in _OK:
            raise ConnectionError(
                f"{request.url} answered {status} to event {event.id!r} of topic {event.topic!r}; "
                "it is accepted with any answer from 200 to 299, and redirects are not followed"
            )

    def _headers(self) -> dict[str, list[str]]:
        """Those of each event; secrets are read anew, so that they can be changed."""
        found = {}
        for header, variable in self.secrets.items():
            value = os.environ.get(variable)
            if not value:
                raise InputError(
                    f"the variable {variable!r} of the environment is not set, which holds the "
                    f"header {header!r}"
                )
            found[header] = value
        return self.request.headers | _checked(self.request.url, found).headers


class PushOptions(Struct, frozen=True, kw_only=True):
    """What ``app.push`` was told, not yet checked."""

    topic: str
    url: str
    filter: EventFilter | None
    headers: Mapping[str, str] | None
    secret_headers: Mapping[str, str] | None
    retry: RetryPolicy | None

    @property
    def name(self) -> str:
        """Of a subscription that nobody has named: of its topic and the address's host."""
        host = urlsplit(str(self.url)).hostname
        return f"{self.topic}.push.{host or 'address'}"

    def __call__(self) -> None:
        """Nothing: it stands for the function that there is not."""


def pushed_topic(name: str, options: PushOptions) -> PushedTopic:
    """What ``app.push`` makes.

    Raises:
        InputError: something of it cannot be used.
    """
    secrets = dict(options.secret_headers or {})
    for header, variable in secrets.items():
        if not _VARIABLE.fullmatch(str(variable)):
            # It may be the secret itself: the message must not repeat it.
            raise InputError(
                "secret_headers names a variable of the environment for each header; what stands "
                f"for {header!r} is no name of one"
            )
    request = _checked(options.url, options.headers)
    for header in [*request.headers, *_checked(options.url, dict.fromkeys(secrets, "x")).headers]:
        if header.lower() == _CONTENT_TYPE.lower():
            raise InputError(f"the header {header!r} is that of CloudEvents; leave it out")
    own = {_CONTENT_TYPE: [f"{STRUCTURED}; charset=utf-8"]}
    return PushedTopic(
        name=name,
        trigger=TopicTrigger(
            topic=checked_own_topic(options.topic),
            subscription=checked_place(name, "a subscription"),
            accepts=accepting(options.filter),
            redelivery=redelivery_of(options.retry),
        ),
        request=structs.replace(request, headers=request.headers | own),
        secrets=secrets,
    )


def _checked(url: str, headers: Mapping[str, str] | None) -> HttpRequest:
    try:
        return http_request("POST", url, None, headers, None)
    except InputError as error:
        raise InputError(str(error).removeprefix("call_http: ")) from None
