"""The root directory of another Debian: what is copied there, and what is refused before anything is made."""

import os
from pathlib import Path

import pytest

from tests.__main__ import TOP, GateError
from tests.versions import __main__ as versions

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a root directory of Debian is made on Linux only")


def test_the_working_tree_is_copied_as_it_is_and_a_virtual_environment_stays(tmp_path: Path) -> None:
    tree = versions.inside(tmp_path, versions.TREE)
    (tree / ".venv").mkdir(parents=True)
    (tree / "core").mkdir()
    (tree / "core" / "deleted.py").touch()
    versions.copy_tree(tmp_path)
    assert (tree / "core" / "errors.py").read_bytes() == (TOP / "core" / "errors.py").read_bytes()
    assert sorted(path.name for path in tree.iterdir() if path.name.startswith(".v")) == [".venv"]
    assert not (tree / "core" / "deleted.py").exists()
    assert not (tree / ".git").exists()


def test_only_root_can_make_a_root_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert versions.main(["--root", str(tmp_path / "root")]) == 1
    assert "only be made as root" in capsys.readouterr().err
    assert not (tmp_path / "root").exists()


def test_a_directory_of_somebody_else_is_no_root_directory(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(GateError, match="choose another --root"):
        versions.make_root(tmp_path)
    assert (tmp_path / "precious").exists()


def test_mounts_in_a_directory_are_found_before_it_is_removed() -> None:
    lines = ["22 27 0:21 / /made/root/proc rw - proc proc rw", "24 27 0:6 / /made/rooted rw - devtmpfs devtmpfs rw"]
    assert versions.mounts_in(Path("/made/root"), "\n".join(lines)) == ["/made/root/proc"]
    assert versions.mounts_in(Path("/made/root/dev"), "\n".join(lines)) == []
