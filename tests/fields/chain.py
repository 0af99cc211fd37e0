"""The whole pure chain: objects, snapshot, decision, call, charge, run document, status.

Nothing here decides or computes: it hands what one part says to the next, as the processes do.
"""

import copy
import io
import json
import wave
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from signalbox_api import KINDS, Resource
from signalbox_ledger.accounts import BudgetSpec
from signalbox_ledger.client import Shortage
from signalbox_ledger.documents import run_document
from signalbox_ledger.records import Usage
from signalbox_operator.compiler import Compilation, compile_objects
from signalbox_operator.compiler.workloads import WorkloadIdentity
from signalbox_operator.facts import AccountFacts, FleetFacts
from signalbox_operator.status import Report, with_status
from signalbox_proxy.accounts import accounts_for
from signalbox_proxy.calling import carrier_for, credential_of, upstream_call
from signalbox_proxy.classification import Facts, check_tools, classify
from signalbox_proxy.credentials import CredentialStore
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.declarations import read_declarations
from signalbox_proxy.identity import identify
from signalbox_proxy.model_list import model_list
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.pricing import charges
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.routing import Decision, decide
from signalbox_proxy.run_draft import AttemptDraft, RunDraft
from signalbox_proxy.runtime import Runtime
from signalbox_proxy.shortages import Short, may_go_cheaper, shortage_refusal
from signalbox_proxy.surfaces import SURFACES
from signalbox_proxy.surfaces.multipart import Upload
from signalbox_snapshot import codec
from support.workload_tokens import UID, TokenIssuer, issuer_of

PLATFORM = "signalbox-system"


def minute_of_silence() -> Upload:
    """Plain WAV: 60 seconds, at the lowest rate that will do."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(1)
        written.setframerate(100)
        written.writeframes(bytes(6000))
    return Upload("wav", "audio/wav", memoryview(file.getvalue()))


NOON = 1_777_636_800
"""2026-05-01 12:00:00 UTC, a Friday."""

UNITS: Mapping[str, Mapping[str, Any]] = {
    "images": {"prompt": "A lighthouse"},
    "rerank": {"query": "Who pays?", "documents": ["The sender.", "Nobody."]},
    "speech": {"input": "a" * 1000, "voice": "alloy"},
    "transcriptions": {"file": minute_of_silence()},
}
"""A plain request of each surface that is billed by units: one image, one search, 1000 characters,
60 seconds."""

Specs = Mapping[str, Mapping[str, Any]]
"""Specs by `Kind/namespace/name`."""


@dataclass(frozen=True)
class Ask:
    """One request. `body` adds to a plain question; `headers` are the client's."""

    agent: str = "retail/search"
    model: str = "mini"
    surface: str = "chat"
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    now: int = NOON

    @property
    def whole_body(self) -> dict[str, Any]:
        plain: dict[str, Any] = {"model": self.model}
        if self.surface in UNITS:
            return plain | UNITS[self.surface] | dict(self.body)
        if self.surface in ("embeddings", "responses"):
            plain["input"] = "Hello"
        else:
            plain["messages"] = [{"role": "user", "content": "Hello"}]
        if self.surface == "messages":
            plain["max_tokens"] = 1000
        return plain | dict(self.body)


@dataclass(frozen=True)
class Answer:
    """How far a request came."""

    request: ModelRequest
    facts: Facts
    decision: Decision


SIGNER = TokenIssuer("cluster")
CLUSTER = WorkloadIdentity((issuer_of(SIGNER),), {"retail/runner": UID})
"""The cluster in which the company lives: one ServiceAccount, and who signs its tokens."""


