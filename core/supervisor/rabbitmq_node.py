"""A private RabbitMQ node on the loopback address: its directory, its settings and its command lines.

It is separate from a RabbitMQ that the machine may run, and needs no privileges. This module starts and stops no
process: the supervisor does.
Erlang's port mapper is started separately: one that the node starts itself would outlive the node, and listen on all
addresses. Anyone who can reach the node's distribution port and knows its cookie can run any program.
"""

import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec

from core.addresses import LOOPBACK, Address
from core.broker.factory import LOCAL_URL_FILE
from core.errors import SupervisorError
from core.supervisor import ports, state

RECORD = "node.json"
URL_FILE = LOCAL_URL_FILE.name

MIN_FREE_DISK = "200MB"
"""Free disk space below which RabbitMQ accepts no more messages."""

MAX_MEMORY_SHARE = "0.4"
"""Share of the machine's memory above which RabbitMQ accepts no more messages."""

_DIRECTORIES = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
"""Where packages install the server's own scripts. Debian's wrappers in /usr/sbin require root or the user rabbitmq."""

_EPMD_DIRECTORIES = ("/usr/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/lib/erlang/bin")
_REFUSED_CHARACTERS = frozenset("*?[]{}^!")
"""Characters that RabbitMQ refuses in the path of its directory."""

_CONFIGURATION = """\
listeners.tcp.default = {host}:{port}
default_user = {user}
default_pass = {password}
heartbeat = 15
log.connection.level = warning
disk_free_limit.absolute = {disk}
vm_memory_high_watermark.relative = {memory}
"""

_SETTINGS = (
    *("NODE_PORT", "NODE_IP_ADDRESS", "ADVANCED_CONFIG_FILE", "CONFIG_FILES", "DEFAULT_USER", "DEFAULT_PASS"),
    *("DEFAULT_VHOST", "ERLANG_COOKIE", "SERVER_START_ARGS", "SERVER_ERL_ARGS", "CTL_ERL_ARGS", "SERVER_CODE_PATH"),
    *("USE_LONGNAME", "PLUGINS_DIR", "PLUGINS_EXPAND_DIR", "ENABLED_PLUGINS", "MNESIA_DIR", "QUORUM_DIR", "STREAM_DIR"),
    *("FEATURE_FLAGS", "FEATURE_FLAGS_FILE", "PID_FILE", "LOG", "DBG", "SCRIPTS_DIR", "BOOT_MODULE"),
    *("NODE_ONLY", "ENV_LOADED"),
)
"""Variables that a node reads with the prefix RABBITMQ_ or, when that variable is empty or not set, without it."""

_UNSET_VARIABLES = (
    *(f"RABBITMQ_{name}" for name in _SETTINGS),
    *_SETTINGS,
    *("ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS", "ERL_EPMD_RELAXED_COMMAND_CHECK"),
)
"""Variables of the user that would change the node.

An empty value is not enough: that of `FEATURE_FLAGS` disables every feature flag, and that of
`ERL_EPMD_RELAXED_COMMAND_CHECK` lets everybody on the machine end the port mapper.
"""


class RabbitPrograms(msgspec.Struct, frozen=True):
    """The programs of RabbitMQ and Erlang that a node needs."""

    server: Path
    epmd: Path


Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
"""A port in a record."""


class RabbitNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node. It keeps its name and its messages from one run to the next."""

    name: str
    port: Port
    """The port for clients."""
    distribution_port: Port
    epmd_port: Port
    user: str
    password: str

    @property
    def url(self) -> str:
        """The URL of the node, with the password."""
        return f"amqp://{quote(self.user)}:{quote(self.password)}@{LOOPBACK}:{self.port}/%2F"


def find_programs() -> RabbitPrograms:
    """Find the programs of RabbitMQ.

    Raises:
        SupervisorError: a program is missing; the message explains how to install it.
    """
    server = _find("rabbitmq-server", _DIRECTORIES)
    epmd = _find("epmd", _EPMD_DIRECTORIES)
    if server is None or epmd is None:
        raise SupervisorError(
            "RabbitMQ is not on this machine: install it "
            "(Debian: apt-get install rabbitmq-server; macOS: brew install rabbitmq), or use the embedded queue"
        )
    return RabbitPrograms(server, epmd)


def prepare(directory: Path, *, running: bool) -> RabbitNode:
    """Create the directory of the node, or bring it up to date.

    An existing node keeps its name, its password and its messages. It also keeps its ports, unless another program has
    taken one while the node did not run.

    Args:
        directory: the directory of the node.
        running: whether the node or its port mapper runs.

    Raises:
        SupervisorError: the directory can't be used.
    """
    _check(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        former = state.load(directory / RECORD, RabbitNode)
        node = former or _new_node()
        if former is None or (not running and _has_taken_port(former)):
            node = _with_free_ports(node)
        if node != former:
            state.save(directory / RECORD, node)
        _write_files(directory, node)
    except OSError as error:
        raise SupervisorError(f"can't prepare {directory} for RabbitMQ: {error.strerror or error}") from error
    return node


def environment(node: RabbitNode, directory: Path) -> Mapping[str, str | None]:
    """Return the variables of the node and its port mapper that differ from the supervisor's environment.

    None stands for a variable that must not be set.
    """
    return {
        **dict.fromkeys(_UNSET_VARIABLES),
        "HOME": str(directory),
        "RABBITMQ_NODENAME": node.name,
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        # An empty file, so that the machine's is not read.
        "RABBITMQ_CONF_ENV_FILE": str(directory / "environment.conf"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_DIST_PORT": str(node.distribution_port),
        "ERL_EPMD_PORT": str(node.epmd_port),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # The script then replaces itself with the Erlang machine, so that the started process is the node.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def epmd_command(programs: RabbitPrograms, node: RabbitNode) -> tuple[str, ...]:
    """Return the command line that runs the port mapper in the foreground."""
    return (str(programs.epmd), "-port", str(node.epmd_port), "-address", LOOPBACK)


def node_command(programs: RabbitPrograms) -> tuple[str, ...]:
    """Return the command line that runs the node in the foreground."""
    return (str(programs.server),)


def _find(name: str, directories: tuple[str, ...]) -> Path | None:
    """Find a program where packages install it, then on PATH, except Debian's wrapper, which requires another user."""
    found = None
    for directory in directories:
        found = found or shutil.which(name, path=directory)
    found = found or shutil.which(name)
    return None if found is None or found.startswith("/usr/sbin/") else Path(found)


def _check(directory: Path) -> None:
    text = str(directory)
    if sys.platform == "win32":
        raise SupervisorError(
            "a private RabbitMQ node can't run on Windows: use the embedded queue, "
            "or give --broker the URL of a RabbitMQ"
        )
    if not text.isascii() or _REFUSED_CHARACTERS & set(text):
        raise SupervisorError(
            f"RabbitMQ can't run in {directory}: RabbitMQ refuses a character of its path; "
            "choose another directory with --dir, or use the embedded queue"
        )


def _new_node() -> RabbitNode:
    # `localhost` stays valid when the machine is renamed.
    return RabbitNode(
        name=f"cauce-{secrets.token_hex(4)}@localhost",
        port=0,
        distribution_port=0,
        epmd_port=0,
        user=f"cauce-{secrets.token_hex(4)}",
        password=secrets.token_urlsafe(24),
    )


def _with_free_ports(node: RabbitNode) -> RabbitNode:
    """Return the node with three ports that are free now."""
    allocator = ports.PortAllocator(ports.holder_of, ports.free_port)
    chosen: list[int] = []
    while len(chosen) < 3:
        port = allocator.allocate("RabbitMQ", Address(LOOPBACK, 0)).port
        if port not in chosen:
            chosen.append(port)
    return msgspec.structs.replace(node, port=chosen[0], distribution_port=chosen[1], epmd_port=chosen[2])


def _has_taken_port(node: RabbitNode) -> bool:
    """Return whether another program has taken one of the ports."""
    return any(ports.holder_of(Address(LOOPBACK, port)) for port in (node.port, node.distribution_port, node.epmd_port))


def _write_files(directory: Path, node: RabbitNode) -> None:
    cookie = directory / ".erlang.cookie"
    if not cookie.exists():
        _write(cookie, secrets.token_hex(16), 0o400)
    settings = _CONFIGURATION.format(
        host=LOOPBACK,
        port=node.port,
        user=node.user,
        password=node.password,
        disk=MIN_FREE_DISK,
        memory=MAX_MEMORY_SHARE,
    )
    _write(directory / "rabbitmq.conf", settings)
    _write(directory / "environment.conf", "")
    _write(directory / "enabled_plugins", "[].\n")
    _write(directory / URL_FILE, f"{node.url}\n")


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file for its owner only, atomically: a reader finds the old text or the new one."""
    half = path.with_name(f"{path.name}.half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(half, path)
