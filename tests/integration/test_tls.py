"""The system over TLS: real servers, real certificates, and one sentence for every error."""

import argparse
import contextlib
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import config, encryption
from core.addresses import Address
from core.client import Client, Encryption, NewSubmission
from core.client.load_command import LoadCommand, LoadOptions
from core.client.pool import ConnectionPool
from core.errors import ServerUnavailable, ServerUntrusted
from core.supervisor.processes.readiness import greet
from core.supervisor.status import UnitState
from tests.integration.programs import TOP, Program, run, server, worker
from tests.integration.supervised import Supervised
from tests.integration.wire import Wire
from tests.services.certificates import Authority, Pair
from tests.services.fake_server import Conversation, FakeServer
from tests.services.waiting import wait_until
from tui import options as console
from tui.services import LocalSource
from tui.system_control import LocalSystemControl

TOKEN = "contraseña"  # noqa: S105 - it is a test's


@pytest.fixture
def encrypted(tmp_path: Path, local_pair: Pair) -> Iterator[Program]:
    """An encrypting server."""
    with server(tmp_path, "s1", *local_pair.flags) as program:
        program.ready()
        yield program
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log


@pytest.fixture
def trusting(authority: Authority) -> Encryption:
    """The TLS settings of a client that trusts the authority."""
    return Encryption.trusting(str(authority.certificate))


def ask(program: Program, *flags: str, host: str = "127.0.0.1") -> tuple[int, str]:
    """Run the client. Returns its exit code and its errors."""
    where = ("--server", f"{host}:{program.address.port}")
    ended = run("core.client", *where, "--patience", "20", *flags, "stats")
    # A permanent error is reported at once, and not retried.
    return ended.code, ended.errors


