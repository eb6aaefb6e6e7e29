"""Gauges of topics, queues and failed deliveries: how a store stands, which takes questions to it.

Asked in the background, at most every few seconds, and only while somebody scrapes: turns pay
nothing, and a scrape never hangs on a store that does.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from msgspec import Struct
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tenuto.engine.asking import Asking
from tenuto.engine.engine import Engine
from tenuto.engine.topic_ports import FailedCount, SubscriptionStanding
from tenuto.model.errors import StorageError
from tenuto.model.timing import MICROSECONDS, Microseconds

FRESH_SECONDS: Final = 5.0
"""What is known is shown again for so long."""

_PATIENCE_SECONDS: Final = 1.0
_MOST: Final = 1_000
"""Subscriptions, and functions with failed deliveries, that get gauges: those that are worst."""


class _Standing(Struct, frozen=True):
    """How a store stood."""

    at: Microseconds = 0
    subscriptions: tuple[SubscriptionStanding, ...] = ()
    failed: tuple[FailedCount, ...] = ()


class MessageGauges:
    """What was last known of an engine's topics and failed deliveries.

    Args:
        engine: Has the store.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known = _Standing()
        self.asking = Asking(self._ask)

    async def refresh(self) -> None:
        """Ask the store, unless that was done just now; waits for it a moment at most."""
        with suppress(StorageError):  # shown as it was last known
            await self.asking.within(_PATIENCE_SECONDS, fresh_seconds=FRESH_SECONDS)

    async def _ask(self) -> None:
        engine, storage = self._engine, self._engine.storage
        engine.queues_seen = await storage.queues(engine.clock.now())
        subscriptions = await storage.subscriptions()
        failed = await storage.failed_counts()
        self._known = _Standing(
            engine.clock.now(),
            tuple(sorted(subscriptions, key=lambda one: -one.lag)[:_MOST]),
            tuple(sorted(failed, key=lambda one: -one.count)[:_MOST]),
        )

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        known = self._known
        lag = GaugeMetricFamily(
            "tenuto_topic_lag",
            "Events that a subscription has not been delivered.",
            labels=["subscription"],
        )
        oldest = GaugeMetricFamily(
            "tenuto_topic_oldest_seconds",
            "How long the oldest event has waited that a subscription has not been delivered.",
            labels=["subscription"],
        )
        lags, waits = Counter[str](), Counter[str]()
        for one in known.subscriptions:  # one has a place in each topic that it has read
            lags[one.name] += one.lag
            waited = 0 if one.oldest is None else max(0, known.at - one.oldest)
            waits[one.name] = max(waits[one.name], waited)
        for name, behind in lags.items():
            lag.add_metric([name], behind)
            oldest.add_metric([name], waits[name] / MICROSECONDS)
        failed = GaugeMetricFamily(
            "tenuto_failed_deliveries",
            "Deliveries that are put aside, after all attempts.",
            labels=["source", "name", "function"],
        )
        for count in known.failed:
            failed.add_metric([count.source, count.name, count.function], count.count)
        silent = GaugeMetricFamily(
            "tenuto_storage_silent_seconds",
            "How long the store has not answered what these figures ask: they are as old.",
            max(self.asking.open_seconds, self._engine.holding.counting.open_seconds),
        )
        yield from (lag, oldest, failed, silent)
