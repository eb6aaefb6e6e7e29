"""Tenuto's own activities, beside those of the app: requests over HTTP, and webhooks.

They run like any other async activity: same limits, same timeouts, same place in history.
"""

from collections.abc import Callable

from tenuto.engine.ports import Clock
from tenuto.functions.activity_context import ActivityContext
from tenuto.functions.http_activity import HttpActivity
from tenuto.functions.outbound import OutboundSettings
from tenuto.functions.registry import FunctionRegistry
from tenuto.functions.webhook_activity import WebhookActivity
from tenuto.model.built_in import HTTP_ACTIVITY, WEBHOOK_ACTIVITY
from tenuto.model.signature import Signature
from tenuto.orchestration.references import ActivityFunction, AnyActivity


class AllActivities:
    """The activities of an app and Tenuto's own, by name.

    Args:
        registry: The app's functions.
        clock: Measures the time of requests.
        outbound: Where requests may go.
        payload_bytes: Longest answer to a request.
        webhook_base: The address under which this host is reached from outside.
        webhook_secret: What the tokens of webhooks are signed with.
    """

    def __init__(
        self,
        registry: FunctionRegistry,
        clock: Clock,
        *,
        outbound: OutboundSettings,
        payload_bytes: int,
        webhook_base: Callable[[], str],
        webhook_secret: str,
    ) -> None:
        self._registry = registry
        self._http = HttpActivity(registry.token_sources, clock, outbound, payload_bytes)
        self._built_in: dict[str, AnyActivity] = {
            HTTP_ACTIVITY: _reference(HTTP_ACTIVITY, self._http.run),
            WEBHOOK_ACTIVITY: _reference(
                WEBHOOK_ACTIVITY, WebhookActivity(webhook_base, webhook_secret).run
            ),
        }

    def get_activity(self, name: str) -> AnyActivity:
        """The activity of that name.

        Raises:
            UnknownFunctionError: there is none.
        """
        return self._built_in.get(name) or self._registry.get_activity(name)

    def has(self, name: str) -> bool:
        """Whether there is an activity of that name."""
        return name in self._built_in or name in self._registry.activities

    async def stop(self) -> None:
        """Close the connections."""
        await self._http.stop()


def _reference(name: str, function: Callable[..., object]) -> AnyActivity:
    return ActivityFunction(
        function=function,
        name=name,
        signature=Signature.of(function, 1),
        make_context=lambda: ActivityContext(name),
    )
