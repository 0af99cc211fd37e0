"""Many objects gone at once stay in force until a person says that it is meant."""

import zlib
from collections.abc import Iterable

import pytest

from signalbox_api import Resource, ResourceKey
from signalbox_api.load import read_object
from signalbox_operator.losses import FEWEST, WINDOW_S, Loss, LossGuard
from signalbox_operator.losses_kept import read_holds, written_holds


def form(kind: str, name: str, namespace: str = "ns") -> Resource:
    specs = {
        "Agent": {"domain": "d", "maxSensitivity": "internal", "credentials": {"keys": []}},
        "Domain": {"ownerTeam": "t", "focusAccount": "1"},
        "Budget": {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}},
    }
    made = read_object(
        {
            "apiVersion": "signalbox.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": specs[kind],
        }
    )
    assert isinstance(made, Resource), made
    return made


Forms = dict[ResourceKey, Resource]


def forms(kind: str, count: int, namespace: str = "ns") -> Forms:
    made = (form(kind, f"{kind[0].lower()}{n}", namespace) for n in range(count))
    return {each.key: each for each in made}


DOMAINS = forms("Domain", 16)
BUDGETS = forms("Budget", 16)
ALL = DOMAINS | BUDGETS


def without(gone: Iterable[ResourceKey], of: Forms = ALL) -> Forms:
    keys = set(gone)
    return {key: item for key, item in of.items() if key not in keys}


def first(count: int, of: Forms = DOMAINS) -> list[ResourceKey]:
    return list(of)[:count]


def guard() -> LossGuard:
    return LossGuard("prod", "platform")


def the_one(losses: tuple[Loss, ...]) -> Loss:
    (loss,) = losses
    return loss


def keys(losses: tuple[Loss, ...]) -> set[ResourceKey]:
    return {key for loss in losses for key in loss.forms}


def test_a_quarter_may_go() -> None:
    assert guard().held(ALL, without(first(4)), "", 0.0) == ()


def test_more_than_a_quarter_is_held_and_the_sentence_says_how_to_go_on() -> None:
    loss = the_one(guard().held(ALL, without(first(5)), "", 0.0))
    assert loss.forms == {key: ALL[key] for key in first(5)}
    assert "5 Domains are gone at once" in loss.sentence
    assert f"kubectl annotate fleet prod signalbox.dev/confirm-loss={loss.value} " in loss.sentence


def test_the_sentence_says_how_to_go_on_before_names_make_it_long() -> None:
    """A Fleet's status shows 512 characters of a sentence."""
    made = (form("Domain", f"{n}" + "d" * 62, "n" * 63) for n in range(8))
    long = {each.key: each for each in made}
    loss = the_one(guard().held(long, [], "", 0.0))
    assert loss.sentence.index("--overwrite -n platform ") < 490


def test_what_binds_the_held_is_held_with_them() -> None:
    """Agents without the budgets and policies that went with them would be worse than either."""
    gone = [*first(5), *first(2, BUDGETS)]
    assert keys(guard().held(ALL, without(gone), "", 0.0)) == set(gone)


def test_what_binds_the_held_comes_back_though_it_went_first() -> None:
    """A prune deletes policies, is seen, and goes on with the agents that they bound."""
    platforms = forms("Budget", 2, "platform")
    everything = ALL | platforms
    bound = [*first(2, BUDGETS), *first(1, platforms)]
    watching = guard()
    assert watching.held(everything, without(bound, everything), "", 0.0) == ()
    released = without(bound, everything)
    present = without(first(5), released)
    loss = the_one(watching.held(released, present, "", 1.0))
    assert loss.forms == {key: everything[key] for key in [*bound, *first(5)]}
    in_force = {**released, **loss.forms}
    for now in (2.0, 2 * WINDOW_S):
        assert the_one(watching.held(in_force, present, "", now)).forms == loss.forms
    assert watching.held(in_force, present, loss.value, 3 * WINDOW_S) == ()


def test_an_agent_that_was_released_as_gone_never_comes_back() -> None:
    """It may have been deleted because its key leaked."""
    agents = forms("Agent", 16)
    watching = guard()
    assert watching.held(agents, without(first(1, agents), agents), "", 0.0) == ()
    released = without(first(1, agents), agents)
    loss = the_one(watching.held(released, without(first(6, agents), agents), "", 1.0))
    assert set(loss.forms) == set(first(6, agents)[1:])
    assert "6 Agents are gone at once" in loss.sentence


def test_a_few_of_several_may_go_and_so_may_the_only_one() -> None:
    few = without(first(12), DOMAINS)
    assert guard().held(few, first(1, few), "", 0.0) == ()
    assert guard().held(without(first(15), DOMAINS), [], "", 0.0) == ()


