"""Which command mends something on this platform: pure, from what a system says of itself to a line for a person.

Nothing here runs a command or looks at the machine. Where no command is known, the line is a sentence.
"""

import enum
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

ENOUGH_FILES = 4096
"""How many open files a process is to be allowed, when the limit is raised at all."""


class Family(enum.StrEnum):
    """Systems whose packages have the same names and are installed in the same way."""

    DEBIAN = "Debian"
    FEDORA = "Fedora"
    RED_HAT = "Red Hat"
    """Has the packages of Fedora, but for RabbitMQ."""
    ALPINE = "Alpine"
    ARCH = "Arch"
    MACOS = "macOS"
    WINDOWS = "Windows"
    OTHER = "other"


class Need(enum.StrEnum):
    """What can be missing."""

    NGINX = "NGINX 1.21.4 or newer, with its stream module"
    RABBITMQ = "RabbitMQ"


class Platform(msgspec.Struct, frozen=True):
    """What a command has to suit."""

    family: Family
    root: bool
    """Whether this user may do everything, so that no `sudo` is needed."""


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
"""Where packages belong to the user, or where there is no such command."""


def recognise(system: str, os_release: str, *, root: bool) -> Platform:
    """Tell which platform this is.

    Args:
        system: as `sys.platform` names it.
        os_release: the text of `/etc/os-release`; empty where there is none.
        root: whether this user may do everything.
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
    """What a Linux calls itself, then what it says that it is like, the nearest first."""
    told = {}
    for line in os_release.splitlines():
        key, _, value = line.strip().partition("=")
        told[key] = value.strip("\"'").lower()
    return [told.get("ID", ""), *told.get("ID_LIKE", "").split()]


def install(platform: Platform, need: Need) -> str:
    """Say how to install something that is missing."""
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
    """Say how to start the RabbitMQ of the machine."""
    command = _STARTS_OF_RABBITMQ.get(platform.family)
    return _privileged(platform, command) if command else "start RabbitMQ"


def raise_open_files(platform: Platform, hard: int) -> str:
    """Say how to let a process have more files open.

    Args:
        platform: this one.
        hard: up to where the user may raise the limit.
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
    """Say how to make a file or directory, and all that is in it, this user's own."""
    if platform.family is Family.WINDOWS:
        return command_line(platform, ["takeown", "/R", "/F", str(path)])
    # Whoever reads it runs it in a shell, which knows the user's name better than anything here.
    return _as_root(platform, f'chown -R "$(id -un)" {command_line(platform, [str(path)])}')


def make_directory(platform: Platform, path: Path) -> str:
    """Say how to make a directory of this user's where this user may make none."""
    quoted = command_line(platform, [str(path)])
    if platform.family is Family.WINDOWS:
        return f"mkdir {quoted} as an administrator"
    return _as_root(platform, f'install -d -o "$(id -un)" {quoted}')


def close_to_others(platform: Platform, path: Path) -> str:
    """Say how to keep a directory, and all that is in it, from other users."""
    return command_line(platform, ["chmod", "-R", "go-rwx", str(path)])


def end_process(platform: Platform, pid: int) -> str:
    """Say how to end a program of this machine."""
    return f"taskkill /PID {pid}" if platform.family is Family.WINDOWS else f"kill {pid}"


def install_python_packages(platform: Platform, python: str, requirements: Sequence[str]) -> str:
    """Say how to bring Python packages up to date.

    Args:
        platform: this one.
        python: the interpreter that is to have them.
        requirements: as they are declared.
    """
    return command_line(platform, [python, "-m", "pip", "install", "--upgrade", *requirements])


def supervisor(platform: Platform, command: str, directory: Path) -> str:
    """Write a command of the supervisor for a data directory."""
    return command_line(platform, ["python", "-m", "core.supervisor", command, "--dir", str(directory)])


def command_line(platform: Platform, words: Sequence[str]) -> str:
    """Write words so that this platform's shell reads each as it is."""
    return subprocess.list2cmdline(words) if platform.family is Family.WINDOWS else shlex.join(words)


def _privileged(platform: Platform, command: str) -> str:
    return command if platform.family in _WITHOUT_SUDO else _as_root(platform, command)


def _as_root(platform: Platform, command: str) -> str:
    return command if platform.root or platform.family is Family.WINDOWS else f"sudo {command}"
