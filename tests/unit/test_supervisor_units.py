"""The units by name and in order. None of them runs."""

from pathlib import Path

import pytest

from core.addresses import Address
from core.errors import SupervisorError
from core.supervisor.home import Home
from core.supervisor.plan import ProcessKind, ProcessSpec
from core.supervisor.processes.unit import Unit
from core.supervisor.processes.units import Units

PROCESS_KINDS = {
    "s": ProcessKind.SERVER,
    "w": ProcessKind.WORKER,
    "n": ProcessKind.NGINX,
    "d": ProcessKind.DECLARED,
    "e": ProcessKind.EPMD,
    "r": ProcessKind.RABBITMQ,
}
"""By the first letter of a name."""


def at(port: int) -> Address:
    return Address("127.0.0.1", port)


def units_of(directory: Path, *names: str, **addresses: Address) -> Units:
    home = Home(directory)
    units = Units(lambda spec: Unit(spec, home, {}))
    for name in names:
        units.add(
            ProcessSpec(
                name=name, kind=PROCESS_KINDS[name[0]], command=("x",), environment={}, address=addresses.get(name)
            )
        )
    return units


def names_of(units: list[Unit]) -> list[str]:
    return [unit.name for unit in units]


def test_units_are_ordered_by_start_stage_and_number(tmp_path: Path) -> None:
    added = ["w10", "d-zeta", "nginx", "w2", "s2", "rabbitmq", "d-alpha", "s10", "w1", "epmd", "s1"]
    assert names_of(list(units_of(tmp_path, *added))) == [
        *("epmd", "rabbitmq", "s1", "s2", "s10", "w1", "w2", "w10", "nginx", "d-alpha", "d-zeta"),
    ]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["w1"], ["w1"]),
        (["w2", "s1"], ["s1", "w2"]),
        (["w1", "workers", "w1"], ["w1", "w2"]),
        (["servers"], ["s1"]),
        (["declared", "nginx"], ["nginx", "d1"]),
        (["all"], ["s1", "w1", "w2", "nginx", "d1"]),
        ([], []),
    ],
)
def test_units_are_found_by_name_and_by_group_each_once(tmp_path: Path, asked: list[str], found: list[str]) -> None:
    assert names_of(units_of(tmp_path, "s1", "w1", "w2", "nginx", "d1").find(asked)) == found


def test_a_group_may_be_empty(tmp_path: Path) -> None:
    assert units_of(tmp_path, "w1").find(["servers"]) == []


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match=r"^there is no process w9; there are: s1, w1$"):
        units_of(tmp_path, "w1", "s1").find(["w1", "w9"])
    with pytest.raises(SupervisorError, match="there are: none"):
        units_of(tmp_path).find(["w1"])


@pytest.mark.parametrize("name", ["\x1b[31mw1", "w1\nw2", "", "w" * 1000])
def test_an_unknown_name_is_shown_without_control_characters(tmp_path: Path, name: str) -> None:
    with pytest.raises(SupervisorError) as caught:
        units_of(tmp_path, "w1").find([name])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 120


def test_a_removed_unit_is_no_longer_found(tmp_path: Path) -> None:
    units = units_of(tmp_path, "w1", "w2")
    units.remove(units.find(["w2"])[0])
    assert names_of(list(units)) == ["w1"]
    with pytest.raises(SupervisorError, match="there is no process w2"):
        units.find(["w2"])


def test_units_are_found_by_kind(tmp_path: Path) -> None:
    units = units_of(tmp_path, "w1", "nginx", "s1")
    assert names_of(units.of(ProcessKind.NGINX, ProcessKind.SERVER)) == ["s1", "nginx"]
    assert units.of() == []


def test_clients_connect_to_nginx_or_else_to_the_first_server(tmp_path: Path) -> None:
    with_nginx = units_of(tmp_path, "s1", "nginx", s1=at(7101), nginx=at(7100))
    assert with_nginx.client_address == at(7100)
    assert units_of(tmp_path, "s2", "s1", s1=at(7101), s2=at(7102)).client_address == at(7101)
    assert units_of(tmp_path, "w1").client_address is None


def test_a_stopped_server_is_not_among_the_addresses(tmp_path: Path) -> None:
    units = units_of(tmp_path, "s1", "s2", "d1", s1=at(7101), s2=at(7102), d1=at(9000))
    assert units.server_addresses == [at(7101), at(7102)]
    units.find(["s1"])[0].stop(10.0, 1000.0)
    assert units.server_addresses == [at(7102)]
