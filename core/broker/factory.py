"""Makes the broker that a setting names."""

from pathlib import Path

from core import broker_urls
from core.broker.base import Broker
from core.errors import ConfigurationError

EMBEDDED_FILE = Path(".cauce") / "queue.db"

LOCAL_URL_FILE = Path(".cauce") / "rabbitmq" / "broker.url"
"""Where the supervisor writes the URL of its private RabbitMQ node."""


def open_broker(url: str, directory: Path) -> Broker:
    """Make the broker that a setting names.

    Args:
        url: `embedded`, `embedded:FILE`, `local`, or one or more `amqp://` or `amqps://` URLs, separated by commas.
        directory: the directory that file paths are relative to.

    Raises:
        ConfigurationError: the setting names no broker.
    """
    if url == "local":
        url = _local_url(directory)
    scheme, _, rest = url.partition(":")
    if scheme == "embedded":
        from core.broker.embedded import EmbeddedBroker  # only the library of the chosen broker is loaded

        return EmbeddedBroker(directory / (rest or EMBEDDED_FILE))
    if scheme in {"amqp", "amqps"}:
        from core.broker.rabbitmq import RabbitBroker, quiet_pika

        quiet_pika()
        return RabbitBroker(broker_urls.split(url))
    raise ConfigurationError(f"broker: {scheme!r} is not one of embedded, embedded:FILE, local, amqp://… and amqps://…")


def _local_url(directory: Path) -> str:
    """Return the URL of the private node of a data directory."""
    try:
        return (directory / LOCAL_URL_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"broker: there is no private RabbitMQ node in {directory}; "
            "start one with `python -m core.supervisor up --broker local`"
        ) from error
