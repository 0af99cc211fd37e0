"""Money that lies idle with another proxy is called back before a request hears no."""

from pathlib import Path

import openai

from support.fleet import Fleet
from support.snapshots import agent, budget, key_of, nano, snapshot

ASKED = [{"role": "user", "content": "Name one river. [[tokens 20]]"}]


def ask(url: str) -> tuple[str, str]:
    """The run, and the output limit that it was lowered to, if it was."""
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key=key_of("retail/support"), max_retries=0
    ) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="mini",
            messages=ASKED,  # type: ignore[arg-type]
        )
    headers = answer.headers
    return headers["x-signalbox-run-id"], headers.get("x-signalbox-max-output-tokens", "")


def test_what_another_proxy_holds_idle_is_called_back_and_the_output_lowered_to_it(
    tmp_path: Path,
) -> None:
    """The first holds 1024 tokens of output and uses few: what is left of its slice is enough for
    an answer with a lower limit, and for nothing else."""
    with Fleet(tmp_path, proxies=2) as fleet:
        fleet.push(snapshot())
        run_id, _ = ask(fleet.proxies[0].url)
        run = fleet.run(run_id, agent_key=key_of("retail/support"))
        bound = nano(run["attempts"][0]["bound_usd"])
        fleet.push(
            snapshot(
                budgets=[budget("retail/tight", bound), budget("wealth/day")],
                agents=[agent("retail/support", budgets=["retail/tight"]), agent("wealth/advisor")],
            )
        )
        first, whole = ask(fleet.proxies[0].url)
        # Settled, so that what it did not use lies idle, and is no open hold to wait for.
        fleet.run(first, agent_key=key_of("retail/support"))
        second, lowered = ask(fleet.proxies[1].url)
        assert (whole, first != second) == ("", True)
        assert 256 <= int(lowered) < 1024
