"""Prometheus, its alerts and Grafana's dashboard ask only for what a worker exposes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.metrics import METRICS, MODELS, OUTCOMES, PROCESS_METRICS
from agents.settings import WebSettings
from agents.worker import ROLES
from streamer.core.events import REJECTIONS

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "streamer.json").read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

#: Series name → labels it can have. Prometheus adds the last three to whatever it scrapes.
SCRAPED = {"job", "instance"}
SERIES: dict[str, set[str]] = {"up": set(SCRAPED)} | {name: set(SCRAPED) for name in PROCESS_METRICS}
for _metric in METRICS:
    _labels = {*_metric.labels, *SCRAPED}
    if _metric.kind == "histogram":
        SERIES |= {f"{_metric.name}_bucket": {*_labels, "le"}}
        SERIES |= {f"{_metric.name}_sum": _labels, f"{_metric.name}_count": _labels}
    else:
        SERIES[_metric.name] = _labels
COUNTERS = {name for name in SERIES if name.endswith(("_total", "_bucket", "_sum", "_count"))}
VALUES = {
    "role": {*ROLES, "$role"},
    "outcome": set(OUTCOMES),
    "reason": {*REJECTIONS},
    "model": set(MODELS),
    "job": {"streamer"},
    "stage": {"batch"},
}

EXPRESSIONS = [(rule["alert"], rule["expr"]) for rule in RULES] + [
    (panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]
]


def selectors(expression: str) -> list[tuple[str, dict[str, str]]]:
    """(series, label matchers) of an expression."""
    found = re.findall(r"\b(up|(?:streamer|process)_\w+)\b(?:\{([^}]*)\})?", expression)
    return [(name, dict(re.findall(r'(\w+)\s*[!=]?[=~]+\s*"([^"]*)"', matchers))) for name, matchers in found]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_an_expression_asks_for_series_and_labels_that_exist(title, expression):
    """A typo here is a graph that stays empty, or an alert that never fires."""
    asked = selectors(expression)
    assert asked
    possible: set[str] = set()
    for series, matchers in asked:
        assert series in SERIES
        assert matchers.keys() <= SERIES[series]
        for label, value in matchers.items():
            assert value in VALUES[label]
        possible |= SERIES[series]
    for labels in re.findall(r"\bby \(([^)]*)\)", expression):
        assert {label.strip() for label in labels.split(",")} <= possible


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_counters_are_read_as_rates_and_gauges_are_not(title, expression):
    """A counter's height says when the process started, nothing else."""
    for series, _ in selectors(expression):
        rated = re.search(rf"\b(rate|increase)\({series}\b[^()]*\[", expression) is not None
        assert rated == (series in COUNTERS)


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_brackets_of_an_expression_are_balanced(title, expression):
    """As far as one can tell without Prometheus's own parser."""
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means_and_is_explained(rule):
    """Whoever is woken finds the alert's name in the operations page."""
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["summary"]
    assert f"`{rule['alert']}`" in (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_uses_only_labels_its_expression_keeps(rule):
    """`{{ $labels.topic }}` of an aggregated series would be blank."""
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    kept = re.findall(r"\bby \(([^)]*)\)", rule["expr"])
    for series, _ in selectors(rule["expr"]):
        possible = {label.strip() for labels in kept for label in labels.split(",")} if kept else SERIES[series]
        assert used <= possible


def test_alert_names_are_unique():
    """One name, one meaning."""
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)


def test_prometheus_scrapes_every_worker_on_its_port_and_reads_the_alerts():
    """Targets are services of docker-compose.yml, and the rule file is mounted beside."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    workers = {name for name, service in services.items() if (service.get("command") or [""])[0] == "worker"}
    [job] = PROMETHEUS["scrape_configs"]
    assert set(job["static_configs"][0]["targets"]) == {f"{name}:{WebSettings().port}" for name in workers}
    assert job["job_name"] in VALUES["job"]
    mounted = {volume.split(":")[1] for volume in services["prometheus"]["volumes"]}
    assert {f"/etc/prometheus/{file}" for file in PROMETHEUS["rule_files"]} <= mounted


def test_the_dashboard_asks_the_provisioned_source_for_everything():
    """One uid, in the panels and in the provisioning."""
    [source] = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    uids = {panel["datasource"]["uid"] for panel in PANELS}
    uids |= {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert uids == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"


def test_the_dashboard_is_where_grafana_looks_for_it():
    """Provider path, mount and home dashboard agree."""
    [provider] = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/streamer.yml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    path = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{path}/streamer.json"


def test_panels_have_ids_of_their_own_explain_themselves_and_do_not_overlap():
    """Grafana would quietly move or drop them."""
    everything = DASHBOARD["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    cells: set[tuple[int, int]] = set()
    for panel in everything:
        box = panel["gridPos"]
        here = {(box["x"] + dx, box["y"] + dy) for dx in range(box["w"]) for dy in range(box["h"])}
        assert box["x"] + box["w"] <= 24
        assert not here & cells
        cells |= here
    assert all(panel["description"] for panel in PANELS)
