"""Two operators at once, one paused and resumed: one history, no fork, nothing comes back."""

import base64
import json
from pathlib import Path
from typing import Any

from signalbox_operator import chunks
from support.fleet import eventually
from support.operators import OperatorProcess, Platform, everywhere


def content(platform: Platform, entry: dict[str, Any]) -> dict[str, Any]:
    """The snapshot of a release, from the chunks that its history names."""
    names = entry["chunks"]
    stored = [
        platform.kube.get("ConfigMap", platform.namespace, f"{platform.name}-chunk-{name}")
        for name in names
    ]
    packed = [base64.b64decode(item["binaryData"]["chunk"]) for item in stored]
    found: dict[str, Any] = json.loads(chunks.joined(names, packed))
    return found


def set_limit(platform: Platform, usd: int) -> None:
    spec = {"scope": {"all": True}, "limit": {"usd": str(usd)}, "window": {"every": "day"}}
    platform.apply("Budget", "all", spec)


def limits(platform: Platform) -> set[int]:
    return {
        int(platform.snapshot(proxy)["budgets"][0]["limit"]) // 10**9
        for proxy in platform.fleet.proxies
    }


def test_of_two_operators_one_of_which_sleeps_there_is_one_history(
    platform: Platform, tmp_path: Path
) -> None:
    platform.company(["assistant", "leaver"])
    with OperatorProcess(platform, tmp_path) as one, OperatorProcess(platform, tmp_path):
        everywhere(platform)
        for usd in (1, 2):
            set_limit(platform, usd)
            eventually(lambda usd=usd: limits(platform) == {usd})
        one.pause()
        platform.delete("Agent", "leaver")
        for usd in (3, 4):
            set_limit(platform, usd)
            eventually(lambda usd=usd: limits(platform) == {usd})
        while_asleep = everywhere(platform)
        one.resume()
        for usd in (5, 6):
            set_limit(platform, usd)
            eventually(lambda usd=usd: limits(platform) == {usd})
        everywhere(platform)
        head = platform.head()
        assert head is not None
        history = head["history"]
        generations = [entry["generation"] for entry in history]
        assert generations == list(range(generations[0], generations[-1] - 1, -1))
        for proxy in platform.fleet.proxies:
            status = platform.status(proxy)
            assert (status["generation"], status["version"]) == (
                history[0]["generation"],
                history[0]["version"],
            )
        for entry in history:
            if entry["generation"] >= while_asleep:
                known = [agent["id"] for agent in content(platform, entry)["agents"]]
                assert known == [f"{platform.namespace}/assistant"], entry["generation"]
