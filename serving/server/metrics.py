"""Counters and histograms in TensorFlow Serving's kind of Prometheus text.

TensorFlow Serving keeps the slashes of its metrics' names as colons, which is why no client
library writes this.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate

DEFAULT_PATH = "/monitoring/prometheus/metrics"

# Microseconds: 10 * 1.8^i, as TensorFlow Serving's.
BUCKETS = tuple(10 * 1.8**i for i in range(33))

REQUEST_COUNT = ":tensorflow:serving:request_count"
REQUEST_LATENCY = ":tensorflow:serving:request_latency"
RUNTIME_LATENCY = ":tensorflow:serving:runtime_latency"
WARMUP_LATENCY = ":tensorflow:serving:model_warmup_latency"
# Ours: TensorFlow Serving refuses nobody.
REFUSED_COUNT = ":cxr:serving:refused_count"
RUNNING = ":cxr:serving:running_requests"
QUEUED = ":cxr:serving:queued_requests"

_Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a server counts; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[_Labels, int]] = {}
        self._gauges: dict[str, float] = {}
        self._histograms: dict[str, dict[_Labels, list[float]]] = {}

    def count(self, name: str, by: int = 1, **labels: str) -> None:
        """Adds to a counter."""
        key = tuple(labels.items())
        with self._lock:
            values = self._counters.setdefault(name, {})
            values[key] = values.get(key, 0) + by

    def gauge(self, name: str, value: float) -> None:
        """Sets what goes up and down."""
        with self._lock:
            self._gauges[name] = value

    def observe(self, name: str, microseconds: float, **labels: str) -> None:
        """Adds a duration to a histogram."""
        key = tuple(labels.items())
        with self._lock:
            rows = self._histograms.setdefault(name, {})
            # A count per bucket, one for what is beyond them, and the sum.
            row = rows.setdefault(key, [0.0] * (len(BUCKETS) + 2))
            row[bisect_left(BUCKETS, microseconds)] += 1
            row[-1] += microseconds

    def totals(self) -> Mapping[str, int]:
        """The counters by name and labels, written as they are in the text."""
        with self._lock:
            return {
                f"{name}{_braces(labels)}": value
                for name, values in self._counters.items()
                for labels, value in values.items()
            }

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        with self._lock:
            return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, counter in sorted(self._counters.items()):
            yield f"# TYPE {name} counter"
            for labels, value in sorted(counter.items()):
                yield f"{name}{_braces(labels)} {value}"
        for name, level in sorted(self._gauges.items()):
            yield f"# TYPE {name} gauge"
            yield f"{name} {level:g}"
        for name, rows in sorted(self._histograms.items()):
            yield f"# TYPE {name} histogram"
            for labels, (*counts, total) in sorted(rows.items()):
                limits = [*(f"{limit:g}" for limit in BUCKETS), "+Inf"]
                for limit, below in zip(limits, accumulate(counts), strict=True):
                    yield f"{name}_bucket{_braces((*labels, ('le', limit)))} {below:.0f}"
                yield f"{name}_sum{_braces(labels)} {total:.0f}"
                yield f"{name}_count{_braces(labels)} {sum(counts):.0f}"


def _braces(labels: _Labels) -> str:
    if not labels:
        return ""
    return f"{{{','.join(f'{name}={_quoted(value)}' for name, value in labels)}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
