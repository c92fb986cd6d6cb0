"""The limits of a client, access from other machines, and permissions of files, with real servers."""

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.addresses import Address
from core.client import Client, NewSubmission
from core.client.load_command import LoadCommand, LoadOptions
from core.client.pool import ConnectionPool
from core.errors import RequestRefused
from tests.integration.programs import run, server, worker
from tests.integration.supervised import Supervised
from tests.integration.wire import Wire
from tests.services.certificates import Pair
from tests.services.waiting import wait_until

TOKEN = "contraseña"  # noqa: S105 - it is a test's


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The file with a token."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", "utf-8")
    file.chmod(0o600)
    return file


@pytest.fixture
def any_umask() -> Iterator[None]:
    """Make new files readable by all users by default."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("program", ["core.server", "core.supervisor"])
def test_other_machines_can_not_connect_without_encryption(
    tmp_path: Path, token: Path, local_pair: Pair, program: str
) -> None:
    command = ["up"] if program == "core.supervisor" else []
    where = (*command, "--dir", str(tmp_path / "system"), "--listen", "0.0.0.0:0")
    for flags, words in (
        ((), "lets other machines connect: give a token"),
        (local_pair.flags, "lets other machines connect: give a token"),
        (("--insecure-listen",), "lets other machines connect: give a token"),
        (("--token-file", str(token)), "give a certificate with --tls-certificate and --tls-key (or,"),
    ):
        ended = run(program, *where, *flags)
        assert ended.code == 2
        assert words in ended.errors
    assert not (tmp_path / "system").exists()


def test_an_exposed_server_starts_with_token_and_certificate(tmp_path: Path, token: Path, local_pair: Pair) -> None:
    flags = ("--token-file", str(token), *local_pair.flags, "--listen", "0.0.0.0:0")
    with server(tmp_path, "s1", *flags) as program:
        assert program.ready().address.host == "0.0.0.0"  # noqa: S104 - the requested address
        assert "INSECURE" not in program.log
        program.terminate()
        assert program.wait() == 0


def test_insecure_listen_warns_at_each_start(tmp_path: Path, token: Path) -> None:
    flags = ("--token-file", str(token), "--insecure-listen", "--listen", "0.0.0.0:0")
    with server(tmp_path, "s1", *flags) as program:
        program.ready()
        assert "WARNING" in program.log
        assert "INSECURE: listening on 0.0.0.0:0 lets other machines connect without encryption" in program.log
        program.terminate()
        assert program.wait() == 0


def test_requests_beyond_the_rate_are_refused_with_the_time_to_wait(tmp_path: Path) -> None:
    with server(tmp_path, "s1", "--rate-limit", "10") as program:
        address = program.ready().address
        with Wire(address) as busy, Wire(address) as quiet:
            busy.send(*({"op": "stats", "ref": number} for number in range(50)))
            replies = [busy.reply() for _ in range(50)]
            refused = [reply["error"] for reply in replies if "error" in reply]
            assert 28 <= len(refused) <= 30
            assert {error["code"] for error in refused} == {"overloaded"}
            assert all(1.5 < error["retry_after"] <= 3.0 for error in refused)
            assert quiet.ok("stats")["server"] == "s1"
        program.terminate()
        assert program.wait() == 0


def test_the_client_waits_as_asked_and_loses_nothing(tmp_path: Path) -> None:
    with server(tmp_path, "s1", "--rate-limit", "300") as program:
        address = program.ready().address
        ids = [f"task-{number}" for number in range(1200)]
        with Client(address) as client:
            results = list(client.submit_many(NewSubmission("echo", 1, task_id) for task_id in ids))
        assert sorted(result.id for result in results) == sorted(ids)
        order = LoadOptions(tasks=900, connections=1, window=400, rate=None, kind="echo", payload="", wait=False)
        with ConnectionPool([address], None, 10.0) as pool, Client(address) as client:
            figures = LoadCommand(pool, client, order, 20.0, lambda _: None).run()
        assert figures.accepted == 900
        assert figures.errors["overloaded"] > 0
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log


def test_replies_to_repeated_wrong_tokens_are_delayed(tmp_path: Path, token: Path) -> None:
    with server(tmp_path, "s1", "--token-file", str(token)) as program:
        address = program.ready().address
        for number in range(5):
            with Wire(address) as wire:
                assert wire.error("hello", token=f"guess {number}")["message"] == "token: wrong"
                assert wire.rest() == []
        for _ in range(2):
            with Wire(address) as impatient:
                # Ending the input does not bring the reply sooner.
                impatient.send({"op": "hello", "ref": 1, "token": "another guess"})
                impatient.half_close()
                with Wire(address) as known:
                    assert known.ok("hello", token=TOKEN)["server"] == "s1"
                assert not select.select([impatient.socket], [], [], 0)[0], "the later client is answered first"
                assert [line["error"]["message"] for line in impatient.rest()] == ["token: wrong"]
        program.terminate()
        assert program.wait() == 0
        assert "guess" not in program.log


def test_a_remote_client_is_identified_by_its_address(tmp_path: Path, token: Path) -> None:
    outside = _own_address()
    flags = ("--token-file", str(token), "--insecure-listen", "--listen", "0.0.0.0:0")
    with server(tmp_path, "s1", *flags, "--connections-per-client", "2", "--rate-limit", "10") as program:
        port = program.ready().address.port
        address = Address(outside, port)
        with Wire(address) as first, contextlib.ExitStack() as here:
            with Wire(address) as second:
                for wire in (first, second):
                    wire.ok("hello", token=TOKEN)
                with Wire(address) as third:
                    [refusal] = third.rest()
                    assert refusal["error"]["code"] == "overloaded"
                    assert refusal["error"]["message"] == f"{outside} has 2 connections already"
                # Both connections share one limit.
                began = time.monotonic()
                replies = []
                for wire in (first, second):
                    wire.send(*({"op": "stats", "ref": number} for number in range(20)))
                    replies += [wire.reply() for _ in range(20)]
                granted = sum("ok" in reply for reply in replies)
                seconds = time.monotonic() - began
                assert 20 <= granted <= 21 + 10 * seconds
                for _ in range(5):
                    local = here.enter_context(Wire(Address("127.0.0.1", port)))
                    assert local.ok("hello", token=TOKEN)
                    assert local.ok("stats")

            def has_room() -> bool:
                with Wire(address) as another:
                    return "ok" in another.ask("hello", token=TOKEN)

            wait_until(has_room, "the place of the connection that was closed")
        program.terminate()
        assert program.wait() == 0


def _own_address() -> str:
    """Return an address of this machine other than loopback."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not Address(address.address, 0).is_loopback:
                return address.address
    pytest.skip("this machine has no address but the loopback ones")