def test_the_documented_authority_works(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```sh\n(.*?)^```$", (TOP / ".github" / "SECURITY.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    [commands] = [block for block in blocks if block.startswith("openssl req")]
    made = subprocess.run(
        ["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "ca-key.pem").stat().st_mode & 0o077 == 0
    pair = Pair(tmp_path / "server.pem", tmp_path / "server-key.pem")
    with server(tmp_path, "s1", *pair.flags) as program:
        program.ready()
        for host in ("127.0.0.1", "localhost"):
            assert ask(program, "--tls-ca", str(tmp_path / "ca.pem"), host=host) == (0, "")


def test_a_task_submitted_over_tls_is_stored(tmp_path: Path, encrypted: Program, trusting: Encryption) -> None:
    with (
        worker(tmp_path) as hand,
        Client(encrypted.address, tls=trusting) as client,
    ):
        hand.ready()
        ids = [f"task-{number}" for number in range(1000)]
        results = client.submit_many(NewSubmission("echo", "x" * 200, task_id) for task_id in ids)
        assert {result.id for result in results} == set(ids)
        outcomes = list(client.results(ids, timeout=60))
        assert {outcome.id for outcome in outcomes} == set(ids)
        large = "y" * 900_000
        assert client.submit("echo", large).result(timeout=60) == large


def test_the_load_command_uses_tls_too(encrypted: Program, trusting: Encryption) -> None:
    order = LoadOptions(tasks=500, connections=2, window=100, rate=None, kind="echo", payload="", wait=False)
    with (
        ConnectionPool([encrypted.address], None, 10.0, tls=trusting) as pool,
        Client(encrypted.address, tls=trusting) as client,
    ):
        figures = LoadCommand(pool, client, order, 10.0, lambda _: None).run()
    assert figures.accepted == 500
    assert figures.errors == {}


def test_the_console_submits_over_tls(tmp_path: Path, encrypted: Program, authority: Authority) -> None:
    (tmp_path / "cauce.toml").write_text(f'[client]\ntls-ca = "{authority.certificate}"\ntimeout = 5\n', "utf-8")
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, console.OPTIONS)
    settings = config.load(console.OPTIONS, parser.parse_args(["--dir", str(tmp_path)]), {})
    control = LocalSource(settings, {}).control
    assert isinstance(control, LocalSystemControl)
    with contextlib.closing(control):
        address = str(encrypted.address)
        assert control.submit(NewSubmission("echo", "one", "from-the-console"), address).id == "from-the-console"
        order = LoadOptions(tasks=50, connections=1, window=10, rate=None, kind="echo", payload="", wait=False)
        assert control.load(order, address, lambda *_: None, threading.Event()).accepted == 50


def test_a_client_survives_the_death_of_a_server(tmp_path: Path, local_pair: Pair, trusting: Encryption) -> None:
    with server(tmp_path, "s1", *local_pair.flags) as first, server(tmp_path, "s2", *local_pair.flags) as second:
        addresses = [first.ready().address, second.ready().address]
        ids = [f"task-{number}" for number in range(2000)]

        def submissions() -> Iterator[NewSubmission]:
            for number, task_id in enumerate(ids):
                if number == 1000:
                    first.process.kill()
                yield NewSubmission("echo", number, task_id)

        with Client(addresses, tls=trusting) as client:
            assert sorted(result.id for result in client.submit_many(submissions())) == sorted(ids)


def test_the_token_is_required_over_tls_too(tmp_path: Path, local_pair: Pair, authority: Authority) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", "utf-8")
    token.chmod(0o600)
    ca = ("--tls-ca", str(authority.certificate))
    with server(tmp_path, "s1", *local_pair.flags, "--token-file", str(token)) as program:
        program.ready()
        assert ask(program, *ca, "--token-file", str(token)) == (0, "")
        code, errors = ask(program, *ca)
        assert code == 1
        assert "token: missing (unauthorized)" in errors


def test_the_wrong_authority_is_reported(tmp_path: Path, encrypted: Program) -> None:
    other = Authority(tmp_path / "other")
    code, errors = ask(encrypted, "--tls-ca", str(other.certificate))
    assert code == 2
    assert "signed by an authority that this client does not trust: give the right authority with --tls-ca" in errors
    code, errors = ask(encrypted, "--tls")
    assert code == 2
    assert "signed by an authority that this client does not trust" in errors


def test_another_name_is_reported_and_the_right_one_can_be_given(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("elsewhere", "DNS:tasks.example")
    ca = ("--tls-ca", str(authority.certificate))
    with server(tmp_path, "s1", *pair.flags) as program:
        program.ready()
        for host in ("127.0.0.1", "localhost"):
            code, errors = ask(program, *ca, host=host)
            assert code == 2
            reason = f"certificate is not for {host}: connect to a name that is in it, or give the expected name with"
            assert reason in errors
        assert ask(program, *ca, "--tls-name", "tasks.example") == (0, "")
        code, errors = ask(program, *ca, "--tls-name", "other.example")
        assert code == 2
        assert "not for other.example" in errors


def test_an_expired_certificate_is_reported(tmp_path: Path, authority: Authority) -> None:
    pair = authority.issue("expired", days=0)
    with server(tmp_path, "s1", *pair.flags) as program:
        program.ready()
        code, errors = ask(program, "--tls-ca", str(authority.certificate))
        assert code == 2
        assert "the server's certificate has expired: the server needs a new one" in errors


def test_a_client_without_tls_learns_that_the_server_encrypts(encrypted: Program) -> None:
    code, errors = ask(encrypted)
    assert code == 1
    assert "this server accepts only TLS: connect with --tls-ca FILE, or --tls (unauthorized)" in errors


def test_a_client_with_tls_learns_that_the_server_does_not_encrypt(tmp_path: Path, authority: Authority) -> None:
    with server(tmp_path) as program:
        program.ready()
        code, errors = ask(program, "--tls-ca", str(authority.certificate))
        assert code == 2
        assert "the server does not speak TLS: start it with --tls-certificate, or connect without" in errors
        with Wire(program.address) as wire:
            wire.send_bytes(b"\x16\x03\x01\x02\x00\x01")
            assert [line["error"]["code"] for line in wire.rest()] == ["bad_frame"]


def test_a_stream_ends_at_once_when_the_server_is_not_trusted(tmp_path: Path, encrypted: Program) -> None:
    other = Authority(tmp_path / "other")
    with (
        Client(encrypted.address, tls=Encryption.trusting(str(other.certificate))) as client,
        pytest.raises(ServerUntrusted, match=f"{encrypted.address}: the server's certificate"),
    ):
        list(client.submit_many(NewSubmission("echo", number) for number in range(10)))


def test_a_server_that_never_completes_the_handshake_is_unavailable(trusting: Encryption) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
        with (
            Client(address, tls=trusting, timeout=0.3, patience=1.0) as client,
            pytest.raises(ServerUnavailable, match="the connection timed out"),
        ):
            client.stats()


def test_a_server_that_breaks_off_the_handshake_is_unavailable(trusting: Encryption) -> None:
    def break_off(conversation: Conversation) -> None:
        assert conversation.socket.recv(1)
        conversation.reset()

    with FakeServer(break_off) as broken:
        with (
            Client(broken.address, tls=trusting, patience=0.5) as client,
            pytest.raises(ServerUnavailable, match="no server answered"),
        ):
            client.stats()
        assert broken.connections > 1


def test_a_server_is_probed_without_the_token(encrypted: Program) -> None:
    assert greet(encrypted.address, None, 5.0, encryption.unverified_context()) == ""
    assert greet(encrypted.address, None, 5.0) == ""


def test_a_server_that_can_not_encrypt_does_not_start(tmp_path: Path, local_pair: Pair) -> None:
    ended = run("core.server", "--dir", str(tmp_path), "--tls-certificate", str(local_pair.certificate))
    assert ended.code == 2
    assert "are not a PEM certificate and its key" in ended.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.nginx
def test_a_whole_system_encrypts_behind_nginx_too(
    tmp_path: Path, authority: Authority, local_pair: Pair, nginx_program: Path
) -> None:
    assert nginx_program.exists()
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", "utf-8")
    token.chmod(0o600)
    text = f'token-file = "{token}"\n[client]\ntls-ca = "{authority.certificate}"\n'
    text += f'[server]\ntls-certificate = "{local_pair.certificate}"\ntls-key = "{local_pair.key}"\nmax-line = 4096\n'
    (tmp_path / "cauce.toml").write_text(text, "utf-8")
    with Supervised(tmp_path) as system:
        report = system.up(2, 1, "--nginx")
        assert {part.state for part in report.processes} == {UnitState.READY}
        ended = run(
            "core.client",
            "--config",
            str(tmp_path / "cauce.toml"),
            "--server",
            report.listen,
            "submit",
            "--kind",
            "echo",
            "hola",
            "--wait",
        )
        assert ended.code == 0, ended.errors
        assert "hola" in ended.output
        with Client(Address.parse(report.listen), TOKEN, tls=Encryption.trusting(str(authority.certificate))) as client:
            assert client.submit("echo", 1).result(timeout=60) == 1
        system.run("restart", "servers")

        def is_ready() -> bool:
            report = system.status()
            return report is not None and report.ready

        wait_until(is_ready, "everything to be ready again")
