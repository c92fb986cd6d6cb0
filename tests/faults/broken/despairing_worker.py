"""A worker that dies when its lease has expired."""

import os

from core.broker.embedded import broker
from core.broker.embedded.consumer import EmbeddedConsumer
from core.broker.embedded.queue_file import QueueFile


class DespairingConsumer(EmbeddedConsumer):
    """Begins one lease, and exits instead of beginning another."""

    def _begin_lease(self, file: QueueFile) -> None:
        if self._lease.number:
            os._exit(1)
        super()._begin_lease(file)


broker.EmbeddedConsumer = DespairingConsumer  # type: ignore[attr-defined]  # this is what is wrong with it
