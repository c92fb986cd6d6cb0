"""The conditions for a server to accept other machines: the settings that it shares with its supervisor, and the rule.

On an address other than loopback a server needs a token and encryption, and it limits each client.
This module opens no socket and reads no file.
"""

from core import config
from core.addresses import Address
from core.config import Option, Settings
from core.errors import ConfigurationError

REMOTE_RATE_LIMIT = 5000
"""The default limit of one client's requests per second, where other machines can connect."""

REMOTE_CONNECTIONS_PER_CLIENT = 256
"""The default limit of one client's connections, where other machines can connect."""

TLS_CERTIFICATE = Option(
    "server.tls-certificate",
    config.optional_text,
    "",
    "encrypt, with the certificate in this PEM file and the intermediate ones that follow it",
    metavar="FILE",
    resolve=config.absolute_path,
)
TLS_KEY = Option(
    "server.tls-key",
    config.optional_text,
    "",
    "PEM file with the certificate's key, if that is not in the certificate's file",
    metavar="FILE",
    resolve=config.absolute_path,
)
INSECURE_LISTEN = Option(
    "server.insecure-listen",
    config.switch,
    False,
    "accept other machines without encryption: the network can read and change everything, the token too",
)
RATE_LIMIT: Option[int | None] = Option(
    "server.rate-limit",
    config.whole_number(0, 1_000_000_000),
    None,
    f"requests a second of one client; 0 for no limit; by default {REMOTE_RATE_LIMIT} if other machines can connect",
    metavar="N",
)
CONNECTIONS_PER_CLIENT: Option[int | None] = Option(
    "server.connections-per-client",
    config.whole_number(0, 1_000_000),
    None,
    f"connections of one client; 0 for no limit; "
    f"by default {REMOTE_CONNECTIONS_PER_CLIENT} if other machines can connect",
    metavar="N",
)

OPTIONS = (TLS_CERTIFICATE, TLS_KEY, INSECURE_LISTEN, RATE_LIMIT, CONNECTIONS_PER_CLIENT)


def check(settings: Settings, listen: Address, *, token: bool) -> str:
    """Check that other machines can connect only as the settings allow. Returns a warning, or an empty string.

    Args:
        settings: the values of this module's options.
        listen: the address that clients connect to.
        token: whether clients need a token.

    Raises:
        ConfigurationError: other machines can connect without a token or without encryption.
    """
    encrypted = bool(settings[TLS_CERTIFICATE])
    if settings[TLS_KEY] and not encrypted:
        raise ConfigurationError("a key alone encrypts nothing: give its certificate too, with --tls-certificate")
    if listen.is_loopback:
        return ""
    exposed = f"listening on {listen} lets other machines connect"
    if not token:
        raise ConfigurationError(f"{exposed}: give a token with --token-file or CAUCE_TOKEN")
    if encrypted:
        return ""
    if not settings[INSECURE_LISTEN]:
        raise ConfigurationError(
            f"{exposed}, and the network can read what they send: give a certificate with --tls-certificate and "
            "--tls-key (or, where the network itself is safe, --insecure-listen)"
        )
    return f"INSECURE: {exposed} without encryption: the network can read and change everything, the token too"


def rate_limit(settings: Settings, listen: Address) -> int:
    """Return the limit of one client's requests per second; 0 for no limit."""
    chosen = settings[RATE_LIMIT]
    return _unless_loopback(listen, REMOTE_RATE_LIMIT) if chosen is None else chosen


def connections_per_client(settings: Settings, listen: Address) -> int:
    """Return the limit of one client's connections; 0 for no limit."""
    chosen = settings[CONNECTIONS_PER_CLIENT]
    return _unless_loopback(listen, REMOTE_CONNECTIONS_PER_CLIENT) if chosen is None else chosen


def _unless_loopback(listen: Address, limit: int) -> int:
    return 0 if listen.is_loopback else limit
