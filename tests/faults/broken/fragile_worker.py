"""A worker that dies of a message that is not Cauce's."""

from core.broker.base import Delivery, Reference, parse_reference
from core.worker import program
from core.worker.fetcher import Fetcher


class FragileFetcher(Fetcher):
    """Decodes messages without handling errors."""

    def _read(self, delivery: Delivery) -> Reference | None:
        return parse_reference(delivery.body)


program.Fetcher = FragileFetcher  # type: ignore[attr-defined]  # this is what is wrong with it
