"""The processor time and the memory of real processes. The test sets the time."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from core.supervisor.plan import ProcessKind
from core.supervisor.processes.process_identity import ProcessIdentity, identify
from core.supervisor.processes.readiness import ProbeTarget
from core.supervisor.processes.usage import UsageMeter

PATIENCE = 60.0
BURNT = 0.2
BURNS = f"""
import sys, time
while time.process_time() < {BURNT}:
    pass
print("burnt", flush=True)
sys.stdin.read()
"""
HAS_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {BURNS!r}], stdin=subprocess.PIPE)
sys.stdin.readline()
child.communicate()
print("alone", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def running(program: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that has printed its first line; it ends with its standard input."""
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"burnt"
        yield process
    finally:
        process.communicate(timeout=PATIENCE)


def target(pid: int, kind: ProcessKind = ProcessKind.WORKER) -> ProbeTarget:
    """A process to measure."""
    identity = identify(pid)
    assert identity is not None
    return ProbeTarget(name="w1", kind=kind, pids=frozenset({pid}), host="here", spawned_at=0.0, identity=identity)


def burn(seconds: float) -> None:
    """Use the processor."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_share_is_of_the_time_between_two_measurements() -> None:
    meter, me = UsageMeter(), target(os.getpid())
    first = meter.measure([me], 100.0)[me.identity]
    assert first.cpu is None
    assert first.memory > 2**20
    began = time.process_time()
    burn(0.1)
    second = meter.measure([me], 110.0)[me.identity]
    spent = time.process_time() - began
    assert second.cpu is not None
    # The system counts in hundredths of a second.
    assert 0.008 <= second.cpu <= (spent + 0.04) / 10.0
    burn(0.2)
    third = meter.measure([me], 110.5)[me.identity]
    assert third.cpu is not None
    assert third.cpu > 0.3


def test_at_the_same_moment_there_is_no_share() -> None:
    meter, me = UsageMeter(), target(os.getpid())
    meter.measure([me], 100.0)
    assert meter.measure([me], 100.0)[me.identity].cpu is None


def test_ended_processes_are_left_out() -> None:
    meter, me = UsageMeter(), target(os.getpid())
    assert meter.measure([], 100.0) == {}
    with running(BURNS) as process:
        other = target(process.pid)
        assert set(meter.measure([me, other], 101.0)) == {me.identity, other.identity}
    assert set(meter.measure([other, me], 102.0)) == {me.identity}


def test_a_process_that_was_not_measured_last_time_has_no_share() -> None:
    meter, me = UsageMeter(), target(os.getpid())
    meter.measure([me], 100.0)
    meter.measure([], 101.0)
    assert meter.measure([me], 102.0)[me.identity].cpu is None


def test_another_process_with_the_same_id_has_no_share() -> None:
    meter, me = UsageMeter(), target(os.getpid())
    meter.measure([me], 100.0)
    other = ProbeTarget(
        name="w1",
        kind=ProcessKind.WORKER,
        pids=me.pids,
        host="here",
        spawned_at=0.0,
        identity=ProcessIdentity(me.identity.pid, me.identity.started + 100.0),
    )
    assert meter.measure([other], 101.0)[other.identity].cpu is None


@pytest.mark.parametrize("kind", [ProcessKind.NGINX, ProcessKind.DECLARED])
def test_child_processes_count_for_some_kinds_and_their_end_is_no_gain(kind: ProcessKind) -> None:
    with running(HAS_A_CHILD) as process:
        family, alone = target(process.pid, kind), target(process.pid)
        of_family, of_one = UsageMeter(), UsageMeter()
        with_child = of_family.measure([family], 100.0)[family.identity]
        without = of_one.measure([alone], 100.0)[alone.identity]
        assert with_child.memory > without.memory + 2**20
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == b"alone"
        after = of_family.measure([family], 101.0)[family.identity]
        # The time of the ended child is no longer in the sum, which is more than the other one has spent meanwhile.
        assert after.cpu == 0.0
        assert after.memory < with_child.memory
