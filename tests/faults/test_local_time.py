"""Times are seconds since the epoch. Local time, in which an hour repeats every year, is only shown."""

import ast
from pathlib import Path

import core

LOCAL = {"localtime", "mktime", "fromtimestamp", "astimezone", "strptime", "today"}
MODULES = {"formatting.py", "logs.py", "supervisor/logs/log_reading.py"}
"""Modules that format times for display."""


def _local(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & LOCAL


def test_local_time_is_used_only_where_times_are_shown() -> None:
    top = Path(core.__file__).parent
    using = {path.relative_to(top).as_posix() for path in top.rglob("*.py") if _local(path)}
    assert using == MODULES


def test_the_journal_uses_local_time_only_in_its_views() -> None:
    schema = Path(core.__file__).parent / "repository" / "schema"
    for path in schema.glob("*.sql"):
        for statement in path.read_text("utf-8").split(";"):
            if "localtime" in statement:
                assert "CREATE VIEW" in statement
