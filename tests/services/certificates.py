"""A certificate authority and certificates for tests, made with the program `openssl`."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = ("DNS:localhost", "IP:127.0.0.1")
"""The names of a server on this machine."""

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags of a server's command line."""
        return "--tls-certificate", str(self.certificate), "--tls-key", str(self.key)


class Authority:
    """A certificate authority.

    Args:
        directory: the directory of its files.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.certificate = directory / "ca.pem"
        self._key = directory / "ca-key.pem"
        openssl(
            *("req", "-x509", *_KEY, "-days", "30", "-subj", f"/CN={directory.name}"),
            *("-addext", "keyUsage=critical,keyCertSign", "-keyout", self._key, "-out", self.certificate),
        )

    def issue(self, name: str, *names: str, days: int = 30) -> Pair:
        """Make a certificate.

        Args:
            name: the name of its files.
            names: the names that it is for, as `DNS:…` and `IP:…`; by default this machine's.
            days: the days of its validity; with 0 it expires at once.
        """
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}-key.pem")
        openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", pair.key, "-out", request)
        extensions.write_text(f"subjectAltName={','.join(names or HERE)}\nextendedKeyUsage=serverAuth\n", "utf-8")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-set_serial", str(1 + len(list(self._directory.iterdir()))), "-days", str(days)),
            *("-extfile", extensions, "-out", pair.certificate),
        )
        return pair


def openssl(*arguments: str | Path) -> str:
    """Run `openssl`. Returns its output."""
    try:
        done = subprocess.run(
            ["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        message = "openssl is not on this machine: install it (Debian: apt-get install openssl)"
        if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
            pytest.skip(message)
        pytest.fail(message, pytrace=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that all tests share."""
    return Authority(tmp_path_factory.mktemp("certificates") / "authority")


@pytest.fixture(scope="session")
def local_pair(authority: Authority) -> Pair:
    """The certificate of a server on this machine."""
    return authority.issue("local")
