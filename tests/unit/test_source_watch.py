"""Which changes of files a worker notices."""

import os
from pathlib import Path

from core.file_states import FileState, state_of
from core.runner import source_files
from core.worker.source_watch import INTERVAL, MAX_RESTLESS, SourceWatch


class Files:
    """Files that a test changes, a watch on them, and a clock."""

    def __init__(self, *paths: str) -> None:
        self.states = {path: FileState(path, 1, 1) for path in paths}
        self.watch = SourceWatch(self.states.__getitem__)
        self.watch.take(list(self.states.values()))
        self.now = 100.0

    def change(self, path: str, at: int) -> None:
        """Change a file."""
        self.states[path] = FileState(path, at, at)

    def look(self) -> list[str]:
        """Let time pass, and return what has changed."""
        self.now += INTERVAL
        return list(self.watch.changed(self.now))


def test_a_change_is_noticed_once_when_the_files_rest() -> None:
    files = Files("a", "b")
    assert files.look() == files.look() == []
    files.change("a", 2)
    assert files.look() == []
    files.change("b", 3)  # an editor saves one after the other
    assert files.look() == []
    assert files.look() == ["a", "b"]
    assert files.look() == files.look() == []


def test_a_file_that_never_rests_does_not_hide_the_change_of_another() -> None:
    files = Files("a", "busy")
    files.change("a", 2)
    found = []
    for number in range(3 * MAX_RESTLESS):
        files.change("busy", 10 + number)
        found += files.look()
    assert found == ["a"]
    assert [files.look() for _ in range(3)] == [["busy"], [], []]


def test_what_changes_while_it_is_imported_is_noticed() -> None:
    files = Files("a")
    files.change("a", 2)
    files.watch.take([FileState("a", 1, 1)])
    assert [files.look() for _ in range(3)] == [[], ["a"], []]


def test_the_files_are_looked_at_now_and_then() -> None:
    files = Files("a")
    files.look()
    files.change("a", 2)
    assert list(files.watch.changed(files.now + INTERVAL / 2)) == []
    assert [files.look() for _ in range(2)] == [[], ["a"]]


def test_without_files_nothing_changes() -> None:
    assert Files().look() == []


def test_a_removed_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("1", "utf-8")
    before = state_of(str(file))
    assert before.size == 1
    os.utime(file, ns=(5, 5))
    assert state_of(str(file)) == FileState(str(file), 5, 1)
    file.unlink()
    assert state_of(str(file)) == FileState(str(file))


def test_only_the_users_files_are_watched() -> None:
    paths = {file.path for file in source_files.imported()}
    assert __file__ in paths
    core = str(Path(source_files.__file__).parents[1])
    assert not [path for path in paths if path.startswith(core) or "site-packages" in path]
    assert os.__file__ not in paths
