"""What programs learn from the system that runs in their directory, and what goes before it."""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from core import config, encryption, running_system
from core.addresses import Address
from core.client import options as client
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.process_identity import ProcessIdentity, identify
from core.running_system import RunningSystem
from core.supervisor import access, commands, options, state
from core.supervisor.access import Encrypted
from core.supervisor.home import Home
from core.supervisor.state import ChildRecords
from tests.services.certificates import Authority

BROKER_URL = "amqp://me:hidden@h/"
OPTIONS: tuple[config.Option[object], ...] = (config.BROKER, config.DATABASE, *client.OPTIONS)
SHARED = {"broker": BROKER_URL, "database": "other.db", "token-file": "/t"}
ADDRESSES = {"client.server": "127.0.0.1:7300,127.0.0.1:7301"}
ENCRYPTION = {"client.tls": "true", "client.tls-ca": "/c.pem", "client.tls-name": "tasks.example"}


def own_identity() -> ProcessIdentity:
    found = identify(os.getpid())
    assert found is not None
    return found


def announce(directory: Path, *processes: ProcessIdentity) -> None:
    """Write the file of a system with these processes."""
    home = Home(directory)
    home.create()
    system = RunningSystem(processes=processes, settings=SHARED, access=(ADDRESSES, ENCRYPTION))
    state.save(home.system, system)


def settings(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, OPTIONS)
    arguments = parser.parse_args(["--dir", str(directory), *flags])
    return config.load(OPTIONS, arguments, environment or {}, ask_system=True)


def test_a_program_takes_the_settings_of_the_system_that_runs_in_its_directory(tmp_path: Path) -> None:
    announce(tmp_path, ProcessIdentity(os.getpid(), 1.0), own_identity())
    found = settings(tmp_path)
    assert (found[config.BROKER], found[config.DATABASE], found[config.TOKEN_FILE]) == (BROKER_URL, "other.db", "/t")
    assert found[client.SERVER] == (Address("127.0.0.1", 7300), Address("127.0.0.1", 7301))
    assert (found[encryption.TLS_CA], found[encryption.TLS_NAME]) == ("/c.pem", "tasks.example")
    assert not found.given(client.SERVER)
    lines = {line.split()[0]: line for line in found.describe().splitlines()}
    assert f"amqp://me:********@h/  (from the system running in {tmp_path})" in lines["broker"]
    assert lines["log-level"].endswith("(default)")


def test_flags_and_environment_go_before_the_system_and_it_goes_before_the_file(tmp_path: Path) -> None:
    announce(tmp_path, own_identity())
    (tmp_path / "cauce.toml").write_text('broker = "embedded"\ndatabase = "file.db"\n', "utf-8")
    assert settings(tmp_path)[config.BROKER] == BROKER_URL
    assert settings(tmp_path, "--broker", "local")[config.BROKER] == "local"
    assert settings(tmp_path, environment={"CAUCE_DATABASE": "mine.db"})[config.DATABASE] == "mine.db"
    assert settings(tmp_path)[config.DATABASE] == "other.db"


@pytest.mark.parametrize(
    ("flags", "content", "server", "authority"),
    [
        (("--server", "there:1"), "", "there:1", ""),
        ((), '[client]\nserver = "there:1"\n', "there:1", ""),
        (("--tls-ca", "/mine.pem"), "", "127.0.0.1:7300", "/mine.pem"),
        (("--no-tls",), "", "127.0.0.1:7300", ""),
        ((), "[client]\ntimeout = 3\n", "127.0.0.1:7300", "/c.pem"),
    ],
)
def test_who_names_servers_or_encryption_is_told_nothing_about_them(
    tmp_path: Path, flags: tuple[str, ...], content: str, server: str, authority: str
) -> None:
    announce(tmp_path, own_identity())
    (tmp_path / "cauce.toml").write_text(content, "utf-8")
    found = settings(tmp_path, *flags)
    assert str(found[client.SERVER][0]) == server
    assert found[encryption.TLS_CA] == authority


def test_a_token_in_the_environment_goes_before_the_systems_file(tmp_path: Path) -> None:
    announce(tmp_path, own_identity())
    assert config.read_token(settings(tmp_path, environment={"CAUCE_TOKEN": "mine"})) == "mine"
    with pytest.raises(ConfigurationError, match="/t can't be read"):
        config.read_token(settings(tmp_path))


