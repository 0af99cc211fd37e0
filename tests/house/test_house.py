"""The rules of the house that no linter knows: sizes, names, folders, no float near money."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crds", "operator", "proxy")
MODULE_LINES = 300
FUNCTION_LINES = 60
FORBIDDEN_MODULES = {"compile", "eval", "types", "secrets", "utils", "common", "helpers"}
MONEY_MODULES = (
    "proxy/signalbox_ledger/money.py",
    "proxy/signalbox_ledger/accounts.py",
    "proxy/signalbox_ledger/store.py",
    "proxy/signalbox_ledger/account_store.py",
    "proxy/signalbox_ledger/granting.py",
    "proxy/signalbox_ledger/run_store.py",
    "proxy/signalbox_ledger/run_sums.py",
    "proxy/signalbox_ledger/reports.py",
    "proxy/signalbox_proxy/pricing.py",
    "proxy/signalbox_proxy/bounds.py",
    "proxy/signalbox_snapshot/snapshot.py",
)


def sources() -> list[Path]:
    return [path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py"))]


def test_folders_of_packages_are_no_packages_themselves() -> None:
    """A package called operator would shadow the standard library's."""
    assert not [folder for folder in PACKAGES if (ROOT / folder / "__init__.py").exists()]


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not [path for path in sources() if path.stem in FORBIDDEN_MODULES]


def test_modules_fit_on_a_few_screens() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_functions_fit_on_one_screen() -> None:
    long = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = lines
    assert long == {}


def test_every_module_says_where_it_stands() -> None:
    assert not [path for path in sources() if not ast.get_docstring(ast.parse(path.read_text()))]


@pytest.mark.parametrize("name", MONEY_MODULES)
def test_there_is_no_float_near_money(name: str) -> None:
    """Neither a float literal, nor float(), nor a true division."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float)
        called = isinstance(node, ast.Name) and node.id == "float"
        divided = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        suspicious = literal or called or divided
        assert not suspicious, f"{name}:{getattr(node, 'lineno', '?')}"


DRIVERS = {"sqlite3", "psycopg"}
KNOWING_DRIVERS = {"sqlite_database", "postgres_database", "postgres_connection"}


def test_only_the_adapters_know_a_database_driver() -> None:
    """And Alembic with SQLAlchemy stays with the migrations, for it is slow to import."""
    knowing = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                names = {node.module or ""}
            for name in {name.partition(".")[0] for name in names}:
                if name in DRIVERS and path.stem not in KNOWING_DRIVERS:
                    knowing[str(path.relative_to(ROOT))] = name
                if name in {"alembic", "sqlalchemy"} and "migrations" not in path.parts:
                    knowing[str(path.relative_to(ROOT))] = name
    assert knowing == {}


def test_nothing_is_left_unfinished() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert not [path for path in sources() if words.search(path.read_text())]


def test_the_repository_speaks_of_no_machine() -> None:
    """No path of a developer's machine and no registry host in anything that is committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout.decode()
    pattern = re.compile(rb"/(work|root|home/[a-z]+)/[a-z]|pypi\.org|proxy\.golang\.org")
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if (
            path.is_file()
            and name != "tests/house/test_house.py"
            and pattern.search(path.read_bytes())
        ):
            found.append(name)
    assert found == []
