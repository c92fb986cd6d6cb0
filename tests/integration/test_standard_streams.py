"""Programs whose standard streams are closed, full, or of an encoding that lacks characters."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.programs import clean_environment
from tests.services.system import LocalSystem

STREAM_UNUSABLE = 74
READER_GONE = 141

posix = pytest.mark.skipif(sys.platform == "win32", reason="the shell's redirections are POSIX")
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: bytes
    errors: str


@pytest.fixture(scope="module", name="system")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    with LocalSystem(tmp_path_factory.mktemp("system")) as running:
        yield running


def shell(module: str, line: str, **environment: str) -> Ended:
    """Run `python -m MODULE LINE` by a shell, so that the line may redirect streams."""
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.quote(sys.executable)} -m {module} {line}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
        env=clean_environment() | environment,
    )
    return Ended(done.returncode, done.stdout, done.stderr.decode())


def client(system: LocalSystem, line: str, **environment: str) -> Ended:
    return shell("core.client", f"--server {system.addresses[0]} {line}", **environment)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_what_an_encoding_lacks_is_escaped(system: LocalSystem, encoding: str) -> None:
    ended = client(system, "submit --kind echo one 漢字 three --wait", PYTHONIOENCODING=encoding)
    assert ended.code == 0, ended.errors
    lines = ended.output.decode(encoding).splitlines()
    assert sorted(line.split(" done ")[1] for line in lines) == ['"\\u6f22\\u5b57"', '"one"', '"three"']


def test_the_monitor_shows_what_an_encoding_lacks(system: LocalSystem) -> None:
    assert client(system, "submit --kind echo 漢字 --wait").code == 0
    ended = shell("core.monitor", f"--once --dir {shlex.quote(str(system.directory))}", PYTHONIOENCODING="ascii")
    assert ended.code == 0, ended.errors
    assert b"\\u6f22" in ended.output


@posix
def test_a_closed_input_is_named(system: LocalSystem) -> None:
    ended = client(system, "submit --kind echo - <&-")
    assert (ended.code, "standard input is closed" in ended.errors) == (STREAM_UNUSABLE, True), ended.errors


@posix
@pytest.mark.parametrize("module", ["core.client", "core.monitor", "core.supervisor", "core.server", "core.worker"])
def test_a_closed_output_is_named_by_every_program(module: str) -> None:
    ended = shell(module, "--help >&-")
    assert (ended.code, "Traceback" in ended.errors) == (STREAM_UNUSABLE, False), ended.errors
    assert "standard output is closed" in ended.errors


@posix
@pytest.mark.parametrize("module", ["core.client", "core.monitor", "core.supervisor", "core.server", "core.worker"])
def test_every_program_ends_quietly_when_the_reader_of_its_help_has_gone(module: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        command = [sys.executable, "-m", module, "--help"]
        ended = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (READER_GONE, b"")


@posix
def test_a_submission_with_a_closed_output_is_no_failed_task(system: LocalSystem) -> None:
    ended = client(system, "submit --kind echo a >&-")
    assert (ended.code, "standard output is closed" in ended.errors) == (STREAM_UNUSABLE, True), ended.errors


@posix
def test_nothing_depends_on_standard_error(system: LocalSystem) -> None:
    ended = client(system, "submit --kind echo a --wait 2>&-")
    assert (ended.code, ended.output.endswith(b' done "a"\n')) == (0, True)


@posix
@needs_full
@pytest.mark.parametrize("command", ["submit --kind echo a --wait", "stats", "stats --json"])
def test_a_full_disk_behind_the_output_is_named(system: LocalSystem, command: str) -> None:
    ended = client(system, f"{command} >/dev/full")
    assert (ended.code, "Traceback" in ended.errors) == (STREAM_UNUSABLE, False), ended.errors
    assert "standard output can't be written" in ended.errors


@posix
def test_without_a_terminal_a_prompt_is_refused_in_a_sentence() -> None:
    ended = shell("core.client", "<&-")
    assert ended.code == 2
    assert ended.errors.splitlines()[-1] == "core.client: the prompt needs a terminal; elsewhere, name a sub-command"


def test_an_empty_id_is_refused(system: LocalSystem) -> None:
    ended = client(system, "submit --kind echo --id '' x")
    assert (ended.code, b"is not 1 to 64 letters" in ended.output) == (1, True), ended.output


@posix
def test_a_dash_as_file_is_standard_input(system: LocalSystem) -> None:
    ended = client(system, "submit --kind echo --file - --wait <<'END'\nhi\nEND")
    assert (ended.code, ended.output.endswith(b' done "hi"\n')) == (0, True), ended.errors
