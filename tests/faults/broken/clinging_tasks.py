"""Kinds whose worker never settles a foreign message, so that it comes again to whoever is next."""

import contextlib

import msgspec

from core.broker.base import Delivery, Reference
from core.worker import fetcher, program
from core.worker.fetcher import Fetcher
from tests.faults.honest import honest

__all__ = ["honest"]


class ClingingFetcher(Fetcher):
    """Leaves alone what it can't read."""

    def _read(self, delivery: Delivery) -> Reference | None:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return fetcher._decode(delivery.body)  # noqa: SLF001 - the same decoder, without what is done when it fails
        return None


program.Fetcher = ClingingFetcher  # type: ignore[attr-defined]  # this is what is wrong with it
