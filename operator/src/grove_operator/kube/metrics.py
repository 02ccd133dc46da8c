"""Prometheus metrics, gathered when they are asked for: nothing is counted twice, and nothing costs when nobody looks.

grove_api_requests_total{verb,resource,code}      every request of ours
grove_api_request_seconds_total{verb,resource}
grove_writes_total{verb,resource}                 the mutating ones: flat when the cluster is at rest
grove_watch_age_seconds{resource}                 since a watch was last heard of
grove_leader                                      1 while this process holds the Lease
grove_<engine>_...                                whatever the engine counts: reconciles, failures, writes by kind,
                                                  queue depth, gang states, histograms of durations, binds
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Real
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from grove_operator.engine.measures import BOUNDS_S, Histogram
from grove_operator.kube.health import Handler, Health, ListenError
from grove_operator.kube.request_log import RequestLog

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(eq=False)
class Metrics:
    """One process' metrics. `engine` is read anew for each scrape: numbers, or mappings of label values to numbers."""

    log: RequestLog
    prefix: str
    is_leader: Callable[[], bool] = lambda: False
    engine: Callable[[], object] = dict
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    def collect(self) -> Iterator[Metric]:
        yield from _requests(self.log)
        yield GaugeMetricFamily("grove_leader", "1 while this process holds the Lease", value=float(self.is_leader()))
        for name, value, labels in sorted(_entries(self.engine()), key=lambda entry: entry[0]):
            if metric := _engine_metric(f"grove_{self.prefix}_{_snake(name)}", value, labels):
                yield metric

    def describe(self) -> Iterable[Metric]:
        """Nothing: the engine's names are only known once it runs."""
        return []

    async def serve(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def probe_sites(
    probes: tuple[str, int], metrics_at: tuple[str, int], health: Health, metrics: Metrics
) -> dict[tuple[str, int], dict[str, Handler]]:
    """What listens where, for `ProbeThread`; both may share one address and port. ListenError for a port of 0."""
    if probes[1] == 0 or metrics_at[1] == 0:
        raise ListenError("port 0 could not be found by probes and scrapes; give the health and metrics ports numbers")
    sites: dict[tuple[str, int], dict[str, Handler]] = {probes: {"/healthz": health.healthz, "/readyz": health.readyz}}
    sites.setdefault(metrics_at, {})["/metrics"] = metrics.serve
    return sites


def _requests(log: RequestLog) -> Iterator[Metric]:
    requests = CounterMetricFamily("grove_api_requests", "API requests; code 0 is no answer", labels=_LABELS)
    for (verb, plural, code), count in sorted(log.requests.copy().items()):
        requests.add_metric([verb, plural, str(code)], count)
    yield requests
    seconds = CounterMetricFamily("grove_api_request_seconds", "Time spent on API requests", labels=_LABELS[:2])
    for labels, spent_s in sorted(log.seconds.copy().items()):
        seconds.add_metric(list(labels), spent_s)
    yield seconds
    writes = CounterMetricFamily("grove_writes", "Mutating API requests", labels=_LABELS[:2])
    for labels, count in sorted(log.writes().items()):
        writes.add_metric(list(labels), count)
    yield writes
    ages = GaugeMetricFamily("grove_watch_age_seconds", "Time since a watch was last heard of", labels=["resource"])
    for plural, age_s in log.watch_ages_s().items():
        ages.add_metric([plural], age_s)
    yield ages


_LABELS = ["verb", "resource", "code"]


def _entries(source: object) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """Name, value and names of labels of everything countable in a mapping or an object."""
    if isinstance(source, Mapping):
        yield from ((str(name), value, ()) for name, value in list(source.items()))
    elif is_dataclass(source) and not isinstance(source, type):
        yield from ((one.name, getattr(source, one.name), one.metadata.get("labels", ())) for one in fields(source))
    else:
        yield from ((name, value, ()) for name, value in vars(source).items())


def _engine_metric(name: str, value: Any, labels: tuple[str, ...]) -> Metric | None:
    if isinstance(value, Real):
        return GaugeMetricFamily(name, "Counted by the engine", value=float(value))
    if not isinstance(value, Mapping):
        return None
    if any(isinstance(one, Histogram) for one in list(value.values())):
        return _durations(name, value, labels)
    samples = {key: count for key, count in list(value.items()) if isinstance(count, Real)}
    if not samples:
        return None
    width = max(len(_label_values(key)) for key in samples)
    said = labels if len(labels) >= width else tuple(f"label{n}" for n in range(1, width + 1))
    metric = GaugeMetricFamily(name, "Counted by the engine", labels=said)
    width = len(said)
    for key, count in sorted(samples.items(), key=str):
        values = _label_values(key)
        metric.add_metric([*values, *[""] * (width - len(values))], float(count))
    return metric


def _durations(name: str, value: Mapping[object, Histogram], labels: tuple[str, ...]) -> Metric:
    metric = HistogramMetricFamily(name, "Durations in seconds", labels=labels)
    for key, histogram in sorted(value.items(), key=str):
        counts = list(itertools.accumulate(histogram.counts))
        buckets = [(f"{bound:g}", n) for bound, n in zip((*BOUNDS_S, float("inf")), counts, strict=True)]
        buckets[-1] = ("+Inf", counts[-1])
        metric.add_metric(_label_values(key), buckets, histogram.total_s)
    return metric


def _label_values(key: object) -> list[str]:
    return [str(part) for part in key] if isinstance(key, tuple) else [str(key)]


def _snake(name: str) -> str:
    return _FORBIDDEN.sub("_", _CAMEL.sub("_", name)).lower().strip("_")
