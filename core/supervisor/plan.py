"""Makes the specification of each process from the settings: name, command line, environment, address. Pure."""

import enum
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from core import child_programs, config, exposure
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError
from core.supervisor import options
from core.supervisor.home import Home
from core.supervisor.nginx import executable

MARK = "CAUCE_SUPERVISED_BY"
"""The environment variable of every child and its descendants that names their data directory."""

LOCAL = "local"
"""The setting for a private RabbitMQ node as broker."""


MAX_STOP_MARGIN = 5.0
"""Seconds between the time at which a worker gives up its tasks and the time at which it is killed, at most."""


class ProcessKind(enum.StrEnum):
    """The kind of a supervised process."""

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
"""The kinds that are started together, stage by stage. Each stage starts when the one before is ready."""

STOP_ORDER: tuple[ProcessKind, ...] = (
    ProcessKind.DECLARED,
    ProcessKind.SERVER,
    ProcessKind.WORKER,
    ProcessKind.NGINX,
    ProcessKind.RABBITMQ,
    ProcessKind.EPMD,
)
"""Servers end before workers, so that no more tasks come in. NGINX ends after the servers, so that their replies
reach the clients. The broker ends last."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of one process."""

    name: str
    kind: ProcessKind
    command: tuple[str, ...]
    environment: Mapping[str, str | None]
    """The variables that differ from the supervisor's environment; None for one that is not set."""
    directory: Path | None = None
    """The working directory; None for the supervisor's, or the data directory when that one was removed."""
    address: Address | None = None
    """The address that it listens on."""
    ready_after: float | None = None
    """Seconds of life after which it counts as ready, when it has no address to probe."""
    stop_timeout: float | None = None
    """Seconds that it has to end before it is killed; the supervisor's setting when None."""

    @property
    def fingerprint(self) -> str:
        """A hash that is equal for two specifications that run the same program in the same way."""
        # msgspec refuses paths that are not UTF-8.
        whole = json.dumps(
            (self.kind, self.command, sorted(self.environment.items()), str(self.directory), str(self.address))
        )
        return hashlib.sha256(whole.encode("ascii")).hexdigest()


def number_of(name: str) -> int:
    """Return the number in the name of a server or worker, or 0 for other names."""
    match = re.fullmatch(r"[sw](\d+)", name)
    return int(match[1]) if match else 0


def check(settings: Settings, *, token: bool) -> str:
    """Check that the settings fit together. Returns a warning, or an empty string.

    Args:
        settings: the supervisor's settings.
        token: whether clients must send a token.

    Raises:
        ConfigurationError: two settings contradict each other.
    """
    listen = settings[options.LISTEN]
    if settings[options.NGINX] and not settings[options.SERVER_COUNT]:
        raise ConfigurationError("NGINX needs at least one server to send connections to: leave --nginx out")
    return exposure.check(settings, listen, token=token) if settings[options.SERVER_COUNT] else ""


class Planner:
    """Makes the specification of each process.

    Args:
        settings: the supervisor's settings.
        home: the paths of the data directory.
        python: the interpreter that runs servers and workers.
    """

    def __init__(self, settings: Settings, home: Home, python: str) -> None:
        self._home = home
        self._python = python
        self._environment = _environment(settings, home)
        self._worker_flags = _worker_flags(settings)

    def server(self, number: int, address: Address) -> ProcessSpec:
        """Specify a server."""
        name = f"s{number}"
        return ProcessSpec(
            name=name,
            kind=ProcessKind.SERVER,
            command=child_programs.command(
                "core.server", "--name", name, "--listen", str(address), python=self._python
            ),
            environment=self._environment,
            address=address,
        )

    def worker(self, number: int) -> ProcessSpec:
        """Specify a worker."""
        name = f"w{number}"
        return ProcessSpec(
            name=name,
            kind=ProcessKind.WORKER,
            command=child_programs.command("core.worker", "--name", name, *self._worker_flags, python=self._python),
            environment=self._environment,
        )

    def nginx(self, program: Path, listen: Address) -> ProcessSpec:
        """Specify NGINX. It clears its environment, so it is recognised by its working directory."""
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
        environment: Mapping[str, str | None],
        directory: Path,
        address: Address | None = None,
        ready_after: float | None = None,
        stop_timeout: float | None = None,
    ) -> ProcessSpec:
        """Specify any other process."""
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
    """Return the settings of servers and workers as variables: flags would show the password in a broker's URL."""
    variables = {
        MARK: str(home.directory),
        config.DIRECTORY.variable: str(home.directory),
        "PYTHONUNBUFFERED": "1",  # the log has the output of a task as soon as the task prints it
    }
    for each in (config.BROKER, config.DATABASE):
        # Also by default: a process that starts later must not follow a settings file that has changed meanwhile.
        variables[each.variable] = settings.origins[each.key].text
    for option in (config.LOG_LEVEL, config.LOG_FORMAT, config.TOKEN_FILE, *exposure.OPTIONS):
        if settings.given(option):
            variables[option.variable] = settings.origins[option.key].text
    rate = exposure.rate_limit(settings, settings[options.LISTEN])
    if rate:
        # A server behind NGINX can't see that clients are on other machines.
        variables[exposure.RATE_LIMIT.variable] = str(rate)
    return variables


def _worker_flags(settings: Settings) -> list[str]:
    """Return the flags of every worker. Options not given here are left to the worker's settings."""
    flags: list[str] = []
    for option in options.OF_WORKERS:
        if settings.given(option):
            flags += [option.flags[-1], settings.origins[option.key].text]
    for module in settings[options.TASKS]:
        flags += ["--tasks", module]
    if settings[options.LAB]:
        flags += ["--lab"]
    if settings[options.RELOAD]:
        flags += ["--reload"]
    if settings.given(options.STOP_TIMEOUT) and not settings.given(options.WORKER_SHUTDOWN_TIMEOUT):
        flags += ["--shutdown-timeout", f"{_shutdown_timeout(settings[options.STOP_TIMEOUT]):g}"]
    return flags


def _shutdown_timeout(stop_timeout: float) -> float:
    """Return the time that a worker has for its tasks, so that it can still give back the rest before it is killed."""
    return stop_timeout - min(MAX_STOP_MARGIN, stop_timeout / 5)
