"""Alerts and dashboards ask for metrics that exist, with labels and values that occur; each alert
has its section in the runbook."""

import json
import re
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, get_args

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from signalbox_ledger.records import AttemptOutcome, Settlement
from signalbox_operator import health
from signalbox_operator.cluster.certificate_ends import CERTIFICATES
from signalbox_operator.fleet_metrics import DEGRADED, FleetMetrics, Seen
from signalbox_proxy.metrics import Metrics
from signalbox_proxy.refusals import STATUS
from support.charts import CHART, MONITORED, NAMESPACE, RELEASE, Objects
from support.fleet import Fleet
from support.running import ROOT

ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))
RUNBOOK = (ROOT / "docs" / "operations.md").read_text()
METRIC = re.compile(r"\bsignalbox_[a-z_]+\b")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
KNOWN = {
    "code": set(STATUS),
    "outcome": set(get_args(AttemptOutcome)),
    "settlement": set(get_args(Settlement)),
    "reason": set(DEGRADED),
}


def _metrics() -> set[str]:
    """Every name that a proxy or an operator can tell, as Prometheus stores it."""
    metrics = Metrics()
    metrics.run_ended(surface="chat", outcome="answered", cost_nano=1, duration_us=1, overhead_us=1)
    text = metrics.text().decode() + _operator()
    return {line.split("{")[0].split(" ")[0] for line in text.splitlines()}


def _operator() -> str:
    """What an operator tells before it knows anything but when its certificates end."""
    registry = health._metrics(lambda: 0.0, lambda: "", lambda: None)
    ends = dict.fromkeys(CERTIFICATES, 1.0)
    registry.register(FleetMetrics(lambda: Seen(ends=ends)))
    return generate_latest(registry).decode()


def _series(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series of a scrape, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _selected(
    series: Iterable[tuple[str, frozenset[tuple[str, str]]]], name: str, matchers: str
) -> dict[tuple[str, ...], set[tuple[str, frozenset[tuple[str, str]]]]]:
    """The series that a selector takes, by each combination of values that it names."""
    wanted = {
        label: text.split("|")
        for label, _, text in MATCHER.findall(matchers)
        if label not in ("namespace", "service")
    }
    return {
        values: {
            one
            for one in series
            if one[0] == name and set(zip(wanted, values, strict=True)) <= one[1]
        }
        for values in product(*wanted.values())
    }


def _targets() -> list[tuple[str, str]]:
    """Each query of each dashboard with where it stands."""
    return [
        (f"{file.stem}: {panel['title']}", target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


QUERIES = [(rule["alert"], rule["expr"]) for rule in ALERTS] + _targets()


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_query_asks_for_a_metric_that_exists(name: str, query: str) -> None:
    asked = set(METRIC.findall(query))
    assert asked <= _metrics(), name
    assert asked or "up{" in query


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_query_names_values_of_labels_that_occur(name: str, query: str) -> None:
    for label, _, text in MATCHER.findall(query):
        if label in KNOWN:
            assert set(text.split("|")) <= KNOWN[label], name


@pytest.mark.parametrize(("name", "query"), QUERIES)
def test_every_query_stays_in_the_releases_namespace(name: str, query: str) -> None:
    for selector in re.findall(r"signalbox_\w+(\{[^}]*\})?", query):
        assert 'namespace="@NAMESPACE@"' in selector or 'namespace="$namespace"' in selector, name


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a proxy that has just started tells, before any request, and what its operator does."""
    with Fleet(tmp_path_factory.mktemp("begun"), proxies=1) as fleet:
        return fleet.metrics(0) + _operator()


@pytest.mark.parametrize("rule", ALERTS, ids=[rule["alert"] for rule in ALERTS])
def test_every_series_that_an_alert_watches_is_there_before_anything_happens(
    rule: dict[str, Any], begun: str
) -> None:
    """A counter that begins with its first event never increases, as Prometheus sees it."""
    series = _series(begun)
    for name, matchers in re.findall(r"(signalbox_\w+)\{([^}]*)\}", rule["expr"]):
        if name != "signalbox_overhead_seconds_bucket":  # of quantiles; nothing happened is none
            for values, found in _selected(series, name, matchers).items():
                assert found, (name, values)


EVENTS: dict[str, Callable[[Metrics, dict[str, str]], None]] = {
    "signalbox_refusals_total": lambda metrics, labels: metrics.refused(labels["code"]),
    "signalbox_overruns_total": lambda metrics, _: metrics.overran(),
    "signalbox_snapshot_rejections_total": lambda metrics, _: metrics.snapshot_rejected(),
    "signalbox_attempts_total": lambda metrics, labels: metrics.attempt_ended(
        labels.get("outcome", "cut").split("|")[0], labels.get("settlement", "full")
    ),
}
INCREASES = sorted(
    {
        (name, matchers)
        for rule in ALERTS
        for name, matchers in re.findall(
            r"(?:increase|rate)\((signalbox_\w+_total)\{([^}]*)\}", rule["expr"]
        )
    }
)


@pytest.mark.parametrize(("name", "matchers"), INCREASES)
def test_the_first_event_already_increases_what_its_alert_watches(name: str, matchers: str) -> None:
    """As `increase` counts: the last sample less the first, of series that have both."""
    metrics = Metrics()
    before = _series(metrics.text().decode())
    labels = {label: text for label, _, text in MATCHER.findall(matchers)}
    EVENTS[name](metrics, labels)
    after = _series(metrics.text().decode())
    both = _selected(before.keys() & after.keys(), name, matchers).values()
    assert sum(after[one] - before[one] for found in both for one in found) == 1


def test_each_alert_has_a_section_in_the_runbook_and_each_section_an_alert() -> None:
    sections = re.findall(r"^### (Signalbox\w+)$", RUNBOOK, re.MULTILINE)
    assert sections == [rule["alert"] for rule in ALERTS]


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    objects = Objects.of(MONITORED)
    (rule,) = objects.kind("PrometheusRule")
    rendered = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    assert [each["alert"] for each in rendered] == [each["alert"] for each in ALERTS]
    for each in rendered:
        assert each["labels"]["severity"] in {"critical", "warning", "info"}
        assert each["annotations"]["summary"].endswith(".")
        page, _, anchor = each["annotations"]["runbook_url"].partition("#")
        assert page.endswith("operations.md")
        assert anchor == each["alert"].lower()
        assert "@" not in each["expr"]
    text = json.dumps(rendered)
    assert NAMESPACE in text
    assert f"{RELEASE}-operator" in text


def test_without_an_address_of_the_runbook_no_alert_links_anywhere() -> None:
    values = {"monitoring": {"prometheusRule": {"enabled": True}}}
    (rule,) = Objects.of(values).kind("PrometheusRule")
    for group in rule["spec"]["groups"]:
        assert all(set(each["annotations"]) == {"summary"} for each in group["rules"])


def test_dashboards_are_found_by_grafana_and_stand_on_their_own() -> None:
    maps = [
        one
        for one in Objects.of(MONITORED).kind("ConfigMap")
        if one["metadata"]["labels"].get("grafana_dashboard") == "1"
    ]
    assert len(maps) == len(DASHBOARDS) >= 2
    boards = [json.loads(text) for one in maps for text in one["data"].values()]
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        assert all(panel["description"] for panel in board["panels"])
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        sources = {panel["datasource"]["uid"] for panel in board["panels"]}
        assert sources == {"${datasource}"}, "no data source of one machine"
