"""What cannot work is refused, with a sentence that says what to write instead."""

import pytest

from support.charts import BUNDLED, CRDS_CHART, FLEET, RefusedError, Values, rendered

DSN = "postgresql://signalbox:hunter2-canary@db/ledger"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"proxy": {"replicas": 2}},
            ["2 proxies cannot share a ledger in SQLite", "externalDatabase"],
        ),
        (
            {"proxy": {"autoscaling": {"enabled": True}}},
            ["cannot share a ledger in SQLite", "proxy.replicas=1"],
        ),
        (
            {**FLEET, "proxy": {"replicas": 3, "autoscaling": {"enabled": True}}},
            ["proxy.replicas", "both decide", "autoscaling.enabled=false"],
        ),
        (
            {**FLEET, "proxy": {"autoscaling": {"minReplicas": 5, "maxReplicas": 4}}},
            ["minReplicas (5) is above maxReplicas (4)"],
        ),
        (
            {**FLEET, "proxy": {"autoscaling": {"cpuPercent": None}}},
            ["nothing to go by", "proxy.autoscaling.metrics"],
        ),
        (
            {**FLEET, "proxy": {"resources": {"requests": {"cpu": None}}}},
            ["requests none", "proxy.resources.requests.cpu"],
        ),
        (
            {"proxy": {"persistence": {"enabled": False}}},
            ["every budget begins anew", "simulate=true"],
        ),
        (
            {"externalDatabase": {"dsn": DSN, "existingSecret": "x"}},
            ["given twice", "externalDatabase.existingSecret"],
        ),
        (
            {"externalDatabase": {"dsn": "mysql://hunter2-canary"}},
            ["postgresql://USER:PASSWORD@HOST"],
        ),
        ({**BUNDLED, **FLEET}, ["two databases", "postgresql.enabled=false"]),
        ({"postgresql": {"enabled": True}}, ["needs a password", "postgresql.password"]),
        (
            {"externalDatabase": {"tls": {"existingSecret": "ca"}}},
            ["belongs to an external database", "externalDatabase.existingSecret"],
        ),
        (
            {"externalDatabase": {"dsn": DSN, "tls": {"clientCertificate": True}}},
            ["tls.crt and tls.key", "externalDatabase.tls.existingSecret"],
        ),
        (
            {"simulate": True, "credentials": {"existingSecret": "real"}},
            ["real keys have no place there", "simulate=false"],
        ),
        (
            {"networkPolicy": {"enabled": False, "providers": [{"ports": [{"port": 443}]}]}},
            ["without effect", "networkPolicy.enabled=true"],
        ),
        (
            {**FLEET, "networkPolicy": {"database": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}},
            ["networkPolicy.providers"],
        ),
        ({"test": {"existingSecret": "key"}}, ["no model to ask", "test.model"]),
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_refused_with_what_to_write(
    values: Values, says: list[str]
) -> None:
    with pytest.raises(RefusedError) as refused:
        rendered(values)
    text = str(refused.value)
    assert all(each in text for each in says), text
    assert "hunter2" not in text, "an error shows no password"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"replicas": 2}, "'replicas' not allowed"),
        ({"proxy": {"replica": 2}}, "'replica' not allowed"),
        ({"operator": {"replicas": 2}}, "'replicas' not allowed"),
        ({"ingress": {"enabled": True}}, "'ingress' not allowed"),
        ({"proxy": {"replicas": "2"}}, "/proxy/replicas"),
        ({"proxy": {"replicas": 0}}, "/proxy/replicas"),
        ({"proxy": {"drainSeconds": 0}}, "/proxy/drainSeconds"),
        ({"proxy": {"service": {"type": "ExternalName"}}}, "/proxy/service/type"),
        ({"proxy": {"podLabels": {"app.kubernetes.io/name": "x"}}}, "app.kubernetes.io/name"),
        ({"proxy": {"persistence": {"accessModes": ["ReadWriteMany"]}}}, "/accessModes"),
        ({"starterBudget": {"usd": 10}}, "/starterBudget/usd"),
        ({"starterBudget": {"usd": "1e3"}}, "/starterBudget/usd"),
        ({"starterBudget": {"every": "fortnight"}}, "/starterBudget/every"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"image": {"digest": "abc"}}, "/image/digest"),
        ({"simulate": "yes"}, "/simulate"),
        ({"networkPolicy": {"clients": [{"namespace": "x"}]}}, "'namespace' not allowed"),
        ({"networkPolicy": {"clients": [{}]}}, "/networkPolicy/clients"),
        ({"credentials": {"existingSecret": "Not A Name"}}, "/credentials/existingSecret"),
    ],
    ids=str,
)
def test_a_value_that_is_not_known_or_of_another_kind_is_refused_by_its_path(
    values: Values, says: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        rendered(values)
    assert says in str(refused.value)


def test_a_name_that_would_make_services_impossible_is_refused() -> None:
    with pytest.raises(RefusedError, match="at most 40 characters"):
        rendered(release="a" * 41)
    with pytest.raises(RefusedError, match="dot"):
        rendered(release="signal.box")
    assert rendered(release="a" * 40)


def test_a_cluster_without_the_definitions_is_told_how_to_install_them() -> None:
    """A real cluster tells of kinds; without one, `helm template` is not in the way."""
    knows = ["--api-versions", "apps/v1/Deployment"]
    with pytest.raises(RefusedError, match="upgrade --install signalbox-crds"):
        rendered(arguments=knows)
    for kind in ("Agent", "Budget", "DataAsset", "Domain", "Model", "RoutePolicy"):
        knows += ["--api-versions", f"signalbox.dev/v1alpha1/{kind}"]
    with pytest.raises(RefusedError, match="does not know the kind Fleet"):
        rendered(arguments=knows)
    assert rendered(arguments=[*knows, "--api-versions", "signalbox.dev/v1alpha1/Fleet"])


def test_the_chart_of_the_definitions_takes_no_values() -> None:
    with pytest.raises(RefusedError, match="'simulate' not allowed"):
        rendered({"simulate": True}, chart=CRDS_CHART)
