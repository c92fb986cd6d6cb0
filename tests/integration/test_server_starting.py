"""The start of a server, and its refusals: each with a sentence and an exit code, never with a traceback."""

import socket
from pathlib import Path

import pytest

from core.repository.journal import Journal
from tests.integration.programs import run, server
from tests.integration.wire import Wire, once

TOKEN = "contraseña"  # noqa: S105 - it is a test's


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--listen", "nowhere"], "--listen: 'nowhere' 'nowhere' is not an address"),
        (["--listen", "0.0.0.0:0"], "listening on 0.0.0.0:0 lets other machines connect: give a token"),
        (["--listen", "[::]:0"], "listening on [::]:0 lets other machines connect"),
        (["--token-file", "nothing.here"], "nothing.here can't be read"),
        (["--token-file", "/dev/null"], "token-file: the first line of /dev/null is empty"),
        (["--max-line", "10"], "--max-line: '10' must be from 1024"),
        (["--shutdown-timeout", "nan"], "--shutdown-timeout: 'nan' must be"),
        (["--broker", "kafka://here"], "broker: 'kafka' is not one of"),
        (["--database", "oracle://here"], "database: 'oracle' is not supported"),
        (["--config", "nothing.toml"], "the settings file nothing.toml does not exist"),
    ],
)
def test_an_invalid_command_line_is_explained(tmp_path: Path, arguments: list[str], message: str) -> None:
    ended = run("core.server", "--dir", str(tmp_path), *arguments)
    assert ended.code == 2
    assert message in ended.errors
    assert ended.output == ""
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_settings_file_is_named_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "cauce.toml").write_text("[server]\nmax-lime = 5\n", "utf-8")
    ended = run("core.server", "--dir", str(tmp_path))
    assert ended.code == 2
    assert "server.max-lime" in ended.errors
    assert "server.max-line" in ended.errors


def test_the_shown_settings_hide_secrets(tmp_path: Path) -> None:
    environment = {"CAUCE_TOKEN": "hush", "CAUCE_SERVER_MAX_LINE": "2048"}
    ended = run("core.server", "--dir", str(tmp_path), "--show-config", "--name", "here", environment=environment)
    assert ended.code == 0
    assert ended.errors == ""
    assert "hush" not in ended.output
    lines = {line.split()[0]: line for line in ended.output.splitlines()}
    assert "(CAUCE_TOKEN)" in lines["token"]
    assert "2048  (CAUCE_SERVER_MAX_LINE)" in lines["server.max-line"]
    assert "here  (--name)" in lines["server.name"]
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_reported_and_leaves_no_record(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run("core.server", "--dir", str(tmp_path), "--listen", f"127.0.0.1:{port}")
    assert ended.code == 1
    assert f"can't listen on 127.0.0.1:{port}" in ended.errors
    assert "--listen" in ended.errors
    assert not Journal("resultados.db", tmp_path).path.exists()


def test_a_file_that_is_not_a_journal_is_not_changed(tmp_path: Path) -> None:
    journal = tmp_path / "resultados.db"
    journal.write_text("precious letters\n" * 1000, "utf-8")
    before = journal.read_bytes()
    ended = run("core.server", "--dir", str(tmp_path), "--listen", "127.0.0.1:0")
    assert ended.code == 5
    assert "resultados.db" in ended.errors
    assert journal.read_bytes() == before


def test_a_token_is_required_where_one_is_set(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\nsecond line\n", "utf-8")
    with server(tmp_path, "s1", "--token-file", str(file)) as program:
        address = program.ready().address
        for hello in ({}, {"token": "wrong"}, {"token": ""}, {"token": "contrasena"}, {"token": f"{TOKEN}\n"}):
            with Wire(address) as wire:
                assert wire.error("hello", **hello)["code"] == "unauthorized"
                assert wire.rest() == []
        with Wire(address) as wire:
            assert wire.error("submit", payload=1)["code"] == "unauthorized"
            assert wire.rest() == []
        with Wire(address) as known:
            assert known.ok("hello", token=TOKEN)["server"] == "s1"
            assert known.ok("submit", id="let-in", payload=1)["state"] == "accepted"
        program.terminate()
        assert program.wait() == 0
        assert TOKEN not in program.log
        assert "Traceback" not in program.log


def test_the_limits_of_the_command_line_are_enforced(tmp_path: Path) -> None:
    arguments = ("--idle-seconds", "1", "--connection-age", "1", "--max-connections", "2", "--max-line", "2000")
    with server(tmp_path, "s1", *arguments) as program:
        address = program.ready().address
        with Wire(address) as idle, Wire(address) as busy:
            busy.ok("submit", id="later", payload=1, delay=3600)
            busy.send({"op": "result", "ref": 1, "id": "later", "wait": 50})
            with Wire(address) as third:
                assert [line["error"]["code"] for line in third.rest()] == ["overloaded"]
            # This connection has no open request: it is idle, and closed.
            assert [list(line) for line in idle.rest()] == [["goaway"]]
            # This one has an open request: it is only asked to reconnect.
            assert list(busy.reply()) == ["goaway"]
            assert busy.ok("hello")["limits"]["max_line"] == 2000
        with Wire(address) as wordy:
            assert wordy.ok("submit", id="short", payload="x" * 1900)
            wordy.send({"op": "submit", "ref": 1, "id": "long", "payload": "x" * 2000})
            assert [line["error"]["code"] for line in wordy.rest()] == ["too_large"]
        assert once(address, "hello")
        program.terminate()
        assert program.wait() == 0
        assert "Traceback" not in program.log
