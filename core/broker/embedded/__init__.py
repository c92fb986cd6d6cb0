"""The embedded queue: a broker in one SQLite file, shared by the processes of one machine, with nothing to install.

The journal can rebuild it, so its commits need no fsync.
"""

from core.broker.embedded.broker import EmbeddedBroker

__all__ = ["EmbeddedBroker"]
