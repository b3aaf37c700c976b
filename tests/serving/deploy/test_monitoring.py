"""What the servers are configured with, and what is asked of their metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

import serving
from serving.client import DEFAULT_MODEL_NAME
from serving.server import metrics, text_protos

DEPLOY = Path(serving.__file__).parent / "deploy"
# As TensorFlow Serving 2.21 exports them, with the labels that each has.
EXPORTED = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:serving:request_latency_bucket": {"model_name", "API", "entrypoint", "le"},
    ":tensorflow:serving:runtime_latency_bucket": {"model_name", "API", "runtime", "le"},
    ":tensorflow:serving:model_warmup_latency_sum": {"model_path", "status"},
    ":tensorflow:serving:model_warmup_latency_count": {"model_path", "status"},
    "up": {"job", "instance"},
}


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text())


def rules() -> list[dict[str, Any]]:
    (group,) = load("prometheus/alerts.yaml")["groups"]
    return group["rules"]


def dashboard() -> dict[str, Any]:
    return json.loads((DEPLOY / "grafana/dashboards/cxr.json").read_text())


def targets() -> list[dict[str, Any]]:
    return [target for panel in dashboard()["panels"] for target in panel.get("targets", [])]


EXPRESSIONS = [rule["expr"] for rule in rules()] + [target["expr"] for target in targets()]


def parse(expression: str) -> Any:
    # Grafana's own variables stand for these.
    return promql_parser.parse(
        expression.replace("$__rate_interval", "5m").replace("$model", DEFAULT_MODEL_NAME)
    )


def selectors(expression: Any) -> Iterator[Any]:
    """The vector selectors anywhere in an expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector", "vs"):
        if inner := getattr(expression, name, None):
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_only_what_is_exported_is_asked_for(expression: str) -> None:
    found = list(selectors(parse(expression)))
    assert len(found) == len(re.findall(r":tensorflow:|\bup\b", expression))
    for selector in found:
        assert selector.name in EXPORTED
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= EXPORTED[selector.name]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_grouped_by_is_there(expression: str) -> None:
    labels = set().union(*(EXPORTED[one.name] for one in selectors(parse(expression))))
    for grouped in re.findall(r" by \(([^)]*)\)", expression):
        assert set(grouped.split(", ")) <= labels


def test_the_embedded_server_exports_the_same() -> None:
    known = {metrics.REQUEST_COUNT}
    for histogram in (metrics.REQUEST_LATENCY, metrics.RUNTIME_LATENCY, metrics.WARMUP_LATENCY):
        known |= {f"{histogram}_{part}" for part in ("bucket", "sum", "count")}
    assert {name for name in EXPORTED if name != "up"} <= known


def test_an_alert_says_what_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        # A label that the expression sums away would be empty.
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
            assert "by (" not in rule["expr"] or label in rule["expr"].split("by (")[1]


def test_prometheus_asks_where_the_servers_answer() -> None:
    config = load("prometheus/prometheus.yaml")
    assert [(DEPLOY / "prometheus" / one).is_file() for one in config["rule_files"]] == [True]
    (job,) = config["scrape_configs"]
    monitoring = text_protos.read_monitoring_config(DEPLOY / "config/monitoring.config")
    assert monitoring.prometheus_config.enable
    assert job["metrics_path"] == monitoring.prometheus_config.path == metrics.DEFAULT_PATH
    (target,) = job["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host in load("compose.yaml")["services"]
    assert port == "8501"
    assert f'job="{job["job_name"]}"' in rules()[0]["expr"]
    annotations = load("kubernetes/deployment.yaml")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path


@pytest.mark.parametrize(
    ("pod", "labels", "address"),
    [
        ("deployment", {"app_kubernetes_io_name": "cxr-serving"}, "10.0.0.7:8501"),
        ("kserve", {"serving_kserve_io_inferenceservice": "cxr"}, "10.0.0.7:8080"),
        ("deployment", {"app_kubernetes_io_name": "other"}, None),
    ],
)
def test_the_alerts_know_the_pods_of_a_cluster(
    pod: str, labels: dict[str, str], address: str | None
) -> None:
    (job,) = load("prometheus/kubernetes.yaml")["scrape_configs"]
    assert job["job_name"] == load("prometheus/prometheus.yaml")["scrape_configs"][0]["job_name"]
    annotated = {
        "deployment": load("kubernetes/deployment.yaml")["spec"]["template"],
        "kserve": load("kserve/inference_service.yaml"),
    }[pod]["metadata"]["annotations"]
    target = {
        "__address__": "10.0.0.7:8500",
        "__meta_kubernetes_pod_name": "cxr-1",
        "__meta_kubernetes_pod_phase": "Running",
        **{f"__meta_kubernetes_pod_label_{name}": value for name, value in labels.items()},
        **{
            f"__meta_kubernetes_pod_annotation_{re.sub(r'[./]', '_', name)}": value
            for name, value in annotated.items()
        },
    }
    for rule in job["relabel_configs"]:
        value = ";".join(target.get(label, "") for label in rule["source_labels"])
        found = re.fullmatch(str(rule.get("regex", "(.*)")), value)
        match rule.get("action", "replace"):
            case "replace" if found:
                replacement = re.sub(r"\$(\d)", r"\\\1", rule.get("replacement", "$1"))
                target[rule["target_label"]] = found.expand(replacement)
            case "keep" if not found:
                assert address is None
                return
            case "drop":
                assert not found
    assert target["__address__"] == address
    assert target["__metrics_path__"] == metrics.DEFAULT_PATH
    assert target["instance"] == "cxr-1"


def test_batches_are_as_tensorflow_serving_wants_them() -> None:
    batching = text_protos.read_batching_parameters(DEPLOY / "config/batching.config")
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == batching.max_batch_size.value


def test_the_dashboard_is_complete() -> None:
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert "not a diagnostic device" in panels[0]["options"]["content"]
    (source,) = load("grafana/datasources.yaml")["datasources"]
    for target in targets():
        assert target["datasource"] == {"type": source["type"], "uid": source["uid"]}
    for one in panels[1:]:
        assert one["title"]
        assert one["description"]
        assert one["targets"]
    # Nothing lies upon anything else, and all lies on the grid of 24 columns.
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
