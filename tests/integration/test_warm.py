"""Programs of the tests that are forked behave like those that an interpreter starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.programs import clean_environment
from tests.services import warm
from tests.services.waiting import wait_until

PROBE = """
import os, sys
print(os.getcwd(), sys.argv[1:], os.environ["PROBE"], __name__, os.getsid(0) == os.getpid(), os.umask(0))
print("an error", file=sys.stderr)
sys.exit({end})
"""
WAITING = "import signal\nprint('waits', flush=True)\nsignal.pause()\n"


@pytest.fixture
def other_umask() -> Iterator[int]:
    """A mask that this process did not have before."""
    before = os.umask(0o022)
    yield before ^ 0o007
    os.umask(before)


@pytest.mark.parametrize("end", ["", "0", "7", "'a reason'", "1 / 0"])
def test_a_forked_program_runs_and_ends_as_a_started_one(tmp_path: Path, other_umask: int, end: str) -> None:
    (tmp_path / "probe.py").write_text(PROBE.format(end=end), "utf-8")
    os.umask(other_umask)
    environment = clean_environment() | {"PROBE": "set"}
    code, output, errors = warm.run("probe", ["one", "two words"], environment, directory=tmp_path)
    started = subprocess.run(
        [sys.executable, "-m", "probe", "one", "two words"],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert (code, output) == (started.returncode, started.stdout)
    # The lines of a traceback that are of what runs the module differ.
    assert errors.splitlines()[0] == "an error"
    assert errors.splitlines()[-1] == started.stderr.splitlines()[-1]


def test_it_leads_a_session_and_is_ended_by_a_signal(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(WAITING, "utf-8")
    file = tmp_path / "output"
    with file.open("wb") as output:
        process = warm.start(
            "probe", [], clean_environment(), output, subprocess.DEVNULL, directory=tmp_path, new_session=True
        )
    wait_until(lambda: file.read_text("utf-8") == "waits\n", "it to begin")
    assert os.getsid(process.pid) == process.pid
    assert process.poll() is None
    process.kill()
    assert process.wait(warm.PATIENCE) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL
