"""The operator against a real API server and real proxies: what is applied is enforced."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from signalbox_operator.going_back import ANNOTATION as ROLLBACK
from signalbox_operator.going_back import request_text
from signalbox_operator.losses import ANNOTATION as CONFIRM
from support.fleet import eventually
from support.operators import OperatorProcess, Platform, Traffic, ask, everywhere
from support.running import child_environment


def agents_of(platform: Platform, number: int = 0) -> list[str]:
    """Agents that a proxy knows."""
    snapshot = platform.snapshot(platform.fleet.proxies[number])
    return [agent["id"].partition("/")[2] for agent in snapshot["agents"]]


def limit_of(platform: Platform, number: int = 0) -> int:
    budgets = platform.snapshot(platform.fleet.proxies[number])["budgets"]
    return int(budgets[0]["limit"]) // 10**9 if budgets else 0


def set_limit(platform: Platform, usd: int) -> None:
    window = {"every": "day"}
    platform.apply(
        "Budget", "all", {"scope": {"all": True}, "limit": {"usd": str(usd)}, "window": window}
    )


def enforced(platform: Platform, usd: int) -> bool:
    return all(limit_of(platform, each) == usd for each in range(len(platform.fleet.proxies)))


def note(platform: Platform, name: str, value: str) -> None:
    change = {"metadata": {"annotations": {name: value}}}
    platform.kube.patch("Fleet", platform.namespace, platform.name, change)


def test_what_is_applied_is_enforced_by_every_proxy_and_said_in_status(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        for proxy in platform.fleet.proxies:
            eventually(lambda proxy=proxy: ask(proxy, f"{platform.namespace}/assistant") == 200)
        eventually(
            lambda: platform.condition("Agent", "assistant", "Programmed").get("status") == "True"
        )
        assert platform.condition("Agent", "assistant", "Accepted")["reason"] == "Accepted"
        assert operator.is_ready()
        stored = platform.get("Agent", "assistant")["metadata"]
        assert "finalizers" not in stored
        assert "annotations" not in stored


def test_nothing_is_released_before_every_kind_was_listed(
    platform: Platform, tmp_path: Path
) -> None:
    """Without the policies, the rest would be more permissive than what is written."""
    platform.company()
    every = ["agents", "budgets", "dataassets", "domains", "models", "fleets"]
    account = platform.server.account(
        platform.namespace,
        "operator",
        ["fleets", {"apiGroups": ["", "discovery.k8s.io"], "resources": ["*"], "verbs": ["*"]}],
        cluster_rules=every,
    )
    with OperatorProcess(platform, tmp_path, kubeconfig=account.kubeconfig) as operator:
        eventually(lambda: "not listed yet: RoutePolicy" in operator.readiness())
        assert platform.head() is None
        rules = [*every, "routepolicies"]
        platform.server.account(platform.namespace, "operator", [], cluster_rules=rules)
        everywhere(platform)


def test_nobody_notices_that_the_operator_is_killed(platform: Platform, tmp_path: Path) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        with Traffic(platform) as traffic:
            traffic.goes_on()
            operator.kill()
            set_limit(platform, 50)
            traffic.goes_on()
            operator.start()
            eventually(lambda: enforced(platform, 50))
            traffic.goes_on()
    assert set(traffic.answers) == {200}


def test_nobody_notices_that_apiserver_and_etcd_are_killed(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        with Traffic(platform) as traffic:
            traffic.goes_on()
            platform.server.apiserver.kill()
            platform.server.etcd.kill()
            traffic.goes_on(40)
            platform.server.etcd.start()
            platform.server.apiserver.start()
            platform.server.wait_ready()
            set_limit(platform, 50)
            again_if_ended(operator)
            eventually(lambda: enforced(platform, 50), within_s=120)
    assert set(traffic.answers) == {200}


def test_a_proxy_that_comes_back_empty_gets_the_head(platform: Platform, tmp_path: Path) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        generation = everywhere(platform)
        proxy = platform.fleet.proxies[1]
        proxy.stop()
        (platform.fleet.folder / proxy.name / "snapshot.json").unlink()
        proxy.start()
        platform.register([proxy], ready=False)
        eventually(lambda: platform.status(proxy)["generation"] == generation)
        newcomer = platform.fleet.add_proxy()
        platform.register([newcomer], ready=False)
        eventually(lambda: platform.status(newcomer)["generation"] == generation)
        assert platform.generation() == generation


def test_a_proxy_that_is_gone_holds_up_nobody(platform: Platform, tmp_path: Path) -> None:
    """It is the first by name."""
    platform.register_at("a-proxy-that-is-gone", 9, ready=True)
    with OperatorProcess(platform, tmp_path):
        platform.company()
        everywhere(platform)
        set_limit(platform, 50)
        eventually(lambda: enforced(platform, 50))


def test_what_an_update_could_not_replace_stays_in_force_over_a_restart(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        everywhere(platform)
        operator.kill()
        platform.agent("assistant", domain="nowhere")
        operator.start()
        eventually(
            lambda: (
                platform.condition("Agent", "assistant", "Accepted").get("reason") == "RefNotFound"
            )
        )
        set_limit(platform, 50)
        eventually(lambda: enforced(platform, 50))
        assert agents_of(platform) == ["assistant"]
        assert platform.get("Agent", "assistant")["status"]["servingGeneration"] == 1


def test_many_agents_gone_at_once_stay_until_it_is_confirmed(
    platform: Platform, tmp_path: Path
) -> None:
    names = [f"agent-{number}" for number in range(8)]
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company(names)
        everywhere(platform)
        operator.kill()
        for name in names[:5]:
            platform.delete("Agent", name)
        operator.start()
        held = eventually(lambda: held_of(platform))
        assert "5 Agents are gone at once" in held
        set_limit(platform, 50)
        eventually(lambda: enforced(platform, 50))
        assert agents_of(platform) == names
        note(platform, CONFIRM, held.partition(f"{CONFIRM}=")[2].split()[0])
        eventually(lambda: agents_of(platform) == names[5:])
        eventually(lambda: not held_of(platform))


def test_what_is_left_of_a_loss_is_held_by_the_next_operator_and_confirmed_by_the_same_value(
    platform: Platform, tmp_path: Path
) -> None:
    """One agent that is gone is no loss of many: only who remembers the others holds it."""
    names = [f"agent-{number}" for number in range(8)]
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company(names)
        everywhere(platform)
        operator.kill()
        for name in names[:5]:
            platform.delete("Agent", name)
        operator.start()
        eventually(lambda: "agent-1" in held_of(platform))
        for name in names[1:5]:
            platform.agent(name)
        held = eventually(
            lambda: said if "agent-1" not in (said := held_of(platform)) and said else None
        )
        assert "agent-0" in held
        operator.kill()
        operator.start()
        set_limit(platform, 50)
        eventually(lambda: enforced(platform, 50))
        assert agents_of(platform) == names
        assert held_of(platform) == held
        note(platform, CONFIRM, held.partition(f"{CONFIRM}=")[2].split()[0])
        eventually(lambda: agents_of(platform) == names[1:])
        eventually(lambda: not held_of(platform))


def held_of(platform: Platform) -> str:
    held = platform.get("Fleet", platform.name).get("status", {}).get("held") or {}
    return " ".join(held.get("messages", []))


def test_an_earlier_release_comes_back_and_a_revoked_agent_does_not(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company(["assistant", "leaver"])
        set_limit(platform, 7)
        eventually(lambda: enforced(platform, 7) and "leaver" in agents_of(platform))
        good = everywhere(platform)
        set_limit(platform, 70)
        platform.delete("Agent", "leaver")
        eventually(lambda: enforced(platform, 70) and agents_of(platform) == ["assistant"])
        before = everywhere(platform)
        signalbox(platform, "rollback", str(good), "--for", "1d")
        eventually(lambda: enforced(platform, 7))
        assert everywhere(platform) > before
        assert agents_of(platform) == ["assistant"]
        head = platform.head()
        assert head is not None
        assert head["pin"]["generation"] == good
        told = json.loads(signalbox(platform, "history", "-o", "json"))
        assert told["pinned"]["generation"] == told["releases"][0]["restores"] == good
        assert any("Budget" in change for change in told["releases"][0]["changes"])
        eventually(
            lambda: platform.condition("Budget", "all", "Programmed").get("reason") == "Pinned"
        )
        until = datetime.now(tz=UTC) + timedelta(seconds=3)
        note(platform, ROLLBACK, request_text(good, until, "alice"))
        eventually(lambda: enforced(platform, 70))
        assert "pin" not in (platform.head() or {})


def signalbox(platform: Platform, *arguments: str) -> str:
    """What the command prints, asked of the cluster."""
    where = ["--cluster", "--platform-namespace", platform.namespace]
    ran = subprocess.run(
        [sys.executable, "-m", "signalbox_cli", *arguments, *where],
        env=child_environment() | {"KUBECONFIG": str(platform.server.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_a_history_goes_on_where_its_head_was_lost(platform: Platform, tmp_path: Path) -> None:
    """A second generation 1 would be refused by every proxy."""
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        set_limit(platform, 7)
        eventually(lambda: enforced(platform, 7))
        before = everywhere(platform)
        operator.kill()
        platform.kube.delete("ConfigMap", platform.namespace, f"{platform.name}-head")
        operator.start()
        set_limit(platform, 70)
        eventually(lambda: enforced(platform, 70))
        assert everywhere(platform) > before


def test_an_operator_goes_on_above_what_proxies_run_after_etcd_was_restored(
    platform: Platform, tmp_path: Path
) -> None:
    """Objects, chunks and the head are of yesterday again; generations are not given twice.

    What proxies ran in between is unknown, so that the release counts as taking something away: a
    request under way at that moment is told to try again.
    """
    with OperatorProcess(platform, tmp_path) as operator:
        platform.company()
        set_limit(platform, 7)
        eventually(lambda: enforced(platform, 7))
        everywhere(platform)
        with Traffic(platform, again_if="snapshot_outdated") as traffic:
            backup = platform.server.back_up(tmp_path)
            for usd in (70, 71):
                set_limit(platform, usd)
                again_if_ended(operator)
                eventually(lambda usd=usd: enforced(platform, usd), within_s=120)
            before = everywhere(platform)
            platform.server.restore(backup)
            assert operator.wait_for_exit(120) == 1
            operator.start()
            eventually(lambda: enforced(platform, 7), within_s=120)
            assert everywhere(platform) > before
            traffic.goes_on()
    assert "etcd was restored from an older backup" in operator.log.read_text()
    assert set(traffic.answers) == {200}


def again_if_ended(operator: OperatorProcess) -> None:
    """Its supervisor starts it again."""
    if operator.process.poll() is not None:
        operator.wait_for_exit(1)
        operator.start()


def test_only_what_the_head_names_is_kept(platform: Platform, tmp_path: Path) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        for usd in range(1, 6):
            set_limit(platform, usd)
            eventually(lambda usd=usd: enforced(platform, usd))
        head = platform.head()
        assert head is not None
        assert "snapshot" not in json.dumps(head["history"])
        eventually(lambda: chunks_of(platform) == set((platform.head() or {})["sizes"]))


def chunks_of(platform: Platform) -> set[str]:
    prefix = f"{platform.name}-chunk-"
    listed = platform.kube.get("ConfigMap", platform.namespace)["items"]
    names = [item["metadata"]["name"] for item in listed]
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
