"""docs/resources.md is what the types say, whole."""

from pathlib import Path

import pytest

from signalbox_api import KINDS
from signalbox_api.crd_schema import structural
from signalbox_api.reference import main, render, rows, section

PAGE = Path(__file__).parents[2] / "docs" / "resources.md"


def test_the_committed_page_is_what_the_types_generate() -> None:
    assert PAGE.read_text() == render()
    assert main(["--check", str(PAGE)]) == 0


def test_check_says_that_a_page_is_old(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "resources.md"
    assert main(["--check", str(page)]) == 1
    assert main([str(page)]) == 0
    assert main(["--check", str(page)]) == 0
    page.write_text(page.read_text() + "more\n")
    assert main(["--check", str(page)]) == 1
    assert "differs from the types" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described_by_a_whole_sentence(kind: str) -> None:
    for row in rows(structural(KINDS[kind].spec, defaults=True)):
        assert row.description.endswith((".", '".')), row.path
        assert row.type, row.path


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_a_table_has_the_cells_of_its_head(kind: str) -> None:
    lines = [line for line in section(KINDS[kind]).splitlines() if line.startswith("|")]
    widths = {line.replace("\\|", "").count("|") for line in lines}
    assert widths == {4, 5}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_introduced_beyond_its_first_sentence(kind: str) -> None:
    intro = section(KINDS[kind]).split("Plural `")[0]
    assert len(intro.split("\n\n")) >= 3
