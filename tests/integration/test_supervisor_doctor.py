"""The findings of doctor in real directories, on real ports, with real processes; it leaves no trace."""

import argparse
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from core import config
from core.database import Database
from core.model import NewTask
from core.repository.journal import Journal
from core.repository.sqlite import FAULTS
from core.supervisor import options, state
from core.supervisor.doctor import Finding, Verdict
from core.supervisor.doctor.examination import examine
from core.supervisor.doctor.journal import MAX_AUDITED_SIZE
from core.supervisor.home import Home
from core.supervisor.lock import Lock
from core.supervisor.plan import MARK, ProcessKind
from core.supervisor.processes import process_identity
from core.supervisor.state import ChildRecord, ChildRecords, SupervisorState
from tests.integration.supervised import Supervised, settled
from tests.services.ports import free_port, neighbouring_ports

ANY_PORTS = ("--listen", "127.0.0.1:0", "--server-port", "0")
WAITING = "import sys; sys.stdin.read()"


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def findings_of(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Check a directory as `python -m core.supervisor doctor` does with these flags."""
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    own = {"PATH": os.environ["PATH"]} if environment is None else environment
    settings = config.load(options.OPTIONS, parser.parse_args(["--dir", str(directory), *flags]), own)
    return list(examine(settings, own, Home(directory)))


def problems(findings: list[Finding]) -> list[str]:
    """Return the checks that found a problem."""
    return [finding.check for finding in findings if finding.verdict is Verdict.PROBLEM]


def one(findings: list[Finding], check: str) -> Finding:
    """Return the only finding of a check."""
    [found] = [finding for finding in findings if finding.check == check]
    return found


def content(directory: Path) -> dict[Path, tuple[int, bytes]]:
    """Return every file with the time of its last change."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.rglob("*") if path.is_file()}


def make_journal(directory: Path) -> Path:
    """Make a new journal without tasks."""
    journal = Journal("resultados.db", directory)
    journal.open().close()
    return journal.path


def test_a_healthy_directory_has_no_problem_and_stays_as_it_was(tmp_path: Path) -> None:
    make_journal(tmp_path)
    before = content(tmp_path)
    findings = findings_of(tmp_path, *ANY_PORTS)
    assert problems(findings) == []
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["resultados.db"]
    assert all(finding.remedy for finding in findings if finding.verdict is not Verdict.OK)
    assert one(findings, "directory").text == f"{tmp_path} can be written"
    assert one(findings, "sqlite").text.startswith("SQLite 3.")


def test_a_missing_directory_is_not_created(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "deep"
    findings = findings_of(directory, *ANY_PORTS)
    assert problems(findings) == []
    assert one(findings, "directory").text == f"{directory} does not exist yet, and can be created"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_created_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = one(findings_of(tmp_path / "file" / "under", *ANY_PORTS), "directory")
    assert found.verdict is Verdict.PROBLEM
    assert found.text.startswith(f"{tmp_path / 'file'} is not a directory")
    assert "--dir" in found.remedy


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a directory where not even root can write")
def test_a_directory_where_no_user_can_write_is_a_problem() -> None:
    assert one(findings_of(Path("/proc/self"), *ANY_PORTS), "directory").verdict is Verdict.PROBLEM
    found = one(findings_of(Path("/proc/new"), *ANY_PORTS), "directory")
    assert found.verdict is Verdict.PROBLEM
    assert 'install -d -o "$(id -un)" /proc/new' in found.remedy


def test_a_file_in_the_place_of_the_supervisors_directory_is_a_problem(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.path.write_text("")
    assert one(findings_of(tmp_path, *ANY_PORTS), "directory").text == f"{home.path} is not a directory"


@pytest.mark.skipif(os.name != "posix", reason="needs the rights of Unix files")
def test_files_that_others_may_read_are_reported(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    assert one(findings_of(tmp_path, *ANY_PORTS), "permissions").verdict is Verdict.OK
    home.log("s1").touch(0o600)
    home.log("s1").chmod(0o644)
    found = one(findings_of(tmp_path, *ANY_PORTS), "permissions")
    assert found.verdict is Verdict.WARNING
    assert "s1.log" in found.text
    subprocess.run(found.remedy, shell=True, check=True)  # noqa: S602 - it is written for a shell
    assert one(findings_of(tmp_path, *ANY_PORTS), "permissions").verdict is Verdict.OK


@pytest.mark.skipif(os.name != "posix", reason="needs the users of Unix")
def test_root_is_warned(tmp_path: Path) -> None:
    expected = Verdict.WARNING if os.geteuid() == 0 else Verdict.OK
    assert one(findings_of(tmp_path, *ANY_PORTS), "user").verdict is expected


def test_a_journal_in_use_is_left_alone(tmp_path: Path) -> None:
    path = make_journal(tmp_path)
    with Journal(path.name, tmp_path).open() as repository:
        with repository.transaction():
            assert repository.redispatch() == 0
        assert one(findings_of(tmp_path, *ANY_PORTS), "journal").verdict is Verdict.OK
        assert Path(f"{path}-wal").exists()


def fill_journal(directory: Path, count: int) -> Path:
    """A new journal with so many accepted tasks."""
    path = make_journal(directory)
    tasks = [NewTask(id=f"t{number}", kind="echo", payload='"x"', received_at=1.0) for number in range(count)]
    with Journal(path.name, directory).open() as repository, repository.transaction():
        repository.accept(tasks, None, 1.0)
    return path


def test_the_tasks_of_a_journal_are_counted(tmp_path: Path) -> None:
    fill_journal(tmp_path, 3)
    before = content(tmp_path)
    findings = findings_of(tmp_path, *ANY_PORTS)
    assert one(findings, "audit") == Finding("audit", Verdict.OK, "the ledger agrees with a count of all tasks (3)")
    assert content(tmp_path) == before


def test_the_discrepancies_of_a_journal_are_listed(tmp_path: Path) -> None:
    path = fill_journal(tmp_path, 3)
    with Database(path, FAULTS) as database:
        database.execute("UPDATE ledger SET tasks = 5 WHERE state = 'accepted'")
        database.execute("UPDATE tasks SET result = '1' WHERE id = 't1'")
    before = content(tmp_path)
    findings = findings_of(tmp_path, *ANY_PORTS)
    assert problems(findings) == ["audit"]
    found = one(findings, "audit")
    assert "accepted: 5 by the ledger, 3 counted" in found.text
    assert found.text.endswith("the rows of these tasks contradict themselves: t1")
    assert content(tmp_path) == before


def test_a_large_journal_is_not_counted(tmp_path: Path) -> None:
    path = fill_journal(tmp_path, 1)
    with Database(path, FAULTS) as database:
        database.execute("UPDATE ledger SET tasks = 5 WHERE state = 'accepted'")
    # Only the length of the file grows: the bytes after the last page belong to no table.
    os.truncate(path, MAX_AUDITED_SIZE + 4096)
    findings = findings_of(tmp_path, *ANY_PORTS)
    assert "too large to be checked for damage" in one(findings, "journal").text
    found = one(findings, "audit")
    assert found.verdict is Verdict.OK
    assert found.text.startswith("left out: counting a journal of more than 512 MB")


def test_a_journal_of_an_older_version_is_not_counted(tmp_path: Path) -> None:
    path = make_journal(tmp_path)
    with Database(path, FAULTS) as database:
        database.execute("PRAGMA user_version = 1")
    found = one(findings_of(tmp_path, *ANY_PORTS), "audit")
    assert found.verdict is Verdict.OK
    assert found.text.startswith("left out: the journal has an older schema")


def test_a_file_that_is_no_journal_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "resultados.db").write_bytes(b"not a database at all" * 1000)
    found = one(findings_of(tmp_path, *ANY_PORTS), "journal")
    assert found.verdict is Verdict.PROBLEM
    assert "not a database" in found.text
    assert "resultados.db-wal" in found.remedy


def test_a_damaged_journal_is_a_problem(tmp_path: Path) -> None:
    path = make_journal(tmp_path)
    whole = path.read_bytes()
    # The first page stays as it is, so that the file can be opened.
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    found = one(findings_of(tmp_path, *ANY_PORTS), "journal")
    assert found.verdict is Verdict.PROBLEM
    assert str(path) in found.text


def test_a_journal_of_a_newer_version_is_a_problem(tmp_path: Path) -> None:
    path = make_journal(tmp_path)
    with Database(path, FAULTS) as database:
        database.execute("PRAGMA user_version = 999")
    found = one(findings_of(tmp_path, *ANY_PORTS), "journal")
    assert found.verdict is Verdict.PROBLEM
    assert "a newer Cauce: its schema is 999" in found.text


def test_a_journal_that_cannot_be_created_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for database in ("file/under.db", "."):
        found = one(findings_of(tmp_path, *ANY_PORTS, "--database", database), "journal")
        assert found.verdict is Verdict.PROBLEM
        assert "--database" in found.remedy


def test_a_database_of_another_kind_is_a_problem(tmp_path: Path) -> None:
    assert problems(findings_of(tmp_path, *ANY_PORTS, "--database", "postgres://here/there")) == ["journal"]


def test_inconsistent_settings_are_a_problem(tmp_path: Path) -> None:
    findings = findings_of(tmp_path, *ANY_PORTS, "--token-file", str(tmp_path / "missing"))
    assert problems(findings) == ["settings"]
    assert "missing can't be read" in one(findings, "settings").text


def test_the_holder_of_a_taken_port_is_named(tmp_path: Path) -> None:
    first, taken = neighbouring_ports()
    with socket.create_server(("127.0.0.1", taken)):
        found = one(findings_of(tmp_path, "--servers", "2", "--server-port", str(first)), "ports")
    assert found.verdict is Verdict.WARNING
    assert f"127.0.0.1:{taken} is held by" in found.text
    assert f"(pid {os.getpid()})" in found.text
    assert "s2 listens on 127.0.0.1:" in found.text
    assert f"kill {os.getpid()}" in found.remedy


@pytest.mark.parametrize("flag", ["--listen", "--server-port"])
def test_a_taken_port_that_was_given_is_a_problem(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        given = ("--listen", f"127.0.0.1:{port}") if flag == "--listen" else (flag, str(port))
        found = one(findings_of(tmp_path, "--servers", "1", *given), "ports")
    assert found.verdict is Verdict.PROBLEM
    assert f"127.0.0.1:{port} is held by" in found.text
    assert f"(pid {os.getpid()})" in found.text
    assert flag in found.text
    assert flag in found.remedy


def test_an_address_of_another_machine_is_a_problem(tmp_path: Path) -> None:
    flags = ("--servers", "1", "--listen", "192.0.2.1:7100")
    found = one(findings_of(tmp_path, *flags, environment={"CAUCE_TOKEN": "shown"}), "ports")
    assert found.verdict is Verdict.PROBLEM
    assert "nothing can listen on 192.0.2.1:7100" in found.text


def test_a_port_that_a_process_of_this_system_holds_is_fine(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        identity = process_identity.identify(os.getpid())
        assert identity is not None
        record = ChildRecord(
            name="s1", kind=ProcessKind.SERVER, identity=identity, spawned_at=identity.started, address=address
        )
        state.save(home.children, ChildRecords((record,)))
        found = one(findings_of(tmp_path, "--servers", "1", "--listen", address), "ports")
    assert found == Finding("ports", Verdict.OK, f"{address} is held by s1 of this system")


def test_a_missing_broker_is_a_problem_and_its_password_is_not_shown(tmp_path: Path) -> None:
    port = free_port()
    findings = findings_of(tmp_path, *ANY_PORTS, environment={"CAUCE_BROKER": f"amqp://me:hushhush@127.0.0.1:{port}/"})
    assert problems(findings) == ["broker"]
    found = one(findings, "broker")
    assert str(port) in found.text
    assert "CAUCE_BROKER" in found.remedy
    assert not any("hushhush" in finding.text + finding.remedy for finding in findings)


@pytest.mark.parametrize(
    "url", ["amqp://me:hushhush@127.0.0.1:99999999/", "rabbit://me:hushhush@here", "amqp://me:hushhush@[::1/%zz"]
)
def test_an_invalid_broker_url_is_a_problem_and_its_password_is_not_shown(tmp_path: Path, url: str) -> None:
    findings = findings_of(tmp_path, *ANY_PORTS, environment={"CAUCE_BROKER": url})
    assert problems(findings) == ["broker"]
    assert one(findings, "broker").remedy == "correct CAUCE_BROKER"
    assert not any("hushhush" in finding.text + finding.remedy for finding in findings)


@pytest.mark.rabbitmq
def test_a_broker_that_can_be_used_and_one_that_refuses_the_user(tmp_path: Path, rabbitmq_url: str) -> None:
    assert one(findings_of(tmp_path, *ANY_PORTS, "--broker", rabbitmq_url), "broker").verdict is Verdict.OK
    refused = re.sub(r"//([^:]*):[^@]*@", r"//\1:hushhush@", rabbitmq_url)
    found = one(findings_of(tmp_path, *ANY_PORTS, "--broker", refused), "broker")
    assert found.verdict is Verdict.PROBLEM
    assert found.remedy.startswith("correct the user, the password or the virtual host in --broker")
    assert "hushhush" not in found.text


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("make_rabbitmq_node")
def test_the_programs_of_rabbitmq_are_found(tmp_path: Path) -> None:
    findings = findings_of(tmp_path, *ANY_PORTS, "--broker", "local")
    assert re.match(r"RabbitMQ \d+\.\d+.* is installed", one(findings, "broker").text)
    assert [finding for finding in findings if finding.check == "rabbitmq"] == []


def test_an_embedded_queue_that_is_damaged_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "queue.db").write_bytes(b"not a database at all" * 1000)
    found = one(findings_of(tmp_path, *ANY_PORTS, "--broker", "embedded:queue.db"), "broker")
    assert found.verdict is Verdict.PROBLEM
    assert "redispatch" in found.remedy


@pytest.mark.nginx
def test_the_nginx_of_this_machine_can_be_used(tmp_path: Path, nginx_program: Path) -> None:
    assert nginx_program.exists()
    assert one(findings_of(tmp_path, *ANY_PORTS, "--nginx"), "nginx").verdict is Verdict.OK


def test_a_declared_process_without_its_command_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "cauce.toml").write_text(
        f'[process.lamp]\ncommand = ["{Path(sys.executable).as_posix()}"]\n\n'
        '[process.clock]\ncommand = ["no-such-program-anywhere"]\n'
    )
    findings = findings_of(tmp_path, *ANY_PORTS)
    assert problems(findings) == ["declared"]
    found = one(findings, "declared")
    assert found.text == "clock: its command no-such-program-anywhere is not found"
    assert "cauce.toml" in found.remedy


def test_what_a_killed_supervisor_has_left_running_is_reported(tmp_path: Path) -> None:
    environment = {**os.environ, MARK: str(Home(tmp_path).directory)}
    with subprocess.Popen([sys.executable, "-c", WAITING], stdin=subprocess.PIPE, env=environment) as left:
        found = one(findings_of(tmp_path, *ANY_PORTS), "supervisor")
        left.communicate(timeout=60)
    assert found.verdict is Verdict.WARNING
    assert f"(pid {left.pid})" in found.text
    assert f"python -m core.supervisor up --dir {tmp_path}" in found.remedy
    assert f"python -m core.supervisor down --dir {tmp_path}" in found.remedy


def test_a_supervisor_that_does_not_answer_is_reported_soon(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    identity = process_identity.identify(os.getpid())
    assert identity is not None
    with Lock(home.lock):
        assert (
            one(findings_of(tmp_path, *ANY_PORTS), "supervisor").text == "a supervisor runs here, and does not answer"
        )
        state.save(home.state, SupervisorState(identity, f"127.0.0.1:{free_port()}", "token"))
        found = one(findings_of(tmp_path, *ANY_PORTS), "supervisor")
    assert found.verdict is Verdict.WARNING
    assert "core.supervisor down" in found.remedy
    # No supervisor runs there any more; only its file is left.
    assert one(findings_of(tmp_path, *ANY_PORTS), "supervisor").text.startswith(
        "none runs here; the last one was killed"
    )


def test_a_system_that_runs_is_fine_and_goes_on(system: Supervised) -> None:
    report = system.up(2, 1)
    findings = findings_of(system.home.directory, "--servers", "2", *ANY_PORTS)
    assert problems(findings) == []
    found = one(findings, "supervisor")
    assert found.verdict is Verdict.OK
    assert f"(pid {report.pid})" in found.text
    ports = one(findings, "ports")
    assert ports.verdict is Verdict.OK
    for name, address in zip(("s1", "s2"), report.servers, strict=True):
        assert f"{address} is held by {name} of this system" in ports.text
    assert settled(system.status())


def test_hostile_text_is_made_printable(tmp_path: Path) -> None:
    hostile = tmp_path / "a\x1b]0;owned\x07\n\u202eb"
    hostile.write_text("")
    findings = findings_of(hostile / "under", *ANY_PORTS, "--database", "\x1b[2J.db")
    assert "directory" in problems(findings)
    assert all((finding.check + finding.text + finding.remedy).isprintable() for finding in findings)


def test_an_unexpected_error_is_a_finding_and_the_other_checks_are_made(tmp_path: Path) -> None:
    usual = findings_of(tmp_path, *ANY_PORTS)
    findings = findings_of(tmp_path, *ANY_PORTS, environment={"CAUCE_DATABASE": "no\x00file"})
    assert [finding.check for finding in findings] == [finding.check for finding in usual]
    found = one(findings, "file system")
    assert found.verdict is Verdict.PROBLEM
    assert "ValueError" in found.text
