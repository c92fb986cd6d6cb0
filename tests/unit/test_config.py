"""Settings: which origin wins, how values are described, and the errors of invalid ones."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from core import config, worker_options
from core.addresses import Address
from core.config import (
    BROKER,
    COMMON,
    DIRECTORY,
    LOG_LEVEL,
    Option,
    Settings,
    add_arguments,
    address,
    choice,
    load,
    mask_password,
    optional_text,
    seconds,
    several,
    size,
    switch,
    text,
    whole_number,
)
from core.errors import ConfigurationError

CONCURRENCY = Option("worker.concurrency", whole_number(1, 64), 4, "how many at 100 % once", short="-c")
NAME = Option("worker.name", text, "w1", "its name")
SILENT = Option("worker.silent", switch, False, "say less")
NOWHERE: tuple[Address, ...] = ()
LISTEN = Option("worker.listen", several(address), NOWHERE, "where", many=True)
TOKEN = Option("token", optional_text, "", "the secret", secret=True)
PAUSE = Option("worker.pause", seconds(0, 60), 0.5, "how long")
OPTIONS: tuple[Option[object], ...] = (*COMMON, CONCURRENCY, NAME, SILENT, LISTEN, TOKEN, PAUSE)


def settings(*flags: str, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of a program."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser, OPTIONS)
    return load(OPTIONS, parser.parse_args(flags), environment or {})


def in_directory(path: Path, content: str) -> str:
    """Write a settings file. Returns the value of the flag `-d` that finds it."""
    (path / "cauce.toml").write_text(content, "utf-8")
    return str(path)


# Which origin wins.


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    place = in_directory(tmp_path, "[worker]\nconcurrency = 7\n")
    environment = {"CAUCE_WORKER_CONCURRENCY": "8", "CAUCE_DIRECTORY": place}
    file = tmp_path / "cauce.toml"
    by_flag = settings("-c", "9", environment=environment)
    by_environment = settings(environment=environment)
    by_file = settings("-d", place)
    by_default = settings("-d", str(tmp_path / "elsewhere"))
    assert [s[CONCURRENCY] for s in (by_flag, by_environment, by_file, by_default)] == [9, 8, 7, 4]
    assert [s.origins[CONCURRENCY.key].place for s in (by_flag, by_environment, by_file, by_default)] == [
        "--concurrency",
        "CAUCE_WORKER_CONCURRENCY",
        f"worker.concurrency in {file}",
        "default",
    ]
    assert [s.given(CONCURRENCY) for s in (by_flag, by_environment, by_file, by_default)] == [True, True, True, False]


def test_values_have_their_types(tmp_path: Path) -> None:
    place = in_directory(
        tmp_path,
        'token = "s3cret"\nlog-level = "DEBUG"\n'
        '[worker]\nsilent = true\nlisten = ["127.0.0.1:1", "[::1]:2"]\npause = 1.5\nname = "  w7 "\n',
    )
    found = settings("-d", place)
    assert found[DIRECTORY] == tmp_path
    assert found[SILENT] is True
    assert found[LISTEN] == (Address("127.0.0.1", 1), Address("::1", 2))
    assert (found[PAUSE], found[NAME], found[TOKEN], found[LOG_LEVEL]) == (1.5, "w7", "s3cret", "debug")


@pytest.mark.parametrize(
    ("flags", "environment", "silent"),
    [
        ((), {}, False),
        (("--silent",), {}, True),
        (("--no-silent",), {"CAUCE_WORKER_SILENT": "yes"}, False),
        ((), {"CAUCE_WORKER_SILENT": "On"}, True),
        ((), {"CAUCE_WORKER_SILENT": "0"}, False),
    ],
)
def test_a_switch(flags: tuple[str, ...], environment: Mapping[str, str], silent: bool) -> None:
    assert settings(*flags, environment=environment)[SILENT] is silent


@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("--listen", "a:1", "--listen", "b:2"), {}),
        (("--listen", "a:1,b:2"), {}),
        ((), {"CAUCE_WORKER_LISTEN": " a:1, b:2,"}),
    ],
)
def test_a_list(flags: tuple[str, ...], environment: Mapping[str, str]) -> None:
    assert settings(*flags, environment=environment)[LISTEN] == (Address("a", 1), Address("b", 2))


def test_the_file_of_the_directory_that_the_environment_names(tmp_path: Path) -> None:
    place = in_directory(tmp_path, '[worker]\nname = "there"\n')
    assert settings(environment={"CAUCE_DIRECTORY": place})[NAME] == "there"


def test_another_file(tmp_path: Path) -> None:
    in_directory(tmp_path, '[worker]\nname = "usual"\n')
    other = tmp_path / "other.toml"
    other.write_text('[worker]\nname = "other"\n')
    assert settings("-d", str(tmp_path), "--config", str(other))[NAME] == "other"
    assert settings("-d", str(tmp_path), environment={"CAUCE_CONFIG": str(other)})[NAME] == "other"


def test_a_secret_has_no_flag() -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        settings("--token", "x")


def test_other_programs_settings_are_ignored(tmp_path: Path) -> None:
    place = in_directory(tmp_path, '[server]\nfoo = 1\n[tui]\ntheme = "x"\n[worker]\nname = "w2"\n')
    assert settings("-d", place)[NAME] == "w2"


def test_a_common_setting_that_this_program_lacks_is_ignored(tmp_path: Path) -> None:
    place = in_directory(tmp_path, 'broker = "embedded"\nlog-format = "json"\n')
    parser = argparse.ArgumentParser()
    add_arguments(parser, [DIRECTORY])
    found = load([DIRECTORY], parser.parse_args(["-d", place]), {})
    assert found[DIRECTORY] == Path(place)


@pytest.mark.parametrize("options", [OPTIONS, (LOG_LEVEL,)])
def test_the_directory_can_not_be_set_in_its_own_file(tmp_path: Path, options: tuple[Option[object], ...]) -> None:
    file = tmp_path / "cauce.toml"
    file.write_text('directory = "elsewhere"\n', "utf-8")
    parser = argparse.ArgumentParser()
    add_arguments(parser, options)
    with pytest.raises(ConfigurationError, match=r"'directory' can't be set here.*--dir or CAUCE_DIRECTORY"):
        load(options, parser.parse_args(["--config", str(file)]), {})


# Descriptions of values.


def test_each_value_is_described_with_its_origin(tmp_path: Path) -> None:
    place = in_directory(tmp_path, 'token = "s3cret"\n')
    lines = settings("-d", place, "-b", "amqp://u:pa@ss@h/v", "-c", "2").describe().splitlines()
    message = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert set(message) == {option.key for option in OPTIONS}
    assert message["broker"] == "amqp://u:********@h/v (--broker)"
    assert message["token"] == f"******** (token in {tmp_path / 'cauce.toml'})"
    assert message["worker.concurrency"] == "2 (--concurrency)"
    assert message["worker.pause"] == "0.5 (default)"
    assert message["worker.listen"] == "- (default)"


def test_a_secret_that_is_not_set_is_not_masked() -> None:
    line = next(line for line in settings().describe().splitlines() if line.startswith("token"))
    assert line.split() == ["token", "-", "(default)"]


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("amqp://u:p@h:5672/v", "amqp://u:********@h:5672/v"),
        ("amqps://u:p@h1,amqp://v:q@h2/x", "amqps://u:********@h1,amqp://v:********@h2/x"),
        ("amqp://u:p@h1, amqp://v:q@h2", "amqp://u:********@h1, amqp://v:********@h2"),
        ("amqp://u:p@h1,amqp://h2", "amqp://u:********@h1,amqp://h2"),
        ("amqp://u:a,b@h", "amqp://u:********@h"),
        ("amqp://u:a@b@h", "amqp://u:********@h"),
        ("amqp://u:a://b@h", "amqp://u:********@h"),
        ("amqp://u:a/b?c#d@h", "amqp://u:********@h"),
        ("amqp://u:@h", "amqp://u:********@h"),
        ("u:p@h", "u:********@h"),
        ("amqp://u@h", "amqp://u@h"),
        ("amqp://h:5672/v", "amqp://h:5672/v"),
        ("amqp://[::1]:5672/v", "amqp://[::1]:5672/v"),
        ("embedded:C:\\queue.db", "embedded:C:\\queue.db"),
        ("resultados.db", "resultados.db"),
        ("", ""),
    ],
)
def test_passwords_are_masked(url: str, masked: str) -> None:
    assert mask_password(url) == masked


def test_the_help_shows_flags_and_defaults() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser, OPTIONS)
    message = " ".join(parser.format_help().split())
    assert "how many at 100 % once (default: 4)" in message
    assert "--no-silent" in message
    assert "--show-config" in message
    assert "token" not in message


# Errors of invalid values.


def error_of(*flags: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the error message of these settings."""
    with pytest.raises(ConfigurationError) as caught:
        settings(*flags, environment=environment)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_an_invalid_value_is_named_with_its_origin(tmp_path: Path) -> None:
    place = in_directory(tmp_path, "[worker]\nconcurrency = 100\n")
    file = tmp_path / "cauce.toml"
    assert error_of("-c", "0") == "--concurrency: '0' must be from 1 to 64"
    assert (
        error_of(environment={"CAUCE_WORKER_CONCURRENCY": "many"})
        == "CAUCE_WORKER_CONCURRENCY: 'many' must be a whole number"
    )
    assert error_of("-d", place) == f"worker.concurrency in {file}: '100' must be from 1 to 64"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        (BROKER, " ", "must not be empty"),
        (LOG_LEVEL, "loud", "must be one of debug, info, warning, error"),
        (PAUSE, "nan", "must be from 0 to 60 seconds"),
        (PAUSE, "soon", "must be a number of seconds"),
        (SILENT, "maybe", "must be true or false"),
        (LISTEN, "a:1,nowhere", "'nowhere' is not an address"),
    ],
)
def test_an_error_states_what_the_value_must_be(option: Option[object], value: str, reason: str) -> None:
    message = error_of(environment={option.variable: value})
    assert message.startswith(f"{option.variable}: {value!r} ")
    assert reason in message


