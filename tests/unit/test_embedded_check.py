"""What a check of the embedded queue finds out, and how long it takes at most."""

import time
from pathlib import Path

import pytest

from core.broker.embedded import EmbeddedBroker
from core.database import Database, Faults
from core.errors import BrokerMisconfigured, BrokerUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a queue that is in use."""
    EmbeddedBroker(tmp_path / "queue.db").prepare()
    return tmp_path / "queue.db"


def test_a_check_makes_no_file(tmp_path: Path) -> None:
    EmbeddedBroker(tmp_path / "queue.db").check(1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_another_process_does_not_let_go_is_told_within_the_time(path: Path) -> None:
    broker = EmbeddedBroker(path)
    with Database(path, Faults(BrokerUnavailable, BrokerMisconfigured)) as other, other.transaction():
        other.execute("UPDATE queues SET ready = ready")
        began = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            broker.check(0.2)
        assert 0.1 < time.monotonic() - began < 1.5
    broker.check(0.2)


@pytest.mark.parametrize("content", [b"this is no database, and has never been one" * 100, b"SQLite format 3\0" * 300])
def test_what_is_no_queue_is_told_at_once_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    with pytest.raises(BrokerMisconfigured):
        EmbeddedBroker(path).check(5.0)
    assert path.read_bytes() == content
