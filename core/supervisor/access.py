"""What a supervisor tells the programs in its directory about its system: shared settings, addresses and encryption."""

from collections.abc import Mapping, Sequence

from core import config, encryption, exposure
from core.addresses import Address
from core.config import Settings, SettingSource
from core.supervisor import options

_SHARED = (config.BROKER, config.DATABASE, config.TOKEN_FILE)
SERVER_KEY = "client.server"
"""The key of the client's setting with the addresses. The client itself is none of the supervisor's concern."""


def shared_settings(settings: Settings) -> dict[str, str]:
    """Return the settings that the other programs share, as texts by key."""
    told = {option.key: settings.origins[option.key].text for option in _SHARED}
    stop_timeout = settings.origins[options.STOP_TIMEOUT.key]
    own_file = settings.file == str(settings[config.DIRECTORY] / config.FILE_NAME)
    is_in_own_file = stop_timeout.source is SettingSource.FILE and own_file
    if stop_timeout.source is not SettingSource.DEFAULT and not is_in_own_file:
        # What the directory's own file says may change until the stop.
        told[options.STOP_TIMEOUT.key] = stop_timeout.text
    return told


class Encrypted:
    """How clients on this machine check the servers' certificate.

    Args:
        settings: the supervisor's settings.

    Raises:
        ConfigurationError: the certificate can't be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._certificate = settings[exposure.TLS_CERTIFICATE]
        self._names = encryption.certificate_names(settings) if self._certificate else ()

    def settings_for(self, hosts: Sequence[str]) -> dict[str, str]:
        """Return the client's settings, as texts by key; empty without encryption.

        Args:
            hosts: the hosts that the client connects to.
        """
        if not self._certificate:
            return {}
        told = {encryption.TLS.key: "true", encryption.TLS_CA.key: self._certificate}
        if self._names and not set(hosts) <= set(self._names):
            told[encryption.TLS_NAME.key] = self._names[0]
        return told


def client_access(
    client_address: Address | None, servers: Sequence[Address], encrypted: Encrypted
) -> tuple[Mapping[str, str], ...]:
    """Return how clients on this machine reach the system, as groups of settings.

    Args:
        client_address: the address for clients, which is preferred; None without a server.
        servers: the addresses of the servers, for when that one fails.
        encrypted: how clients check the servers' certificate.
    """
    if client_address is None:
        return ()
    addresses = list(dict.fromkeys(each.from_here for each in (client_address, *servers)))
    groups = ({SERVER_KEY: ",".join(map(str, addresses))}, encrypted.settings_for([each.host for each in addresses]))
    return tuple(group for group in groups if group)
