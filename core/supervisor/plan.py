"""From settings to the processes to run: names, command lines, environments, addresses. It is pure."""

import enum
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from core import config, exposure
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError
from core.supervisor import options
from core.supervisor.home import Home
from core.supervisor.nginx import executable

MARK = "CAUCE_SUPERVISED_BY"
"""In the environment of every child and of what it starts: the data directory that it works for."""

LOCAL = "local"
"""The broker that is a private RabbitMQ node of this directory."""


class ProcessKind(enum.StrEnum):
    """What a process is for."""

    EPMD = "epmd"
    """Erlang's port mapper, which RabbitMQ needs."""
    RABBITMQ = "rabbitmq"
    SERVER = "server"
    WORKER = "worker"
    NGINX = "nginx"
    DECLARED = "declared"
    """A process that the user has declared in the settings file."""


START_STAGES: tuple[tuple[ProcessKind, ...], ...] = (
    (ProcessKind.EPMD,),
    (ProcessKind.RABBITMQ,),
    (ProcessKind.SERVER, ProcessKind.WORKER),
    (ProcessKind.NGINX,),
    (ProcessKind.DECLARED,),
)
"""What is started together, after everything before it is ready."""

STOP_ORDER: tuple[ProcessKind, ...] = (
    ProcessKind.DECLARED,
    ProcessKind.SERVER,
    ProcessKind.WORKER,
    ProcessKind.NGINX,
    ProcessKind.RABBITMQ,
    ProcessKind.EPMD,
)
"""What takes tasks in ends before what works on them, NGINX after them, so that clients get the servers' answers
until the end, and last what they all stand on."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to run."""

    name: str
    kind: ProcessKind
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """What it has beside the supervisor's own."""
    directory: Path | None = None
    """Where it runs; where the supervisor does when None."""
    address: Address | None = None
    """Where it listens."""
    ready_after: float | None = None
    """Seconds of life after which it counts as ready, where nothing better can be looked at."""
    stop_timeout: float | None = None
    """Seconds that it has to end; the supervisor's setting when None."""

    @property
    def fingerprint(self) -> str:
        """The same for two specifications that run the same thing in the same way."""
        whole = msgspec.json.encode(
            (self.kind, self.command, sorted(self.environment.items()), str(self.directory), str(self.address))
        )
        return hashlib.sha256(whole).hexdigest()


def number_of(name: str) -> int:
    """The number in the name of a server or worker; 0 where there is none."""
    found = re.fullmatch(r"[sw](\d+)", name)
    return int(found[1]) if found else 0


def check(settings: Settings, *, token: bool) -> str:
    """Make sure that what is wished for can go together; the warning to give, if there is one.

    Args:
        settings: of the supervisor.
        token: whether clients have to show one.

    Raises:
        ConfigurationError: it can't; says why.
    """
    listen = settings[options.LISTEN]
    if settings[options.NGINX] and not settings[options.SERVER_COUNT]:
        raise ConfigurationError("NGINX needs at least one server to send connections to: leave --nginx out")
    return exposure.check(settings, listen, token=token) if settings[options.SERVER_COUNT] else ""


class Planner:
    """Writes the specification of each process.

    Args:
        settings: of the supervisor.
        home: of the data directory.
        python: the interpreter to run servers and workers with.
    """

    def __init__(self, settings: Settings, home: Home, python: str) -> None:
        self._home = home
        self._python = python
        self._environment = _environment(settings, home)
        self._worker_flags = _worker_flags(settings)

    def server(self, number: int, address: Address) -> ProcessSpec:
        """A server that listens there."""
        name = f"s{number}"
        return ProcessSpec(
            name=name,
            kind=ProcessKind.SERVER,
            command=(self._python, "-m", "core.server", "--name", name, "--listen", str(address)),
            environment=self._environment,
            address=address,
        )

    def worker(self, number: int) -> ProcessSpec:
        """A worker."""
        name = f"w{number}"
        return ProcessSpec(
            name=name,
            kind=ProcessKind.WORKER,
            command=(self._python, "-m", "core.worker", "--name", name, *self._worker_flags),
            environment=self._environment,
        )

    def nginx(self, program: Path, listen: Address) -> ProcessSpec:
        """NGINX, listening there. It wipes its environment, so it is known by the directory that it runs in."""
        return ProcessSpec(
            name="nginx",
            kind=ProcessKind.NGINX,
            command=tuple(executable.command(program, self._home.nginx)),
            environment={MARK: str(self._home.directory)},
            directory=self._home.nginx,
            address=listen,
        )

    def other(
        self,
        name: str,
        kind: ProcessKind,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        address: Address | None = None,
        ready_after: float | None = None,
        stop_timeout: float | None = None,
    ) -> ProcessSpec:
        """Any other process, with our mark."""
        return ProcessSpec(
            name=name,
            kind=kind,
            command=tuple(command),
            environment={**environment, MARK: str(self._home.directory)},
            directory=directory,
            address=address,
            ready_after=ready_after,
            stop_timeout=stop_timeout,
        )


def _environment(settings: Settings, home: Home) -> dict[str, str]:
    """What servers and workers are told. Not by their command lines: a broker's URL may hold a password."""
    told = {MARK: str(home.directory), config.DIRECTORY.variable: str(home.directory)}
    common = (config.BROKER, config.DATABASE, config.LOG_LEVEL, config.LOG_FORMAT, config.TOKEN_FILE)
    for option in (*common, *exposure.OPTIONS):
        if settings.given(option):
            told[option.variable] = settings.origins[option.key].text
    rate = exposure.rate_limit(settings, settings[options.LISTEN])
    if rate:
        # A server behind NGINX can't know that other machines get in.
        told[exposure.RATE_LIMIT.variable] = str(rate)
    return told


def _worker_flags(settings: Settings) -> list[str]:
    """The flags of every worker. What nobody chose here is left to the worker's own settings."""
    flags = []
    if settings.given(options.CONCURRENCY):
        flags += ["--concurrency", str(settings[options.CONCURRENCY])]
    for module in settings[options.TASKS]:
        flags += ["--tasks", module]
    if settings[options.LAB]:
        flags += ["--lab"]
    return flags