def test_an_invalid_secret_is_not_shown() -> None:
    secret = Option("token", choice("right"), "right", "the secret", secret=True)
    with pytest.raises(ConfigurationError, match="must be one of") as caught:
        load([secret], argparse.Namespace(), {"CAUCE_TOKEN": "s3cret"})
    assert "s3cret" not in str(caught.value)
    assert "CAUCE_TOKEN" in str(caught.value)


def test_a_password_in_an_invalid_url_is_not_shown() -> None:
    broker = Option("broker", choice("embedded"), "embedded", "the broker")
    with pytest.raises(ConfigurationError) as caught:
        load([broker], argparse.Namespace(), {"CAUCE_BROKER": "amqp://u:s3cret@h"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("brokr = 'x'", "'brokr' is not a setting; do you mean 'broker'?"),
        (
            "[worker]\nconcurency = 1",
            "'worker.concurency' is not a setting; do you mean 'worker.concurrency'?",
        ),
        ("[wroker]\nname = 'x'", "'wroker' is not a setting; do you mean 'worker'?"),
        ("xyzzy = 1", "'xyzzy' is not a setting"),
        ("[worker.name]\nfirst = 'x'", "[worker.name] must be a single value"),
        ("[broker]\nurl = 'x'", "[broker] must be a single value, not a table"),
        ("broker = ", "can't be read"),
        ("broker = 'a'\nbroker = 'b'", "can't be read"),
    ],
)
def test_an_invalid_file_is_named_with_the_reason(tmp_path: Path, content: str, reason: str) -> None:
    message = error_of("-d", in_directory(tmp_path, content))
    assert str(tmp_path / "cauce.toml") in message
    assert reason in message


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "cauce.toml").write_bytes(b"broker = '\xff'")
    assert error_of("-d", str(tmp_path)).startswith(f"{tmp_path / 'cauce.toml'} can't be read")


