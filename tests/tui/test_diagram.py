"""The picture of a system: only what is troubled looks so, by colour and by a sign."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from core.monitor.snapshot import Presence
from tests.tui import scene
from tui.translations import Translations
from tui.view import View, WorkerRow
from tui.widgets.diagram import Line, draw


def view_of(*presences: Presence) -> View:
    """The scene, with workers that are like this."""
    view = scene.view()
    rows = [
        WorkerRow(process=replace(view.workers[0].process, number=number, name=f"w{number}", presence=presence))
        for number, presence in enumerate(presences, 1)
    ]
    return replace(view, workers=tuple(rows))


def texts(lines: Sequence[Line]) -> list[str]:
    """What stands in each line."""
    return ["".join(text for text, _ in line) for line in lines]


def boxes(view: View) -> list[Line]:
    """The lines that the workers' boxes take."""
    lines = draw(view, Translations())
    drawn = texts(lines)
    first = next(place for place, text in enumerate(drawn) if "③" in text)
    end = next(place for place, text in enumerate(drawn) if "④" in text)
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
def test_only_the_box_of_a_troubled_worker_looks_so(presence: Presence, sign: str, style: str) -> None:
    lines = boxes(view_of(Presence.BUSY, presence, Presence.ONLINE))
    styles = [[style for text, style in line if text.strip()] for line in lines]
    assert styles == [["", style, ""]] * 5
    assert f"{sign} w2" in texts(lines)[1]


def test_those_without_a_box_are_counted_and_the_worst_of_them_is_told() -> None:
    calm = boxes(view_of(*[Presence.BUSY] * 6))
    assert calm[-1] == (("   + 2", ""),)
    troubled = boxes(view_of(*[Presence.BUSY] * 4, Presence.STALLED, Presence.LOST, Presence.BUSY))
    assert troubled[-1] == (("   + 3", ""), (" ✖", "bad"))


def test_the_boxes_stand_beside_each_other_in_80_columns() -> None:
    lines = texts(boxes(view_of(*[Presence.BUSY] * 4)))
    assert {cell_len(line) for line in lines} == {77}
    assert [line.count("│") for line in lines] == [0, 8, 8, 8, 0]


def test_without_workers_that_is_said() -> None:
    assert "no worker" in texts(boxes(view_of()))[1]
