"""The commands that mend something, for each platform. Pure: nothing is run or read here.

Where no command is known, the remedy is a sentence.
"""

import enum
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

ENOUGH_FILES = 4096
"""The limit of open files to set where it must be raised."""


class Family(enum.StrEnum):
    """Systems that share package names and a package manager."""

    DEBIAN = "Debian"
    FEDORA = "Fedora"
    RED_HAT = "Red Hat"
    """The same packages as Fedora, except RabbitMQ."""
    ALPINE = "Alpine"
    ARCH = "Arch"
    MACOS = "macOS"
    WINDOWS = "Windows"
    OTHER = "other"


class Need(enum.StrEnum):
    """A program that can be missing."""

    NGINX = "NGINX 1.21.4 or newer, with its stream module"
    RABBITMQ = "RabbitMQ"


class Platform(msgspec.Struct, frozen=True):
    """The platform that a command is written for."""

    family: Family
    root: bool
    """Whether this user is root, so that no `sudo` is needed."""


_FAMILIES = {
    "debian": Family.DEBIAN,
    "ubuntu": Family.DEBIAN,
    "fedora": Family.FEDORA,
    "rhel": Family.RED_HAT,
    "centos": Family.RED_HAT,
    "amzn": Family.RED_HAT,
    "alpine": Family.ALPINE,
    "arch": Family.ARCH,
}
_INSTALLERS = {
    Family.DEBIAN: "apt-get install",
    Family.FEDORA: "dnf install",
    Family.RED_HAT: "dnf install",
    Family.ALPINE: "apk add",
    Family.ARCH: "pacman -S",
    Family.MACOS: "brew install",
    Family.WINDOWS: "choco install",
}
_PACKAGES = {
    Need.NGINX: {
        Family.DEBIAN: "nginx libnginx-mod-stream",
        Family.FEDORA: "nginx nginx-mod-stream",
        Family.RED_HAT: "nginx nginx-mod-stream",
        Family.ALPINE: "nginx nginx-mod-stream",
        Family.ARCH: "nginx",
        Family.MACOS: "nginx",
        Family.WINDOWS: "nginx",
    },
    Need.RABBITMQ: {
        Family.DEBIAN: "rabbitmq-server",
        Family.FEDORA: "rabbitmq-server",
        Family.ALPINE: "rabbitmq-server",
        Family.ARCH: "rabbitmq",
        Family.MACOS: "rabbitmq",
        Family.WINDOWS: "rabbitmq",
    },
}
_STARTS_OF_RABBITMQ = {
    Family.DEBIAN: "systemctl start rabbitmq-server",
    Family.FEDORA: "systemctl start rabbitmq-server",
    Family.RED_HAT: "systemctl start rabbitmq-server",
    Family.ALPINE: "rc-service rabbitmq-server start",
    Family.ARCH: "systemctl start rabbitmq",
    Family.MACOS: "brew services start rabbitmq",
    Family.WINDOWS: "rabbitmq-service start",
}
_PAGES = {(Need.RABBITMQ, Family.RED_HAT): "https://www.rabbitmq.com/docs/install-rpm"}
_WITHOUT_SUDO = frozenset({Family.MACOS, Family.WINDOWS})
"""Systems where packages belong to the user, or `sudo` does not exist."""


def recognise(system: str, os_release: str, *, root: bool) -> Platform:
    """Determine the platform.

    Args:
        system: the value of `sys.platform`.
        os_release: the text of `/etc/os-release`; empty where there is none.
        root: whether this user is root.
    """
    if system == "darwin":
        return Platform(Family.MACOS, root)
    if system == "win32":
        return Platform(Family.WINDOWS, root)
    if system != "linux":
        return Platform(Family.OTHER, root)
    found = (_FAMILIES[name] for name in _names(os_release) if name in _FAMILIES)
    return Platform(next(found, Family.OTHER), root)


