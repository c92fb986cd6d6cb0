"""TLS: the settings of a client, the contexts of both sides, and explanations of failed handshakes.

This module opens no connection. The owner of a socket wraps it.
"""

import contextlib
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
    "encrypt, and accept servers whose certificate is signed by an authority that this machine trusts",
)
TLS_CA = Option(
    "client.tls-ca",
    config.optional_text,
    "",
    "encrypt, and accept only servers whose certificate is signed by the authority in this PEM file, or in it",
    metavar="FILE",
    resolve=config.absolute_path,
)
TLS_NAME = Option(
    "client.tls-name",
    config.optional_text,
    "",
    "name that the servers' certificate must be for (default: the host of the connection)",
    metavar="NAME",
)

CLIENT_OPTIONS = (TLS, TLS_CA, TLS_NAME)

_OTHER_NAME = frozenset({62, 64})
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
_NOT_YET_VALID, _EXPIRED = 9, 10
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
_NOTHING_IN_COMMON = ("PROTOCOL", "HANDSHAKE_FAILURE", "NO_SHARED_CIPHER")


@dataclass(frozen=True)
class Encryption:
    """The TLS settings of a client's connections."""

    context: ssl.SSLContext
    """The context, with the trusted authorities."""
    name: str = ""
    """The name that the certificate must be for; when empty, the host of the connection."""

    @classmethod
    def trusting(cls, ca: str = "", name: str = "") -> "Encryption":
        """Make the settings of a client that trusts an authority.

        Args:
            ca: a PEM file with its certificate; when empty, the authorities that this machine trusts.
            name: the name that the servers' certificate must be for; when empty, the host of the connection.

        Raises:
            ConfigurationError: the file can't be used, or the name is not a host name.
        """
        if name:
            Address(name, 0)
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca or None)
        except ssl.SSLError as error:
            raise ConfigurationError(f"client.tls-ca: {ca} holds no PEM certificate") from error
        except OSError as error:
            raise ConfigurationError(f"client.tls-ca: {ca} can't be read: {error.strerror or error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca:
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # the file may hold the server's certificate itself
        return cls(context, name)


def for_client(settings: Settings) -> Encryption | None:
    """Return the TLS settings of a client, or None when it does not encrypt.

    Raises:
        ConfigurationError: the settings contradict each other, or a file can't be used.
    """
    ca, name = settings[TLS_CA], settings[TLS_NAME]
    wanted = settings[TLS] if settings.given(TLS) else bool(ca)
    if wanted:
        return Encryption.trusting(ca, name)
    if name and not settings.given(TLS):
        raise ConfigurationError("client.tls-name has no effect without encryption: give --tls-ca FILE or --tls too")
    return None


def for_server(settings: Settings) -> ssl.SSLContext | None:
    """Return the TLS context of a server, or None when it does not encrypt.

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
        raise ConfigurationError(_explain_pair(error, certificate, key)) from error
    return context


def certificate_names(settings: Settings) -> tuple[str, ...]:
    """Return the names and IP addresses that a server's certificate is for; none if it is not valid now.

    Raises:
        ConfigurationError: a file can't be used.
    """
    server = for_server(settings)
    if server is None:
        return ()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(settings[TLS_CERTIFICATE])
    try:
        return _names_by_handshake(client, server)
    except ssl.SSLError:
        return ()


def _names_by_handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[str, ...]:
    """Connect two contexts in memory: Python decodes only the certificate of a peer. Returns the names in it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (ours, theirs, ours, theirs):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    certificate = ours.getpeercert() or {}
    names = [str(name[1]) for name in certificate.get("subjectAltName", ())]
    return tuple(name.replace("*", "any", 1) for name in names)


def unverified_context() -> ssl.SSLContext:
    """Make a context that accepts any certificate, to probe a local server. Send no secret over it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def explain_failure(error: ssl.SSLError, host: str) -> str:
    """Return what is wrong and how to mend it, or an empty string when a retry may succeed.

    Args:
        error: the error of the handshake.
        host: the name for which the certificate must be valid.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, host)
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return "the server does not speak TLS: start it with --tls-certificate, or connect without --tls-ca and --tls"
    if any(sign in reason for sign in _NOTHING_IN_COMMON):
        return f"the server and this client have no TLS version or cipher in common ({reason})"
    return ""


def _explain_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    code = error.verify_code
    if code in _OTHER_NAME:
        return (
            f"the server's certificate is not for {host}: connect to a name that is in it, "
            "or give the expected name with --tls-name"
        )
    if code in _UNKNOWN_SIGNER:
        return (
            "the server's certificate is signed by an authority that this client does not trust: "
            "give the right authority with --tls-ca (if that is given, this may be the wrong server)"
        )
    if code == _EXPIRED:
        return "the server's certificate has expired: the server needs a new one"
    if code == _NOT_YET_VALID:
        return "the server's certificate is not valid yet: correct the clocks, or wait"
    return f"the server's certificate can't be trusted: {error.verify_message}"


def _check_readable(key: str, file: str) -> None:
    """Check that a file can be read: the error of OpenSSL would not name it."""
    try:
        if file:
            with open(file, "rb"):
                return
    except OSError as error:
        raise ConfigurationError(f"{key}: {file} can't be read: {error.strerror or error}") from error


def _explain_pair(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"server.tls-key: {key or certificate} is the key of another certificate than {certificate}"
    return f"server.tls-certificate: {certificate} and {key or 'the key in it'} are not a PEM certificate and its key"


def _no_password() -> NoReturn:
    """Raise, rather than let OpenSSL ask for a password at a terminal that a server may not have."""
    raise ConfigurationError("server.tls-key: the key is encrypted with a password: give a key without one")
