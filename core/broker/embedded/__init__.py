"""The embedded queue: a broker in a file of its own, shared by the processes of one machine, with nothing to install.

It is only transport, as every broker here: the journal can rebuild it, so it asks for no fsync of its own.
"""

from core.broker.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
