"""The request path: every request, on every surface, goes through these steps in this order.

Straight steps are pure functions; steps that owe something on every exit (record, reserve) are
contexts. Any of them may refuse: a `Refusal` is rendered in one place, the server's.
"""

from aiohttp.web import StreamResponse

from signalbox_proxy.accounts import accounts_for
from signalbox_proxy.attempts import AttemptInFlight
from signalbox_proxy.calling import Failure, ProviderCaller
from signalbox_proxy.classification import check_tools, classify
from signalbox_proxy.counting import candidates_of, count_here
from signalbox_proxy.decision_record import decision_record
from signalbox_proxy.declarations import Declarations, read_declarations
from signalbox_proxy.delivery import Delivery
from signalbox_proxy.exchange import Exchange
from signalbox_proxy.idempotency import IdempotencyKey
from signalbox_proxy.identity import identify
from signalbox_proxy.model_request import ModelRequest
from signalbox_proxy.quotes import Quote, Quoter
from signalbox_proxy.recording import Recording
from signalbox_proxy.refusals import Refusal
from signalbox_proxy.reservation import Reservation, Reserver
from signalbox_proxy.routing import decide
from signalbox_proxy.run_draft import RunDraft
from signalbox_proxy.services import Services
from signalbox_proxy.stored_answers import continued
from signalbox_proxy.surfaces.decoding import decode_body
from signalbox_proxy.surfaces.multipart import read_form


async def serve(exchange: Exchange) -> StreamResponse:
    """Serve one request, or raise the `Refusal` that says why not.

    The runtime is taken once: a snapshot that arrives meanwhile changes nothing here, save that
    nothing more is sent once something was taken away.
    """
    services = exchange.services
    ledger = services.ledger
    runtime = await services.runtime_in_force()
    now_s = ledger.now_ms() // 1000

    # 1. Identify: which agent asks? Who is nobody leaves no run.
    caller = identify(
        runtime,
        exchange.headers.get("authorization", ""),
        exchange.headers.get("x-api-key", ""),
        now_s,
    )
    async with Recording(exchange, runtime, caller) as run, IdempotencyKey(exchange, run) as key:
        # 2. Understand: what is asked, and does all of it have a bound?
        request, declared = await understand(exchange, run)

        # 3. Classify: how sensitive is it, whose, and where may it run?
        facts = run.facts = classify(runtime, caller.agent, declared, now_s)
        check_tools(caller.agent, request.tool_names)

        # 4. Price and route: which lanes may carry it, and which is best?
        decision = decide(runtime, facts, request, services.affinity.of(facts))
        run.decision = decision_record(decision)
        run.route_policy = decision.policy.name
        run.dry_run_refusals.extend(decision.dry_run_refusals)
        candidates = candidates_of(request, decision)
        if not candidates:
            return count_here(run, request, decision)

        # 5. Reserve, for each attempt: every budget that applies holds the most it may cost.
        accounts = accounts_for(run.agent, facts)
        reserver = Reserver(ledger, accounts, Quoter(decision.request), run, decision.cold)
        provider = ProviderCaller(exchange, facts, decision)
        remaining = services.quarantine.clear_of(candidates)
        failure: Refusal | None = None
        while remaining and len(run.attempts) < decision.attempts:
            reservation = await reserver.reserve(remaining, failure)
            remaining = without(remaining, reservation.quote)
            # 6. Admit: its Idempotency-Key is this run's now, and no newer snapshot forbids it.
            await admit(services, run, key, reservation)
            with AttemptInFlight(ledger, run, reservation) as attempt:
                # 7. Call: until the first byte that the client sees, another lane may take over.
                answer = await provider.call(attempt)
                if isinstance(answer, Failure):
                    attempt.gives_way()
                    failure = answer.refusal
                    continue

                # 8. Deliver, evaluate, settle; leaving the recording writes the run.
                return await Delivery(exchange, run, decision, accounts, attempt).deliver(answer)
        raise failure or all_quarantined()


async def understand(exchange: Exchange, run: RunDraft) -> tuple[ModelRequest, Declarations]:
    """Read, decode and parse the body, and what is declared of it. Where it continues a stored
    answer, what is remembered of that counts in both."""
    headers = exchange.headers
    raw = await exchange.body()
    decode = read_form if exchange.surface.name == "transcriptions" else decode_body
    body = decode(raw, headers.get("content-type", ""), headers.get("content-encoding", ""))
    request = run.request = exchange.surface.parse(body, headers)
    declared = read_declarations(exchange.declared, request.metadata, request.user)
    if request.previous_response:
        return await continued(exchange.services.ledger, run.agent.agent, declared, request)
    return request, declared


async def admit(
    services: Services, run: RunDraft, key: IdempotencyKey, reservation: Reservation
) -> None:
    """The last word before an attempt; whoever is refused here counts in no budget."""
    try:
        await key.claim()
        services.check_in_force(run.runtime)
    except BaseException:
        reservation.release(services.ledger)
        raise


def all_quarantined() -> Refusal:
    """No lane is left to try, and none was tried."""
    return Refusal(
        "no_lane",
        "Every lane that may carry this request is quarantined: its provider billed above its "
        "bound. Ask for another model, or correct the Model's limits and prices.",
    )


def without(ranking: list[Quote], used: Quote) -> list[Quote]:
    """The candidates that are left after an attempt on one of them."""
    return [quote for quote in ranking if quote.lane is not used.lane]