def test_a_system_whose_processes_have_ended_tells_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        former = identify(ended.pid) or ProcessIdentity(ended.pid, 1.0)
    announce(tmp_path, former)
    assert running_system.find(tmp_path) is running_system.NONE
    assert settings(tmp_path)[config.BROKER] == "embedded"


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"[]", b'{"settings": {"broker": 1}}', b'{"settings": {"broker": "x"'),
        b'{"processes": [{"pid": 123456789012345678901234567890, "started": 1e308}, {"pid": -1, "started": 0}]}',
    ],
)
def test_a_file_that_is_not_valid_tells_nothing(tmp_path: Path, content: bytes) -> None:
    announce(tmp_path, own_identity())
    (tmp_path / running_system.FILE).write_bytes(content)
    assert running_system.find(tmp_path) is running_system.NONE


@pytest.mark.skipif(os.name != "posix", reason="owners of files are POSIX")
def test_the_files_of_another_user_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, own_identity())
    home = Home(tmp_path)
    state.save(home.children, ChildRecords())
    if os.geteuid() == 0:
        # The administrator trusts no other user either.
        for path in (home.path, *home.path.iterdir()):
            os.chown(path, 12_345, -1)
    else:
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigurationError, match=r"system.json belongs to another user, .*: run it as "):
        running_system.find(tmp_path)
    for act in (
        lambda: state.load(home.children, ChildRecords),
        home.create,
        lambda: commands.down(home),
    ):
        with pytest.raises(SupervisorError, match="belongs to another user"):
            act()


@pytest.mark.skipif(os.name != "posix", reason="owners of files are POSIX")
def test_the_files_of_the_administrator_are_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    announce(tmp_path, own_identity())
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    assert running_system.find(tmp_path) is not running_system.NONE


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX")
def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    announce(tmp_path, own_identity())
    assert (tmp_path / running_system.FILE).stat().st_mode & 0o077 == 0


# What a supervisor tells.


def supervisors(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    return config.load(options.OPTIONS, parser.parse_args(["--dir", str(directory), *flags]), environment or {})


def test_a_supervisor_tells_its_stop_timeout_unless_the_file_gives_it(tmp_path: Path) -> None:
    key = options.STOP_TIMEOUT.key
    assert key not in access.shared_settings(supervisors(tmp_path))
    assert access.shared_settings(supervisors(tmp_path, "--stop-timeout", "5"))[key] == "5"
    (tmp_path / "cauce.toml").write_text("[supervisor]\nstop-timeout = 5\n", "utf-8")
    assert key not in access.shared_settings(supervisors(tmp_path))


def test_a_supervisor_tells_addresses_that_this_machine_can_connect_to(tmp_path: Path) -> None:
    plain = Encrypted(supervisors(tmp_path))
    servers = [Address("127.0.0.1", 7101), Address("127.0.0.1", 7102)]
    told = access.client_access(Address("0.0.0.0", 7100), servers, plain)  # noqa: S104 - nothing is bound to it
    assert told == ({"client.server": "127.0.0.1:7100,127.0.0.1:7101,127.0.0.1:7102"},)
    assert access.client_access(servers[0], servers, plain) == ({"client.server": "127.0.0.1:7101,127.0.0.1:7102"},)
    assert access.client_access(None, [], plain) == ()


def test_a_client_is_told_the_certificate_and_a_name_in_it_if_that_is_not_its_host(
    tmp_path: Path, authority: Authority
) -> None:
    local = authority.issue("told-local")
    named = authority.issue("told-named", "DNS:*.tasks.example")
    plain = {"client.tls": "true", "client.tls-ca": str(local.certificate)}
    assert Encrypted(supervisors(tmp_path, *local.flags)).settings_for(["127.0.0.1"]) == plain
    told = Encrypted(supervisors(tmp_path, *named.flags)).settings_for(["127.0.0.1"])
    assert told["client.tls-name"] == "any.tasks.example"
    expired = authority.issue("told-expired", days=0)
    assert "client.tls-name" not in Encrypted(supervisors(tmp_path, *expired.flags)).settings_for(["127.0.0.1"])
