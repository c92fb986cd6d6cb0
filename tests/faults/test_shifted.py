"""The wrong clock."""

from pathlib import Path

from tests.faults.shifted import WrongClock, set_clock
from tests.services.waiting import wait_until


def test_a_clock_is_wrong_by_its_file_also_after_a_change(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    set_clock(file, 3600)
    clock = WrongClock(file, lambda: 1000.0)
    assert clock.time() == 4600
    set_clock(file, -1e9)
    wait_until(lambda: clock.time() == 1000 - 1e9, "the clock to read the file")
    assert clock.time_ns() == int((1000 - 1e9) * 1e9)
