"""From a setting to a broker."""

from pathlib import Path

from core.broker.base import Broker
from core.errors import ConfigurationError

EMBEDDED_FILE = Path(".cauce") / "queue.db"


def open_broker(url: str, directory: Path) -> Broker:
    """Make the broker that a setting names.

    Args:
        url: `embedded`, `embedded:FILE`, or one or several `amqp://` or `amqps://` URLs parted by commas.
        directory: what files are relative to.

    Raises:
        ConfigurationError: it names none.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "embedded":
        from core.broker.embedded import EmbeddedBroker  # the other broker's library need not be loaded

        return EmbeddedBroker(directory / (rest or EMBEDDED_FILE))
    if scheme in {"amqp", "amqps"}:
        from core.broker.rabbitmq import RabbitBroker, quiet_pika

        quiet_pika()
        return RabbitBroker([part.strip() for part in url.split(",") if part.strip()])
    raise ConfigurationError(f"broker: {scheme!r} is none of embedded, embedded:FILE, amqp://… and amqps://…")
