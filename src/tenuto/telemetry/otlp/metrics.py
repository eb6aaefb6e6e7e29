"""The metrics of Prometheus as OpenTelemetry has them: the same names, sums since the beginning."""

import time
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, TypeAlias

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from tenuto.telemetry.otlp.translation import SCOPE

_TOTAL: Final = AggregationTemporality.CUMULATIVE
_Labels: TypeAlias = tuple[tuple[str, str], ...]


class MetricTranslation:
    """Translates the metrics of one process.

    Args:
        resource: Whose they are.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._since = time.time_ns()

    def data(self, families: Iterable[Family]) -> MetricsData:
        """What stands in them now."""
        now = time.time_ns()
        metrics = [found for one in families if (found := self._metric(one, now)) is not None]
        scope = ScopeMetrics(SCOPE, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, family: Family, now: int) -> Metric | None:
        data: Sum | Gauge | Histogram
        if family.type == "counter":
            data = Sum(self._numbers(family, "_total", now), _TOTAL, is_monotonic=True)
        elif family.type == "histogram":
            data = Histogram(self._distributions(family, now), _TOTAL)
        else:
            data = Gauge(self._numbers(family, "", now))
        if not data.data_points:
            return None
        return Metric(family.name, family.documentation, family.unit, data)

    def _numbers(self, family: Family, suffix: str, now: int) -> list[NumberDataPoint]:
        name = family.name + suffix
        return [
            NumberDataPoint(sample.labels, self._since, now, sample.value)
            for sample in family.samples
            if sample.name == name
        ]

    def _distributions(self, family: Family, now: int) -> list[HistogramDataPoint]:
        grouped: dict[_Labels, list[Sample]] = {}
        for sample in family.samples:
            labels = tuple((key, one) for key, one in sample.labels.items() if key != "le")
            grouped.setdefault(labels, []).append(sample)
        return [
            self._distribution(family.name, labels, samples, now)
            for labels, samples in grouped.items()
        ]

    def _distribution(
        self, name: str, labels: _Labels, samples: list[Sample], now: int
    ) -> HistogramDataPoint:
        buckets = [one for one in samples if one.name == f"{name}_bucket"]
        up_to = [0, *(round(one.value) for one in buckets)]
        return HistogramDataPoint(
            dict(labels),
            self._since,
            now,
            up_to[-1],
            sum(one.value for one in samples if one.name == f"{name}_sum"),
            [after - before for before, after in pairwise(up_to)],
            [float(one.labels["le"]) for one in buckets[:-1]],
            0.0,
            0.0,
        )
