"""The diagram of a system: trouble is shown by colour and sign, on its own box only."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from rich.cells import cell_len

from core.model import Depth, Part, Role, Trouble
from core.monitor.snapshot import Presence, ProcessView
from core.supervisor.plan import ProcessKind
from core.supervisor.status import UnitState
from tests.tui import scene
from tui.translations import Translations, translations_for
from tui.view import View, WorkerRow, rows_of
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
    troubled = boxes(view_of(*[Presence.BUSY] * 4, Presence.TROUBLED, Presence.LOST, Presence.BUSY))
    assert troubled[-1] == (("   + 3", ""), (" ✖", "bad"))


def test_four_boxes_fit_into_80_columns() -> None:
    lines = texts(boxes(view_of(*[Presence.BUSY] * 4)))
    assert {cell_len(line) for line in lines} == {77}
    assert [line.count("│") for line in lines] == [0, 8, 8, 8, 0]


def test_a_diagram_without_workers_says_so() -> None:
    assert "no worker" in texts(boxes(view_of()))[1]


AWAY = Trouble(Part.BROKER, "RabbitMQ at 127.0.0.1:5672: Connection refused")
LOCKED = Trouble(Part.JOURNAL, "resultados.db can't be used now: database is locked")
SOUND = {"nginx": "", "journal": "good", "broker": "", "servers": "", "workers": ""}


def healthy() -> View:
    """Return the scene, in which everything works."""
    view = scene.view()
    report = view.report
    assert report is not None
    units = tuple(
        replace(unit, state=UnitState.READY, note="", troubles=(), pid=unit.pid or 9) for unit in report.processes
    )
    rows = [replace(row, process=calm(row.process)) for row in (*view.servers, *view.workers)]
    return replace(
        view,
        servers=tuple(row for row in rows if row.process.address),
        workers=tuple(row for row in rows if not row.process.address),
        snapshot=replace(view.snapshot, processes=tuple(row.process for row in rows)),
        report=replace(report, processes=units),
    )


def calm(process: ProcessView) -> ProcessView:
    """Return the process without its troubles."""
    return replace(process, presence=Presence.ONLINE, troubles=())


def complaining(view: View, trouble: Trouble, *, but: int = 0) -> View:
    """Return the view when all processes, but the last ones, complain."""
    rows = [*view.servers, *view.workers]
    changed = [
        replace(row, process=replace(row.process, presence=Presence.TROUBLED, troubles=(trouble,)))
        for row in rows[: len(rows) - but]
    ] + rows[len(rows) - but :]
    return replace(
        view,
        servers=tuple(changed[: len(view.servers)]),
        workers=tuple(changed[len(view.servers) :]),
        snapshot=replace(view.snapshot, processes=tuple(row.process for row in changed)),
    )


def with_unit(view: View, kind: ProcessKind, state: UnitState, *, pid: int | None = 9) -> View:
    """Return the view when units of this kind are in this state."""
    assert view.report is not None
    units = tuple(
        replace(unit, state=state, note="away", pid=pid) if unit.kind is kind else unit
        for unit in view.report.processes
    )
    return replace(view, report=replace(view.report, processes=units))


def unread(view: View, *troubles: Trouble, depth: Depth | None = None) -> View:
    """Return the view when the console itself has these troubles."""
    return replace(view, snapshot=replace(view.snapshot, depth=depth, troubles=troubles))


def no_heartbeats(view: View) -> View:
    """Return the view when no process can write its heartbeat, and the supervisor knows why."""
    assert view.report is not None
    silent = tuple(replace(process, presence=Presence.UNKNOWN) for process in view.snapshot.processes)
    pids = {process.name: process.pid for process in silent}
    units = tuple(
        replace(unit, state=UnitState.TROUBLED, note=str(LOCKED), troubles=(LOCKED,), pid=pids[unit.name])
        if unit.name in pids
        else unit
        for unit in view.report.processes
    )
    snapshot, report = replace(view.snapshot, processes=silent), replace(view.report, processes=units)
    return replace(
        view,
        servers=rows_of([each for each in silent if each.role is Role.SERVER], {}, {}, report),
        workers=rows_of([each for each in silent if each.role is Role.WORKER], {}, {}, report),
        snapshot=snapshot,
        report=report,
    )


def killed(view: View) -> View:
    """Return the view when the private RabbitMQ was killed, and every process has noticed."""
    view = with_unit(view, ProcessKind.RABBITMQ, UnitState.RESTARTING, pid=None)
    return complaining(unread(view, AWAY), AWAY)


PARTS: dict[str, tuple[View, dict[str, str]]] = {
    "everything works": (healthy(), {}),
    "RabbitMQ was killed": (killed(healthy()), {"broker": "bad", "servers": "warn", "workers": "warn"}),
    "RabbitMQ is back, and nobody has noticed yet": (
        complaining(unread(healthy(), AWAY), AWAY),
        {"broker": "warn", "servers": "warn", "workers": "warn"},
    ),
    "only the console can't reach the broker": (unread(healthy(), AWAY), {"broker": "warn"}),
    "only one worker can reach the broker": (
        complaining(unread(healthy(), depth=Depth(1, 0)), AWAY, but=1),
        {"broker": "warn", "servers": "warn", "workers": "warn"},
    ),
    "there are dead letters": (unread(healthy(), depth=Depth(1, 2)), {"broker": "warn"}),
    "the journal is locked": (
        no_heartbeats(healthy()),
        {"journal": "bad", "servers": "warn", "workers": "warn"},
    ),
    "only the console can't read the journal": (unread(healthy(), LOCKED, depth=Depth(1, 0)), {"journal": "warn"}),
    "the journal is damaged": (
        complaining(unread(healthy(), LOCKED, depth=Depth(1, 0)), LOCKED),
        {"journal": "bad", "servers": "warn", "workers": "warn"},
    ),
    "NGINX was killed": (with_unit(healthy(), ProcessKind.NGINX, UnitState.RESTARTING, pid=None), {"nginx": "bad"}),
    "NGINX gives no answer, but the servers do": (
        with_unit(healthy(), ProcessKind.NGINX, UnitState.TROUBLED),
        {"nginx": "bad"},
    ),
    "NGINX gives no answer, since no server does": (
        with_unit(
            with_unit(healthy(), ProcessKind.NGINX, UnitState.TROUBLED),
            ProcessKind.SERVER,
            UnitState.RESTARTING,
            pid=None,
        ),
        {"nginx": "warn"},
    ),
    "NGINX is starting": (with_unit(healthy(), ProcessKind.NGINX, UnitState.STARTING), {"nginx": "warn"}),
    "a task has failed, the supervisor is away": (
        replace(healthy(), report=None, troubles_seen=(Trouble(Part.SUPERVISOR, "no answer"),)),
        {},
    ),
}


@pytest.mark.parametrize(("view", "expected"), PARTS.values(), ids=PARTS)
def test_a_part_that_does_not_work_is_red_and_its_neighbours_are_not(view: View, expected: dict[str, str]) -> None:
    drawn = {**SOUND, **expected}
    if view.report is None:
        del drawn["nginx"]
    assert styles_of_parts(view) == drawn


def styles_of_parts(view: View) -> dict[str, str]:
    """Return the style of the box of each part."""
    marks = {
        "nginx": "nginx 1",
        "journal": "journal res",
        "broker": "broker Rabbit",
        "servers": " s1 ",
        "workers": " w1 ",
    }
    return {
        name: style
        for line in draw(view, Translations())
        for text, style in line
        for name, mark in marks.items()
        if mark in text
    }


def test_failed_tasks_alone_make_no_part_red() -> None:
    assert healthy().ledger.failed
    assert "bad" not in {style for line in draw(healthy(), Translations()) for _, style in line}


def test_trouble_is_told_by_a_sign_and_a_sentence_too() -> None:
    drawn = texts(draw(killed(healthy()), translations_for("es", {})))
    assert any("✖ bróker RabbitMQ en 127.0.0.1:5672" in line for line in drawn)
    assert any("conexión rechazada" in line for line in drawn)


def test_boxes_are_as_wide_as_their_cells() -> None:
    view = healthy()
    wide = [replace(row, process=replace(row.process, name="日本語の仕事をする人")) for row in view.workers]
    view = replace(view, workers=tuple(wide), broker="RabbitMQ 東京", database="日本語.db")
    drawn = texts(draw(view, Translations()))
    width = 0
    for line in drawn:
        if "╭" in line:
            width = cell_len(line)
        assert "▼" in line or cell_len(line) == width, line
