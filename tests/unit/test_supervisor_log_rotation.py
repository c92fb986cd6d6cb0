"""The sizes of the logs are looked at once a second, and a full disk is told once."""

import logging
from pathlib import Path

import pytest

from core.errors import SupervisorError
from core.supervisor.logs import log_files
from core.supervisor.logs.log_files import former
from core.supervisor.logs.log_rotation import LOOK_EVERY, LogRotation


class _Kept:
    """Two logs that are kept, and what else is looked at each time."""

    def __init__(self, directory: Path) -> None:
        self.paths = [directory / "s1.log", directory / "w1.log"]
        self.looks = 0
        self.trouble = False
        self.keeper = LogRotation(lambda: self.paths, self._also)

    def _also(self) -> None:
        self.looks += 1
        if self.trouble:
            raise SupervisorError("the disk is full")

    def write(self) -> None:
        for path in self.paths:
            path.write_bytes(b"long enough")

    def kept(self) -> list[int]:
        """How many former files each log has."""
        return [len(former(path)) for path in self.paths]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Kept:
    """Logs that are large, and none set aside yet."""
    monkeypatch.setattr(log_files, "LARGEST", 5)
    monkeypatch.setattr(logging.getLogger("cauce"), "propagate", True)
    made = _Kept(tmp_path)
    made.write()
    return made


def test_all_that_is_large_is_set_aside_but_not_more_often_than_it_looks(kept: _Kept) -> None:
    kept.keeper.look(100.0)
    assert (kept.kept(), kept.looks) == ([1, 1], 1)
    kept.write()
    kept.keeper.look(100.0 + LOOK_EVERY - 0.001)
    assert (kept.kept(), kept.looks) == ([1, 1], 1)
    kept.keeper.look(100.0 + LOOK_EVERY)
    assert (kept.kept(), kept.looks) == ([2, 2], 2)
    kept.keeper.look(100.0 + 2 * LOOK_EVERY)
    assert (kept.kept(), kept.looks) == ([2, 2], 3)


def test_the_first_look_is_made_whatever_the_clock_says(kept: _Kept) -> None:
    kept.keeper.look(-5.0)
    assert kept.looks == 1


def test_logs_that_come_later_are_kept_too(kept: _Kept) -> None:
    kept.keeper.look(0.0)
    kept.paths.append(kept.paths[0].with_name("w2.log"))
    kept.write()
    kept.keeper.look(LOOK_EVERY)
    assert kept.kept() == [2, 2, 1]


def test_what_cannot_be_set_aside_is_told_once_until_it_can(kept: _Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.trouble = True
    for now in (0.0, 1.0, 2.0):
        kept.keeper.look(now)
    told = ["a log can't be set aside: the disk is full"]
    assert [record.getMessage() for record in caplog.records] == told
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    # The look at the others goes on.
    assert (kept.kept(), kept.looks) == ([1, 1], 3)
    kept.trouble = False
    kept.keeper.look(3.0)
    kept.trouble = True
    kept.keeper.look(4.0)
    assert [record.getMessage() for record in caplog.records] == told * 2


def test_a_log_that_cannot_be_set_aside_is_tried_again(kept: _Kept, caplog: pytest.LogCaptureFixture) -> None:
    # No file can take the place of a directory.
    obstacle = kept.paths[0].with_name("s1.log.half")
    obstacle.mkdir()
    kept.keeper.look(0.0)
    assert "s1.log aside" in caplog.text
    obstacle.rmdir()
    kept.keeper.look(1.0)
    assert kept.kept() == [1, 1]
