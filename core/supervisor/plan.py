"""From settings to the list of processes to run: names, command lines, environments, addresses. It is pure."""

import enum
from pathlib import Path

import msgspec

from core import config
from core.addresses import Address
from core.config import Settings
from core.errors import ConfigurationError
from core.supervisor import nginx, options
from core.supervisor.home import Home

MARK = "CAUCE_SUPERVISED_BY"
"""In the environment of every child and of what it starts: the data directory that it works for."""


class Duty(enum.StrEnum):
    """What a process is for, in the order in which they are started, and stopped.

    Stopped in the same order: what takes tasks in ends before what works on them,
    and NGINX last, so that clients get the servers' answers until the end.
    """

    SERVER = "server"
    WORKER = "worker"
    NGINX = "nginx"


class Layout(msgspec.Struct, frozen=True):
    """Who listens where."""

    listen: Address | None
    """NGINX; None when there is none."""
    servers: tuple[Address, ...]

    @property
    def entrance(self) -> Address | None:
        """Where clients connect; None without any server."""
        return self.listen or (self.servers[0] if self.servers else None)


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One process to run."""

    name: str
    duty: Duty
    command: tuple[str, ...]
    environment: dict[str, str]
    """What it has beside the supervisor's own."""
    directory: Path | None = None
    """Where it runs; where the supervisor does when None."""
    address: Address | None = None
    """Where it listens."""


def check(settings: Settings, *, token: bool) -> None:
    """Make sure that what is wished for can go together.

    Args:
        settings: of the supervisor.
        token: whether clients have to show one.

    Raises:
        ConfigurationError: it can't; says why.
    """
    listen = settings[options.LISTEN]
    if settings[options.NGINX] and not settings[options.SERVER_COUNT]:
        raise ConfigurationError("NGINX needs at least one server to send connections to: leave --nginx out")
    if settings[options.SERVER_COUNT] and not listen.is_loopback and not token:
        raise ConfigurationError(
            f"listening on {listen} lets other machines in: give a token with --token-file or CAUCE_TOKEN"
        )


def make(
    settings: Settings, home: Home, layout: Layout, python: str, nginx_program: Path | None = None
) -> list[ProcessSpec]:
    """List the processes, in the order of their start.

    Args:
        settings: of the supervisor.
        home: of the data directory.
        layout: who listens where.
        python: the interpreter to run servers and workers with.
        nginx_program: where NGINX is, when the layout has it.
    """
    environment = _environment(settings, home)
    specs = [
        ProcessSpec(
            name=f"s{number}",
            duty=Duty.SERVER,
            command=(python, "-m", "core.server", "--name", f"s{number}", "--listen", str(address)),
            environment=environment,
            address=address,
        )
        for number, address in enumerate(layout.servers, 1)
    ]
    flags = _worker_flags(settings)
    specs += [
        ProcessSpec(
            name=f"w{number}",
            duty=Duty.WORKER,
            command=(python, "-m", "core.worker", "--name", f"w{number}", *flags),
            environment=environment,
        )
        for number in range(1, settings[options.WORKER_COUNT] + 1)
    ]
    if layout.listen is not None and nginx_program is not None:
        specs.append(
            ProcessSpec(
                name="nginx",
                duty=Duty.NGINX,
                command=tuple(nginx.command(nginx_program, home.nginx)),
                environment={MARK: str(home.directory)},
                # NGINX wipes its environment, so it is known by the directory that it runs in.
                directory=home.nginx,
                address=layout.listen,
            )
        )
    return specs


def _environment(settings: Settings, home: Home) -> dict[str, str]:
    """What servers and workers are told. Not by their command lines: a broker's URL may hold a password."""
    told = {MARK: str(home.directory), config.DIRECTORY.variable: str(home.directory)}
    for option in (config.BROKER, config.DATABASE, config.LOG_LEVEL, config.LOG_FORMAT, config.TOKEN_FILE):
        if settings.given(option):
            told[option.variable] = settings.origins[option.key].text
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
