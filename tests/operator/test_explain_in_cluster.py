"""`signalbox explain --cluster`: what would happen to a request, by what the operator released."""

import json
import subprocess
import sys
from pathlib import Path

from support.operators import OperatorProcess, Platform, everywhere
from support.running import child_environment


def explained(platform: Platform, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ["--cluster", "--platform-namespace", platform.namespace]
    asked = ["--model", "small", "--prompt", "Hello", "-o", "json"]
    return subprocess.run(
        [sys.executable, "-m", "signalbox_cli", "explain", *where, *asked, *arguments],
        env=child_environment() | {"KUBECONFIG": str(platform.server.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_request_is_explained_by_what_the_operator_released(
    platform: Platform, tmp_path: Path
) -> None:
    with OperatorProcess(platform, tmp_path):
        platform.company()
        everywhere(platform)
    ran = explained(platform, "--agent", f"{platform.namespace}/assistant")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert f"{platform.namespace}/all" in json.dumps(told), "the budget that applies"
    ran = explained(platform, "--agent", f"{platform.namespace}/nobody")
    assert ran.returncode == 1
    assert f"there are {platform.namespace}/assistant" in ran.stderr
    ran = explained(platform, "--agent", f"{platform.namespace}/assistant", str(tmp_path))
    assert ran.returncode == 2
    assert "not by both" in ran.stderr
