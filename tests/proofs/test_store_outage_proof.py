"""PostgreSQL fails in every way that a network and a machine know: admission closes, money is safe.

While it is gone requests are served from slices that were drawn before. Then they get 503 with
`Retry-After` within 250 ms: never 200 without a hold, never 429 or 402, which would say that there
is no money. When it is back, so is the service, and the ledger is the bill.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from support.arena import FUNDED
from support.figures import tell
from support.outages import ENDS, Outages, open_outages

NORMAL_RATE = 10.0
ALONE_S = 30.0
TRIES = 3
"""A machine that stalls for seconds is no normal rate."""


@pytest.fixture(scope="module")
def outages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outages]:
    with open_outages(tmp_path_factory.mktemp("outage")) as opened:
        yield opened


@pytest.mark.proof
@pytest.mark.parametrize("name", ENDS)
def test_it_is_refused_until_the_database_is_back(outages: Outages, name: str) -> None:
    seen = outages.suffer(name)
    outages.judge(name, **seen)


@pytest.mark.proof
def test_slices_last_half_a_minute_at_a_normal_rate(outages: Outages) -> None:
    """With a hundredth of the headroom worth more than that, as it is here."""
    outages.arena.fund(steady=FUNDED)
    served = False
    for _ in range(TRIES):
        before = outages.ask("steady", rate=NORMAL_RATE, seconds=12)
        outages.link.set(down=True)
        try:
            during = outages.ask("steady", rate=NORMAL_RATE, seconds=ALONE_S)
        finally:
            outages.link.heal()
        outages.serves_again("steady")
        served = {each.status for each in before + during} == {200}
        if served:
            break
    assert served, Counter(each.status for each in during)
    assert len(during) >= NORMAL_RATE * ALONE_S * 0.9
    outages.judge("steady", served_alone_s=ALONE_S, served=len(during))


@pytest.mark.proof
def test_after_all_that_nothing_is_held(outages: Outages) -> None:
    leaked = outages.arena.leaked()
    tell("outages", leaked_holds=len(leaked))
    assert not leaked
