"""The command line of the supervisor: what it accepts, what it refuses, and the completions of a shell."""

import argparse
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import argcomplete.io
import pytest
from argcomplete.finders import CompletionFinder

from core import config
from core.config import Settings
from core.supervisor import arguments, guard, options
from core.supervisor.arguments import SHELLS, size
from core.supervisor.home import Home

TOP = Path(__file__).parents[2]
TIMEOUT = 60.0
NAMES = ("s1", "s2", "w1", "workers")

WORDS = {
    "up": [],
    "down": [],
    "status": [],
    "start": ["w1"],
    "stop": ["w1", "workers"],
    "restart": ["w1"],
    "kill": ["all"],
    "scale": ["servers=3", "workers=8"],
    "logs": ["w1"],
    "doctor": [],
    "redispatch": [],
    "nginx-conf": [],
    "completion": ["bash"],
}
"""The arguments of each command."""

STRUCTURED = ("up", "down", "status", "start", "stop", "restart", "kill", "scale", "logs", "doctor")
"""The commands with JSON output."""


def names(**_: object) -> list[str]:
    """The names of the processes."""
    return list(NAMES)


def parse(*words: str) -> argparse.Namespace:
    return arguments.make_parser(names).parse_args(words)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The message for a command line that is refused."""
    with pytest.raises(SystemExit) as caught:
        parse(*words)
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def settings(*words: str) -> Settings:
    return config.load(options.OPTIONS, parse(*words), {})


@pytest.mark.parametrize("command", WORDS)
def test_every_command_is_read_and_described(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(command, *WORDS[command]).command == command
    with pytest.raises(SystemExit) as caught:
        parse(command, "--help")
    assert caught.value.code == 0
    assert f"core.supervisor {command}" in capsys.readouterr().out


def test_every_command_is_in_the_help_except_the_internal_one() -> None:
    text = arguments.make_parser(names).format_help()
    assert all(f"    {command}" in text for command in WORDS)
    assert guard.COMMAND not in text
    assert "exit codes: 0 success" in text
    assert parse(guard.COMMAND).command == guard.COMMAND


@pytest.mark.parametrize("command", WORDS)
def test_which_commands_have_json_output(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [command, *WORDS[command]]
    if command in STRUCTURED:
        assert parse(*words, "--json").json is True
        assert parse(*words).json is False
    else:
        assert "unrecognized arguments: --json" in refusal(capsys, *words, "--json")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("servers=3", ("servers", 3)),
        ("workers=0", ("workers", 0)),
        ("servers=64", ("servers", 64)),
        ("workers=256", ("workers", 256)),
        ("workers=008", ("workers", 8)),
    ],
)
def test_a_size(text: str, read: tuple[str, int]) -> None:
    assert size(text) == read


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("servers", "'servers' is neither servers=N nor workers=N"),
        ("servers=", "'servers=' is neither servers=N nor workers=N"),
        ("servers=-1", "'servers=-1' is neither servers=N nor workers=N"),
        ("servers=1.5", "'servers=1.5' is neither servers=N nor workers=N"),
        ("servers= 1", "'servers= 1' is neither servers=N nor workers=N"),
        ("server=1", "'server=1' is neither servers=N nor workers=N"),
        ("Servers=1", "'Servers=1' is neither servers=N nor workers=N"),
        ("nginx=1", "'nginx=1' is neither servers=N nor workers=N"),
        ("servers=1\n", r"'servers=1\n' is neither servers=N nor workers=N"),
        ("workers=" + "9" * 5000, "is neither servers=N nor workers=N"),
        ("\x1b[2J", r"'\x1b[2J' is neither servers=N nor workers=N"),
        ("servers=65", "servers must be from 0 to 64"),
        ("workers=257", "workers must be from 0 to 256"),
        ("workers=999999", "workers must be from 0 to 256"),
    ],
)
def test_a_wrong_size_is_refused_with_a_hint(text: str, trouble: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(capsys, "scale", "workers=1", text)
    assert "error: argument servers=N|workers=N: " in message
    assert message.endswith(trouble)


@pytest.mark.parametrize("command", ["start", "stop", "restart", "kill", "scale"])
def test_an_operation_requires_names(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "the following arguments are required" in refusal(capsys, command)


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("dance",), "invalid choice: 'dance'"),
        (("completion", "tcsh"), "invalid choice: 'tcsh'"),
        (("completion",), "the following arguments are required: shell"),
        (("logs", "--lines", "few"), "argument -n/--lines: 'few' must be a whole number"),
        (("logs", "-n", "-1"), "argument -n/--lines: '-1' must be from 0 to 1000000"),
        (("logs", "--since", "yesterday"), "argument --since: 'yesterday' must be a number of seconds"),
        (("logs", "--since", "nan"), "argument --since: 'nan' must be from 0 to 1e+09 seconds"),
        (("logs", "--level", "loud"), "argument --level: invalid choice: 'loud'"),
        (("status", "w1"), "unrecognized arguments: w1"),
        (("start", "w1", "--timeout", "5"), "unrecognized arguments: --timeout 5"),
    ],
)
def test_a_wrong_argument_is_refused_with_a_hint(
    words: tuple[str, ...], trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trouble in refusal(capsys, *words)


def test_the_options_of_up() -> None:
    given = parse("up")
    assert (given.detach, given.attach, given.json) == (False, True, False)
    given = parse("up", "--detach", "--no-attach", "--json")
    assert (given.detach, given.attach, given.json) == (True, False, True)
    read = settings(
        "up", "--servers", "3", "--workers", "5", "-c", "7", "--nginx", "-d", "there", "--stop-timeout", "4"
    )
    assert read[options.SERVER_COUNT] == 3
    assert read[options.WORKER_COUNT] == 5
    assert read[options.CONCURRENCY] == 7
    assert read[options.NGINX]
    assert read[options.STOP_TIMEOUT] == 4.0
    assert read[config.DIRECTORY] == Path("there").absolute()
    assert not settings("up", "--no-nginx")[options.NGINX]


@pytest.mark.parametrize("command", ["down", "stop", "restart"])
def test_commands_that_stop_processes_take_a_timeout(command: str) -> None:
    words = [command, *WORDS[command]]
    assert settings(*words, "--timeout", "3")[options.STOP_TIMEOUT] == 3.0
    assert not settings(*words).given(options.STOP_TIMEOUT)


def test_the_options_of_logs() -> None:
    given = parse("logs")
    assert (given.names, given.follow, given.lines, given.level) == ([], False, 100, "debug")
    assert (given.grep, given.since, given.json) == ("", None, False)
    given = parse("logs", "w1", "s1", "-f", "-n", "0", "--level", "error")
    assert (given.names, given.follow, given.lines, given.level) == (["w1", "s1"], True, 0, "error")
    given = parse("logs", "--grep", "Some Text", "--since", "0.5", "--json")
    assert (given.grep, given.since, given.json) == ("Some Text", 0.5, True)


# Completion by a shell.

QUESTION = """
words() { COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMPREPLY=(); _python_argcomplete cauce; echo "${COMPREPLY[*]}"; }
eval "$(cauce completion bash)"
complete -p cauce
while IFS= read -r line; do words "$line"; done
"""
"""What bash runs when the Tab key is pressed."""


class _Finder(CompletionFinder):
    """Completes within a test, where the descriptor of argcomplete's debug output is pytest's."""

    def _init_debug_stream(self) -> None:
        argcomplete.io.debug_stream = io.StringIO()


def offered(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """The words that complete a line, as argcomplete returns them to a shell."""
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\v"}
    for name, value in {**asked, "COMP_LINE": line, "COMP_POINT": str(len(line))}.items():
        monkeypatch.setenv(name, value)
    output = io.StringIO()
    _Finder()(arguments.make_parser(names), exit_method=lambda _: None, output_stream=output)
    return [word.strip() for word in output.getvalue().split("\v") if word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cauce st", ["status", "start", "stop"]),
        ("cauce sc", ["scale"]),
        ("cauce stop s", ["s1", "s2"]),
        ("cauce restart w1 wo", ["workers"]),
        ("cauce kill x", []),
        ("cauce logs w", ["w1", "workers"]),
        ("cauce scale s", ["servers="]),
        ("cauce scale servers=3 w", ["workers="]),
        ("cauce logs --level w", ["warning"]),
        ("cauce completion ", [*SHELLS, "-h", "--help"]),
        ("cauce status --j", ["--json"]),
        ("cauce up --no-a", ["--no-attach"]),
    ],
)
def test_the_words_that_complete_a_line(line: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(offered(monkeypatch, line)) == sorted(words)


def test_every_name_and_size_completes_an_empty_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(offered(monkeypatch, "cauce kill ")) >= set(NAMES)
    assert set(offered(monkeypatch, "cauce logs ")) >= set(NAMES)
    assert set(offered(monkeypatch, "cauce scale ")) >= {"servers=", "workers="}
    assert set(offered(monkeypatch, "cauce ")) >= set(WORDS)


@pytest.mark.skipif(os.name != "posix" or not shutil.which("bash"), reason="there is no bash")
def test_bash_completes_what_is_typed(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "cauce"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m core.supervisor "$@"\n', "utf-8")
    command.chmod(0o755)
    home = Home(tmp_path)
    home.create()
    for name in ("s1", "w1"):
        home.log(name).touch()
    ended = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", QUESTION],
        input=f"cauce st\ncauce logs -d {tmp_path} s\ncauce stop -d {tmp_path} w\ncauce scale w\n",
        env={"PATH": f"{command.parent}{os.pathsep}{os.defpath}", "PYTHONPATH": str(TOP)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    registration, *lines = ended.stdout.splitlines()
    assert registration.endswith("-F _python_argcomplete cauce"), ended.stderr
    assert [line.split() for line in lines] == [["status", "start", "stop"], ["s1"], ["workers"], ["workers="]]
