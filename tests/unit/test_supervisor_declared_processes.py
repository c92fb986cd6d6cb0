"""Processes that a user declares in the settings file: valid tables are read, invalid ones are refused."""

import argparse
from pathlib import Path

import pytest

from core import config
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError
from core.supervisor import declared_processes, options

WHOLE = """
[process.reports]
command = ["python3", "reports.py", "--every", "60"]
directory = "reports"
environment = { LANG = "C" }
start = false
ready = "127.0.0.1:9000"
ready-after = 2
stop-timeout = 10.5

[process.lamp]
command = ["lamp"]
"""


def settings_of(directory: Path, content: str) -> Settings:
    (directory / "cauce.toml").write_text(content, "utf-8")
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    return config.load(options.OPTIONS, parser.parse_args(["--dir", str(directory)]), {})


def test_declared_processes_are_read(tmp_path: Path) -> None:
    reports, lamp = declared_processes.read(settings_of(tmp_path, WHOLE), tmp_path)
    assert reports == declared_processes.DeclaredProcess(
        name="reports",
        command=("python3", "reports.py", "--every", "60"),
        directory=tmp_path / "reports",
        environment={"LANG": "C"},
        start=False,
        ready=Address("127.0.0.1", 9000),
        ready_after=2.0,
        stop_timeout=10.5,
    )
    assert lamp == declared_processes.DeclaredProcess(
        name="lamp", command=("lamp",), directory=tmp_path, environment={}
    )


@pytest.mark.parametrize("content", ["", "broker = 'embedded'", "[process]"])
def test_no_declared_process_is_valid(tmp_path: Path, content: str) -> None:
    assert declared_processes.read(settings_of(tmp_path, content), tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("process = 3", "process must hold tables"),
        ("[process]\nlamp = 3", "process.lamp must be a table"),
        ("[process.lamp]", "process.lamp.command must be a list of strings"),
        ("[process.lamp]\ncommand = 'lamp --on'", "process.lamp.command must be a list of strings"),
        ("[process.lamp]\ncommand = []", "process.lamp.command must be a list of strings"),
        ("[process.lamp]\ncommand = ['']", "process.lamp.command must be a list of strings"),
        ("[process.lamp]\ncommand = ['lamp', 3]", "process.lamp.command must be a list of strings"),
        ('[process.lamp]\ncommand = ["la\\u0000mp"]', "process.lamp.command must be a list of strings"),
        ("[process.lamp]\ncommand = ['x']\ncomand = 1", "process.lamp.comand is not a setting"),
        ("[process.lamp]\ncommand = ['x']\nstart = 'yes'", "process.lamp.start must be true or false"),
        ("[process.lamp]\ncommand = ['x']\nready = 'here'", "process.lamp.ready"),
        ("[process.lamp]\ncommand = ['x']\nready-after = true", "process.lamp.ready-after must be a number"),
        ("[process.lamp]\ncommand = ['x']\nstop-timeout = -1", "process.lamp.stop-timeout must be from 0"),
        ("[process.lamp]\ncommand = ['x']\nstop-timeout = nan", "process.lamp.stop-timeout must be from 0"),
        ("[process.lamp]\ncommand = ['x']\nenvironment = { A = 1 }", "process.lamp.environment must be a table of"),
        (
            "[process.lamp]\ncommand = ['x']\nenvironment = { 'A=B' = 'x' }",
            "process.lamp.environment has the key 'A=B'",
        ),
        ("[process.lamp]\ncommand = ['x']\ndirectory = 3", "process.lamp.directory must be a string"),
        ("[process.Lamp]\ncommand = ['x']", "process.Lamp is not a valid process name"),
        ("[process.'../x']\ncommand = ['x']", "process.../x is not a valid process name"),
        ("[process.s1]\ncommand = ['x']", "process.s1 is the name of a part of the system"),
        ("[process.nginx]\ncommand = ['x']", "process.nginx is the name of a part of the system"),
    ],
)
def test_an_invalid_table_is_refused_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        declared_processes.read(settings_of(tmp_path, content), tmp_path)
    assert message in str(caught.value)
    assert "cauce.toml" in str(caught.value)


def test_a_misspelt_key_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="do you mean 'command'"):
        declared_processes.read(settings_of(tmp_path, "[process.lamp]\ncomand = ['x']"), tmp_path)


def test_other_programs_and_show_config_ignore_the_tables(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, WHOLE + '[process.x]\ncommand = ["x"]\nenvironment = { KEY = "hush" }\n')
    assert "hush" not in settings.describe()
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, config.COMMON)
    assert config.load(config.COMMON, parser.parse_args(["--dir", str(tmp_path)]), {})[config.BROKER] == "embedded"
