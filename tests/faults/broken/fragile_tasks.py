"""Kinds whose worker dies of a foreign message: it takes for granted that its messages are its own."""

from core.broker.base import Delivery, Reference
from core.worker import fetcher, program
from core.worker.fetcher import Fetcher
from tests.faults.honest import honest

__all__ = ["honest"]


class FragileFetcher(Fetcher):
    """Reads without looking."""

    def _read(self, delivery: Delivery) -> Reference | None:
        return fetcher._decode(delivery.body)  # noqa: SLF001 - the same decoder, without what is done when it fails


program.Fetcher = FragileFetcher  # type: ignore[attr-defined]  # this is what is wrong with it
