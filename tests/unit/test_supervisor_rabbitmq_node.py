"""The directory, the settings and the command lines of a private RabbitMQ node; none is started."""

import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from core.broker.factory import LOCAL_URL_FILE, open_broker
from core.errors import ConfigurationError, SupervisorError
from core.supervisor import rabbitmq_node
from core.supervisor.home import Home
from core.supervisor.rabbitmq_node import RabbitNode, RabbitPrograms

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no private node there")

PROGRAMS = RabbitPrograms(Path("/places/rabbitmq-server"), Path("/places/epmd"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The directory of a node, which does not exist yet."""
    return Home(tmp_path).rabbitmq


@contextmanager
def umask(mask: int) -> Iterator[None]:
    former = os.umask(mask)
    try:
        yield
    finally:
        os.umask(former)


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Listen on the port within the block."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ports_of(node: RabbitNode) -> tuple[int, int, int]:
    return node.port, node.distribution_port, node.epmd_port


def cookie_of(directory: Path) -> str:
    return (directory / ".erlang.cookie").read_text(encoding="utf-8")


def contents(directory: Path) -> dict[str, str]:
    return {each.name: each.read_text(encoding="utf-8") for each in directory.iterdir()}


# What is written.


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_every_file_is_for_its_owner_alone(directory: Path, mask: int) -> None:
    with umask(mask):
        rabbitmq_node.prepare(directory, running=False)
    assert mode(directory) == 0o700
    assert {each.name: mode(each) for each in directory.iterdir()} == {
        ".erlang.cookie": 0o400,
        "broker.url": 0o600,
        "enabled_plugins": 0o600,
        "environment.conf": 0o600,
        "node.json": 0o600,
        "rabbitmq.conf": 0o600,
    }


def test_permissions_that_are_too_wide_are_corrected(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    (directory / "rabbitmq.conf").write_text("listeners.tcp.default = 5672\n", encoding="utf-8")
    (directory / "rabbitmq.conf").chmod(0o666)
    rabbitmq_node.prepare(directory, running=False)
    assert mode(directory) == 0o700
    assert mode(directory / "rabbitmq.conf") == 0o600
    assert "5672" not in contents(directory)["rabbitmq.conf"].split()


def test_a_file_is_never_written_through_a_link(directory: Path, tmp_path: Path) -> None:
    directory.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine", encoding="utf-8")
    for name in ("rabbitmq.conf", "rabbitmq.conf.half", ".erlang.cookie.half"):
        (directory / name).symlink_to(elsewhere)
    rabbitmq_node.prepare(directory, running=False)
    assert elsewhere.read_text(encoding="utf-8") == "mine"
    assert not any(each.is_symlink() for each in directory.iterdir())


def test_the_settings_match_the_node(directory: Path) -> None:
    node = rabbitmq_node.prepare(directory, running=False)
    settings = dict(line.split(" = ") for line in contents(directory)["rabbitmq.conf"].splitlines())
    assert settings["listeners.tcp.default"] == f"127.0.0.1:{node.port}"
    assert (settings["default_user"], settings["default_pass"]) == (node.user, node.password)
    assert node.name.endswith("@localhost")
    assert all(port >= 1024 for port in ports_of(node))
    assert len(set(ports_of(node))) == 3


def test_two_directories_have_nothing_in_common(tmp_path: Path) -> None:
    directories = [Home(tmp_path / name).rabbitmq for name in ("one", "two")]
    one, two = (rabbitmq_node.prepare(directory, running=False) for directory in directories)
    assert one.name != two.name
    assert one.user != two.user
    assert one.password != two.password
    assert cookie_of(directories[0]) != cookie_of(directories[1])
    assert len(one.password) >= 32
    assert re.fullmatch(r"[0-9a-f]{32}", cookie_of(directories[0]))


# From one start to the next.


def test_an_existing_node_is_kept(directory: Path) -> None:
    former = rabbitmq_node.prepare(directory, running=False)
    before = contents(directory)
    assert rabbitmq_node.prepare(directory, running=False) == former
    assert contents(directory) == before


@pytest.mark.parametrize("which", [0, 1, 2], ids=["port", "distribution port", "epmd port"])
def test_a_taken_port_changes_only_the_ports_of_the_node(directory: Path, which: int) -> None:
    former = rabbitmq_node.prepare(directory, running=False)
    cookie = cookie_of(directory)
    with taken(ports_of(former)[which]):
        moved = rabbitmq_node.prepare(directory, running=False)
    assert ports_of(former)[which] not in ports_of(moved)
    assert len(set(ports_of(moved))) == 3
    assert (moved.name, moved.user, moved.password) == (former.name, former.user, former.password)
    assert cookie_of(directory) == cookie
    assert f"127.0.0.1:{moved.port}\n" in contents(directory)["rabbitmq.conf"]
    assert contents(directory)["broker.url"] == f"{moved.url}\n"
    # The node keeps its new ports when the former one is free again.
    assert rabbitmq_node.prepare(directory, running=False) == moved


def test_a_running_node_keeps_its_ports(directory: Path) -> None:
    former = rabbitmq_node.prepare(directory, running=False)
    with taken(former.port), taken(former.epmd_port):
        assert rabbitmq_node.prepare(directory, running=True) == former


def test_damaged_files_are_written_again(directory: Path) -> None:
    rabbitmq_node.prepare(directory, running=False)
    whole = contents(directory)
    for name in ("rabbitmq.conf", "environment.conf", "enabled_plugins", "broker.url"):
        (directory / name).write_text("nonsense", encoding="utf-8")
    (directory / "rabbitmq.conf.half").write_text("listeners", encoding="utf-8")
    rabbitmq_node.prepare(directory, running=False)
    assert contents(directory) == whole


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"name": "cauce', id="half"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[]", id="another thing"),
        pytest.param(b'{"name": "cauce-1@localhost"}', id="not all of it"),
    ],
)
def test_a_damaged_record_gives_a_new_node_that_can_be_used(directory: Path, damage: bytes) -> None:
    former = rabbitmq_node.prepare(directory, running=False)
    (directory / "node.json").write_bytes(damage)
    node = rabbitmq_node.prepare(directory, running=False)
    # Under its former name RabbitMQ would keep its former password, which is lost.
    assert node.name != former.name
    assert node.password != former.password
    assert contents(directory)["broker.url"] == f"{node.url}\n"
    assert rabbitmq_node.prepare(directory, running=False) == node


@pytest.mark.parametrize("port", [0, -1, 65_536, 99_999])
def test_a_record_with_a_port_that_is_none_is_damaged(directory: Path, port: int) -> None:
    former = rabbitmq_node.prepare(directory, running=False)
    (directory / "node.json").write_bytes(msgspec.json.encode({**msgspec.to_builtins(former), "epmd_port": port}))
    node = rabbitmq_node.prepare(directory, running=False)
    assert node.name != former.name
    assert all(0 < each < 65_536 for each in ports_of(node))


# Errors.


@pytest.mark.parametrize("name", ["día", "漢字", "a*", "what?", "a[1]", "a{1}", "a^", "now!"])
def test_a_path_that_rabbitmq_refuses_is_explained_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(SupervisorError, match="--dir") as caught:
        rabbitmq_node.prepare(tmp_path / name / "rabbitmq", running=False)
    assert "embedded queue" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_spaces_is_fine(tmp_path: Path) -> None:
    directory = Home(tmp_path / "with a space").rabbitmq
    node = rabbitmq_node.prepare(directory, running=False)
    assert rabbitmq_node.environment(node, directory)["RABBITMQ_CONFIG_FILE"] == str(directory / "rabbitmq")


def test_a_directory_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SupervisorError, match=r"can't prepare .* for RabbitMQ"):
        rabbitmq_node.prepare(tmp_path / "file" / "rabbitmq", running=False)


def test_a_file_that_cannot_be_replaced_is_explained_without_what_it_should_hold(directory: Path) -> None:
    node = rabbitmq_node.prepare(directory, running=False)
    (directory / "rabbitmq.conf").unlink()
    (directory / "rabbitmq.conf").mkdir()
    with pytest.raises(SupervisorError, match="can't prepare") as caught:
        rabbitmq_node.prepare(directory, running=False)
    assert node.password not in str(caught.value)


# The environment and the command lines.


def test_the_environment_of_the_user_does_not_change_the_node(directory: Path) -> None:
    node = rabbitmq_node.prepare(directory, running=False)
    foreign = [
        *("NODE_PORT", "NODE_IP_ADDRESS", "NODENAME", "CONFIG_FILE", "CONFIG_FILES", "ADVANCED_CONFIG_FILE"),
        *("DEFAULT_USER", "DEFAULT_PASS", "DEFAULT_VHOST", "ERLANG_COOKIE", "SERVER_ERL_ARGS", "SERVER_START_ARGS"),
        *("SERVER_ADDITIONAL_ERL_ARGS", "MNESIA_BASE", "MNESIA_DIR", "QUORUM_DIR", "LOG", "LOGS", "LOG_BASE"),
        *("ENABLED_PLUGINS", "ENABLED_PLUGINS_FILE", "PLUGINS_DIR", "USE_LONGNAME", "CONF_ENV_FILE", "DIST_PORT"),
    ]
    erlang = ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS"]
    inherited = dict.fromkeys((*(f"RABBITMQ_{name}" for name in foreign), *foreign, *erlang, "HOME"), "evil")
    variables = {**inherited, **rabbitmq_node.environment(node, directory)}
    assert [name for name in (*erlang, "HOME") if variables[name] == "evil"] == []
    # Where RABBITMQ_X is empty or not set, RabbitMQ takes X.
    assert [name for name in foreign if (variables[f"RABBITMQ_{name}"] or variables[name]) == "evil"] == []


def test_what_must_not_be_empty_is_not_set(directory: Path) -> None:
    variables = rabbitmq_node.environment(rabbitmq_node.prepare(directory, running=False), directory)
    for name in ("RABBITMQ_FEATURE_FLAGS", "FEATURE_FLAGS", "ERL_EPMD_RELAXED_COMMAND_CHECK"):
        assert name in variables
        assert variables[name] is None
    assert "" not in variables.values()
    first = variables["RABBITMQ_CONF_ENV_FILE"]
    assert first is not None
    assert Path(first).read_text(encoding="utf-8") == ""


def test_all_files_are_in_the_directory_and_all_listeners_on_the_loopback_address(directory: Path) -> None:
    node = rabbitmq_node.prepare(directory, running=False)
    variables = rabbitmq_node.environment(node, directory)
    paths = [value for value in variables.values() if value is not None and value.startswith("/")]
    assert len(paths) >= 5
    assert all(Path(value).is_relative_to(directory) for value in paths)
    assert variables["HOME"] == str(directory)
    assert variables["RABBITMQ_NODENAME"] == node.name
    assert variables["RABBITMQ_DIST_PORT"] == str(node.distribution_port)
    assert (variables["ERL_EPMD_PORT"], variables["ERL_EPMD_ADDRESS"]) == (str(node.epmd_port), "127.0.0.1")
    erlang = variables["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert erlang is not None
    assert "inet_dist_use_interface {127,0,0,1}" in erlang
    epmd = rabbitmq_node.epmd_command(PROGRAMS, node)
    assert epmd == ("/places/epmd", "-port", str(node.epmd_port), "-address", "127.0.0.1")
    assert rabbitmq_node.node_command(PROGRAMS) == ("/places/rabbitmq-server",)


def test_no_secret_is_in_the_environment_or_a_command_line(directory: Path) -> None:
    node = rabbitmq_node.prepare(directory, running=False)
    variables = [
        *rabbitmq_node.environment(node, directory).values(),
        *rabbitmq_node.epmd_command(PROGRAMS, node),
        *rabbitmq_node.node_command(PROGRAMS),
    ]
    for secret in (node.password, cookie_of(directory)):
        assert not any(secret in each for each in variables if each is not None)


# The broker named local.


def test_the_broker_named_local_is_the_node_of_the_directory(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.directory / LOCAL_URL_FILE == home.rabbitmq / rabbitmq_node.URL_FILE
    node = rabbitmq_node.prepare(home.rabbitmq, running=False)
    broker = open_broker("local", home.directory)
    assert f"127.0.0.1:{node.port}" in broker.description
    for shown in (broker.description, repr(broker)):
        assert node.password not in shown
        assert node.user not in shown


def test_the_broker_named_local_follows_the_node_to_new_ports(tmp_path: Path) -> None:
    home = Home(tmp_path)
    former = rabbitmq_node.prepare(home.rabbitmq, running=False)
    with taken(former.port):
        moved = rabbitmq_node.prepare(home.rabbitmq, running=False)
    assert str(moved.port) in open_broker("local", home.directory).description


def test_where_there_is_no_node_the_broker_named_local_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="up --broker local"):
        open_broker("local", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"\n", b"\xff", b"nonsense", b"amqp://user:pass-word-\xc3\xb1@host:port/"])
def test_a_damaged_url_file_is_explained_without_the_password(tmp_path: Path, damage: bytes) -> None:
    home = Home(tmp_path)
    rabbitmq_node.prepare(home.rabbitmq, running=False)
    (home.rabbitmq / rabbitmq_node.URL_FILE).write_bytes(damage)
    with pytest.raises(ConfigurationError) as caught:
        open_broker("local", home.directory)
    assert "pass-word" not in str(caught.value)


def test_a_url_holds_any_characters_of_a_name_and_a_password() -> None:
    password = "p@s:s%?#"  # noqa: S105 - an example
    node = RabbitNode(name="n@localhost", port=1, distribution_port=2, epmd_port=3, user="a user", password=password)
    assert node.url == "amqp://a%20user:p%40s%3As%25%3F%23@127.0.0.1:1/%2F"


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("make_rabbitmq_node")
def test_the_programs_are_found_although_path_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/sbin")
    programs = rabbitmq_node.find_programs()
    # Debian's wrapper in /usr/sbin requires root or the user rabbitmq.
    assert programs.server.name == "rabbitmq-server"
    assert programs.server.parent != Path("/usr/sbin")
    assert programs.epmd.name == "epmd"