@pytest.mark.parametrize("count", [2, 3])
def test_however_few_they_are_the_loss_of_all_of_a_kind_is_held(count: int) -> None:
    few = without(first(16 - count), DOMAINS)
    watching = guard()
    loss = the_one(watching.held(few, [], "", 0.0))
    assert set(loss.forms) == set(few)
    assert watching.held(few, [], loss.value, 1.0) == ()


def test_the_last_of_a_kind_to_go_within_minutes_brings_none_back_that_was_let_go() -> None:
    """A key that leaked is not in force again because its neighbour went, too."""
    agents = forms("Agent", 2)
    watching = guard()
    assert watching.held(agents, first(1, agents), "", 0.0) == ()
    released = without(list(agents)[1:], agents)
    loss = the_one(watching.held(released, [], "", 1.0))
    assert set(loss.forms) == set(released)


def test_kinds_that_only_limit_may_go() -> None:
    assert guard().held(ALL, DOMAINS, "", 0.0) == ()


def test_exactly_that_loss_is_confirmed_and_no_larger_one() -> None:
    watching = guard()
    loss = the_one(watching.held(ALL, without(first(5)), "", 0.0))
    assert the_one(watching.held(ALL, without(first(5)), "yes", 0.5)).value == loss.value
    larger = the_one(watching.held(ALL, without(first(6)), loss.value, 1.0))
    assert larger.value != loss.value
    assert set(larger.forms) == {first(6)[5]}
    assert watching.held(ALL, without(first(6)), larger.value, 2.0) == ()


def test_a_confirmation_holds_whatever_goes_while_it_is_written() -> None:
    """Somebody who deletes one object after the other cannot make every value stale."""
    watching = guard()
    value = the_one(watching.held(ALL, without(first(5)), "", 0.0)).value
    for count in (6, 7, 8):
        watching.held(ALL, without([*first(count), *first(count, BUDGETS)]), "", float(count))
    left = watching.held(ALL, without(first(8)), value, 9.0)
    assert keys(left) == set(first(8)[5:])


def test_what_was_confirmed_is_let_go_though_its_release_failed() -> None:
    watching = guard()
    loss = the_one(watching.held(ALL, without(first(5)), "", 0.0))
    assert watching.held(ALL, without(first(5)), loss.value, 1.0) == ()
    assert watching.held(ALL, without(first(5)), "", 2.0) == ()


def test_a_confirmation_holds_once() -> None:
    """The annotation stays on the Fleet, and the same objects may be lost again."""
    watching = guard()
    value = the_one(watching.held(ALL, without(first(5)), "", 0.0)).value
    assert watching.held(ALL, without(first(5)), value, 1.0) == ()
    assert watching.held(without(first(5)), ALL, value, 2.0) == ()
    again = the_one(watching.held(ALL, without(first(5)), value, WINDOW_S + 3))
    assert again.value != value
    assert set(again.forms) == set(first(5))


def test_small_steps_add_up() -> None:
    """A namespace is deleted one object after the other."""
    watching = guard()
    for count in range(4):
        assert watching.held(without(first(count)), without(first(count + 1)), "", count) == ()
    loss = the_one(watching.held(without(first(4)), without(first(5)), "", 5.0))
    assert set(loss.forms) == {first(5)[4]}
    assert "5 Domains are gone at once" in loss.sentence


def test_a_hold_has_no_end_of_its_own() -> None:
    watching = guard()
    for count in range(4):
        watching.held(without(first(count)), without(first(count + 1)), "", count)
    loss = the_one(watching.held(without(first(4)), without(first(5)), "", 5.0))
    later = the_one(watching.held(without(first(4)), without(first(5)), "", 9 * WINDOW_S))
    assert (later.value, set(later.forms)) == (loss.value, {first(5)[4]})


def test_what_went_long_ago_counts_no_more() -> None:
    watching = guard()
    assert watching.held(ALL, without(first(4)), "", 0.0) == ()
    assert watching.held(without(first(4)), without(first(5)), "", WINDOW_S + 1) == ()


def test_what_came_back_counts_no_more() -> None:
    watching = guard()
    assert watching.held(ALL, without(first(4)), "", 0.0) == ()
    assert watching.held(without(first(4)), ALL, "", 1.0) == ()
    assert watching.held(ALL, without([first(5)[4]]), "", 2.0) == ()


def test_what_comes_back_is_held_no_more() -> None:
    watching = guard()
    assert watching.held(ALL, without(first(5)), "", 0.0) != ()
    assert watching.held(ALL, ALL, "", 1.0) == ()


