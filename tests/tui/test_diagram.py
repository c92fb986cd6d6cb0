"""The diagram of a system: trouble is shown by colour and sign, on its own box only."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from core.monitor.snapshot import Presence
from tests.tui import scene
from tui.translations import Translations
from tui.view import View, WorkerRow
from tui.widgets.diagram import DiagramLine, draw


def view_of(*presences: Presence) -> View:
    """Return the scene, with workers of these presences."""
    view = scene.view()
    rows = [
        WorkerRow(process=replace(view.workers[0].process, number=number, name=f"w{number}", presence=presence))
        for number, presence in enumerate(presences, 1)
    ]
    return replace(view, workers=tuple(rows))


def texts(lines: Sequence[DiagramLine]) -> list[str]:
    """Return the text of each line."""
    return ["".join(text for text, _ in line) for line in lines]


def boxes(view: View) -> list[DiagramLine]:
    """Return the lines of the boxes of the workers."""
    lines = draw(view, Translations())
    drawn = texts(lines)
    first = next(index for index, text in enumerate(drawn) if "③" in text)
    end = next(index for index, text in enumerate(drawn) if "④" in text)
    return lines[first + 1 : end]


@pytest.mark.parametrize(
    ("presence", "sign", "style"),
    [
        (Presence.TROUBLED, "▲", "warn"),
        (Presence.STALLED, "▲", "warn"),
        (Presence.LOST, "✖", "bad"),
        (Presence.BUSY, "●", ""),
        (Presence.DRAINING, "◑", ""),
    ],
)
def test_only_the_box_of_a_troubled_worker_shows_it(presence: Presence, sign: str, style: str) -> None:
    lines = boxes(view_of(Presence.BUSY, presence, Presence.ONLINE))
    styles = [[style for text, style in line if text.strip()] for line in lines]
    assert styles == [["", style, ""]] * 5
    assert f"{sign} w2" in texts(lines)[1]


def test_workers_without_a_box_are_counted_with_the_sign_of_the_worst() -> None:
    calm = boxes(view_of(*[Presence.BUSY] * 6))
    assert calm[-1] == (("   + 2", ""),)
    troubled = boxes(view_of(*[Presence.BUSY] * 4, Presence.STALLED, Presence.LOST, Presence.BUSY))
    assert troubled[-1] == (("   + 3", ""), (" ✖", "bad"))


def test_four_boxes_fit_into_80_columns() -> None:
    lines = texts(boxes(view_of(*[Presence.BUSY] * 4)))
    assert {cell_len(line) for line in lines} == {77}
    assert [line.count("│") for line in lines] == [0, 8, 8, 8, 0]


def test_a_diagram_without_workers_says_so() -> None:
    assert "no worker" in texts(boxes(view_of()))[1]
