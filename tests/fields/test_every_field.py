"""Every field of every spec acts: changing it changes a decision, a charge, a record or a status.

The types say which fields there are, so that a new one without a case fails. A case changes one
field and nothing else, and states what is seen before and after.
"""

import typing
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from fields import (
    cases_budgets,
    cases_models,
    cases_owners,
    cases_policies,
    cases_prices,
    cases_sign_in,
)
from fields.cases import ABSENT, Case
from fields.chain import Company
from signalbox_api import KINDS
from signalbox_api.base import Part

CASES: list[Case] = list(
    chain.from_iterable(
        module.CASES
        for module in (
            cases_owners,
            cases_budgets,
            cases_models,
            cases_prices,
            cases_policies,
            cases_sign_in,
        )
    )
)


def part_of(annotation: Any, mark: str = "") -> tuple[type[Part], str] | None:
    """The part that a field holds, and `[]` where it holds several."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation, mark
    inside = "[]" if typing.get_origin(annotation) is tuple else mark
    found = (part_of(item, inside) for item in typing.get_args(annotation))
    return next((part for part in found if part is not None), None)


def leaves(part: type[Part], path: str) -> Iterator[str]:
    """The fields that hold no further part, spelt as in YAML."""
    for name, info in part.model_fields.items():
        here = f"{path}.{info.alias or name}"
        found = part_of(info.annotation)
        if found is None:
            yield here
        else:
            yield from leaves(found[0], here + found[1])


FIELDS = [field for kind in KINDS.values() for field in leaves(kind.spec, kind.name)]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_a_case(field: str) -> None:
    assert any(case.field == field for case in CASES)


def test_no_case_is_about_a_field_that_does_not_exist() -> None:
    assert {case.field for case in CASES} - set(FIELDS) == set()


def written(company: Company) -> dict[str, Any]:
    """Every value that is written, by object and path; list items by position."""
    found: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                walk(item, f"{path}.{name}")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for position, item in enumerate(value):
                walk(item, f"{path}.{position}")
        else:
            found[path] = value

    for item in company.objects:
        walk(item.manifest()["spec"], "/".join(item.key))
    return found


@pytest.mark.parametrize("case", CASES, ids=str)
def test_changing_the_field_changes(case: Case) -> None:
    before, after = case.companies()
    assert (case.see(before), case.see(after)) == case.expect
    assert case.expect[0] != case.expect[1]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_changes_its_field_alone(case: Case) -> None:
    before, after = (written(company) for company in case.companies())
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    field = case.field.partition(".")[2].replace("[]", f".{case.at}")
    said = {f"{case.on}.{path}" for path in (field, *case.also)}
    if isinstance(case.now, dict):
        said = {f"{case.on}.{field}.{key}" for key in case.now}
    assert changed == said
    assert case.was is not case.now
    assert not (case.was is ABSENT and case.now is ABSENT)
