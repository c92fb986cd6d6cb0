"""Addresses, command lines and environments made from the settings."""

import argparse
import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from core import config
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import options, plan, ports
from core.supervisor.home import Home
from core.supervisor.plan import MARK, Planner, ProcessKind
from core.supervisor.ports import AddressLayout, choose, choose_address, holder_of

PYTHON = "/usr/bin/python"


def settings_of(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    config.add_arguments(parser, options.OPTIONS)
    return config.load(options.OPTIONS, parser.parse_args(["--dir", str(directory), *flags]), environment or {})


def at(port: int) -> Address:
    return Address("127.0.0.1", port)


def holding(*taken: int) -> ports.FindHolder:
    return lambda address: f"redis (pid {address.port})" if address.port in taken else ""


def no_port(host: str) -> int:
    raise AssertionError(host)


def test_servers_take_the_well_known_ports(tmp_path: Path) -> None:
    choice = choose(settings_of(tmp_path), holding(), no_port)
    assert choice.layout == AddressLayout(None, (at(7101), at(7102)))
    assert choice.layout.client_address == at(7101)
    assert choice.remarks == ()


def test_nginx_listens_on_the_first_well_known_port(tmp_path: Path) -> None:
    choice = choose(settings_of(tmp_path, "--nginx", "--servers", "3"), holding(), no_port)
    assert choice.layout == AddressLayout(at(7100), (at(7101), at(7102), at(7103)))
    assert choice.layout.client_address == at(7100)


def test_taken_ports_are_skipped_and_their_holder_is_named(tmp_path: Path) -> None:
    choice = choose(settings_of(tmp_path, "--nginx"), holding(7100, 7102), no_port)
    assert choice.layout == AddressLayout(at(7101), (at(7103), at(7104)))
    assert choice.remarks == (
        "127.0.0.1:7100 is held by redis (pid 7100): NGINX listens on 127.0.0.1:7101",
        "127.0.0.1:7102 is held by redis (pid 7102): s1 listens on 127.0.0.1:7103",
        "127.0.0.1:7102 is held by redis (pid 7102): s2 listens on 127.0.0.1:7104",
    )


def test_an_explicit_port_of_the_first_server_that_is_taken_is_an_error(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--server-port", "7400")
    with pytest.raises(SupervisorError, match=r"7400 is held by redis \(pid 7400\); .* for s1 with --server-port"):
        choose(settings, holding(7400), no_port)
    # It is for the first server only; the others take what is free after it.
    assert choose(settings, holding(7401), no_port).layout.servers == (at(7400), at(7402))
    listening = settings_of(tmp_path, "--listen", "127.0.0.1:7300", "--server-port", "7400", "--servers", "3")
    assert choose(listening, holding(7401), no_port).layout.servers == (at(7300), at(7400), at(7402))
    with pytest.raises(SupervisorError, match="for s2 with --server-port"):
        choose(listening, holding(7400), no_port)


def test_two_explicit_addresses_may_not_be_the_same(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--nginx", "--listen", "127.0.0.1:7400", "--server-port", "7400")
    with pytest.raises(SupervisorError, match=r"is for another process of this system; .* for s1 with --server-port"):
        choose(settings, holding(), no_port)


def test_a_server_that_comes_back_takes_the_address_that_the_user_gave_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--listen", "127.0.0.1:7300", "--server-port", "0")
    fixed = choose(settings, holding(), lambda _: 41001).fixed
    assert fixed == {"s1": at(7300)}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = at(listener.getsockname()[1])
        with pytest.raises(SupervisorError, match=r"is held by .*with --listen or --server-port"):
            choose_address("s1", 0, [held], {"s1": held})
    assert choose_address("s1", 0, [], {"s1": held}) == held


@pytest.mark.parametrize("flags", [(), ("--nginx",)])
def test_an_explicit_address_that_is_taken_is_an_error(tmp_path: Path, flags: tuple[str, ...]) -> None:
    settings = settings_of(tmp_path, "--listen", "127.0.0.1:7300", *flags)
    with pytest.raises(SupervisorError, match=r"7300 is held by redis \(pid 7300\).*--listen"):
        choose(settings, holding(7300), no_port)


def test_without_nginx_the_first_server_takes_the_explicit_address(tmp_path: Path) -> None:
    choice = choose(settings_of(tmp_path, "--listen", "127.0.0.1:7300"), holding(), no_port)
    assert choice.layout == AddressLayout(None, (at(7300), at(7101)))


def test_port_0_means_any(tmp_path: Path) -> None:
    free = iter([41001, 41002, 41003])
    settings = settings_of(tmp_path, "--nginx", "--listen", "127.0.0.1:0", "--server-port", "0")
    assert choose(settings, holding(), lambda _: next(free)).layout == AddressLayout(at(41001), (at(41002), at(41003)))


def test_no_free_port_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="no port after it is free"):
        choose(settings_of(tmp_path), lambda _: "redis", no_port)


def test_the_holder_of_a_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held = at(listener.getsockname()[1])
        assert holder_of(held)
    assert holder_of(held) == ""


def test_an_address_of_another_machine_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1:7100"):
        holder_of(Address("192.0.2.1", 7100))


def test_an_adopted_process_keeps_its_address(tmp_path: Path) -> None:
    kept = {"s1": at(7101), "s3": at(7400), "nginx": at(7100)}
    settings = settings_of(tmp_path, "--nginx", "--servers", "3")
    assert choose(settings, holding(7100, 7101, 7400), no_port, kept).layout == AddressLayout(
        at(7100), (at(7101), at(7102), at(7400))
    )


def test_an_address_that_was_given_goes_before_one_that_another_process_would_keep(tmp_path: Path) -> None:
    kept = {"s1": at(7300), "s2": at(7102)}
    settings = settings_of(tmp_path, "--nginx", "--listen", "127.0.0.1:7300")
    assert choose(settings, holding(7300, 7102), no_port, kept).layout == AddressLayout(at(7300), (at(7101), at(7102)))
    settings = settings_of(tmp_path, "--listen", "127.0.0.1:7102")
    assert choose(settings, holding(7300, 7102), no_port, kept).layout.servers == (at(7102), at(7101))


def test_an_adopted_process_gives_way_to_an_explicit_address(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "--nginx", "--listen", "127.0.0.1:7300", "--servers", "1")
    assert choose(settings, holding(), no_port, {"nginx": at(7100)}).layout.listen == at(7300)


def test_one_more_server_takes_a_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        chosen = choose_address("s3", taken, [at(taken + 1)], {})
    assert chosen.port not in {taken, taken + 1}
    assert choose_address("s3", 0, [], {}).port > 0


def test_the_specifications_of_each_process(tmp_path: Path) -> None:
    home = Home(tmp_path)
    flags = ("-c", "8", "--runners", "2", "--max-memory-per-runner", "1.5G")
    planner = Planner(
        settings_of(tmp_path, *flags, "--tasks", "mine", "--tasks", "b.py", "--lab", "--reload"), home, PYTHON
    )
    server, worker, nginx = planner.server(2, at(7102)), planner.worker(1), planner.nginx(Path("/nginx"), at(7100))
    assert [(spec.name, spec.kind, spec.address) for spec in (server, worker, nginx)] == [
        ("s2", ProcessKind.SERVER, at(7102)),
        ("w1", ProcessKind.WORKER, None),
        ("nginx", ProcessKind.NGINX, at(7100)),
    ]
    assert list(server.command) == [PYTHON, "-P", "-m", "core.server", "--name", "s2", "--listen", "127.0.0.1:7102"]
    assert list(worker.command) == [
        *(PYTHON, "-P", "-m", "core.worker", "--name", "w1", "--concurrency", "8"),
        *("--runners", "2", "--max-memory-per-runner", "1.5G"),
        *("--tasks", f"{Path.cwd()}:mine", "--tasks", str(Path("b.py").absolute()), "--lab", "--reload"),
    ]
    assert all(spec.environment[MARK] == str(tmp_path.resolve()) for spec in (server, worker, nginx))
    assert nginx.directory == home.nginx
    other = planner.other(
        "reports", ProcessKind.DECLARED, ["x"], {"LANG": "C", MARK: "elsewhere"}, tmp_path, stop_timeout=3.0
    )
    assert other.environment == {"LANG": "C", MARK: str(tmp_path.resolve())}
    assert other.stop_timeout == 3.0


def test_a_different_command_or_environment_changes_the_fingerprint(tmp_path: Path) -> None:
    def fingerprints(*flags: str) -> list[str]:
        planner = Planner(settings_of(tmp_path, *flags), Home(tmp_path), PYTHON)
        return [planner.server(1, at(7101)).fingerprint, planner.worker(1).fingerprint]

    plain = fingerprints()
    assert fingerprints("--servers", "5", "--start-timeout", "3") == plain
    more = fingerprints("-c", "9")
    assert more[0] == plain[0]
    assert more[1] != plain[1]
    assert not set(fingerprints("--broker", "amqp://me:x@127.0.0.1/")) & set(plain)
    planner = Planner(settings_of(tmp_path), Home(tmp_path), PYTHON)
    assert planner.server(1, at(7102)).fingerprint != plain[0]


def test_a_path_that_is_not_utf8_has_a_fingerprint(tmp_path: Path) -> None:
    planner = Planner(settings_of(tmp_path), Home(tmp_path), PYTHON)
    spec = planner.other("reports", ProcessKind.DECLARED, ["x"], {}, Path("/d\udcff"))
    assert len(spec.fingerprint) == 64


def test_options_not_given_are_left_to_the_workers_settings(tmp_path: Path) -> None:
    spec = Planner(settings_of(tmp_path), Home(tmp_path), PYTHON).worker(2)
    assert spec.command == (PYTHON, "-P", "-m", "core.worker", "--name", "w2")
    names = {MARK, "CAUCE_DIRECTORY", "CAUCE_BROKER", "CAUCE_DATABASE", "PYTHONUNBUFFERED"}
    assert set(spec.environment) == names


@pytest.mark.parametrize(
    ("flags", "environment", "expected"),
    [
        ((), {}, []),
        (("--stop-timeout", "300"), {}, ["--shutdown-timeout", "295"]),
        (("--stop-timeout", "2"), {}, ["--shutdown-timeout", "1.6"]),
        (("--stop-timeout", "0"), {}, ["--shutdown-timeout", "0"]),
        (("--stop-timeout", "300"), {"CAUCE_WORKER_SHUTDOWN_TIMEOUT": "9"}, []),
    ],
)
def test_workers_have_nearly_the_whole_stop_timeout_for_their_tasks(
    tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str], expected: list[str]
) -> None:
    spec = Planner(settings_of(tmp_path, *flags, environment=environment), Home(tmp_path), PYTHON).worker(1)
    assert list(spec.command)[6:] == expected


def test_processes_get_the_broker_and_journal_even_by_default(tmp_path: Path) -> None:
    environment = Planner(settings_of(tmp_path), Home(tmp_path), PYTHON).worker(1).environment
    assert (environment["CAUCE_BROKER"], environment["CAUCE_DATABASE"]) == ("embedded", "resultados.db")


def test_a_password_is_on_no_command_line(tmp_path: Path) -> None:
    url = "amqp://me:secret@127.0.0.1/"
    planner = Planner(settings_of(tmp_path, "--broker", url), Home(tmp_path), PYTHON)
    for spec in (planner.server(1, at(7101)), planner.worker(1)):
        assert "secret" not in " ".join(spec.command)
        assert spec.environment["CAUCE_BROKER"] == url


@pytest.mark.parametrize("flags", [("--servers", "0", "--nginx"), ("--listen", "0.0.0.0:7100")])
def test_contradicting_settings_are_refused(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        plan.check(settings_of(tmp_path, *flags), token=False)


def test_other_machines_may_connect_with_a_token(tmp_path: Path) -> None:
    flags = ("--listen", "0.0.0.0:7100", "--insecure-listen")
    assert "INSECURE" in plan.check(settings_of(tmp_path, *flags), token=True)


def test_the_token_comes_from_its_file_or_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hush\nmore\n", "utf-8")
    assert config.read_token(settings_of(tmp_path)) is None
    assert config.read_token(settings_of(tmp_path, environment={"CAUCE_TOKEN": "shh"})) == "shh"
    assert config.read_token(settings_of(tmp_path, "--token-file", str(file))) == "hush"
    file.write_text("\n", "utf-8")
    with pytest.raises(ConfigurationError, match="empty"):
        config.read_token(settings_of(tmp_path, "--token-file", str(file)))
