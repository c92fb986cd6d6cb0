"""The view: the state of the system and its troubles."""

import pytest
from msgspec.structs import replace

from core.model import MAX_KINDS, Counters, Ledger, Part, Role, RunningTask, Trouble
from core.monitor.delays import Delays
from core.monitor.snapshot import Presence, ProcessView, Snapshot
from core.supervisor.plan import ProcessKind
from core.supervisor.status import Phase, SystemStatus, UnitState, UnitStatus
from tui.view import EMPTY, Health, View, WorkerRow, offered_kinds, rows_of


def process_view(
    name: str, presence: Presence = Presence.ONLINE, *, pid: int = 7, troubles: tuple[Trouble, ...] = ()
) -> ProcessView:
    """A process as the journal tells of it."""
    return ProcessView(
        number=pid,
        role=Role.SERVER if name.startswith("s") else Role.WORKER,
        name=name,
        host="here",
        pid=pid,
        address="127.0.0.1:7101" if name.startswith("s") else "",
        threads=1,
        presence=presence,
        troubles=troubles,
        seen_at=0.0,
        counters=Counters(),
        rate=0.0,
        in_hand=(),
    )


def unit(
    name: str,
    state: UnitState = UnitState.READY,
    *,
    pid: int | None = 7,
    note: str = "",
    kind: ProcessKind = ProcessKind.WORKER,
    troubles: tuple[Trouble, ...] = (),
) -> UnitStatus:
    """A process as the supervisor tells of it."""
    return UnitStatus(name=name, kind=kind, state=state, pid=pid, note=note, troubles=troubles)


def status(*parts: UnitStatus, phase: Phase = Phase.RUNNING) -> SystemStatus:
    """What the supervisor tells."""
    return SystemStatus(
        phase=phase,
        listen="127.0.0.1:7100",
        servers=(),
        broker="b",
        directory="/d",
        host="here",
        pid=1,
        processes=tuple(parts),
    )


def view(
    *processes: ProcessView,
    report: SystemStatus | None = None,
    journal: str = "",
    broker: str = "",
    supervisor: str = "",
    number: int = 1,
) -> View:
    """A view of these."""
    rows = tuple(WorkerRow(process=each) for each in processes if each.role is Role.SERVER)
    return View(
        number=number,
        snapshot=Snapshot(
            processes=processes, troubles=(*_trouble(Part.JOURNAL, journal), *_trouble(Part.BROKER, broker))
        ),
        servers=rows,
        report=report,
        troubles_seen=_trouble(Part.SUPERVISOR, supervisor),
    )


def _trouble(part: Part, reason: str) -> tuple[Trouble, ...]:
    return (Trouble(part, reason),) if reason else ()


def waiting(*processes: ProcessView) -> View:
    """A view of these while tasks wait."""
    seen = view(*processes)
    return replace(seen, snapshot=replace(seen.snapshot, ledger=Ledger(queued=3)))


AWAY = (Trouble(Part.BROKER, "away"),)

