"""The programs that are broken on purpose: what each replaces exists, so that it really is replaced."""

import ast
import importlib
from pathlib import Path

import pytest

BROKEN = Path(__file__).parent / "broken"


def replacements(source: str) -> list[tuple[str, str]]:
    """Return the module and the name of each `module.name = …` where the module was imported."""
    tree = ast.parse(source)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return [
        (modules[target.value.id], target.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id in modules
    ]


@pytest.mark.parametrize("path", sorted(BROKEN.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_broken_program_replaces_exists(path: Path) -> None:
    for module, name in replacements(path.read_text("utf-8")):
        assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


def test_replacements_are_found() -> None:
    source = "from core.server import program\nprogram.Handler = Mine\nself.x = program.y\n"
    assert replacements(source) == [("core.server.program", "Handler")]
