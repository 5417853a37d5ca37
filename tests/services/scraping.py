"""A process's metrics, as Prometheus gets them."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from streams import metrics
from streams.settings import Settings
from tests.services.ports import HOST


def scraped(settings: Settings, name: str) -> dict[str, float]:
    """What the process `name` serves: values by `metric{label="value",...}`."""
    port = settings.metrics_port + metrics.SERVED.index(name)
    with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=20) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {_name(sample.name, sample.labels): sample.value for family in families for sample in family.samples}


def _name(metric: str, labels: dict[str, str]) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return f"{metric}{{{inside}}}" if inside else metric
