"""A worker that never settles a message that it can't read, so that it is delivered to the next one."""

import contextlib

from core.broker.base import Delivery, Reference, parse_reference
from core.worker import program
from core.worker.fetcher import Fetcher


class ClingingFetcher(Fetcher):
    """Ignores messages that it can't read."""

    def _read(self, delivery: Delivery) -> Reference | None:
        with contextlib.suppress(ValueError):
            return parse_reference(delivery.body)
        return None


program.Fetcher = ClingingFetcher  # type: ignore[attr-defined]  # this is what is wrong with it
