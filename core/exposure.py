"""What it takes to let other machines in: the settings that a server and its supervisor share, and the rule.

Beyond the loopback address a server needs a token and encryption, and holds each client to an amount.
It opens no socket and reads no file.
"""

from core import config
from core.addresses import Address
from core.config import Option, Settings
from core.errors import ConfigurationError

RATE_BEYOND = 5000
"""Requests a second of one client, where other machines get in and nobody said otherwise."""

CONNECTIONS_BEYOND = 256
"""Connections of one client, where other machines get in and nobody said otherwise."""

TLS_CERTIFICATE = Option(
    "server.tls-certificate",
    config.optional_text,
    "",
    "a PEM file with the server's certificate, and with those between it and the authority; then all is encrypted",
    ("--tls-certificate",),
    "FILE",
)
TLS_KEY = Option(
    "server.tls-key",
    config.optional_text,
    "",
    "a PEM file with the certificate's key; when left out, it is in the certificate's file",
    ("--tls-key",),
    "FILE",
)
INSECURE_LISTEN = Option(
    "server.insecure-listen",
    config.switch,
    False,
    "let other machines in without encryption: whoever is on the way can read and change everything, the token too",
    ("--insecure-listen",),
)
RATE_LIMIT: Option[int | None] = Option(
    "server.rate-limit",
    config.whole_number(0, 1_000_000_000),
    None,
    f"requests a second that one client may make; 0 for any; when left out, {RATE_BEYOND} where other machines get in",
    ("--rate-limit",),
    "N",
)
CONNECTIONS_PER_CLIENT: Option[int | None] = Option(
    "server.connections-per-client",
    config.whole_number(0, 1_000_000),
    None,
    f"connections that one client may have; 0 for any; when left out, {CONNECTIONS_BEYOND} where other machines get in",
    ("--connections-per-client",),
    "N",
)

OPTIONS = (TLS_CERTIFICATE, TLS_KEY, INSECURE_LISTEN, RATE_LIMIT, CONNECTIONS_PER_CLIENT)


def check(settings: Settings, listen: Address, *, token: bool) -> str:
    """Make sure that strangers are not let in unawares; the warning to give, if there is one.

    Args:
        settings: with the options of this module.
        listen: where clients come in.
        token: whether they have to show one.

    Raises:
        ConfigurationError: other machines can come in, without a token or in the clear.
    """
    encrypted = bool(settings[TLS_CERTIFICATE])
    if settings[TLS_KEY] and not encrypted:
        raise ConfigurationError("a key alone encrypts nothing: give its certificate too, with --tls-certificate")
    if listen.is_loopback:
        return ""
    lets_in = f"listening on {listen} lets other machines in"
    if not token:
        raise ConfigurationError(f"{lets_in}: give a token with --token-file or CAUCE_TOKEN")
    if encrypted:
        return ""
    if not settings[INSECURE_LISTEN]:
        raise ConfigurationError(
            f"{lets_in}, and what they send can be read on the way: give a certificate with --tls-certificate and "
            "--tls-key (or, where the network itself is safe, --insecure-listen)"
        )
    return f"INSECURE: {lets_in} without encryption: whoever is on the way can read and change all, the token too"


def rate_limit(settings: Settings, listen: Address) -> int:
    """How many requests a second one client may make; 0 for any."""
    chosen = settings[RATE_LIMIT]
    return _beyond(listen, RATE_BEYOND) if chosen is None else chosen


def connections_per_client(settings: Settings, listen: Address) -> int:
    """How many connections one client may have; 0 for any."""
    chosen = settings[CONNECTIONS_PER_CLIENT]
    return _beyond(listen, CONNECTIONS_BEYOND) if chosen is None else chosen


def _beyond(listen: Address, limit: int) -> int:
    return 0 if listen.is_loopback else limit
