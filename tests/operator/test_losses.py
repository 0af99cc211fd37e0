"""Many objects gone at once stay in force until a person says that it is meant."""

from signalbox_api import Resource, ResourceKey
from signalbox_api.load import read_object
from signalbox_operator.losses import WINDOW_S, LossGuard


def form(kind: str, name: str) -> Resource:
    specs = {
        "Domain": {"ownerTeam": "t", "focusAccount": "1"},
        "Budget": {"scope": {"all": True}, "limit": {"usd": "1"}, "window": {"every": "day"}},
    }
    made = read_object(
        {
            "apiVersion": "signalbox.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": "ns"},
            "spec": specs[kind],
        }
    )
    assert isinstance(made, Resource)
    return made


DOMAINS = {each.key: each for each in (form("Domain", f"d{n}") for n in range(16))}
BUDGETS = {each.key: each for each in (form("Budget", f"b{n}") for n in range(16))}
ALL = DOMAINS | BUDGETS


def without(*gone: ResourceKey) -> list[ResourceKey]:
    return [key for key in ALL if key not in gone]


def guard() -> LossGuard:
    return LossGuard("prod")


def test_a_quarter_may_go() -> None:
    assert guard().held(ALL, without(*list(DOMAINS)[:4]), "", 0.0) is None


def test_more_than_a_quarter_is_held_and_the_sentence_says_how_to_go_on() -> None:
    gone = list(DOMAINS)[:5]
    loss = guard().held(ALL, without(*gone), "", 0.0)
    assert loss is not None
    assert loss.keys == set(gone)
    assert "5 Domains are gone at once" in loss.sentence
    assert f"kubectl annotate fleet prod signalbox.dev/confirm-loss={loss.value}" in loss.sentence


def test_what_binds_the_held_is_held_with_them() -> None:
    """Agents without the budgets and policies that went with them would be worse than either."""
    gone = [*list(DOMAINS)[:5], *list(BUDGETS)[:2]]
    loss = guard().held(ALL, without(*gone), "", 0.0)
    assert loss is not None
    assert loss.keys == set(gone)


def test_few_objects_may_all_go() -> None:
    few = dict(list(DOMAINS.items())[:3])
    assert guard().held(few, [], "", 0.0) is None


def test_kinds_that_only_limit_may_go() -> None:
    assert guard().held(ALL, list(DOMAINS), "", 0.0) is None


def test_exactly_that_loss_is_confirmed_and_no_larger_one() -> None:
    watching = guard()
    loss = watching.held(ALL, without(*list(DOMAINS)[:5]), "", 0.0)
    assert loss is not None
    larger = watching.held(ALL, without(*list(DOMAINS)[:6]), loss.value, 1.0)
    assert larger is not None
    assert larger.value != loss.value
    assert watching.held(ALL, without(*list(DOMAINS)[:6]), larger.value, 2.0) is None


def test_small_steps_add_up() -> None:
    """A namespace is deleted one object after the other."""
    watching = guard()
    present = dict(ALL)
    for number, key in enumerate(list(DOMAINS)[:4]):
        in_force = dict(present)
        present.pop(key)
        assert watching.held(in_force, present, "", float(number)) is None
    in_force = dict(present)
    present.pop(list(DOMAINS)[4])
    loss = watching.held(in_force, present, "", 5.0)
    assert loss is not None
    assert loss.keys == {list(DOMAINS)[4]}


def test_what_went_long_ago_counts_no_more() -> None:
    watching = guard()
    assert watching.held(ALL, without(*list(DOMAINS)[:4]), "", 0.0) is None
    rest = {key: item for key, item in ALL.items() if key not in list(DOMAINS)[:4]}
    present = [key for key in rest if key != list(DOMAINS)[4]]
    assert watching.held(rest, present, "", WINDOW_S + 1) is None


def test_what_comes_back_is_held_no_more() -> None:
    watching = guard()
    assert watching.held(ALL, without(*list(DOMAINS)[:5]), "", 0.0) is not None
    assert watching.held(ALL, ALL, "", 1.0) is None
