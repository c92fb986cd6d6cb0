"""Loads the shared fixtures, and runs the slowest files first."""

from pathlib import Path

import pytest

pytest_plugins = ["tests.services.fixtures", "tests.services.nginx_fixtures", "tests.services.certificates"]

SLOWEST_FIRST = ("faults/test_quick.py", "integration", "tui", "benchmarks", "faults", "contract", "unit")
"""Files and directories. Each file runs in one process: a slow one at the end would run alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; the tests of a file stay in their order."""
    items.sort(key=lambda item: _rank(item.path))


def _rank(path: Path) -> int:
    name = path.relative_to(Path(__file__).parent).as_posix()
    return next((rank for rank, start in enumerate(SLOWEST_FIRST) if name.startswith(start)), len(SLOWEST_FIRST))
