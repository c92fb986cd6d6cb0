"""A private RabbitMQ node: its directory, its settings and its command lines, all of it on the loopback address.

It touches nothing of a RabbitMQ that the machine may run, and needs no rights.
It starts and stops nothing: the supervisor does, as with every other process.
Erlang's port mapper runs as a process of its own before it: one that the node starts itself would outlive it,
and listen for everybody. Whoever can speak to the node's distribution port and knows its cookie can run any program.
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
"""Free space below which RabbitMQ takes no more messages."""

MAX_MEMORY_SHARE = "0.4"
"""Share of the machine's memory from which on it takes no more."""

_PLACES = ("/usr/lib/rabbitmq/bin", "/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin")
"""Where the server's own scripts are. Those in Debian's /usr/sbin insist on root or the user rabbitmq."""

_EPMD_PLACES = ("/usr/bin", "/opt/homebrew/bin", "/usr/local/bin", "/usr/lib/erlang/bin")
_REFUSED = frozenset("*?[]{}^!")
"""What RabbitMQ can't have in the path of its directory."""

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
    *("FEATURE_FLAGS_FILE", "PID_FILE", "LOG", "DBG", "SCRIPTS_DIR", "BOOT_MODULE", "NODE_ONLY", "ENV_LOADED"),
)
"""What a node takes from variables of these names, with RABBITMQ_ before them or, where that is empty, without."""

_FOREIGN = (
    *(f"RABBITMQ_{name}" for name in _SETTINGS),
    *_SETTINGS,
    *("ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_LIBS", "ERL_EPMD_RELAXED_COMMAND_CHECK"),
)
"""Variables of the user's own that would change the node; an empty one counts as none."""

_ENVIRONMENT_FILE = "unset RABBITMQ_FEATURE_FLAGS FEATURE_FLAGS\n"
"""What the scripts of the node read before all else. An empty variable of this name would forbid every feature."""


class RabbitPrograms(msgspec.Struct, frozen=True):
    """What is needed of RabbitMQ and Erlang."""

    server: Path
    epmd: Path


Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
"""A port as a record may hold it."""


class RabbitNode(msgspec.Struct, frozen=True, kw_only=True):
    """One node, which keeps its name and what it has stored from one run to the next."""

    name: str
    port: Port
    """Where clients connect."""
    distribution_port: Port
    epmd_port: Port
    user: str
    password: str

    @property
    def url(self) -> str:
        """How it is reached, with the password."""
        return f"amqp://{quote(self.user)}:{quote(self.password)}@{LOOPBACK}:{self.port}/%2F"


def find_programs() -> RabbitPrograms:
    """Find the programs.

    Raises:
        SupervisorError: one is missing; says how to install it.
    """
    server = _find("rabbitmq-server", _PLACES)
    epmd = _find("epmd", _EPMD_PLACES)
    if server is None or epmd is None:
        raise SupervisorError(
            "RabbitMQ is not on this machine: install it "
            "(Debian: apt-get install rabbitmq-server; macOS: brew install rabbitmq), or use the embedded queue"
        )
    return RabbitPrograms(server, epmd)


def prepare(directory: Path, *, running: bool) -> RabbitNode:
    """Make the directory of the node, or bring it up to date.

    A node that was here before keeps its name, its password and what it has stored. Its ports stay too, unless it
    does not run and somebody has taken one.

    Args:
        directory: the node's own.
        running: whether something of it runs.

    Raises:
        SupervisorError: the directory can't be used.
    """
    _check(directory)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        former = state.load(directory / RECORD, RabbitNode)
        node = former or _new()
        if former is None or (not running and _is_disturbed(former)):
            node = _moved(node)
        if node != former:
            state.save(directory / RECORD, node)
        _write_files(directory, node)
    except OSError as error:
        raise SupervisorError(f"can't prepare {directory} for RabbitMQ: {error.strerror or error}") from error
    return node


def environment(node: RabbitNode, directory: Path) -> Mapping[str, str]:
    """What the node and its port mapper are told, beside and over the supervisor's own environment."""
    return {
        **dict.fromkeys(_FOREIGN, ""),
        "HOME": str(directory),
        "RABBITMQ_NODENAME": node.name,
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq"),
        # A file of our own, so that the machine's is not read.
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
        # The script becomes the Erlang machine, so that the process which is started is the node itself.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def epmd_command(programs: RabbitPrograms, node: RabbitNode) -> tuple[str, ...]:
    """The command line of the port mapper, in the foreground."""
    return (str(programs.epmd), "-port", str(node.epmd_port), "-address", LOOPBACK)


def node_command(programs: RabbitPrograms) -> tuple[str, ...]:
    """The command line of the node, in the foreground."""
    return (str(programs.server),)


def _find(name: str, places: tuple[str, ...]) -> Path | None:
    """Look where the packages put it, then on PATH; not at Debian's wrapper, which asks for another user."""
    found = None
    for place in places:
        found = found or shutil.which(name, path=place)
    found = found or shutil.which(name)
    return None if found is None or found.startswith("/usr/sbin/") else Path(found)


def _check(directory: Path) -> None:
    text = str(directory)
    if sys.platform == "win32":
        raise SupervisorError(
            "a private RabbitMQ node is not to be had on Windows: use the embedded queue, "
            "or give --broker the URL of a RabbitMQ"
        )
    if not text.isascii() or _REFUSED & set(text):
        raise SupervisorError(
            f"RabbitMQ can't run in {directory}: its path holds a character that RabbitMQ refuses; "
            "choose another directory with --dir, or use the embedded queue"
        )


def _new() -> RabbitNode:
    # `localhost` stays what it is when the machine gets another name.
    return RabbitNode(
        name=f"cauce-{secrets.token_hex(4)}@localhost",
        port=0,
        distribution_port=0,
        epmd_port=0,
        user=f"cauce-{secrets.token_hex(4)}",
        password=secrets.token_urlsafe(24),
    )


def _moved(node: RabbitNode) -> RabbitNode:
    """The same node on ports that are free now, each of its own."""
    allocator = ports.PortAllocator(ports.holder_of, ports.free_port)
    chosen: list[int] = []
    while len(chosen) < 3:
        port = allocator.allocate("RabbitMQ", Address(LOOPBACK, 0)).port
        if port not in chosen:
            chosen.append(port)
    return msgspec.structs.replace(node, port=chosen[0], distribution_port=chosen[1], epmd_port=chosen[2])


def _is_disturbed(node: RabbitNode) -> bool:
    """Whether somebody has taken one of its ports."""
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
    _write(directory / "environment.conf", _ENVIRONMENT_FILE)
    _write(directory / "enabled_plugins", "[].\n")
    _write(directory / URL_FILE, f"{node.url}\n")


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file for its owner only, so that a reader finds the old text or the new one, never a part."""
    half = path.with_name(f"{path.name}.half")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(half, path)
