"""The built-in kinds: what they compute, what they refuse, and that files stay inside their directory."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import jsontext
from core.errors import TaskInterrupted, TaskTimeout
from core.runner.interruption import RunInterruption
from core.tasks import DEFAULT_KIND, InvalidPayload, TaskContext, builtin_registry, is_permanent, run
from core.tasks.builtin import SimulatedFailure, count_primes, plausible_seconds
from core.tasks.lab import CRASH_STATUS

REGISTRY = builtin_registry(lab_kinds=True)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class Waits:
    """An interruption whose waits take no time and move the clock."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        """Return the time."""
        return self.now

    @property
    def error(self) -> None:
        """The reason to stop: there is none."""

    def wait(self, timeout: float) -> None:
        """Move the clock."""
        self.now += timeout


def call(kind: str, payload: object, files_root: Path | None = None) -> Any:
    waits = Waits()
    context = TaskContext(id="t", kind=kind, attempt=1, interruption=waits, clock=waits.clock, files_root=files_root)
    return json.loads(run(REGISTRY.get(kind), jsontext.write(payload), context))


@given(TEXT)
def test_wordcount_counts_as_python_splits(text: str) -> None:
    assert call("wordcount", text) == len(text.split())
    assert call("wordcount", {"text": text}) == len(text.split())


@given(TEXT)
def test_sha256_of_text(text: str) -> None:
    raw = text.encode()
    assert call("sha256", text) == {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}


@pytest.mark.parametrize("payload", [{"fail": "out of paper"}, {"fail": "out of paper", "seconds": 3}])
def test_simulate_fails_when_it_is_told_to_and_may_be_retried(payload: object) -> None:
    with pytest.raises(SimulatedFailure, match=r"^out of paper$") as caught:
        call("simulate", payload)
    assert not is_permanent(REGISTRY.get("simulate"), caught.value)


@given(TEXT)
def test_simulate_takes_a_plausible_time_that_depends_on_the_text(text: str) -> None:
    seconds = plausible_seconds(text)
    assert 0.5 <= seconds <= 2.0
    assert call("simulate", text)["seconds"] == seconds


def test_simulate_takes_other_times_for_other_texts() -> None:
    assert len({plausible_seconds(f"task {number}") for number in range(100)}) > 90


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (0, {"text": "0", "seconds": 0}),
        (2.5, {"text": "2.5", "seconds": 2.5}),
        ({"seconds": 3}, {"text": '{"seconds":3}', "seconds": 3}),
        ([1], {"text": "[1]", "seconds": plausible_seconds("[1]")}),
        (None, {"text": "null", "seconds": plausible_seconds("null")}),
        (True, {"text": "true", "seconds": plausible_seconds("true")}),
        ("x" * 300, {"text": "x" * 199 + "…", "seconds": plausible_seconds("x" * 300)}),
    ],
)
def test_simulate_takes_any_payload(payload: object, expected: object) -> None:
    assert DEFAULT_KIND == "simulate"
    assert call("simulate", payload) == expected


@pytest.mark.parametrize("payload", [None, "ñ", {"a": [1, 2.5, True]}, []])
def test_echo_returns_the_payload(payload: object) -> None:
    assert call("echo", payload) == payload


def test_sleep_waits_for_the_given_time() -> None:
    assert call("sleep", 1.5) == {"seconds": 1.5}
    assert call("sleep", {"seconds": 3600}) == {"seconds": 3600}
    waits = Waits()
    run(REGISTRY.get("sleep"), "7", TaskContext(id="t", kind="k", attempt=1, interruption=waits, clock=waits.clock))
    assert waits.now == 7.0


@pytest.mark.parametrize(
    ("below", "count"),
    [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 2), (10, 4), (100, 25), (1e3, 168), (1_000_000, 78_498)],
)
def test_primes_below_known_numbers(below: float, count: int) -> None:
    assert call("primes", below) == count
    assert call("primes", {"below": below}) == count


def test_primes_across_segments() -> None:
    assert call("primes", 10_000_000) == 664_579


@given(st.integers(0, 3000))
def test_primes_are_as_trial_division_finds_them(below: int) -> None:
    context = TaskContext(id="t", kind="k", attempt=1, interruption=Waits())
    primes = [n for n in range(2, below) if all(n % d for d in range(2, int(n**0.5) + 1))]
    assert count_primes(below, context) == len(primes)


def test_primes_stop_at_the_deadline_and_when_the_worker_stops() -> None:
    late = TaskContext(id="t", kind="k", attempt=1, deadline=1.0, interruption=Waits(), clock=lambda: 2.0)
    with pytest.raises(TaskTimeout):
        run(REGISTRY.get("primes"), "50000000", late)
    leave = RunInterruption()
    leave.set(TaskInterrupted())
    with pytest.raises(TaskInterrupted):
        run(REGISTRY.get("primes"), "50000000", TaskContext(id="t", kind="k", attempt=1, interruption=leave))


@pytest.mark.parametrize(
    ("kind", "payload", "words"),
    [
        ("sleep", "1", "must be a number, not text"),
        ("sleep", True, "must be a number, not true or false"),
        ("sleep", -1, "from 0 to 3,600"),
        ("sleep", 3600.5, "from 0 to 3,600"),
        ("sleep", {"second": 1}, "has 'second'"),
        ("sleep", {}, "has nothing"),
        ("simulate", {"seconds": "1"}, "must be a number"),
        ("simulate", -0.5, "from 0 to"),
        ("simulate", {"text": "a"}, "'text'"),
        ("simulate", {"fail": 1}, "fail must be text"),
        ("simulate", {"fail": "a", "second": 1}, "'second'"),
        ("wordcount", 5, "must be text, not a number"),
        ("wordcount", None, "must be text, not null"),
        ("wordcount", ["a"], "must be text, not a list"),
        ("wordcount", {"text": "a", "more": 1}, "'more'"),
        ("wordcount", {"text": {}}, "must be text, not an object"),
        ("primes", 50_000_001, "50,000,000"),
        ("primes", 2.5, "whole number"),
        ("primes", "10", "must be a number"),
        ("primes", -1, "from 0"),
        ("sha256", 5, "must be text"),
        ("sha256", {"file": 5}, "file must be text"),
        ("sha256", {"path": "a"}, "'path'"),
        ("sha256", {"file": "a"}, "no directory of files"),
    ],
)
def test_a_payload_that_a_kind_does_not_take_is_a_permanent_failure(kind: str, payload: object, words: str) -> None:
    with pytest.raises(InvalidPayload, match=words) as caught:
        call(kind, payload)
    assert is_permanent(REGISTRY.get(kind), caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory of files, with a secret beside it."""
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "files-too").mkdir()
    (tmp_path / "files-too" / "other.txt").write_text("other")
    files = tmp_path / "files"
    (files / "inner").mkdir(parents=True)
    (files / "inner" / "a.txt").write_bytes(b"abc")
    (files / "empty").write_bytes(b"")
    return files


