"""From a setting to a broker."""

from pathlib import Path

from core.broker.base import Broker
from core.errors import ConfigurationError

EMBEDDED_FILE = Path(".cauce") / "queue.db"


LOCAL_URL_FILE = Path(".cauce") / "rabbitmq" / "broker.url"
"""Where the supervisor writes down how its private RabbitMQ node is reached."""


def open_broker(url: str, directory: Path) -> Broker:
    """Make the broker that a setting names.

    Args:
        url: `embedded`, `embedded:FILE`, `local`, or one or several `amqp://` or `amqps://` URLs parted by commas.
        directory: what files are relative to.

    Raises:
        ConfigurationError: it names none.
    """
    if url == "local":
        url = _local_url(directory)
    scheme, _, rest = url.partition(":")
    if scheme == "embedded":
        from core.broker.embedded import EmbeddedBroker  # the other broker's library need not be loaded

        return EmbeddedBroker(directory / (rest or EMBEDDED_FILE))
    if scheme in {"amqp", "amqps"}:
        from core.broker.rabbitmq import RabbitBroker, quiet_pika

        quiet_pika()
        return RabbitBroker([part.strip() for part in url.split(",") if part.strip()])
    raise ConfigurationError(f"broker: {scheme!r} is none of embedded, embedded:FILE, local, amqp://… and amqps://…")


def _local_url(directory: Path) -> str:
    """How the private node of a data directory is reached."""
    try:
        return (directory / LOCAL_URL_FILE).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"broker: there is no private RabbitMQ node in {directory}: "
            "`python -m core.supervisor up --broker local` makes one"
        ) from error
