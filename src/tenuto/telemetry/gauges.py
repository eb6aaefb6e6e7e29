"""Gauges of an engine: looked up when somebody asks, so that turns pay nothing for them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tenuto.engine.engine import Engine
from tenuto.engine.queue_ports import QueueStanding
from tenuto.model.hold import HoldReason
from tenuto.model.timing import MICROSECONDS, Microseconds

_MOST_QUEUES: Final = 100
"""Queues are named by programs: too many names would burden who keeps the figures."""


def queue_gauges(queues: Sequence[QueueStanding], now: Microseconds) -> Iterator[Metric]:
    """How queues stand, as last looked at; of many those with the most messages."""

    def messages(one: QueueStanding) -> int:
        return one.ready + one.delayed + one.in_work + one.failed

    counts = GaugeMetricFamily(
        "tenuto_queue_messages", "Messages of queues, by state.", labels=["queue", "state"]
    )
    oldest = GaugeMetricFamily(
        "tenuto_queue_oldest_seconds",
        "How long the first of the messages that are ready has been so.",
        labels=["queue"],
    )
    for one in sorted(queues, key=messages, reverse=True)[:_MOST_QUEUES]:
        counts.add_metric([one.name, "ready"], one.ready)
        counts.add_metric([one.name, "delayed"], one.delayed)
        counts.add_metric([one.name, "in_work"], one.in_work)
        counts.add_metric([one.name, "failed"], one.failed)
        waited = 0 if one.oldest is None else max(now - one.oldest, 0)
        oldest.add_metric([one.name], waited / MICROSECONDS)
    yield counts
    yield oldest


def _pool_gauges(engine: Engine) -> Iterator[Metric]:
    """Workers by kind; those of several apps in one language together."""
    there: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for one in engine.runner.pools():
        there[one.name] += one.workers
        most[one.name] += one.most
    workers = GaugeMetricFamily(
        "tenuto_workers", "Workers that are there, by kind.", labels=["pool"]
    )
    bound = GaugeMetricFamily(
        "tenuto_workers_most", "Workers that may be there, by kind.", labels=["pool"]
    )
    for name in most:
        workers.add_metric([name], there[name])
        bound.add_metric([name], most[name])
    yield workers
    yield bound


def engine_gauges(engine: Engine) -> Iterator[Metric]:
    """How an engine stands at this moment."""
    runner = engine.runner
    timers = [one.timers for one in engine.partitions.values()]
    now = engine.clock.now()
    since = engine.waiting_since
    waited = 0.0 if since is None else max(now - since, 0) / MICROSECONDS
    values: list[tuple[str, str, float]] = [
        ("activities_running", "Attempts of activities whose function runs.", runner.running),
        ("activities_queued", "Attempts of activities that wait for room.", runner.queued),
        (
            "activities_hung",
            "Attempts of sync activities that were given up and keep a thread.",
            runner.hung,
        ),
        (
            "shortages",
            "Pools that are used up, such as by attempts that hang; /healthz tells which.",
            len(runner.shortages()),
        ),
        ("ready_instances", "Instances that are queued for a turn.", engine.ready),
        (
            "oldest_waiting_seconds",
            "How long the oldest queued instance, or the commit in flight, has waited.",
            waited,
        ),
        ("timers_due", "Timers that are late.", sum(one.due(now) for one in timers)),
        (
            "timers_armed",
            "Timers that fire soon, in memory.",
            sum(map(len, timers)),
        ),
        ("resident_instances", "Instances in memory.", len(engine.residents)),
        ("live_sessions", "Orchestrators that are live in memory.", engine.retention.sessions),
        ("update_listeners", "Who listens to live updates.", engine.updates.listeners),
        *_hub_values(engine),
    ]
    held = GaugeMetricFamily(
        "tenuto_held_instances", "Instances that cannot go on now, by reason.", labels=["reason"]
    )
    for reason in HoldReason:
        held.add_metric([reason], engine.holding.counts.get(reason, 0))
    yield held
    yield from queue_gauges(engine.queues_seen, now)
    yield from _link_gauges(engine)
    yield from _pool_gauges(engine)
    for name, meaning, value in values:
        yield GaugeMetricFamily(f"tenuto_{name}", meaning, value)


def _hub_values(engine: Engine) -> list[tuple[str, str, float]]:
    """This host among the others, as it has last heard of them."""
    peers = engine.peers
    return [
        ("partitions_owned", "Partitions that this host serves.", len(engine.partitions)),
        ("hub_partitions", "Partitions of the hub.", engine.hub_partitions),
        ("hub_hosts", "Hosts of the hub that live.", 1 if peers is None else peers.hosts),
        (
            "hub_unserved_partitions",
            "Partitions of the hub that no host serves.",
            0 if peers is None else peers.free,
        ),
        (
            "sign_of_life_seconds",
            "Since the last sign of life of this host has reached the store.",
            0.0 if peers is None else peers.silent_seconds,
        ),
    ]


def _link_gauges(engine: Engine) -> Iterator[Metric]:
    messages = GaugeMetricFamily(
        "tenuto_link_waiting_messages", "Messages that wait for a linked hub.", labels=["link"]
    )
    size = GaugeMetricFamily(
        "tenuto_link_waiting_bytes", "How long the messages are that wait.", labels=["link"]
    )
    for name, waiting in engine.outside.waiting().items():
        messages.add_metric([name], waiting.messages)
        size.add_metric([name], waiting.bytes)
    yield messages
    yield size