@pytest.mark.parametrize("name", ["inner/a.txt", "./inner/a.txt", "inner/../inner/a.txt", "inner//a.txt"])
def test_sha256_of_a_file(root: Path, name: str) -> None:
    expected = {"sha256": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
    assert call("sha256", {"file": name}, root) == expected


def test_sha256_of_an_empty_file_and_of_a_large_one(root: Path) -> None:
    assert call("sha256", {"file": "empty"}, root)["bytes"] == 0
    raw = b"0123456789" * 300_000
    (root / "large").write_bytes(raw)
    expected = {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)}
    assert call("sha256", {"file": "large"}, root) == expected


def test_a_link_that_stays_inside_is_followed_also_when_the_root_is_a_link(root: Path) -> None:
    (root / "link").symlink_to("inner/a.txt")
    other = root.parent / "root-link"
    other.symlink_to(root)
    assert call("sha256", {"file": "link"}, other)["bytes"] == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../secret.txt", "leads out"),
        ("../no-such-file", "leads out"),
        ("inner/../../secret.txt", "leads out"),
        ("../files-too/other.txt", "leads out"),
        ("..", "leads out"),
        ("/etc/passwd", "within the directory"),
        ("/", "within the directory"),
        ("inner/a.txt\0.png", "within the directory"),
        ("", "within the directory"),
        ("link-out", "leads out"),
        ("folder-out/secret.txt", "leads out"),
        ("link-chain", "leads out"),
        ("device", "leads out"),
        ("pipe", "not a regular file"),
        ("inner", "not a regular file"),
        (".", "not a regular file"),
        ("missing", "no file 'missing'"),
        ("inner/a.txt/b", "no file"),
        ("loop", "no file|not a regular file"),
        ("x" * 5000, "no file"),
        ("ñ", "no file"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need rights there")
def test_names_that_lead_out_or_to_no_file_are_refused(root: Path, name: str, words: str) -> None:
    (root / "link-out").symlink_to("../secret.txt")
    (root / "folder-out").symlink_to(root.parent)
    (root / "link-chain").symlink_to("link-out")
    (root / "device").symlink_to("/dev/zero")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with pytest.raises(InvalidPayload, match=words) as caught:
        call("sha256", {"file": name}, root)
    assert str(root.parent) not in str(caught.value)


def test_a_file_that_cannot_be_read_now_may_be_retried(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "not now")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        call("sha256", {"file": "empty"}, root)
    assert not is_permanent(REGISTRY.get("sha256"), caught.value)


@pytest.mark.parametrize(("payload", "message"), [("oh no", "^oh no$"), ({"a": 1}, '^{"a":1}$')])
def test_fail_fails_with_the_payload_and_may_be_retried(payload: object, message: str) -> None:
    with pytest.raises(RuntimeError, match=message) as caught:
        call("fail", payload)
    assert not is_permanent(REGISTRY.get("fail"), caught.value)


def test_crash_ends_the_process_at_once() -> None:
    code = "from core.tasks.lab import crash\ntry:\n    crash()\nfinally:\n    print('never')\n"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (CRASH_STATUS, b"")
