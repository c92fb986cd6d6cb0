"""Loads the shared fixtures, and distributes the tests over the processes of pytest."""

import functools
import gc
import signal
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = [
    "tests.services.fixtures",
    "tests.services.nginx_fixtures",
    "tests.services.certificates",
    "tests.services.driven_client",
]

HERE = Path(__file__).parent

SLOWEST_FIRST = (
    *("integration/test_supervisor_storm.py", "integration/test_path.py", "integration/test_supervisor.py"),
    "faults/test_quick.py",
    *("integration", "tui", "benchmarks", "faults", "contract", "unit"),
)
"""Files and directories. A slow test at the end would run alone."""

APART = ("integration", "tui", "benchmarks", "faults")
"""Directories of slow tests, where each test may run in another process."""

GARBAGE_THRESHOLD = 10_000
"""New objects between two collections of garbage."""

BREAKS = "own_rabbitmq_node"
"""What files have whose tests break RabbitMQ: one process runs them all, and starts one node for them."""

SHARED = 'scope="module"'
"""What a file has whose tests share a fixture, and therefore run in one process."""


def pytest_configure() -> None:
    """Have Ctrl-C reach the tested programs, also when a shell has started the tests in the background.

    Such a shell has its children ignore interrupts, and they theirs.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Until all modules are loaded there is no garbage to speak of.
    gc.disable()


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over modules and tests: it would look through all of them again and again."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; the tests of a file stay in their order."""
    items.sort(key=lambda item: _rank(item.path))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Return what distributes the tests."""
    return _Scheduling(config, log)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives a process one file at a time, or one test of a slow file."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


def scope_of(nodeid: str) -> str:
    """Return the name of what one process runs: a test, a file, or all tests that break RabbitMQ."""
    file, _, _ = nodeid.partition("::")
    text = _text(file)
    if BREAKS in text:
        return BREAKS
    return nodeid if Path(file).parts[1] in APART and SHARED not in text else file


@functools.cache
def _text(file: str) -> str:
    return (HERE.parent / file).read_text(encoding="utf-8")


def _rank(path: Path) -> int:
    name = path.relative_to(HERE).as_posix()
    return next((rank for rank, start in enumerate(SLOWEST_FIRST) if name.startswith(start)), len(SLOWEST_FIRST))
