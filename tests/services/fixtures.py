"""Fixtures for tests that need a real RabbitMQ."""

import os
import pickle
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from xdist.workermanage import WorkerController

from core.broker.rabbitmq import quiet_pika
from core.locks import FileLock
from tests.services.rabbitmq import RabbitNode, find_programs, kill_processes
from tests.services.waiting import wait_until

MakeRabbitNode: TypeAlias = Callable[[Path], RabbitNode]

START_TIMEOUT = 250.0
"""Seconds for another process to start the shared node."""

_SHARED_NAME = "cauce_shared"
_SHARED = pytest.StashKey[Path]()
"""The directory that all processes of pytest share."""

_STARTED = pytest.StashKey[RabbitNode]()
"""The shared node, in the process that has started it."""


@pytest.fixture(scope="session")
def make_rabbitmq_node() -> MakeRabbitNode:
    """Makes nodes; where RabbitMQ is missing the test fails, or is skipped when services are not wanted."""
    quiet_pika()
    try:
        find_programs()
    except FileNotFoundError as error:
        if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
            pytest.skip(str(error))
        pytest.fail(str(error), pytrace=False)
    return RabbitNode


@pytest.fixture(scope="session")
def rabbitmq_node(make_rabbitmq_node: MakeRabbitNode, pytestconfig: pytest.Config) -> RabbitNode:
    """The node that all tests share, in all processes of pytest: none may stop, suspend or reconfigure it."""
    directory = pytestconfig.stash[_SHARED]
    with _locked(directory / "lock"):
        copy = directory / "node.pickle"
        if not copy.exists():
            node = make_rabbitmq_node(directory / f"rabbitmq-{secrets.token_hex(4)}")
            node.start()
            # Otherwise Python warns that a process was forgotten.
            pytestconfig.stash[_STARTED] = node
            copy.write_bytes(pickle.dumps(node))
        shared: RabbitNode = pickle.loads(copy.read_bytes())  # noqa: S301 - a process of these tests wrote it
    return shared


@pytest.fixture
def rabbitmq_url(rabbitmq_node: RabbitNode) -> str:
    """A virtual host that no other test has used."""
    return rabbitmq_node.vhost()


@pytest.fixture(scope="session")
def breakable_node(
    make_rabbitmq_node: MakeRabbitNode, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitNode]:
    """The node of `own_rabbitmq_node`."""
    node = make_rabbitmq_node(tmp_path_factory.mktemp("rabbitmq") / "own")
    yield node
    node.kill()
    node.stop()


@pytest.fixture
def own_rabbitmq_node(breakable_node: RabbitNode) -> RabbitNode:
    """A node to do anything to, shared by the tests that do: it runs again for each, on the same files.

    Its start costs some seconds of a processor, so tests/conftest.py has one process run all these tests.
    """
    if not breakable_node.runs:
        breakable_node.start()
    return breakable_node


@pytest.fixture
def own_rabbitmq_url(own_rabbitmq_node: RabbitNode) -> str:
    """A virtual host of that node that no other test has used."""
    return own_rabbitmq_node.vhost()


def pytest_configure(config: pytest.Config) -> None:
    """Make the directory that the processes of pytest share, or take that of their parent."""
    given = getattr(config, "workerinput", {}).get(_SHARED_NAME)
    config.stash[_SHARED] = Path(given or tempfile.mkdtemp(prefix="cauce-tests-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a process of pytest which directory it shares."""
    node.workerinput[_SHARED_NAME] = str(node.config.stash[_SHARED])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared node with the last process, and delete its files."""
    if hasattr(config, "workerinput"):
        return
    directory = config.stash[_SHARED]
    for home in directory.glob("rabbitmq-*"):
        kill_processes(home)
    shutil.rmtree(directory)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Let one process at a time run the block."""
    locks: list[FileLock] = []

    def lock() -> bool:
        with suppress(BlockingIOError):
            locks.append(FileLock(file))
        return bool(locks)

    wait_until(lock, "another process to start RabbitMQ", START_TIMEOUT)
    with locks[0]:
        yield
