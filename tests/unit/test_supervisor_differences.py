"""What differs between a running system and the one that is asked for, and the commands that change it."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from core.supervisor import desired_state, differences
from core.supervisor.plan import ProcessKind
from core.supervisor.state import DesiredState
from core.supervisor.status import Phase, SystemStatus, UnitState, UnitStatus
from tests.unit.test_supervisor_plan import settings_of

URL = "amqp://me:hidden@127.0.0.1:5672/v"


def unit(name: str, kind: ProcessKind) -> UnitStatus:
    return UnitStatus(name=name, kind=kind, state=UnitState.READY, pid=1)


def report(directory: Path, **changes: object) -> SystemStatus:
    """Return the status of a system with two servers and two workers."""
    status = SystemStatus(
        phase=Phase.RUNNING,
        listen="127.0.0.1:7101",
        servers=("127.0.0.1:7101", "127.0.0.1:7102"),
        broker="the embedded queue",
        directory=str(directory),
        pid=1,
        processes=tuple(
            unit(f"{kind[0]}{number}", kind) for kind in (ProcessKind.SERVER, ProcessKind.WORKER) for number in (1, 2)
        ),
    )
    return replace(status, **changes)


def started(directory: Path, *flags: str, token: str = "") -> DesiredState:
    """Return the desired state of a system that was started with these flags."""
    return desired_state.with_token(desired_state.initial(settings_of(directory, *flags)), token)


def described(directory: Path, asked: tuple[str, ...], runs: tuple[str, ...] = (), **changes: object) -> list[str]:
    text = differences.describe(settings_of(directory, *asked), report(directory, **changes), started(directory, *runs))
    return [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("asked", "runs"),
    [
        ((), ()),
        ((), ("--lab", "--nginx", "-c", "9")),
        (("--servers", "2", "--workers", "2"), ()),
        (("--lab", "-c", "08", "--stop-timeout", "5"), ("--lab", "-c", "8", "--stop-timeout", "5.0")),
        (("--no-lab", "--no-nginx", "-c", "4", "--tls-key", ""), ()),
        (("--listen", "127.0.0.1:7101", "--server-port", "7101"), ()),
        (("--listen", "127.0.0.1:0", "--server-port", "0"), ()),
        (("--server-port", "7102"), ("--listen", "127.0.0.1:7101", "--server-port", "7102")),
        (("--broker", "embedded"), ()),
        (("--tasks", "mine"), ("--tasks", "mine")),
    ],
)
def test_what_runs_as_it_is_asked_for_makes_no_difference(
    tmp_path: Path, asked: tuple[str, ...], runs: tuple[str, ...]
) -> None:
    assert described(tmp_path, asked, runs) == []


@pytest.mark.parametrize(
    ("asked", "runs", "line", "command"),
    [
        (("--lab",), (), "--lab: off runs, on was asked for", "--lab"),
        (("--no-lab",), ("--lab",), "--lab: on runs, off was asked for", ""),
        (("-c", "9"), ("--lab",), "--concurrency: 4 runs, 9 was asked for", "--concurrency 9 --lab"),
        (("--runners", "2"), (), "--runners: 1 runs, 2 was asked for", "--runners 2"),
        (
            ("--max-memory-per-runner", "1.5G"),
            ("--max-memory-per-runner", "500M"),
            "--max-memory-per-runner: 500M runs, 1.5G was asked for",
            "--max-memory-per-runner 1.5G",
        ),
        (("--nginx",), (), "--nginx: off runs, on was asked for", "--nginx"),
        (("--database", "x.db"), (), "--database: resultados.db runs, x.db was asked for", "--database x.db"),
        (("--listen", ":7300"), (), "--listen: 127.0.0.1:7101 runs, :7300 was asked for", "--listen :7300"),
        (("--broker", "local"), (), "--broker: embedded runs, local was asked for", "--broker local"),
        (("--server-port", "7102"), (), "--server-port: 7101 runs, 7102 was asked for", "--server-port 7102"),
        (("--stop-timeout", "5"), (), "--stop-timeout: 60 runs, 5 was asked for", "--stop-timeout 5"),
        (("--rate-limit", "5"), (), "--rate-limit: none runs, 5 was asked for", "--rate-limit 5"),
        (("-l", "debug"), (), "--log-level: info runs, debug was asked for", "--log-level debug"),
        (
            ("--workers", "3"),
            ("--tasks", "/a.py", "--tasks", "/b.py"),
            "--workers: 2 runs, 3 was asked for (`cauce scale workers=3` changes that)",
            "--workers 3 --tasks /a.py --tasks /b.py",
        ),
    ],
)
def test_each_difference_is_named_with_the_commands_that_change_it(
    tmp_path: Path, asked: tuple[str, ...], runs: tuple[str, ...], line: str, command: str
) -> None:
    where = f" --dir {tmp_path}"
    up = " ".join(filter(None, ("cauce up", command)))
    assert described(tmp_path, asked, runs) == [
        "it runs with other settings:",
        line,
        f"to change them all: `cauce down{where}`, then `{up}{where}`",
    ]


def test_what_the_environment_or_the_file_asks_for_is_named_by_its_place(tmp_path: Path) -> None:
    file = tmp_path / "cauce.toml"
    file.write_text("[supervisor]\nlab = true\n", "utf-8")
    asked = settings_of(tmp_path, environment={"CAUCE_SUPERVISOR_HUNG_AFTER": "9"})
    text = differences.describe(asked, report(tmp_path), started(tmp_path, "--no-lab"))
    assert "CAUCE_SUPERVISOR_HUNG_AFTER: 30 runs, 9 was asked for" in text
    assert f"supervisor.lab in {file}: off runs, on was asked for" in text
    assert f"`cauce up --dir {tmp_path}`" in text


def test_a_broker_is_compared_by_what_it_is_and_no_password_is_shown(tmp_path: Path) -> None:
    place = "RabbitMQ at 127.0.0.1:5672/v"
    runs = ("--broker", URL)
    assert described(tmp_path, ("--broker", "amqp://me:hidden@127.0.0.1/v"), runs, broker=place) == []
    others = described(tmp_path, ("--broker", URL.replace("hidden", "secret")), runs, broker=place)
    assert others[1] == (
        "--broker: amqp://me:********@127.0.0.1:5672/v runs, amqp://me:********@127.0.0.1:5672/v, "
        "with another user name or password was asked for"
    )
    # A command with a masked password could not be run.
    assert others[-1].endswith(
        "then `cauce up --dir " + f"{tmp_path}`, with CAUCE_BROKER set to the URL with its password"
    )
    elsewhere = described(tmp_path, ("--broker", "embedded"), runs, broker=place)
    assert elsewhere[1].startswith("--broker: amqp://me:********@127.0.0.1:5672/v runs, embedded was asked for")
    kept = described(tmp_path, ("--lab",), runs, broker=place)
    assert kept[-1].endswith(
        f"then `cauce up --lab --dir {tmp_path}`, with CAUCE_BROKER set to the URL with its password"
    )
    assert "********" not in others[-1] + elsewhere[-1] + kept[-1]
    assert not any("hidden" in line or "secret" in line for line in others + elsewhere)


def test_tokens_are_compared_by_what_they_are(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hush\n", "utf-8")
    file.chmod(0o600)
    asked = settings_of(tmp_path, "--token-file", str(file))
    same = started(tmp_path, token="hush")  # noqa: S106 - a token of the test
    assert "hush" not in repr(same)
    assert differences.describe(asked, report(tmp_path), same) == ""
    assert differences.describe(asked, report(tmp_path), replace(same, token_digest=None)) == ""
    for former, runs in (("other", "another token"), ("", "no token")):
        text = differences.describe(asked, report(tmp_path), started(tmp_path, token=former))
        assert f"--token-file: {runs} runs, this one was asked for" in text
    by_environment = settings_of(tmp_path, environment={"CAUCE_TOKEN": "new"})
    assert "CAUCE_TOKEN: another token runs" in differences.describe(by_environment, report(tmp_path), same)
