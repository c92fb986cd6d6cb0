"""The TLS contexts that the settings give, and the errors of invalid settings."""

import argparse
import ssl
from pathlib import Path

import pytest

from core import config, encryption, exposure
from core.config import Settings
from core.encryption import Encryption
from core.errors import ConfigurationError
from tests.services.certificates import Authority, Pair, openssl

OPTIONS = (config.DIRECTORY, *exposure.OPTIONS, *encryption.CLIENT_OPTIONS)


def settings_of(*flags: str) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, OPTIONS)
    return config.load(OPTIONS, parser.parse_args(flags), {})


def test_nothing_is_encrypted_by_default() -> None:
    assert encryption.for_server(settings_of()) is None
    assert encryption.for_client(settings_of()) is None


def test_old_versions_of_tls_are_refused(local_pair: Pair, authority: Authority) -> None:
    server = encryption.for_server(settings_of(*local_pair.flags))
    client = encryption.for_client(settings_of("--tls-ca", str(authority.certificate)))
    assert server is not None
    assert client is not None
    for context in (server, client.context, encryption.unverified_context()):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert client.context.check_hostname
    assert client.context.verify_mode is ssl.CERT_REQUIRED


def test_an_authority_turns_encryption_on_and_a_flag_turns_it_off(authority: Authority) -> None:
    ca = ("--tls-ca", str(authority.certificate))
    assert encryption.for_client(settings_of(*ca, "--no-tls")) is None
    named = encryption.for_client(settings_of(*ca, "--tls-name", "tasks.example"))
    assert named is not None
    assert named.name == "tasks.example"
    systems = encryption.for_client(settings_of("--tls"))
    assert systems is not None
    assert systems.context.verify_mode is ssl.CERT_REQUIRED


def test_certificate_and_key_may_be_in_one_file(tmp_path: Path, local_pair: Pair) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(local_pair.certificate.read_bytes() + local_pair.key.read_bytes())
    assert encryption.for_server(settings_of("--tls-certificate", str(both))) is not None


def test_a_file_that_a_server_can_not_use_is_named(tmp_path: Path, authority: Authority, local_pair: Pair) -> None:
    rubbish, locked = tmp_path / "rubbish.pem", tmp_path / "locked.pem"
    rubbish.write_text("no PEM\n", "utf-8")
    openssl("ec", "-in", local_pair.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    other = authority.issue("other")
    certificate = str(local_pair.certificate)
    for flags, message in (
        (("--tls-certificate", "missing.pem"), "missing.pem can't be read: No such file"),
        (("--tls-certificate", certificate, "--tls-key", "missing.pem"), "missing.pem can't be read"),
        (("--tls-certificate", str(rubbish)), "are not a PEM certificate and its key"),
        (("--tls-certificate", certificate), "and the key in it are not a PEM certificate and its key"),
        (("--tls-certificate", certificate, "--tls-key", str(other.key)), "is the key of another certificate"),
        (("--tls-certificate", certificate, "--tls-key", str(locked)), "encrypted with a password"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            encryption.for_server(settings_of(*flags))
        assert message in str(raised.value)


def test_a_setting_that_a_client_can_not_use_is_named(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no PEM\n", "utf-8")
    for flags, message in (
        (("--tls-ca", "missing.pem"), "missing.pem can't be read: No such file"),
        (("--tls-ca", str(rubbish)), "holds no PEM certificate"),
        (("--tls-name", "tasks.example"), "no effect without encryption: give --tls-ca FILE or --tls too"),
        (("--tls", "--tls-name", "..not a name"), "is not a host"),
    ):
        with pytest.raises(ConfigurationError) as raised:
            encryption.for_client(settings_of(*flags))
        assert message in str(raised.value)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("WRONG_VERSION_NUMBER", "the server does not speak TLS"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no TLS version or cipher in common"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "no TLS version or cipher in common"),
        ("UNEXPECTED_EOF_WHILE_READING", ""),
        (None, ""),
    ],
)
def test_a_failure_is_permanent_or_temporary(reason: str | None, message: str) -> None:
    error = ssl.SSLError(1, "whatever")
    error.reason = reason  # type: ignore[assignment]  # OpenSSL does not always give one
    explanation = encryption.explain_failure(error, "localhost")
    assert message in explanation
    assert bool(explanation) == bool(message)


def test_trusting_the_machine_needs_no_file() -> None:
    assert Encryption.trusting().context.verify_mode is ssl.CERT_REQUIRED
