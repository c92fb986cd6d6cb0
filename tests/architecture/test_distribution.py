"""How the tests are distributed over processes, and what those processes inherit."""

import signal

import pytest

from tests import conftest


@pytest.mark.parametrize(
    ("file", "apart"),
    [
        ("tests/integration/test_supervisor_storm.py", True),
        ("tests/faults/test_quick.py", True),
        ("tests/integration/test_rabbitmq_faults.py", False),
        ("tests/unit/test_addresses.py", False),
    ],
)
def test_tests_of_slow_files_are_apart_unless_they_share_a_fixture(file: str, apart: bool) -> None:
    assert conftest.is_apart(file) is apart


def test_interrupts_reach_programs_also_when_the_tests_run_in_the_background() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        conftest.pytest_configure()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
