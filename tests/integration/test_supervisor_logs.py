"""The logs of a running system: read, followed, and printed for programs."""

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from core.supervisor import commands
from core.supervisor.logs.log_files import MAX_SIZE, rotated_files
from core.supervisor.logs.log_reading import LogLineJson
from tests.integration.commanding import Command
from tests.integration.supervised import Supervised, kill, pid_of
from tests.services.waiting import wait_until

PATIENCE = 60.0
PLENTY = b"plenty " * 500 + b"\n"
LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} [A-Z]+ +(\S+) +\S.*")


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path) as supervised:
        yield supervised


def decoded(output: str) -> list[LogLineJson]:
    return [msgspec.json.decode(line, type=LogLineJson) for line in output.splitlines()]


def note(system: Supervised, name: str, text: str) -> None:
    """Append to the log of a process, as the process does."""
    with system.home.log(name).open("ab") as stream:
        stream.write(f"{text}\n".encode())


def test_lines_of_all_processes_are_merged_and_can_be_selected(system: Supervised) -> None:
    ended = system.run("logs")
    assert (ended.code, ended.output) == (0, "")
    system.up(1, 2)
    lines = system.run("logs").output.splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    assert {each[1] for each in found if each} == {"s1", "w1", "w2", "supervisor"}
    # In the order of time, unless midnight falls into the test.
    times = [line[:12] for line in lines]
    assert times == sorted(times) or times[0] > times[-1]

    of_some = system.run("logs", "w2", "s1").output.splitlines()
    assert {line.split()[2] for line in of_some} == {"s1", "w2"}
    assert system.run("logs", "w2", "s1", "--lines", "1").output.splitlines() == of_some[-1:]
    assert system.run("logs", "w2", "s1", "--lines", "0").output == ""
    assert system.run("logs", "--grep", "NO SUCH TEXT").output == ""
    ready = system.run("logs", "--grep", "IS READY", "--since", "3600").output.splitlines()
    assert {line.split()[4] for line in ready} == {"s1", "w1", "w2"}
    # A healthy system logs no warning; a traceback belongs to the error before it.
    assert system.run("logs", "--level", "warning").output == ""
    note(system, "w1", f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M:%S}.000 ERROR    w1 it broke\n  at here")
    assert [line.split(None, 3)[3] for line in system.run("logs", "--level", "warning").output.splitlines()] == [
        "it broke",
        "at here",
    ]


def test_with_json_every_line_is_an_object(system: Supervised) -> None:
    system.up(1, 1)
    note(system, "w1", "\x1b[2Jno time of its own")
    ended = system.run("logs", "--json")
    assert ended.code == 0
    lines = decoded(ended.output)
    assert {line.process for line in lines} == {"s1", "w1", "supervisor"}
    times = [datetime.datetime.fromisoformat(line.time) for line in lines if line.time is not None]
    assert len(times) == len(lines)
    assert times == sorted(times)
    assert {moment.utcoffset() for moment in times} == {datetime.timedelta()}
    assert {line.level for line in lines} == {"info"}
    assert [line.message for line in lines if "time of its own" in line.message] == [r"\x1b[2Jno time of its own"]


def test_a_name_without_a_log_is_an_error_that_lists_the_known_ones(system: Supervised) -> None:
    system.up(1, 0)
    for flags in (["w9"], ["w9", "--follow"], ["s1", "w9", "--json"]):
        ended = system.run("logs", *flags)
        assert ended.code == 1
        assert (ended.output, ended.errors) == (
            "",
            "core.supervisor: there is no log of 'w9'; there are: s1, supervisor\n",
        )
    # The log of a process that has ended can be read too.
    system.down()
    assert " s1 " in system.run("logs", "s1").output
    for flags in (["--lines", "few"], ["--level", "loud"], ["--since", "yesterday"]):
        assert system.run("logs", *flags).code == 2


def test_following_goes_on_over_a_restart_and_a_rotation_until_an_interrupt(system: Supervised) -> None:
    report = system.up(1, 1)
    with Command(system, "logs", "--follow", "w1") as one, Command(system, "logs", "-f", "--json", "-n", "0") as all_:
        wait_until(lambda: one.output.count("w1 is ready") == 1, "the former lines", PATIENCE)
        # A line that arrives shows that the second command follows.
        marks = 0

        def follows() -> bool:
            nonlocal marks
            marks += 1
            note(system, "s1", f"mark {marks}")
            return "mark" in all_.output

        wait_until(follows, "the other to follow", PATIENCE)

        kill(pid_of(report, "w1"))
        wait_until(lambda: one.output.count("w1 is ready") == 2, "the lines of the second worker", PATIENCE)

        # A large log is rotated within a second or so, and the process goes on writing.
        log = system.home.log("w1")
        with log.open("ab") as stream:
            stream.write(PLENTY * (MAX_SIZE // len(PLENTY) + 1))
            stream.write(b"the last line before\n")
        wait_until(
            lambda: len(rotated_files(log)) == 1 and log.stat().st_size < MAX_SIZE, "the log to be rotated", PATIENCE
        )
        third = pid_of(commands.operate(system.home, "restart", ["w1"]), "w1")
        wait_until(lambda: one.output.count("w1 is ready") == 3, "the lines of the third worker", PATIENCE)
        assert one.output.count("the last line before") == 1
        assert one.output.index("the last line before") < one.output.rindex("w1 is ready")
        assert "bytes were written too quickly to be shown" in one.output
        wait_until(lambda: f"w1 is ready (pid {third})" in all_.output, "the same for programs", PATIENCE)

        assert (one.process.poll(), all_.process.poll()) == (None, None)
        one.interrupt()
        all_.interrupt()
        ends = (one.end(), all_.end())
    for ended in ends:
        # 128 and the number of the signal, without an error message.
        assert (ended.code, ended.errors) == (130, "")
    assert {line.process for line in decoded(ends[1].output)} == {"s1", "w1", "supervisor"}


def test_following_includes_later_processes_and_ends_with_its_reader(system: Supervised) -> None:
    system.up(1, 0)
    with Command(system, "logs", "-f", "--lines", "1") as following:
        wait_until(lambda: following.output != "", "the last line", PATIENCE)
        assert system.run("scale", "workers=1").code == 0
        wait_until(lambda: re.search(r" w1 +\S", following.output) is not None, "the lines of the new one", PATIENCE)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as output, Command(system, "logs", "-f", output=output) as piped:
        output.close()
        assert os.read(reading, 1 << 16)
        os.close(reading)
        system.run("restart", "w1")
        assert piped.process.wait(PATIENCE) == 141
        assert "Traceback" not in piped.errors


def test_structured_logs_are_read_like_others(system: Supervised) -> None:
    system.up(1, 1, "--log-format", "json")
    assert system.home.log("w1").read_text("utf-8").startswith("{")
    lines = decoded(system.run("logs", "--json").output)
    assert {line.process for line in lines} == {"s1", "w1", "supervisor"}
    assert None not in {line.time for line in lines} | {line.level for line in lines}
    shown = system.run("logs").output.splitlines()
    assert len(shown) == len(lines)
    assert all(LINE.fullmatch(line) for line in shown), shown
