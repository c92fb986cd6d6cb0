"""The private RabbitMQ node of a data directory, run by the supervisor: who can reach it, and what it keeps.

The tests share one system, which each leaves running.
"""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from core.addresses import Address
from core.broker.base import Broker
from core.broker.factory import open_broker
from core.broker.rabbitmq import RabbitBroker
from core.client import Client
from core.errors import BrokerMisconfigured, BrokerUnavailable
from core.model import Part, State
from core.repository.journal import Journal
from core.supervisor import rabbitmq_node, state
from core.supervisor.home import Home
from core.supervisor.processes import process_identity
from core.supervisor.rabbitmq_node import RabbitNode
from tests.integration.programs import clean_environment
from tests.integration.supervised import Supervised, kill, pid_of, settled, submit
from tests.services import warm
from tests.services.listening import listening
from tests.services.suspension import resume, suspend
from tests.services.waiting import wait_until
from tests.tui.watching import broken, look, red, watching
from tui.view import Health

pytestmark = pytest.mark.rabbitmq

PATIENCE = 60.0
PATIENT = ("--broker", "local", "--start-timeout", "50")

HOSTILE = {
    "RABBITMQ_NODENAME": "rabbit@localhost",
    "RABBITMQ_NODE_PORT": "1",
    "RABBITMQ_NODE_IP_ADDRESS": "0.0.0.0",  # noqa: S104 - the node must not listen there
    "RABBITMQ_DEFAULT_USER": "guest",
    "RABBITMQ_DEFAULT_PASS": "guest",
    "RABBITMQ_ERLANG_COOKIE": "WELLKNOWN",
    "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-nonsense",
    "RABBITMQ_CONFIG_FILE": "/nowhere/rabbitmq",
    "RABBITMQ_FEATURE_FLAGS": "no_such_feature",
    "NODE_PORT": "1",
    "DEFAULT_USER": "guest",
    "DEFAULT_PASS": "guest",
    "ERLANG_COOKIE": "WELLKNOWN",
    "FEATURE_FLAGS": "new_colours",
    "LOG": "everything",
    "ERL_FLAGS": "-nonsense",
    "ERL_EPMD_ADDRESS": "0.0.0.0",  # noqa: S104 - the port mapper must not listen there
    "ERL_EPMD_PORT": "1",
    "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",
}
"""Variables that a user may have set for another RabbitMQ, or for other programs."""


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    # Without RabbitMQ it skips, or fails with the command that installs it.
    request.getfixturevalue("make_rabbitmq_node")
    with Supervised(tmp_path_factory.mktemp("private")) as supervised:
        supervised.environment.update(HOSTILE)
        report = supervised.up(1, 1, *PATIENT)
        yield supervised
        supervised.down()
        supervised.assert_nothing_left(report)


@pytest.fixture
def system(shared: Supervised) -> Supervised:
    """Return the system when everything is ready."""
    wait_until(lambda: settled(shared.status()), "everything to be ready", PATIENCE)
    return shared


def node_of(system: Supervised) -> RabbitNode:
    node = state.load(system.home.rabbitmq / rabbitmq_node.RECORD, RabbitNode)
    assert node is not None
    return node


def secrets_of(system: Supervised) -> set[str]:
    cookie = (system.home.rabbitmq / ".erlang.cookie").read_text(encoding="utf-8")
    return {node_of(system).password, cookie}


def processes_of(system: Supervised, *names: str) -> list[psutil.Process]:
    """Return the processes of some units, and all their descendants."""
    report = system.status()
    tops = [psutil.Process(pid) for name in names if (pid := pid_of(report, name)) is not None]
    assert len(tops) == len(names)
    return [each for top in tops for each in (top, *top.children(recursive=True))]


def listeners(system: Supervised) -> set[tuple[str, int]]:
    """Return the addresses that the node and its port mapper listen on."""
    return listening(processes_of(system, "epmd", "rabbitmq"))


def names_at(epmd_port: int) -> str:
    """Return the names that a port mapper knows, with their ports."""
    with socket.create_connection(("127.0.0.1", epmd_port), 10.0) as stream:
        stream.sendall(b"\x00\x01n")
        answer = b""
        while received := stream.recv(4096):
            answer += received
    return answer[4:].decode()


def local(system: Supervised) -> Broker:
    return open_broker("local", system.home.directory)