def _names(os_release: str) -> list[str]:
    """Return the name of a Linux distribution, then those that it resembles, the nearest first."""
    values = {}
    for line in os_release.splitlines():
        key, _, value = line.strip().partition("=")
        values[key] = value.strip("\"'").lower()
    return [values.get("ID", ""), *values.get("ID_LIKE", "").split()]


def install(platform: Platform, need: Need) -> str:
    """Return how to install a missing program."""
    packages = _PACKAGES[need].get(platform.family)
    if packages is not None:
        command = _privileged(platform, f"{_INSTALLERS[platform.family]} {packages}")
    elif (need, platform.family) in _PAGES:
        command = f"install {need} as {_PAGES[need, platform.family]} says"
    else:
        command = f"install {need} with this system's package manager"
    if need is Need.RABBITMQ and platform.family is Family.WINDOWS:
        return f"{command} (or use the embedded queue, which needs nothing: --broker embedded)"
    return command


def start_rabbitmq(platform: Platform) -> str:
    """Return how to start the RabbitMQ of the machine."""
    command = _STARTS_OF_RABBITMQ.get(platform.family)
    return _privileged(platform, command) if command else "start RabbitMQ"


def raise_open_files(platform: Platform, hard: int) -> str:
    """Return how to raise the limit of open files.

    Args:
        platform: this platform.
        hard: the highest limit that this user may set.
    """
    if hard >= ENOUGH_FILES:
        return f"ulimit -n {ENOUGH_FILES}"
    if platform.family is Family.MACOS:
        return f"{_as_root(platform, f'launchctl limit maxfiles {ENOUGH_FILES} unlimited')}, then log in again"
    return (
        f"let root write `* - nofile {ENOUGH_FILES}` into /etc/security/limits.conf "
        f"(a service of systemd: LimitNOFILE={ENOUGH_FILES}), then log in again"
    )


def take_over(platform: Platform, path: Path) -> str:
    """Return how to make this user the owner of a file, or of a directory and its content."""
    if platform.family is Family.WINDOWS:
        return command_line(platform, ["takeown", "/R", "/F", str(path)])
    # The shell that runs the command knows the user's name best.
    return _as_root(platform, f'chown -R "$(id -un)" {command_line(platform, [str(path)])}')


def make_directory(platform: Platform, path: Path) -> str:
    """Return how to create a directory for this user where this user may not create one."""
    quoted = command_line(platform, [str(path)])
    if platform.family is Family.WINDOWS:
        return f"mkdir {quoted} as an administrator"
    return _as_root(platform, f'install -d -o "$(id -un)" {quoted}')


def close_to_others(platform: Platform, path: Path) -> str:
    """Return how to close a directory and its content to other users."""
    return command_line(platform, ["chmod", "-R", "go-rwx", str(path)])


def end_process(platform: Platform, pid: int) -> str:
    """Return how to end a process."""
    return f"taskkill /PID {pid}" if platform.family is Family.WINDOWS else f"kill {pid}"


def install_python_packages(platform: Platform, python: str, requirements: Sequence[str]) -> str:
    """Return how to install or upgrade Python packages.

    Args:
        platform: this platform.
        python: the interpreter.
        requirements: the requirements, as they are declared.
    """
    return command_line(platform, [python, "-m", "pip", "install", "--upgrade", *requirements])


def supervisor(platform: Platform, command: str, directory: Path) -> str:
    """Return a command of the supervisor for a data directory."""
    return command_line(platform, ["python", "-m", "core.supervisor", command, "--dir", str(directory)])


def command_line(platform: Platform, words: Sequence[str]) -> str:
    """Return a command line in which this platform's shell takes each word literally."""
    return subprocess.list2cmdline(words) if platform.family is Family.WINDOWS else shlex.join(words)


def _privileged(platform: Platform, command: str) -> str:
    return command if platform.family in _WITHOUT_SUDO else _as_root(platform, command)


def _as_root(platform: Platform, command: str) -> str:
    return command if platform.root or platform.family is Family.WINDOWS else f"sudo {command}"
