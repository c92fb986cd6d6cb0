"""How the next supervisor goes on with a system whose supervisor was killed: what runs as it was asked for stays."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from core import config
from core.callbacks import ignore
from core.supervisor.status import SystemStatus
from tests.integration.supervised import Supervised, pid_of, settled, submit
from tests.services.certificates import Pair
from tests.services.ports import neighbouring_ports
from tests.services.rabbitmq import find_programs
from tests.services.waiting import wait_until
from tui import options, system_start

PATIENCE = 60.0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Supervised]:
    with Supervised(tmp_path / "system") as supervised:
        supervised.current_directory = tmp_path
        yield supervised


def start_in_console(system: Supervised, *flags: str) -> SystemStatus:
    """Start the system as the console's key does: it was opened while the processes ran."""
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    arguments = parser.parse_args(["--dir", str(system.home.directory), *flags])
    settings = config.load(options.OPTIONS, arguments, system.environment, ask_system=True)
    return system_start.start(settings, system.environment, ignore)


def up(system: Supervised, *flags: str, environment: Mapping[str, str] | None = None) -> SystemStatus:
    ordinary = system.environment
    system.environment = {**ordinary, **(environment or {})}
    ended = system.run("up", "--detach", "--json", *flags)
    system.environment = ordinary
    assert ended.code == 0, ended.errors
    return ended.report


def pids(report: SystemStatus | None) -> dict[str, int | None]:
    assert report is not None
    return {unit.name: unit.pid for unit in report.processes}


def all_well(system: Supervised) -> bool:
    return settled(system.status())


Way = Callable[[], SystemStatus]
"""A way to start the next supervisor."""


def check_ways(system: Supervised, report: SystemStatus, ways: Mapping[str, Way]) -> None:
    """Kill the supervisor before each way to start the next one, and check that all processes go on."""
    for way, start in ways.items():
        system.kill_supervisor()
        again = start()
        assert pids(again) == pids(report), way
        assert again.remarks == (), way
        wait_until(lambda: all_well(system), f"all to be well after {way}", PATIENCE)
    assert submit(report.listen, "echo", "works") == "works"


def test_all_goes_on_however_the_next_supervisor_is_started(system: Supervised) -> None:
    report = system.up(2, 1)
    sizes = system.sizes(2, 1)
    ways: dict[str, Way] = {
        "the console": lambda: start_in_console(system),
        "the console with flags": lambda: start_in_console(system, *sizes),
        "no flags": lambda: up(system),
        "the same flags": lambda: up(system, *sizes),
        "defaults in words": lambda: up(system, "-l", "info", "-b", "embedded", "--no-lab", "--stop-timeout", "60.0"),
        "another environment": lambda: up(system, environment={"CAUCE_LOG_FORMAT": "text", "LANG": "C", "X": "1"}),
    }
    check_ways(system, report, ways)


@pytest.mark.nginx
@pytest.mark.rabbitmq
@pytest.mark.timeout(300)
def test_a_balancer_and_a_broker_of_ours_go_on_too(system: Supervised, nginx_program: Path) -> None:
    assert nginx_program.exists()
    assert find_programs()
    report = system.up(1, 1, "--nginx", "--broker", "local")
    check_ways(system, report, {"the console": lambda: start_in_console(system), "no flags": lambda: up(system)})


def test_neither_the_name_of_python_nor_encryption_that_is_not_given_again_matters(
    system: Supervised, local_pair: Pair
) -> None:
    report = system.up(1, 1, *local_pair.flags)
    system.kill_supervisor()
    system.python = str(Path(sys.executable).with_name(f"python3.{sys.version_info.minor}"))
    assert system.python != sys.executable
    again = up(system)
    assert pids(again) == pids(report)
    wait_until(lambda: all_well(system), "all to be well", PATIENCE)
    assert "not ready" not in system.home.log("supervisor").read_text("utf-8")


def test_what_is_replaced_and_why_is_said(system: Supervised) -> None:
    report = system.up(1, 1)
    system.kill_supervisor()
    again = up(system, "--lab")
    assert pid_of(again, "s1") == pid_of(report, "s1")
    assert pid_of(again, "w1") != pid_of(report, "w1")
    assert again.remarks == ("a killed supervisor had left w1: ended, as --lab was asked for",)
    system.kill_supervisor()
    fewer = up(system, "--workers", "0")
    assert pids(fewer) == {"s1": pid_of(report, "s1")}
    assert fewer.remarks == ("a killed supervisor had left w1: ended, as --workers was asked for",)


def test_servers_with_another_token_are_replaced_and_none_runs_without_its_own(system: Supervised) -> None:
    first, second = {"CAUCE_TOKEN": "first"}, {"CAUCE_TOKEN": "second"}
    report = up(system, *system.sizes(1, 1), environment=first)
    system.kill_supervisor()
    ended = system.run("up", "--detach")
    assert ended.code == 2
    assert "require a token, which is stored nowhere" in ended.errors
    assert pids(up(system, environment=first)) == pids(report)
    system.kill_supervisor()
    again = up(system, environment=second)
    assert pid_of(again, "w1") == pid_of(report, "w1")
    assert pid_of(again, "s1") != pid_of(report, "s1")
    assert again.remarks == ("a killed supervisor had left s1: ended, as token was asked for",)


@pytest.mark.nginx
def test_a_balancer_that_is_added_takes_the_address_of_the_first_server(
    system: Supervised, nginx_program: Path
) -> None:
    assert nginx_program.exists()
    first, second = neighbouring_ports()
    given = ("--listen", f"127.0.0.1:{first}", "--server-port", str(second))
    report = up(system, "--servers", "1", "--workers", "1", *given)
    assert report.listen == f"127.0.0.1:{first}"
    system.kill_supervisor()
    again = up(system, "--nginx")
    assert (again.listen, again.servers) == (f"127.0.0.1:{first}", (f"127.0.0.1:{second}",))
    assert pid_of(again, "w1") == pid_of(report, "w1")
    assert submit(again.listen, "echo", "through NGINX") == "through NGINX"
