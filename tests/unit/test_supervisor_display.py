"""The short texts of the supervisor."""

from collections.abc import Sequence

import pytest

from core.formatting import coarse_duration, memory, processor_share
from core.supervisor.display import describe_orphans, not_ready, waiting_for
from core.supervisor.plan import ProcessKind
from core.supervisor.status import Phase, SystemStatus, UnitState, UnitStatus


def report(*units: UnitStatus) -> SystemStatus:
    """A system of these processes."""
    return SystemStatus(
        phase=Phase.RUNNING, listen="", servers=(), broker="embedded", directory="/here", pid=1, processes=units
    )


def unit(name: str, state: UnitState, *, note: str = "", kill_in: float | None = None) -> UnitStatus:
    """One process."""
    return UnitStatus(name=name, kind=ProcessKind.WORKER, state=state, pid=None, note=note, kill_in=kill_in)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0 s"),
        (0.0, "0 s"),
        (59.9, "59 s"),
        (60.0, "1 min"),
        (119.9, "1 min"),
        (3599.9, "59 min"),
        (3600.0, "1 h"),
        (172_799.0, "47 h"),
        (172_800.0, "2 d"),
        (10_000 * 86_400.0, "10000 d"),
    ],
)
def test_a_time_span_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert coarse_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(None, ""), (0, "0 MiB"), (2**20, "1 MiB"), (3 * 2**19 + 1, "2 MiB"), (2**33, "8,192 MiB")]
)
def test_memory_is_shown_in_mebibytes(size: int | None, text: str) -> None:
    assert memory(size) == text


@pytest.mark.parametrize(("share", "text"), [(None, ""), (0.0, "0%"), (0.126, "13%"), (1.0, "100%"), (3.5, "350%")])
def test_a_share_of_a_processor_is_shown_in_per_cent(share: float | None, text: str) -> None:
    assert processor_share(share) == text


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ((unit("w1", UnitState.STOPPING, kill_in=4.4),), "waiting for w1: killed in 4 s"),
        (
            (
                unit("s1", UnitState.READY),
                unit("w1", UnitState.STOPPING, kill_in=4.4),
                unit("w2", UnitState.STOPPING, kill_in=9.0),
                unit("w3", UnitState.STOPPING),
                unit("w4", UnitState.STOPPED),
            ),
            "waiting for w1, w2, w3: killed in 9 s",
        ),
        ((unit("w1", UnitState.STOPPING),), "waiting for w1: killed in 0 s"),
    ],
)
def test_the_processes_that_a_stop_waits_for(units: Sequence[UnitStatus], text: str) -> None:
    assert waiting_for(report(*units)) == text


def test_processes_that_are_not_ready_are_listed_with_their_reasons() -> None:
    text = not_ready(
        report(
            unit("s1", UnitState.READY),
            unit("s2", UnitState.STARTING, note="takes no connection"),
            unit("w1", UnitState.WAITING),
            unit("w2", UnitState.STOPPED, note="exit code 0"),
            unit("w3", UnitState.TROUBLED, note="silent"),
        )
    )
    assert text == "s2 (takes no connection), w1, w3 (silent)"
    assert not_ready(report(unit("s1", UnitState.READY))) == ""


@pytest.mark.parametrize(
    ("named", "others", "text"),
    [
        ([("s1", 17), ("w1", 18)], 0, "s1 (pid 17), w1 (pid 18)"),
        ([("s1", 17)], 2, "s1 (pid 17), 2 more that they have started"),
        ([], 3, "3 processes without a known name"),
    ],
)
def test_what_runs_without_a_supervisor(named: list[tuple[str, int]], others: int, text: str) -> None:
    assert describe_orphans(named, others) == text