class Company:
    """Objects in force."""

    def __init__(self, objects: list[Resource]) -> None:
        self.objects = objects
        self.compilation: Compilation = compile_objects(
            objects, platform_namespace=PLATFORM, identity=CLUSTER
        )
        payload = codec.encode(self.compilation.snapshot)
        self.version = codec.version(payload)
        self.runtime = Runtime.build(codec.decode(payload), version=self.version, generation=7)

    @classmethod
    def of(cls, specs: Specs) -> "Company":
        """Of specs by `Kind/namespace/name`, each validated as a manifest is."""
        objects = []
        for key, spec in specs.items():
            kind, namespace, name = key.split("/", 2)
            objects.append(
                KINDS[kind].resource.model_validate(
                    {
                        "kind": kind,
                        "metadata": {"name": name, "namespace": namespace, "generation": 1},
                        "spec": copy.deepcopy(dict(spec)),
                    }
                )
            )
        return cls(objects)

    def answer(self, ask: Ask) -> Answer:
        """Parsed, classified, decided. Raises the refusal of the steps before the decision."""
        surface = next(each for each in SURFACES if each.name == ask.surface)
        request = surface.parse(ask.whole_body, ask.headers)
        declared_by = {k: v for k, v in ask.headers.items() if k.startswith("x-signalbox-")}
        declared = read_declarations(declared_by, request.metadata, request.user)
        agent = self.runtime.agents[ask.agent].agent
        facts = classify(self.runtime, agent, declared, ask.now)
        check_tools(agent, request.tool_names)
        decision = decide(self.runtime, facts, request)
        return Answer(decision.request, facts, decision)

    def lanes(self, ask: Ask) -> list[str] | str:
        """The acceptable lanes as `model/lane`, the best first, or the code of the refusal."""
        try:
            decision = self.answer(ask).decision
        except Refusal as refusal:
            return refusal.code
        if decision.refusal is not None:
            return decision.refusal.code
        return [short(quote) for quote in decision.ranking]

    def refusal(self, ask: Ask) -> str:
        """The sentence of the refusal; "" without one."""
        try:
            refusal = self.answer(ask).decision.refusal
        except Refusal as raised:
            refusal = raised
        return "" if refusal is None else refusal.message

    def accounts(self, ask: Ask) -> list[str] | str:
        """The accounts that must hold the request as `budget subject`, or the refusal's code."""
        answer = self.answer(ask)
        try:
            found = accounts_for(self.runtime.agents[ask.agent], answer.facts)
        except Refusal as refusal:
            return refusal.code
        return [f"{each.budget.id} {each.subject}".rstrip() for each in found]

    def refusing_accounts(self, ask: Ask) -> list[str]:
        """The budgets whose end refuses the request."""
        found = accounts_for(self.runtime.agents[ask.agent], self.answer(ask).facts)
        return [each.budget.id for each in found if each.enforced]

    def record(self, ask: Ask, usage: Usage | None = None, lane: str = "") -> dict[str, Any]:
        """The document of the run whose first attempt, on `lane` or the best, was answered."""
        answer = self.answer(ask)
        quote = self._quote(answer, lane)
        lines = charges(usage or Usage(), quote.lane.lane, 1)
        attempt = AttemptDraft(
            number=1,
            quote=quote,
            started_at=ask.now * 1000,
            holds=[],
            status=200,
            outcome="answered",
            settlement="usage",
            usage=usage or Usage(),
            cost_nano=sum(line.cost for line in lines),
        )
        draft = RunDraft(
            run_id="r_1",
            started_at=ask.now * 1000,
            started_clock=0.0,
            runtime=self.runtime,
            agent=self.runtime.agents[ask.agent],
            surface=ask.surface,
            holder="proxy-0/1",
            request=answer.request,
            facts=answer.facts,
            attempts=[attempt],
            charges=lines,
            decision=decision_record(answer.decision),
            dry_run_refusals=list(answer.decision.dry_run_refusals),
            route_policy=answer.decision.policy.name,
            outcome="answered",
            status=200,
        )
        return run_document(draft.run())

    def cost(self, usage: Usage, lane: str = "mini/us") -> str:
        """What a run is charged, in USD."""
        return str(self.record(Ask(model=lane.partition("/")[0]), usage, lane)["cost_usd"])

    def bound(self, ask: Ask, lane: str = "") -> Quote:
        """The quote of a lane, the best by default."""
        return self._quote(self.answer(ask), lane)

    def call(self, ask: Ask, credentials: Path | None = None, lane: str = "") -> dict[str, Any]:
        """What would leave for the provider: url, headers, body, deadlines."""
        answer = self.answer(ask)
        quote = self._quote(answer, lane)
        store = CredentialStore(credentials or Path("/nonexistent"))
        store.refresh([quote.lane.lane.auth_key])
        credential = credential_of(store, quote.lane)
        surface = next(each for each in SURFACES if each.name == ask.surface)
        sent = upstream_call(
            carrier_for(surface, answer.decision, quote.lane, "r_1"),
            answer.request,
            quote,
            headers=ask.headers,
            credential=credential or "",
            first_chunk_ms=answer.decision.first_chunk_ms,
        )
        return {
            "url": sent.url,
            "headers": dict(sent.headers),
            "body": json.loads(sent.body),
            "timeout_s": sent.timeout_s,
            "first_chunk_s": sent.first_chunk_s,
        }

    def caller(self, key: str, now: int = NOON) -> str:
        """Who a key proves to be, as `agent by key`, or the refusal's sentence."""
        try:
            found = identify(self.runtime, f"Bearer {key}", "", now)
        except Refusal as refusal:
            return refusal.message
        return f"{found.agent.id} by {found.key_name}"

    def budget(self, name: str) -> BudgetSpec:
        """What the authority is told of a budget."""
        return next(spec for spec in self.runtime.budget_specs if spec.id == name)

    def when_spent(self, ask: Ask, name: str, **changes: Any) -> Refusal:
        """What is said when nothing is left of a budget."""
        short = self.short(ask, name, **changes)
        return shortage_refusal(short, Quoter(self.answer(ask).request), ask.now)

    def goes_cheaper(self, ask: Ask, name: str) -> bool:
        """Whether another lane may serve when nothing is left of a budget."""
        return may_go_cheaper(self.short(ask, name))

    def short(self, ask: Ask, name: str, **changes: Any) -> Short:
        """That nothing is left of a budget, or what `changes` say."""
        answer = self.answer(ask)
        found = accounts_for(self.runtime.agents[ask.agent], answer.facts)
        account = next(each for each in found if each.budget.id == name)
        spec = self.budget(name)
        quote = self._quote(answer, "")
        shortage = Shortage(
            budget=name,
            subject=account.subject,
            unit=spec.unit,
            reason="exhausted",
            needed=quote.amount(spec.unit),
            limit=spec.limit,
            remaining=0,
            affordable=0,
            window_end=spec.window(ask.now)[1],
        )
        return Short(quote, account, replace(shortage, **changes), ask.agent)

    def window(self, name: str) -> str:
        """A budget's window at noon."""
        start, end = self.budget(name).window(NOON)
        if not end:
            return "for ever"
        return " - ".join(f"{datetime.fromtimestamp(at, UTC):%m-%d %H:%M}" for at in (start, end))

    def shown_models(self, agent: str) -> dict[str, str]:
        """Names for people by name, as Anthropic's SDK lists them."""
        listed = model_list(self.runtime, self.runtime.agents[agent], "anthropic")["data"]
        return {each["id"]: each["display_name"] for each in listed}

    @cached_property
    def statuses(self) -> dict[str, Any]:
        """Status documents by `Kind/namespace/name`, nothing spent."""
        return self.reported(())

    def reported(self, accounts: tuple[AccountFacts, ...]) -> dict[str, Any]:
        """Status documents with these accounts."""
        now = datetime.fromtimestamp(NOON, UTC)
        fleet = FleetFacts(7, self.version)
        report = Report(self.compilation, fleet, accounts, now)
        return {
            "/".join(item.key): item.status.model_dump(mode="json", by_alias=True)  # type: ignore[attr-defined]
            for item in with_status(self.objects, report)
        }

    def exhausted(self, name: str, spent: int) -> str:
        """The condition Exhausted of a budget after `spent` of its unit, as `status reason`."""
        limit = self.budget(name).limit
        facts = AccountFacts(name, limit, spent, 0, 0, limit - spent, refused=spent >= limit)
        return self.condition(f"Budget/{name}", "Exhausted", (facts,))

    def condition(self, key: str, kind: str, accounts: tuple[AccountFacts, ...] = ()) -> str:
        """A condition as `status reason`."""
        conditions = self.reported(accounts)[key]["conditions"]
        found = next(each for each in conditions if each["type"] == kind)
        return f"{found['status']} {found['reason']}"

    @staticmethod
    def _quote(answer: Answer, lane: str) -> Quote:
        ranking = answer.decision.ranking
        if not lane:
            return ranking[0]
        return next(quote for quote in ranking if short(quote) == lane)


def short(quote: Quote) -> str:
    """A lane as `model/lane`."""
    return quote.lane.id.removeprefix(f"{PLATFORM}/")