def test_a_given_file_must_exist(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.toml")
    assert error_of("--config", missing) == f"the settings file {missing} does not exist"
    assert error_of(environment={"CAUCE_CONFIG": missing}) == f"the settings file {missing} does not exist"
    assert error_of("--config", str(tmp_path)) == f"the settings file {tmp_path} does not exist"


def test_paths_are_absolute_from_where_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    (elsewhere / "cauce.toml").write_text('token-file = "token"\n[worker]\ntasks = ["mine", "a.py"]\n', "utf-8")
    monkeypatch.chdir(here)
    tasks = worker_options.tasks("worker")
    options: list[config.Option[object]] = [*config.COMMON, config.TOKEN_FILE, tasks]
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options)
    by_file = config.load(options, parser.parse_args(["--dir", "../elsewhere"]), {})
    monkeypatch.chdir(tmp_path)
    assert by_file[config.DIRECTORY] == here / "../elsewhere"
    assert by_file[config.TOKEN_FILE] == str(here / "../elsewhere/token")
    assert by_file[tasks] == (f"{here / '../elsewhere'}:mine", str(here / "../elsewhere/a.py"))
    by_flag = config.load(options, parser.parse_args(["--token-file", "token", "--tasks", "b.py"]), {})
    assert by_flag[config.TOKEN_FILE] == str(tmp_path / "token")
    assert by_flag[tasks] == (str(tmp_path / "b.py"),)
    by_variable = config.load(options, parser.parse_args([]), {"CAUCE_WORKER_TASKS": "mine,c.py"})
    assert by_variable[tasks] == (f"{tmp_path}:mine", str(tmp_path / "c.py"))


