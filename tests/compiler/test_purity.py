"""What decides is pure: no clock, chance, file, socket or process behind it."""

import ast
from pathlib import Path

import pytest

import signalbox_operator.compiler
import signalbox_snapshot

COMPILER = Path(signalbox_operator.compiler.__file__).parent
OPERATOR = COMPILER.parent
PURE = [
    *COMPILER.glob("*.py"),
    *Path(signalbox_snapshot.__file__).parent.glob("*.py"),
    *(OPERATOR / name for name in ("difference.py", "details.py", "budget_status.py", "status.py")),
]
FORBIDDEN = {
    "aiohttp",
    "asyncio",
    "io",
    "kopf",
    "kubernetes",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "urllib",
    "uuid",
}
CLOCKS = {"now", "today", "utcnow", "open", "eval", "exec"}


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def called(tree: ast.AST) -> set[str]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        for function in calls
    }


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_pure_reaches_for_the_world(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert imported(tree) & FORBIDDEN == set()
    assert called(tree) & CLOCKS == set()


@pytest.mark.parametrize("path", PURE, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_nothing_pure_keeps_state_in_its_module(path: Path) -> None:
    """Lists, dicts and sets at module level could change; only constants are written so."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Dict | ast.Set):
            assert [ast.unparse(target) for target in node.targets] == ["__all__"]