@pytest.mark.nginx
def test_nginx_limits_the_connections_of_a_client(tmp_path: Path, nginx_program: Path) -> None:
    assert nginx_program.exists()
    with Supervised(tmp_path) as system:
        address = Address.parse(system.up(1, 1, "--nginx", "--connections-per-client", "2").listen)
        # NGINX may still count the supervisor's probe.
        wait_until(lambda: _takes(address, 2), "NGINX to take two connections")
        assert not _takes(address, 3)


def _takes(address: Address, count: int) -> bool:
    """Return whether this many simultaneous connections are all served."""
    with contextlib.ExitStack() as stack:
        try:
            return all("ok" in stack.enter_context(Wire(address)).ask("hello") for _ in range(count))
        except (AssertionError, ConnectionError):
            return False


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights elsewhere")
def test_a_token_file_that_others_can_read_is_warned_of(tmp_path: Path, token: Path) -> None:
    token.chmod(0o644)
    with server(tmp_path, "s1", "--token-file", str(token)) as program:
        program.ready()
        assert f"other users of this machine can read {token}; run chmod 600 on it" in program.log
        assert TOKEN not in program.log
        with pytest.raises(RequestRefused, match="token: missing"), Client(program.address) as client:
            client.stats()
        program.terminate()
        assert program.wait() == 0


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights elsewhere")
@pytest.mark.usefixtures("any_umask")
def test_all_files_of_a_system_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "system"
    with Supervised(directory) as system:
        report = system.up(1, 1)
        with Client(report.listen) as client:
            assert client.submit("echo", 1).result(timeout=60) == 1
        every = [directory, *directory.rglob("*")]
        made = {path: stat.S_IMODE(path.lstat().st_mode) for path in every if not path.is_symlink()}
        system.down()
    names = {path.name for path in made}
    assert {"resultados.db", "resultados.db-wal", ".cauce", "queue.db", "s1.log", "supervisor.json"} <= names
    assert {path.name: oct(mode) for path, mode in made.items() if mode & 0o077} == {}


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights elsewhere")
@pytest.mark.usefixtures("any_umask")
def test_files_of_programs_run_by_hand_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "system"
    with server(tmp_path / "logs", "s1", "--dir", str(directory)) as program:
        wait_until((directory / "resultados.db").exists, "the journal to be made")
        with worker(tmp_path / "logs", "w1", "--dir", str(directory)):
            wait_until((directory / ".cauce" / "queue.db").exists, "the queue to be made")
            made = {path: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.rglob("*")]}
    assert program.process.poll() is not None
    assert {path.name: oct(mode) for path, mode in made.items() if mode & 0o077} == {}


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights elsewhere")
def test_doctor_names_files_that_others_can_read(tmp_path: Path, token: Path) -> None:
    with server(tmp_path) as program:
        program.ready()
        program.terminate()
        assert program.wait() == 0
    quiet = run("core.supervisor", "doctor", "--dir", str(tmp_path), "--token-file", str(token))
    assert "other users may read or write" not in quiet.output
    (tmp_path / "resultados.db").chmod(0o644)
    tmp_path.chmod(0o777)
    token.chmod(0o604)
    report = run("core.supervisor", "doctor", "--dir", str(tmp_path), "--token-file", str(token))
    assert "other users may read or write resultados.db, token" in report.output
    assert f"chmod -R go-rwx {tmp_path / 'resultados.db'}" in report.output
    assert f"any user may replace files in {tmp_path}" in report.output
