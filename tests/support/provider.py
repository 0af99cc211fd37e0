"""The simulated provider with raw HTTP at hand, and the names that its sheet knows."""

from dataclasses import dataclass

import httpx

from signalbox_simulator.process import SimulatorProcess

KEYS = {"openai": "sk-simulated-openai", "anthropic": "sk-ant-simulated", "mistral": "sk-mistral"}
OPENAI = "api.openai.com"
OPENAI_EU = "eu.api.openai.com"
ANTHROPIC = "api.anthropic.com"
MISTRAL = "api.mistral.ai"
VLLM = "vllm.inference.svc"


@dataclass
class Provider:
    """The running process with raw HTTP at hand."""

    process: SimulatorProcess
    http: httpx.Client

    def chat(self, body: object, host: str = OPENAI, **options: object) -> httpx.Response:
        return self.post(f"/{host}/v1/chat/completions", body, **options)

    def messages(self, body: object, **options: object) -> httpx.Response:
        return self.post(f"/{ANTHROPIC}/v1/messages", body, **options)

    def post(
        self, path: str, body: object, *, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Sends bytes as they are and everything else as JSON, with good credentials by default."""
        sent = {"content-type": "application/json"}
        if path.startswith(f"/{ANTHROPIC}/"):
            sent |= {"x-api-key": KEYS["anthropic"], "anthropic-version": "2023-06-01"}
        else:
            sent |= {"authorization": f"Bearer {KEYS['openai']}"}
        sent |= headers or {}
        sent = {name: value for name, value in sent.items() if value}
        if isinstance(body, bytes):
            return self.http.post(path, content=body, headers=sent)
        return self.http.post(path, json=body, headers=sent)

    def last(self) -> dict[str, object]:
        """The bill's last line."""
        return self.process.bill()[-1]
