"""The sizes of the logs are checked once a second, and a full disk is logged once."""

import logging
import re
from pathlib import Path

import pytest

from core.errors import SupervisorError
from core.supervisor.logs import log_files
from core.supervisor.logs.log_files import rotated_files
from core.supervisor.logs.log_rotation import ROTATION_INTERVAL, LogRotation


class _Logs:
    """Two logs, and what else is rotated at each check."""

    def __init__(self, directory: Path) -> None:
        self.paths = [directory / "s1.log", directory / "w1.log"]
        self.checks = 0
        self.is_full = False
        self.rotation = LogRotation(lambda: self.paths, self._rotate_others)

    def _rotate_others(self) -> None:
        self.checks += 1
        if self.is_full:
            raise SupervisorError("the disk is full")

    def write(self) -> None:
        for path in self.paths:
            path.write_bytes(b"long enough")

    def rotated(self) -> list[int]:
        """How many rotated files each log has."""
        return [len(rotated_files(path)) for path in self.paths]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Logs:
    """Large logs, none of them rotated yet."""
    monkeypatch.setattr(log_files, "MAX_SIZE", 5)
    monkeypatch.setattr(logging.getLogger("cauce"), "propagate", True)
    made = _Logs(tmp_path)
    made.write()
    return made


def test_large_logs_are_rotated_at_most_once_an_interval(logs: _Logs) -> None:
    logs.rotation.rotate_if_due(100.0)
    assert (logs.rotated(), logs.checks) == ([1, 1], 1)
    logs.write()
    logs.rotation.rotate_if_due(100.0 + ROTATION_INTERVAL - 0.001)
    assert (logs.rotated(), logs.checks) == ([1, 1], 1)
    logs.rotation.rotate_if_due(100.0 + ROTATION_INTERVAL)
    assert (logs.rotated(), logs.checks) == ([2, 2], 2)
    logs.rotation.rotate_if_due(100.0 + 2 * ROTATION_INTERVAL)
    assert (logs.rotated(), logs.checks) == ([2, 2], 3)


def test_the_first_check_is_made_whatever_the_clock_says(logs: _Logs) -> None:
    logs.rotation.rotate_if_due(-5.0)
    assert logs.checks == 1


def test_logs_that_come_later_are_rotated_too(logs: _Logs) -> None:
    logs.rotation.rotate_if_due(0.0)
    logs.paths.append(logs.paths[0].with_name("w2.log"))
    logs.write()
    logs.rotation.rotate_if_due(ROTATION_INTERVAL)
    assert logs.rotated() == [2, 2, 1]


def test_a_full_disk_is_logged_once_until_a_rotation_succeeds(logs: _Logs, caplog: pytest.LogCaptureFixture) -> None:
    logs.is_full = True
    for now in (0.0, 1.0, 2.0):
        logs.rotation.rotate_if_due(now)
    message = "a log grows on: the disk is full"
    assert [record.getMessage() for record in caplog.records] == [message]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    # The others are rotated all the same.
    assert (logs.rotated(), logs.checks) == ([1, 1], 3)
    logs.is_full = False
    logs.rotation.rotate_if_due(3.0)
    logs.is_full = True
    logs.rotation.rotate_if_due(4.0)
    assert [record.getMessage() for record in caplog.records] == [message] * 2


def test_a_log_that_cannot_be_rotated_is_tried_again(logs: _Logs, caplog: pytest.LogCaptureFixture) -> None:
    # A file can't replace a directory.
    obstacle = logs.paths[0].with_name("s1.log.half")
    obstacle.mkdir()
    logs.rotation.rotate_if_due(0.0)
    assert re.search(r"can't rotate \S+s1\.log:", caplog.text)
    obstacle.rmdir()
    logs.rotation.rotate_if_due(1.0)
    assert logs.rotated() == [1, 1]