def test_the_name_of_a_task_file_may_hold_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a,b.py", "c.py"):
        (tmp_path / name).touch()
    (tmp_path / "d,e").mkdir()
    tasks = worker_options.tasks("worker")
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, [tasks])
    arguments = parser.parse_args(["--tasks", "mine", "--tasks", "a,b.py", "--tasks", "c.py,yours"])
    settings = config.load([tasks], arguments, {})
    assert settings[tasks] == (
        f"{tmp_path}:mine",
        str(tmp_path / "a,b.py"),
        str(tmp_path / "c.py"),
        f"{tmp_path}:yours",
    )
    arguments = parser.parse_args(["--tasks", f"{tmp_path / 'd,e'}:one,{tmp_path / 'd,e'}:two", "--tasks", "a,b.py"])
    monkeypatch.chdir(tmp_path / "d,e")
    settings = config.load([tasks], arguments, {})
    assert settings[tasks][:2] == (f"{tmp_path / 'd,e'}:one", f"{tmp_path / 'd,e'}:two")


def test_a_module_keeps_the_directory_that_it_was_given_in_when_it_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = worker_options.tasks("worker")
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, [tasks])
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.chdir(first)
    given = config.load([tasks], parser.parse_args(["--tasks", "mine.tasks"]), {})
    monkeypatch.chdir(second)
    again = config.load([tasks], parser.parse_args([]), {"CAUCE_WORKER_TASKS": given.origins[tasks.key].text})
    assert given[tasks] == again[tasks] == (f"{first}:mine.tasks",)


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["directory", "dangling"])
def test_a_settings_file_that_is_none_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "cauce.toml")
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, config.COMMON)
    with pytest.raises(ConfigurationError, match=r"cauce\.toml is not a file"):
        config.load(config.COMMON, parser.parse_args(["--dir", str(tmp_path)]), {})


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes are POSIX")
def test_what_is_not_utf8_is_refused(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, config.COMMON)
    with pytest.raises(ConfigurationError, match="UTF-8"):
        config.load(config.COMMON, parser.parse_args(["--dir", f"{tmp_path}/d\udcff"]), {})
    with pytest.raises(ConfigurationError, match="--database: the value must be UTF-8"):
        config.load(config.COMMON, parser.parse_args(["--dir", str(tmp_path), "--database", "j\udcff.db"]), {})


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("0", 0), ("4096", 4096), ("500M", 500 << 20), ("1.5g", 3 << 29), ("2GiB", 2 << 30), ("8KB", 8192)],
)
def test_a_size_is_a_number_of_bytes_with_a_unit(text: str, bytes_: int) -> None:
    assert size(text) == bytes_


@pytest.mark.parametrize("text", ["", "M", "-1", "1X", "1e9", "nan", "1 M M"])
def test_no_other_text_is_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="number of bytes"):
        size(text)
