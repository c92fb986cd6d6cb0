"""RabbitMQ as a broker: the only package that imports pika, whose exceptions stop here.

Each publisher, consumer and gauge is a `Link` (a thread that owns one connection) and a `Duty` (what is done with
it, all in that thread); the classes that others see hand work over to the thread and take what it gives back.
"""

from core.broker.rabbitmq.broker import RabbitBroker
from core.broker.rabbitmq.connection import quiet_pika

__all__ = ["RabbitBroker", "quiet_pika"]
