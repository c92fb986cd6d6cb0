"""What programs in a directory learn from the system that runs there, and what the next supervisor remembers."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from core.supervisor import state
from core.supervisor.state import ChildRecords
from tests.integration.programs import Ended, clean_environment
from tests.integration.supervised import Supervised, kill, pid_of, settled
from tests.services import warm
from tests.services.certificates import Pair
from tests.services.waiting import wait_until

PATIENCE = 60.0
TASKS = """
from core.tasks import task


@task("mine")
def mine(payload: str) -> str:
    return payload.upper()
"""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    """A system whose commands are run in a directory with a module of tasks."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "mine_tasks.py").write_text(TASKS, "utf-8")
    with Supervised(tmp_path / "system") as supervised:
        supervised.current_directory = project
        yield supervised


def ask(system: Supervised, program: str, *arguments: str) -> Ended:
    """Run a program of ours that is told nothing but the directory."""
    module = f"core.{program}" if program != "tui" else program
    return Ended(*warm.run(module, [*arguments, "--dir", str(system.home.directory)], clean_environment()))


def test_programs_find_the_system_of_their_directory(system: Supervised, local_pair: Pair) -> None:
    token = system.current_directory / "token"
    token.write_text("hush\n", "utf-8")
    token.chmod(0o600)
    report = system.up(
        *(2, 1, "--tasks", "mine_tasks", "--database", "other.db", "--broker", "embedded:other-queue.db"),
        *("--token-file", "token", "--stop-timeout", "7", *local_pair.flags),
    )
    place = f"(from the system running in {system.home.directory})"
    submitted = ask(system, "client", "submit", "--kind", "mine", "x", "--wait")
    assert (submitted.code, submitted.output.split()[-1]) == (0, '"X"'), submitted.errors
    shown = " ".join(ask(system, "client", "--show-config").output.split())
    assert f"client.server {','.join(report.servers)} {place}" in shown
    assert f"client.tls-ca {local_pair.certificate} {place}" in shown
    assert f"token-file {token} {place}" in shown

    snapshot = msgspec.json.decode(ask(system, "monitor", "--once", "--json").output)
    assert snapshot["ledger"]["done"] == 1
    assert snapshot["depth"] == {"ready": 0, "dead": 0}

    view = msgspec.json.decode(ask(system, "tui", "--dump", "--lab").output)
    assert view["snapshot"]["depth"] == {"ready": 0, "dead": 0}
    assert "mine" in view["kinds"]
    assert "fail" not in view["kinds"]

    assert ask(system, "supervisor", "redispatch").code == 0
    assert f"supervisor.stop-timeout 7 {place}" in " ".join(system.run("down", "--show-config").output.split())
    # A worker that is restarted would follow the file otherwise.
    (system.home.directory / "cauce.toml").write_text('broker = "embedded:wrong.db"\n', "utf-8")
    assert ask(system, "supervisor", "restart", "w1").code == 0
    assert ask(system, "client", "submit", "--kind", "mine", "y", "--wait").code == 0
    assert "--shutdown-timeout" in psutil.Process(pid_of(system.status(), "w1")).cmdline()
    system.down()
    system.assert_nothing_left(report)
    assert "(default)" in ask(system, "monitor", "--show-config").output.splitlines()[2]


def test_the_next_supervisor_finds_task_modules_from_wherever_it_is_started(system: Supervised) -> None:
    report = system.up(1, 1, "--tasks", "mine_tasks", "--database", "other.db")
    system.kill_supervisor()
    # The system itself goes on, and is found.
    assert ask(system, "client", "submit", "--kind", "mine", "x", "--wait").code == 0
    assert msgspec.json.decode(ask(system, "monitor", "--once", "--json").output)["ledger"]["done"] == 1
    system.current_directory = system.home.directory
    again = system.up(1, 1)
    assert pid_of(again, "w1") == pid_of(report, "w1")
    kill(pid_of(again, "w1"))

    def has_come_back() -> bool:
        now = system.status()
        return settled(now) and pid_of(now, "w1") not in {None, pid_of(report, "w1")}

    wait_until(has_come_back, "another worker", PATIENCE)
    assert ask(system, "client", "submit", "--kind", "mine", "y", "--wait").code == 0
    assert state.load(system.home.children, ChildRecords) is not None
    assert system.run("down").code == 0
