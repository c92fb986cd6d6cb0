"""Views of a real system, and what is red in them."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from core.broker.factory import open_broker
from core.model import Part
from core.monitor.depth import DepthWatch
from core.repository.journal import Journal
from core.supervisor.home import Home
from tui.part_states import PartState, state_of
from tui.translations import Translations
from tui.view import View
from tui.view_builder import ViewBuilder
from tui.widgets.diagram import draw

_PARTS = (Part.BROKER, Part.JOURNAL, Part.BALANCER)


@contextlib.contextmanager
def watching(directory: Path, broker: str) -> Iterator[ViewBuilder]:
    """Build views of the system of a directory."""
    opened = open_broker(broker, directory)
    journal = Journal("resultados.db", directory)
    with ViewBuilder(
        journal, Home(directory), lambda _: DepthWatch(opened.gauge), broker, broker_timeout=10
    ) as builder:
        yield builder


def look(builder: ViewBuilder) -> View:
    """Build the view of this moment."""
    return builder.build(time.monotonic(), time.time())


def broken(view: View) -> set[Part]:
    """Return the parts that are shown as broken."""
    return {part for part in _PARTS if state_of(view, part) is PartState.BROKEN}


def red(view: View) -> str:
    """Return all that is red in the diagram."""
    return "\n".join(text for line in draw(view, Translations()) for text, style in line if style == "bad")