LIGHTS: dict[str, tuple[View, Health]] = {
    "nothing was looked at": (EMPTY, Health.UNKNOWN),
    "nothing was ever here": (view(), Health.EMPTY),
    "there is no journal": (view(journal="there is no journal"), Health.EMPTY),
    "everything has left": (view(process_view("w1", Presence.LEFT), process_view("w2", Presence.LOST)), Health.EMPTY),
    "the look itself failed": (view(supervisor="it can't be looked at", number=-1), Health.TROUBLED),
    "the supervisor does not answer": (view(supervisor="no answer"), Health.TROUBLED),
    "started by another supervisor": (view(process_view("w1")), Health.READY),
    "busy": (view(process_view("w1", Presence.BUSY)), Health.READY),
    "a worker without the broker": (view(process_view("w1", Presence.TROUBLED, troubles=AWAY)), Health.TROUBLED),
    "the broker is away": (view(process_view("w1"), broker="away"), Health.TROUBLED),
    "nothing is known yet": (view(process_view("w1", Presence.UNKNOWN)), Health.UNKNOWN),
    "one is not known yet, others live": (
        view(process_view("w1", Presence.UNKNOWN), process_view("w2", pid=8)),
        Health.READY,
    ),
    "one was lost, others live": (view(process_view("w1", Presence.LOST), process_view("w2", pid=8)), Health.READY),
    "tasks wait, and no worker is alive": (
        waiting(process_view("s1"), process_view("w1", Presence.LOST)),
        Health.TROUBLED,
    ),
    "tasks wait for a worker that is not known yet": (
        waiting(process_view("s1"), process_view("w1", Presence.UNKNOWN)),
        Health.READY,
    ),
    "tasks wait for a worker": (waiting(process_view("w1", Presence.BUSY)), Health.READY),
    "a supervisor without processes": (view(report=status()), Health.READY),
    "starting": (view(report=status(unit("w1", UnitState.STARTING), phase=Phase.STARTING)), Health.STARTING),
    "starting with trouble": (
        view(report=status(unit("w1", UnitState.CRASHED), phase=Phase.STARTING)),
        Health.STARTING,
    ),
    "stopping": (view(process_view("w1"), report=status(unit("w1"), phase=Phase.STOPPING)), Health.STOPPING),
    "all is well": (view(process_view("w1"), report=status(unit("w1"))), Health.READY),
    "one was stopped by hand": (view(report=status(unit("w1", UnitState.STOPPED))), Health.READY),
    "one crashed": (
        view(process_view("w1"), report=status(unit("w1"), unit("w2", UnitState.CRASHED))),
        Health.TROUBLED,
    ),
}


@pytest.mark.parametrize(("shown", "light"), LIGHTS.values(), ids=LIGHTS)
def test_the_light_shows_the_state_of_the_system(shown: View, light: Health) -> None:
    assert shown.light is light


TROUBLES: dict[str, tuple[View, tuple[str, ...]]] = {
    "none": (view(process_view("w1"), report=status(unit("w1"))), ()),
    "the journal": (view(journal="locked"), ("journal: locked",)),
    "the broker": (view(broker="refused"), ("broker: refused",)),
    "two parts": (view(broker="away", supervisor="no answer"), ("broker: away", "supervisor: no answer")),
    "a unit with a note": (view(report=status(unit("w1", UnitState.CRASHED, note="died"))), ("w1: died",)),
    "a unit without one": (view(report=status(unit("w1", UnitState.RESTARTING))), ("w1: restarting",)),
    "parts that are units": (
        view(
            report=status(
                unit("rabbitmq", UnitState.RESTARTING, note="killed", kind=ProcessKind.RABBITMQ),
                unit("nginx", UnitState.CRASHED, note="died", kind=ProcessKind.NGINX),
            )
        ),
        ("rabbitmq: broker: killed", "nginx: balancer: died"),
    ),
    "a unit that can't use another part": (
        view(report=status(unit("w1", UnitState.TROUBLED, note="broker: away", troubles=AWAY))),
        ("w1: broker: away",),
    ),
    "parts that are on their way": (
        view(report=status(*(unit("w1", state) for state in (UnitState.WAITING, UnitState.STARTING)))),
        (),
    ),
    "a process of another machine": (view(process_view("w1", Presence.TROUBLED, troubles=AWAY)), ("w1: broker: away",)),
    "one that the supervisor tells of already": (
        view(
            process_view("w1", Presence.TROUBLED, troubles=AWAY),
            report=status(unit("w1", UnitState.TROUBLED, note="broker: away", troubles=AWAY)),
        ),
        ("w1: broker: away",),
    ),
    "a process of another machine with the name and the PID of ours": (
        view(
            replace(process_view("w1", Presence.TROUBLED, troubles=AWAY), host="there"),
            report=status(unit("w1")),
        ),
        ("w1: broker: away",),
    ),
    "a process of another machine with the PID of ours": (
        view(process_view("w9", Presence.TROUBLED, troubles=AWAY), report=status(unit("w1"))),
        ("w9: broker: away",),
    ),
    "two things at once": (
        view(process_view("w1", Presence.TROUBLED, troubles=(*AWAY, Trouble(Part.JOURNAL, "locked")))),
        ("w1: broker: away", "w1: journal: locked"),
    ),
}


@pytest.mark.parametrize(("shown", "troubles"), TROUBLES.values(), ids=TROUBLES)
def test_each_trouble_is_listed_once(shown: View, troubles: tuple[str, ...]) -> None:
    assert tuple(map(str, shown.troubles)) == troubles


