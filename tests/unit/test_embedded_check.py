"""What a check of the embedded queue reports, and how long it may take."""

from pathlib import Path

import pytest

from core.broker.embedded import EmbeddedBroker
from core.database import Database, Faults
from core.errors import BrokerMisconfigured, BrokerUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an existing queue."""
    EmbeddedBroker(tmp_path / "queue.db").prepare()
    return tmp_path / "queue.db"


def test_a_check_creates_no_file(tmp_path: Path) -> None:
    EmbeddedBroker(tmp_path / "queue.db").check(1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_another_process_keeps_locked_is_reported_within_the_timeout(path: Path) -> None:
    broker = EmbeddedBroker(path)
    with Database(path, Faults(BrokerUnavailable, BrokerMisconfigured)) as other, other.transaction():
        other.execute("UPDATE queues SET ready = ready")
        with pytest.raises(BrokerUnavailable):
            broker.check(0.2)
    broker.check(0.2)


@pytest.mark.parametrize("content", [b"this is no database, and has never been one" * 100, b"SQLite format 3\0" * 300])
def test_a_file_that_is_no_queue_is_reported_at_once_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "queue.db"
    path.write_bytes(content)
    with pytest.raises(BrokerMisconfigured):
        EmbeddedBroker(path).check(5.0)
    assert path.read_bytes() == content
