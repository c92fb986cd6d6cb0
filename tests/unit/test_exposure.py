"""The conditions for a server to accept other machines."""

import argparse
import os
from pathlib import Path

import pytest

from core import config, exposure
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError
from core.file_permissions import owner_only, readable_by_others
from core.supervisor import options as supervisor
from core.supervisor import plan
from core.supervisor.home import Home
from core.supervisor.nginx import configuration
from core.supervisor.plan import Planner

HERE = Address("127.0.0.1", 7100)
EVERYWHERE = Address("0.0.0.0", 7100)  # noqa: S104 - nothing is bound


def settings_of(*flags: str) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, exposure.OPTIONS)
    return config.load((config.DIRECTORY, *exposure.OPTIONS), parser.parse_args(flags), {})


def supervisor_settings(directory: Path, *flags: str) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, supervisor.OPTIONS)
    return config.load(supervisor.OPTIONS, parser.parse_args(["--dir", str(directory), *flags]), {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "tasks.example"])  # noqa: S104 - nothing is bound
@pytest.mark.parametrize("token", [True, False])
def test_other_machines_need_token_and_encryption(host: str, token: bool) -> None:
    listen = Address(host, 7100)
    wanted = "a certificate with --tls-certificate" if token else "a token with --token-file"
    with pytest.raises(ConfigurationError, match=wanted):
        exposure.check(settings_of(), listen, token=token)
    encrypted = settings_of("--tls-certificate", "c.pem")
    if token:
        assert exposure.check(encrypted, listen, token=True) == ""
    else:
        with pytest.raises(ConfigurationError, match="a token"):
            exposure.check(encrypted, listen, token=False)


def test_insecure_listen_needs_a_token_and_warns() -> None:
    settings = settings_of("--insecure-listen")
    assert exposure.check(settings, EVERYWHERE, token=True).startswith("INSECURE: listening on 0.0.0.0:7100")
    assert exposure.check(settings, HERE, token=False) == ""
    with pytest.raises(ConfigurationError, match="give a token"):
        exposure.check(settings, EVERYWHERE, token=False)


def test_a_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="give its certificate too"):
        exposure.check(settings_of("--tls-key", "k.pem"), HERE, token=False)


def test_clients_are_limited_by_default_where_other_machines_can_connect() -> None:
    default = settings_of()
    assert exposure.rate_limit(default, HERE) == exposure.connections_per_client(default, HERE) == 0
    assert exposure.rate_limit(default, EVERYWHERE) == exposure.REMOTE_RATE_LIMIT
    assert exposure.connections_per_client(default, EVERYWHERE) == exposure.REMOTE_CONNECTIONS_PER_CLIENT
    given = settings_of("--rate-limit", "7", "--connections-per-client", "0")
    assert exposure.rate_limit(given, HERE) == exposure.rate_limit(given, EVERYWHERE) == 7
    assert exposure.connections_per_client(given, EVERYWHERE) == 0


def test_a_supervisor_passes_these_settings_to_its_servers(tmp_path: Path) -> None:
    flags = ("--tls-certificate", "c.pem", "--tls-key", "k.pem", "--listen", "0.0.0.0:7100", "--nginx")
    settings = supervisor_settings(tmp_path, *flags)
    assert plan.check(settings, token=True) == ""
    environment = Planner(settings, Home(tmp_path), "python").server(1, HERE).environment
    assert environment["CAUCE_SERVER_TLS_CERTIFICATE"] == str(Path("c.pem").absolute())
    assert environment["CAUCE_SERVER_TLS_KEY"] == str(Path("k.pem").absolute())
    assert environment["CAUCE_SERVER_RATE_LIMIT"] == str(exposure.REMOTE_RATE_LIMIT)
    quiet = Planner(supervisor_settings(tmp_path), Home(tmp_path), "python").server(1, HERE).environment
    assert not [name for name in quiet if name.startswith("CAUCE_SERVER")]


def test_a_supervisor_ignores_the_other_settings_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "cauce.toml").write_text('[server]\ntls-certificate = "c.pem"\nmax-line = 2048\n', "utf-8")
    settings = supervisor_settings(tmp_path)
    assert settings[exposure.TLS_CERTIFICATE] == str(tmp_path / "c.pem")


def test_nginx_limits_the_connections_of_an_address_if_set() -> None:
    servers = [Address("127.0.0.1", 7101)]
    assert "limit_conn" not in configuration.render(HERE, servers)
    text = configuration.render(HERE, servers, 12)
    assert "    limit_conn_zone $binary_remote_addr zone=clients:10m;\n" in text
    assert "        limit_conn clients 12;\n" in text
    assert "@" not in text


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights elsewhere")
def test_a_file_created_for_its_owner_is_readable_by_no_other_user(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "export.csv"
        with open(path, "x", encoding="utf-8", opener=owner_only) as stream:
            stream.write("mine")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not readable_by_others(path)
    path.chmod(0o640)
    assert readable_by_others(path)
    assert not readable_by_others(tmp_path / "missing")
    assert not readable_by_others("/dev/null")
