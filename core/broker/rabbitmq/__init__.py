"""RabbitMQ as a broker: the only package that imports pika, whose exceptions stop here.

Each publisher, consumer and gauge has a `ConnectionThread`, which owns one connection, and a `ChannelHandler`,
which uses the connection in that thread. Their public classes hand calls over to the thread.
"""

from core.broker.rabbitmq.broker import RabbitBroker
from core.broker.rabbitmq.connection import quiet_pika

__all__ = ["RabbitBroker", "quiet_pika"]
