"""Tasks that are submitted steadily to a supervised system, and the check that none is lost."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from core.addresses import Address
from core.client import Client
from core.model import State
from core.repository.journal import Journal
from tests.integration.supervised import Supervised
from tests.services.waiting import wait_until

PATIENCE = 120.0
RATE = 100
"""Tasks a second."""


class Load:
    """Submits tasks with unique ids until its end.

    Attributes:
        accepted: ids of the accepted tasks.
        errors: errors that the client raised after all its retries.
    """

    def __init__(self, address: str) -> None:
        self.accepted: list[str] = []
        self.errors: list[Exception] = []
        self._address = Address.parse(address)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def start(self) -> None:
        """Start submitting."""
        self._thread.start()

    def end(self) -> None:
        """Stop submitting."""
        self._ending.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with Client(self._address, patience=PATIENCE) as client:
            for number in itertools.count():
                if self._ending.wait(1 / RATE):
                    return
                try:
                    client.submit("echo", number, id=f"load-{number}")
                except Exception as error:  # noqa: BLE001 - whatever it is, the test has to know
                    self.errors.append(error)
                    return
                self.accepted.append(f"load-{number}")


@contextmanager
def under_load(system: Supervised, address: str) -> Iterator[Load]:
    """Submit tasks during the block. After it, check that each is done once and the journal holds no others."""
    load = Load(address)
    load.start()
    try:
        wait_until(lambda: len(load.accepted) > 20 or bool(load.errors), "the load to begin", PATIENCE)
        yield load
    finally:
        load.end()
    assert load.errors == []
    with Journal("resultados.db", system.home.directory).open_readonly() as repository:

        def states() -> dict[str, State]:
            return {task.id: task.state for task in repository.find_all(load.accepted)}

        done = dict.fromkeys(load.accepted, State.DONE)
        wait_until(lambda: states() == done, "all tasks to be done", PATIENCE)
        assert repository.audit().is_consistent
