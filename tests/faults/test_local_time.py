"""Times are seconds since the epoch: the local time, which has an hour twice a year too much, is only ever shown."""

import ast
from pathlib import Path

import core

LOCAL = {"localtime", "mktime", "fromtimestamp", "astimezone", "strptime", "today"}
SHOWING = {"logs.py", "client/wording.py", "supervisor/logreading.py"}
"""Modules that write times for people."""


def _local(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & LOCAL


def test_local_time_is_known_only_where_times_are_shown() -> None:
    top = Path(core.__file__).parent
    knowing = {path.relative_to(top).as_posix() for path in top.rglob("*.py") if _local(path)}
    assert knowing == SHOWING


def test_the_journal_knows_local_time_only_in_its_views() -> None:
    schema = Path(core.__file__).parent / "repository" / "schema"
    for path in schema.glob("*.sql"):
        for statement in path.read_text("utf-8").split(";"):
            if "localtime" in statement:
                assert "CREATE VIEW" in statement