ONES = forms("Agent", 20, "one")
OTHERS = forms("Agent", 20, "other")
BOTH = ONES | OTHERS


def test_what_one_tenant_loses_holds_up_no_other_one() -> None:
    """Whoever deletes a leaked agent is not made to wait for a neighbour's cleaning up."""
    watching = guard()
    gone = first(12, ONES)
    assert keys(watching.held(BOTH, without(gone, BOTH), "", 0.0)) == set(gone)
    leaked = first(1, OTHERS)
    assert keys(watching.held(BOTH, without([*gone, *leaked], BOTH), "", 1.0)) == set(gone)


def test_a_tenant_that_stops_short_of_a_hold_holds_up_no_other_one() -> None:
    watching = guard()
    gone = first(10, ONES)
    assert watching.held(BOTH, without(gone, BOTH), "", 0.0) == ()
    released = without(gone, BOTH)
    assert watching.held(released, without(first(1, OTHERS), released), "", 1.0) == ()
    own = watching.held(released, without(first(12, ONES), BOTH), "", 2.0)
    assert keys(own) == set(first(12, ONES)[10:])


def test_what_is_gone_everywhere_is_held_everywhere() -> None:
    """A definition was deleted: namespaces with a single agent lose it as well."""
    everything = BOTH | forms("Agent", 1, "small")
    assert keys(guard().held(everything, [], "", 0.0)) == set(everything)
    small: Forms = {}
    for number in range(8):
        small |= forms("Agent", 1, f"team-{number}")
    assert keys(guard().held(small, [], "", 0.0)) == set(small)


def test_a_hold_cannot_be_made_to_grow() -> None:
    """Somebody makes and deletes agents while one of the namespace's losses is held."""
    watching = guard()
    gone = first(12, ONES)
    loss = the_one(watching.held(BOTH, without(gone, BOTH), "", 0.0))
    more = form("Agent", "new", "one")
    in_force = BOTH | {more.key: more}
    after = the_one(watching.held(in_force, without(gone, BOTH), "", 1.0))
    assert (after.value, set(after.forms)) == (loss.value, set(gone))


def restarted(before: LossGuard, in_force: Forms) -> LossGuard:
    """The guard of an operator that starts after this one was killed."""
    after = guard()
    after.resume(read_holds(written_holds(before.remembered())), in_force)
    return after


def test_a_held_loss_is_held_by_the_next_operator_though_almost_everything_came_back() -> None:
    before = guard()
    before.held(ALL, without(first(8)), "", 0.0)
    last = first(1)
    assert keys(before.held(ALL, without(last), "", 1.0)) == set(last)
    after = restarted(before, ALL)
    assert keys(after.held(ALL, without(last), "", 0.0)) == set(last)
    assert guard().held(ALL, without(last), "", 0.0) == ()


def test_the_last_step_of_a_loss_in_small_steps_is_held_by_the_next_operator() -> None:
    before, rest = guard(), DOMAINS
    for _ in range(3):
        fewer = without(first(2, rest), rest)
        losses = before.held(rest, fewer, "", 0.0)
        rest = rest if losses else fewer
    held = keys(losses)
    assert held
    assert len(held) < FEWEST
    assert keys(restarted(before, rest).held(rest, fewer, "", 0.0)) == held


def test_a_value_that_a_person_copied_confirms_the_same_loss_after_a_restart() -> None:
    before = guard()
    loss = the_one(before.held(ALL, without(first(8)), "", 0.0))
    after = restarted(before, ALL)
    more = without(first(9))
    grown = the_one(after.held(ALL, more, "", 0.0))
    assert grown.value != loss.value
    assert keys(after.held(ALL, more, loss.value, 1.0)) == set(first(9)[8:])


def test_what_binds_the_held_is_held_by_the_next_operator_too() -> None:
    before = guard()
    gone = [*first(8), *first(3, BUDGETS)]
    assert keys(before.held(ALL, without(gone), "", 0.0)) == set(gone)
    assert keys(restarted(before, ALL).held(ALL, without(gone), "", 0.0)) == set(gone)


def test_a_hold_that_ended_is_not_begun_again() -> None:
    before = guard()
    before.held(ALL, without(first(8)), "", 0.0)
    before.held(ALL, ALL, "", 1.0)
    assert before.remembered() == ()
    assert restarted(before, ALL).held(ALL, without(first(1)), "", 0.0) == ()


@pytest.mark.parametrize("data", [b"", b"?", zlib.compress(b"[{}]"), zlib.compress(b"5")])
def test_a_memory_that_is_damaged_is_no_memory(data: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        read_holds(data)