def assert_free(ports: set[tuple[str, int]]) -> None:
    for host, port in ports:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            assert probe.connect_ex((host, port)) != 0, (host, port)


def test_a_stranger_can_not_end_the_port_mapper(system: Supervised) -> None:
    before = pid_of(system.status(), "epmd")
    for request in (b"k", b"s" + node_of(system).name.partition("@")[0].encode()):  # end yourself; forget this node
        with socket.create_connection(("127.0.0.1", node_of(system).epmd_port), 10.0) as stream:
            stream.sendall(len(request).to_bytes(2, "big") + request)
            assert not stream.recv(64).startswith((b"OK", b"STOPPED"))
    assert node_of(system).name.partition("@")[0] in names_at(node_of(system).epmd_port)
    assert pid_of(system.status(), "epmd") == before


def test_the_monitor_knows_the_broker_of_its_directory(system: Supervised) -> None:
    arguments = ["--once", "--json", "--dir", str(system.home.directory)]
    _, output, _ = warm.run("core.monitor", arguments, clean_environment())
    snapshot = msgspec.json.decode(output)
    assert snapshot["troubles"] == []
    assert snapshot["depth"]["ready"] == 0


def test_programs_of_its_directory_show_no_password_of_a_broker(system: Supervised) -> None:
    node = node_of(system)
    url = f"amqp://{node.user}:{node.password}@127.0.0.1:{node.port}/%2F"
    ended = system.run("up", *system.sizes(1, 1), "--broker", url, "--detach")
    assert ended.code == 4
    assert "--broker: local runs, amqp://" in ended.errors
    assert node.password not in ended.errors


# Who can reach it.


def test_all_its_listeners_are_on_the_loopback_address_and_only_those_that_it_needs(system: Supervised) -> None:
    node = node_of(system)
    # The port mapper listens on both loopback addresses of the machine, whatever its settings.
    wanted = {("127.0.0.1", port) for port in (node.port, node.distribution_port, node.epmd_port)}
    assert wanted <= listeners(system) <= wanted | {("::1", node.epmd_port)}
    # Only its own port mapper knows it: its name leads to its distribution port.
    assert names_at(node.epmd_port) == f"name {node.name.split('@')[0]} at port {node.distribution_port}\n"


def test_the_port_mapper_finds_no_fault_in_the_probes_of_its_health(system: Supervised) -> None:
    # It counts as ready only after a probe.
    assert "partial packet" not in system.home.log("epmd").read_text("utf-8")


@pytest.mark.parametrize(("user", "password"), [("guest", "guest"), ("cauce", ""), ("", "")])
def test_the_default_users_of_rabbitmq_are_refused(system: Supervised, user: str, password: str) -> None:
    url = f"amqp://{user}:{password}@127.0.0.1:{node_of(system).port}/%2F"
    with pytest.raises(BrokerMisconfigured):
        RabbitBroker([url]).check(PATIENCE)


def test_the_credentials_of_another_directory_are_refused(system: Supervised, tmp_path: Path) -> None:
    node = node_of(system)
    other = rabbitmq_node.prepare(Home(tmp_path).rabbitmq, running=False)
    assert (other.user, other.password) != (node.user, node.password)
    for user, password in ((other.user, other.password), (node.user, other.password), (other.user, node.password)):
        with pytest.raises(BrokerMisconfigured):
            RabbitBroker([f"amqp://{user}:{password}@127.0.0.1:{node.port}/%2F"]).check(PATIENCE)
    local(system).check(PATIENCE)


def test_variables_for_another_rabbitmq_are_ignored(system: Supervised) -> None:
    report = system.status()
    assert report is not None
    assert [unit.name for unit in report.processes][:2] == ["epmd", "rabbitmq"]
    assert report.broker == f"RabbitMQ at 127.0.0.1:{node_of(system).port}"
    assert submit(report.listen, "wordcount", "uno dos tres") == 3


# What others can see of it.


def test_no_report_log_file_or_command_line_shows_a_secret(system: Supervised) -> None:
    secrets = secrets_of(system)
    broker = local(system)
    shown = [system.run("status").output, system.run("status", "--json").output, broker.description, repr(broker)]
    logs = [each.read_text(encoding="utf-8", errors="replace") for each in system.home.logs()]
    assert len(logs) >= 5
    files = [each.read_text(encoding="utf-8", errors="replace") for each in system.home.path.glob("*.json")]
    assert len(files) >= 3
    ours = [psutil.Process(identity.pid) for identity in process_identity.processes_of(system.home)]
    assert len(ours) >= 5
    lines = [argument for process in ours for argument in process.cmdline()]
    for secret in secrets:
        assert len(secret) >= 32
        assert not any(secret in each for each in (*shown, *logs, *files, *lines))


