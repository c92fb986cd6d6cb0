"""Kinds whose worker dies of a foreign message: it takes for granted that its messages are its own."""

from core.broker.base import Delivery, Reference
from core.worker import program, taker
from core.worker.taker import Taker
from tests.faults.honest import honest

__all__ = ["honest"]


class FragileTaker(Taker):
    """Reads without looking."""

    def _read(self, delivery: Delivery) -> Reference | None:
        return taker._decode(delivery.body)  # noqa: SLF001 - the same decoder, without what is done when it fails


program.Taker = FragileTaker  # type: ignore[attr-defined]  # this is what is wrong with it