def test_clients_connect_to_the_supervisors_address_or_to_a_live_server() -> None:
    assert view(process_view("s1"), report=status()).listen == "127.0.0.1:7100"
    assert view(process_view("s1", Presence.LOST)).listen == ""
    alive = replace(process_view("s2", pid=8), address="127.0.0.1:7102")
    assert view(process_view("s1", Presence.LEFT), process_view("w1", pid=9), alive).listen == "127.0.0.1:7102"
    assert EMPTY.listen == ""


def test_the_tasks_in_flight_are_those_of_all_workers() -> None:
    hands = [replace(process_view(name), in_hand=(RunningTask(f"of-{name}", "echo", 0.0),)) for name in ("w1", "w2")]
    assert view(*hands).running_ids == {"of-w1", "of-w2"}


def test_a_row_combines_what_is_known_of_a_process() -> None:
    known = Delays(1.0, 2.0, 3.0, 4.0)
    processes = (process_view("w1", pid=2), process_view("w2", pid=3))
    report = status(unit("w1", pid=2), unit("w4", pid=3), unit("w5", pid=None))
    rows = rows_of(processes, {2: (1.0, 2.0)}, {"w1": known}, report)
    assert tuple(row.process for row in rows) == processes
    assert (rows[0].history, rows[0].delays, rows[0].unit) == ((1.0, 2.0), known, report.processes[0])
    # The supervisor's w4 has the number that w2 has on another machine.
    assert (rows[1].history, rows[1].delays, rows[1].unit) == ((), None, None)


def test_a_process_of_another_machine_is_not_the_supervisors_of_its_name_and_id() -> None:
    other = replace(process_view("w1", Presence.UNKNOWN), host="there")
    [row] = rows_of([other], {}, {}, status(unit("w1")))
    assert (row.process, row.unit) == (other, None)


def test_a_process_without_a_heartbeat_is_in_trouble_while_the_supervisor_runs_it() -> None:
    processes = (process_view("w1", Presence.UNKNOWN, pid=2), process_view("w2", Presence.UNKNOWN, pid=3))
    locked = Trouble(Part.JOURNAL, "database is locked")
    report = status(unit("w1", UnitState.TROUBLED, pid=2, troubles=(locked,)), unit("w2", UnitState.STARTING, pid=9))
    first, second = (row.process for row in rows_of(processes, {}, {}, report))
    assert (first.presence, [each.reason for each in first.troubles]) == (Presence.TROUBLED, ["database is locked"])
    assert second.presence is Presence.UNKNOWN


def test_a_process_that_has_ended_is_lost_even_if_the_supervisor_does_not_know_it_yet() -> None:
    report = status(unit("w1", UnitState.STARTING, pid=2))
    [row] = rows_of([process_view("w1", Presence.LOST, pid=2)], {}, {}, report)
    assert row.process.presence is Presence.LOST


def offered(*workers: tuple[Presence, tuple[str, ...]]) -> tuple[str, ...]:
    """The kinds that are offered beside a server and these workers; `fail` was submitted some time ago."""
    processes = [
        replace(process_view(f"w{number}", presence, pid=number), kinds=kinds)
        for number, (presence, kinds) in enumerate(workers)
    ]
    return offered_kinds(Snapshot(processes=(process_view("s1"), *processes)), ("fail",))


def test_the_kinds_of_all_live_workers_are_offered_and_no_others() -> None:
    assert offered((Presence.BUSY, ("echo", "mine")), (Presence.STARTING, ("echo", "a"))) == ("a", "echo", "mine")
    assert offered((Presence.ONLINE, ("echo",)), (Presence.LOST, ("mine",)), (Presence.LEFT, ("b",))) == ("echo",)


def test_kinds_that_were_submitted_are_offered_while_workers_do_not_tell_all_of_theirs() -> None:
    assert offered() == ("fail",)
    assert offered((Presence.LOST, ("mine",))) == ("fail",)
    assert offered((Presence.ONLINE, ("mine",)), (Presence.ONLINE, ())) == ("fail", "mine")
    many = tuple(f"k{number}" for number in range(MAX_KINDS))
    assert "fail" in offered((Presence.ONLINE, many))