def test_only_its_own_files_hold_a_secret_and_only_their_owner_can_read_them(system: Supervised) -> None:
    secrets = [secret.encode() for secret in secrets_of(system)]
    assert stat.S_IMODE(system.home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(system.home.rabbitmq.stat().st_mode) == 0o700
    files = [each for each in system.home.directory.rglob("*") if each.is_file()]
    holding = {each for each in files if any(secret in each.read_bytes() for secret in secrets)}
    own = {each for each in holding if each.parent == system.home.rabbitmq}
    assert {each.name for each in own} == {".erlang.cookie", "node.json", "rabbitmq.conf", "broker.url"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in own} <= {0o400, 0o600}
    # RabbitMQ's own files lie in the same directory.
    assert all(each.is_relative_to(system.home.rabbitmq) for each in holding)


# When it hangs, and when it ends.


def test_a_node_that_hangs_is_noticed_in_time_by_checks_and_by_the_supervisor(system: Supervised) -> None:
    broker = local(system)
    pid = pid_of(system.status(), "rabbitmq")
    assert pid is not None
    suspend(pid)
    try:
        with pytest.raises(BrokerUnavailable):
            broker.check(1.0)
        wait_until(lambda: not settled(system.status()), "the supervisor to notice", PATIENCE)
        assert system.run("status").code == 1
    finally:
        resume(pid)
    wait_until(lambda: settled(system.status()), "everything to be ready again", PATIENCE)
    assert pid_of(system.status(), "rabbitmq") == pid


def test_a_killed_node_is_red_in_the_console_and_nothing_else_is(system: Supervised) -> None:
    with watching(system.home.directory, "local") as builder:
        wait_until(lambda: look(builder).light is Health.READY, "everything to be ready", PATIENCE)
        kill(pid_of(system.status(), "rabbitmq"))
        seen: list[set[Part]] = []

        def is_broken() -> bool:
            seen.append(broken(look(builder)))
            return bool(seen[-1])

        wait_until(is_broken, "the broker to be red", PATIENCE)
        shown = red(look(builder))
        assert "✖ broker RabbitMQ" in shown
        assert not {"s1", "w1", "journal"} & set(shown.split())
        wait_until(lambda: settled(system.status()), "everything to be ready again", PATIENCE)
        wait_until(lambda: not is_broken(), "the broker to be no longer red", PATIENCE)
        assert set().union(*seen) == {Part.BROKER}


def test_down_leaves_nothing_running_and_up_delivers_the_messages_that_were_waiting(system: Supervised) -> None:
    before = node_of(system)
    report = system.status()
    assert report is not None
    assert system.run("stop", "w1").code == 0
    with Client(Address.parse(report.listen)) as client:
        tasks = [client.submit("echo", number, id=f"kept-{number}").id for number in range(20)]
    wait_for_ready(system, len(tasks))

    ports = listeners(system)
    stopped = system.down()
    assert stopped.stopped[-2:] == ("rabbitmq", "epmd")
    assert stopped.killed == ()
    system.assert_nothing_left(report)
    assert_free(ports)

    # Without a server no process can publish them again: the node has kept them.
    system.up(0, 0, *PATIENT)
    assert node_of(system) == before
    wait_for_ready(system, len(tasks))
    assert system.run("scale", "servers=1", "workers=1").code == 0
    with Journal("resultados.db", system.home.directory).open_readonly() as repository:

        def states() -> set[State]:
            return {task.state for task in repository.find_all(tasks)}

        wait_until(lambda: states() == {State.DONE}, "the tasks to be done", PATIENCE)
        assert repository.audit().is_consistent


def wait_for_ready(system: Supervised, count: int) -> None:
    """Wait until that many messages are ready on the node."""
    with local(system).gauge() as gauge:

        def reached() -> bool:
            try:
                return gauge.read().ready == count
            except BrokerUnavailable:
                return False

        wait_until(reached, f"{count} messages to be ready", PATIENCE)
