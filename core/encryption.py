"""TLS: the settings of a client, what both sides encrypt with, and what went wrong in words for people.

It opens no connection: a server's and a client's sockets are wrapped by whoever owns them.
"""

import ssl
from dataclasses import dataclass
from typing import NoReturn

from core import config
from core.addresses import Address
from core.config import Option, Settings
from core.errors import ConfigurationError
from core.exposure import TLS_CERTIFICATE, TLS_KEY

TLS = Option(
    "client.tls",
    config.switch,
    False,
    "encrypt, and take servers whose certificate an authority of this machine vouches for",
    ("--tls",),
)
TLS_CA = Option(
    "client.tls-ca",
    config.optional_text,
    "",
    "encrypt, and take only servers whose certificate this authority vouches for: a PEM file",
    ("--tls-ca",),
    "FILE",
)
TLS_NAME = Option(
    "client.tls-name",
    config.optional_text,
    "",
    "the name that the servers' certificate has to hold (default: the host that is connected to)",
    ("--tls-name",),
    "NAME",
)

CLIENT_OPTIONS = (TLS, TLS_CA, TLS_NAME)

_OTHER_NAME = frozenset({62, 64})
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
_NOT_YET_VALID, _EXPIRED = 9, 10
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
_NOTHING_IN_COMMON = ("PROTOCOL", "HANDSHAKE_FAILURE", "NO_SHARED_CIPHER")


@dataclass(frozen=True)
class Encryption:
    """What a client encrypts with."""

    context: ssl.SSLContext
    """Knows whom to trust."""
    name: str = ""
    """What the certificate has to be for; the host that is connected to when empty."""

    @classmethod
    def trusting(cls, ca: str = "", name: str = "") -> "Encryption":
        """Trust an authority.

        Args:
            ca: its certificate, a PEM file; those that this machine trusts when empty.
            name: what the servers' certificate has to be for; the host that is connected to when empty.

        Raises:
            ConfigurationError: the file can't be used, or the name can be no host's.
        """
        if name:
            Address(name, 0)
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca or None)
        except ssl.SSLError as error:
            raise ConfigurationError(f"client.tls-ca: {ca} holds no certificate in PEM") from error
        except OSError as error:
            raise ConfigurationError(f"client.tls-ca: {ca} can't be read: {error.strerror or error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return cls(context, name)


def for_client(settings: Settings) -> Encryption | None:
    """What the settings say that a client encrypts with; None when it doesn't.

    Raises:
        ConfigurationError: they don't go together, or a file can't be used.
    """
    ca, name = settings[TLS_CA], settings[TLS_NAME]
    wanted = settings[TLS] if settings.given(TLS) else bool(ca)
    if wanted:
        return Encryption.trusting(ca, name)
    if name and not settings.given(TLS):
        raise ConfigurationError("client.tls-name is of no use without encryption: give --tls-ca FILE or --tls too")
    return None


def for_server(settings: Settings) -> ssl.SSLContext | None:
    """What the settings say that a server encrypts with; None when it doesn't.

    Raises:
        ConfigurationError: a file can't be used.
    """
    certificate, key = settings[TLS_CERTIFICATE], settings[TLS_KEY]
    if not certificate:
        return None
    for option, file in ((TLS_CERTIFICATE, certificate), (TLS_KEY, key)):
        _check_readable(option.key, file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(certificate, key or None, _no_password)
    except ssl.SSLError as error:
        raise ConfigurationError(_no_pair(error, certificate, key)) from error
    return context


def unverified() -> ssl.SSLContext:
    """What to look with at a server of one's own, whoever it says that it is: show it no secret."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def untrusted(error: ssl.SSLError, host: str) -> str:
    """What a person has to mend before a server can be spoken with; empty when it may be better the next time.

    Args:
        error: what came of the handshake.
        host: the name that the certificate was to hold.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_words(error, host)
    reason = error.reason or ""
    if reason in _NO_TLS:
        return "the server speaks no TLS: start it with --tls-certificate, or connect without --tls-ca and --tls"
    if any(sign in reason for sign in _NOTHING_IN_COMMON):
        return f"the server and this client have no version or cipher of TLS in common ({reason})"
    return ""


def _certificate_words(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in _OTHER_NAME:
        return (
            f"the server's certificate is not for {host}: connect by a name that is in it, "
            "or say with --tls-name which one to expect"
        )
    if code in _UNKNOWN_SIGNER:
        return (
            "the server's certificate is signed by nobody whom this client trusts: "
            "give the right authority with --tls-ca (if that is given, this may not be the server that you mean)"
        )
    if code == _EXPIRED:
        return "the server's certificate has expired: the server needs a new one"
    if code == _NOT_YET_VALID:
        return "the server's certificate is not valid yet: set the clocks, or wait"
    return f"the server's certificate can't be trusted: {error.verify_message}"


def _check_readable(key: str, file: str) -> None:
    """Say which of the files is missing: what loads them doesn't."""
    try:
        if file:
            with open(file, "rb"):
                return
    except OSError as error:
        raise ConfigurationError(f"{key}: {file} can't be read: {error.strerror or error}") from error


def _no_pair(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"server.tls-key: {key or certificate} is the key of another certificate than {certificate}"
    return f"server.tls-certificate: {certificate} and {key or 'the key in it'} are no certificate and key in PEM"


def _no_password() -> NoReturn:
    """Keep OpenSSL from asking at a terminal that a server may not have."""
    raise ConfigurationError("server.tls-key: the key is locked with a password, which nobody is there to type")
