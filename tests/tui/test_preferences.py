"""The person's choices, and their file."""

import json
from pathlib import Path

import pytest

from tui.preferences import Preferences


def test_choices_are_restored(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    preferences = Preferences(file)
    preferences.put("theme", "cauce-light")
    preferences.put("tab", "failed")
    preferences.put("tab", "monitor")
    preferences.put("compact", True)
    again = Preferences(file)
    assert (again.text("theme", ""), again.text("tab", ""), again.flag("compact")) == ("cauce-light", "monitor", True)
    assert [path.name for path in tmp_path.iterdir()] == ["console.json"]


def test_there_are_no_choices_at_first_and_no_file_is_created(tmp_path: Path) -> None:
    fresh = Preferences(tmp_path / "console.json")
    assert fresh.text("theme", "cauce") == "cauce"
    assert not fresh.flag("compact")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[1, 2]",
        b"{",
        b"\xff\xfe",
        b'{"theme": "\xff"}',
        b'{"theme": "\\ud800"}',
        b'{"a":' * 10_000,
        b'{"theme": 1e999}',
        b"\x00" * 100_000,
    ],
    ids=range(10),
)
def test_an_invalid_file_is_ignored_and_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "console.json"
    file.write_bytes(content)
    preferences = Preferences(file)
    assert preferences.text("theme", "cauce") == "cauce"
    preferences.put("theme", "cauce-light")
    assert json.loads(file.read_bytes()) == {"theme": "cauce-light"}


def test_a_value_of_another_type_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    file.write_text('{"theme": 7, "compact": "yes", "tab": null}')
    preferences = Preferences(file)
    assert (preferences.text("theme", "x"), preferences.text("tab", "y"), preferences.flag("compact")) == (
        "x",
        "y",
        False,
    )


def test_choices_of_another_version_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "console.json"
    file.write_text('{"later": {"a": [1]}}')
    Preferences(file).put("compact", True)
    assert json.loads(file.read_bytes()) == {"later": {"a": [1]}, "compact": True}


def test_a_file_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    preferences = Preferences(tmp_path / "missing" / "console.json")
    preferences.put("theme", "cauce-light")
    assert preferences.text("theme", "") == "cauce-light"
    directory = Preferences(tmp_path)
    directory.put("theme", "cauce-light")
    assert directory.text("theme", "") == "cauce-light"


def test_a_value_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    preferences = Preferences(tmp_path / "console.json")
    preferences.put("filter", "\ud800")
    assert preferences.text("filter", "") == "\ud800"
