"""The rules that every source file of the project follows."""

import fnmatch
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.architecture.rules import (
    Rule,
    elapsed_time_assertions,
    environment_readers,
    imports,
    mocks,
    numbered_errors,
    public_classes,
    relative_imports,
    thread_subclasses,
    unexplained_silencers,
)

TOP = Path(__file__).parents[2]
CORE = sorted((TOP / "core").rglob("*.py"))
ALL = sorted(path for part in ("core", "tui", "tests") for path in (TOP / part).rglob("*.py"))

TOP_LEVEL = {"tui", "core", "nginx.conf", "Diagrama.txt", "pyproject.toml", "tests", "README.md", "LICENSE"}

ENTRY_POINTS = {"core/launch.py", "core/runner/start.py"}
"""Where programs begin, besides the `__main__` modules."""

PROTOCOL_MAY_IMPORT = ("core.errors", "core.identifiers", "core.jsontext", "core.protocol", "core.safe_text")


def name_of(path: Path) -> str:
    return path.relative_to(TOP).as_posix()


def broken(rule: Rule, paths: list[Path]) -> list[str]:
    return [f"{name_of(path)}:{line}" for path in paths for line in rule(path.read_text(encoding="utf-8"))]


def test_the_sources_are_found() -> None:
    assert TOP / "core" / "errors.py" in CORE
    assert Path(__file__) in ALL


def test_the_top_level_has_only_the_designed_entries() -> None:
    lines = (TOP / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.strip("/") for line in lines if line and not line.startswith("#")]
    entries = {
        path.name
        for path in TOP.iterdir()
        if not path.name.startswith(".") and not any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored)
    }
    assert entries - TOP_LEVEL == set()


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    assert [name_of(path) for path in ALL if path.stem in sys.stdlib_module_names] == []
    packages = {path.parent for path in ALL}
    assert [name_of(path) for path in packages if path.name in sys.stdlib_module_names] == []


def test_threads_and_processes_are_owned_and_not_inherited_from() -> None:
    assert broken(thread_subclasses, ALL) == []


def test_the_environment_is_read_only_where_a_program_begins() -> None:
    inside = [path for path in CORE if path.name != "__main__.py" and name_of(path) not in ENTRY_POINTS]
    assert broken(environment_readers, inside) == []


def test_suppressions_have_a_code_and_a_reason() -> None:
    assert broken(unexplained_silencers, ALL) == []


def test_no_test_asserts_on_elapsed_time() -> None:
    tests = [path for path in ALL if path.is_relative_to(TOP / "tests")]
    assert broken(elapsed_time_assertions, tests) == []


def test_no_user_reads_the_number_of_an_error() -> None:
    assert broken(numbered_errors, [path for path in ALL if not path.is_relative_to(TOP / "tests")]) == []


def test_modules_are_imported_by_their_full_name() -> None:
    assert broken(relative_imports, ALL) == []


def test_the_protocol_knows_nothing_of_the_rest() -> None:
    assert [
        f"{name_of(path)}:{line} {module}"
        for path in sorted((TOP / "core" / "protocol").glob("*.py"))
        for line, module in imports(path.read_text(encoding="utf-8"))
        # `from core import x` is found by its second name, `core.x`.
        if module.startswith("core.") and not module.startswith(PROTOCOL_MAY_IMPORT)
    ] == []


def shared_classes(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the public classes that are defined in more than one module, with these modules."""
    modules: dict[str, list[str]] = defaultdict(list)
    for module, source in sources.items():
        for name in public_classes(source):
            modules[name].append(module)
    return {name: found for name, found in modules.items() if len(found) > 1}


def test_no_two_public_classes_of_core_share_a_name() -> None:
    assert shared_classes({name_of(path): path.read_text(encoding="utf-8") for path in CORE}) == {}


def test_two_public_classes_that_share_a_name_are_found() -> None:
    sources = {"a.py": "class Reader: ...\nclass _Row: ...", "b.py": "class Reader: ...\nclass _Row: ..."}
    assert shared_classes(sources) == {"Reader": ["a.py", "b.py"]}


def test_nothing_is_mocked() -> None:
    assert broken(mocks, ALL) == []


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (elapsed_time_assertions, "import time\nassert time.monotonic() - began < 5"),
        (elapsed_time_assertions, "import time\nassert all(0 <= time.time() - each.since < 5 for each in running)"),
        (elapsed_time_assertions, "from time import perf_counter\nassert 0.1 < (perf_counter() - began) / 20 < 0.2"),
        (thread_subclasses, "import threading\nclass Poller(threading.Thread): ..."),
        (thread_subclasses, "from threading import Thread\nclass Poller(object, Thread): ..."),
        (environment_readers, "import os\nHOME = os.environ['HOME']"),
        (environment_readers, "import os\nHOME = os.getenv('HOME')"),
        (environment_readers, "\nfrom os import environ"),
        (unexplained_silencers, "\nx = 1  # noqa"),
        (unexplained_silencers, "\nx = 1  # noqa: S101"),
        (unexplained_silencers, "\nx = 1  # type: ignore"),
        (unexplained_silencers, "\nx = 1  # type: ignore[misc]"),
        (numbered_errors, "try: connect()\nexcept OSError as error: raise Lost(f'away: {error}') from error"),
        (numbered_errors, "try: connect()\nexcept (OSError, ValueError) as error: log.error('away: %s', error)"),
        (numbered_errors, "try: connect()\nexcept Exception as error: show(str(error))"),
        (mocks, "\nfrom unittest.mock import patch"),
        (mocks, "import sys\nimport pytest_mock"),
        (relative_imports, "\nfrom . import errors"),
        (relative_imports, "\nfrom .errors import CauceError"),
    ],
)
def test_each_rule_finds_what_breaks_it(rule: Rule, source: str) -> None:
    assert rule(source) == [2]


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        (elapsed_time_assertions, "while True:\n    assert time.monotonic() < deadline"),
        (thread_subclasses, "class Poller:\n    def __init__(self): self.thread = threading.Thread()"),
        (environment_readers, "def load(environment): return environment['HOME']"),
        (unexplained_silencers, "x = 1  # noqa: S101, B904 - it is a constant"),
        (unexplained_silencers, "x = 1  # type: ignore[misc, arg-type]  # pika has no types"),
        (
            numbered_errors,
            "try: connect()\nexcept OSError as error: raise Lost(f'away: {reason_of(error)}') from error",
        ),
        (numbered_errors, "try: parse()\nexcept ValueError as error: show(str(error))"),
        (mocks, "from core import mocks"),
        (relative_imports, "from core import errors"),
    ],
)
def test_each_rule_accepts_the_rest(rule: Rule, source: str) -> None:
    assert rule(source) == []
