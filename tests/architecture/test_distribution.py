"""How the tests are distributed over processes, and what those processes inherit."""

import signal

import pytest

from tests import conftest


@pytest.mark.parametrize(
    ("file", "scope"),
    [
        ("tests/integration/test_supervisor_storm.py", "tests/integration/test_supervisor_storm.py::test_a"),
        ("tests/faults/test_quick.py", "tests/faults/test_quick.py::test_a"),
        ("tests/integration/test_client_system.py", "tests/integration/test_client_system.py"),
        ("tests/unit/test_addresses.py", "tests/unit/test_addresses.py"),
        ("tests/integration/test_rabbitmq_faults.py", conftest.BREAKS),
        ("tests/integration/test_path.py", conftest.BREAKS),
    ],
)
def test_tests_that_share_a_fixture_run_in_one_process_and_other_slow_ones_apart(file: str, scope: str) -> None:
    assert conftest.scope_of(f"{file}::test_a") == scope


def test_interrupts_reach_programs_also_when_the_tests_run_in_the_background() -> None:
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        conftest.pytest_configure()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
