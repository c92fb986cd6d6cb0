"""What a benchmark ran on: the machine and the versions of everything, as far as they can be found out."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import apsw
import msgspec
import psutil

_TOP = Path(__file__).resolve().parents[2]
_PACKAGES = ("pika", "apsw", "msgspec")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, and how busy it was before anything was started."""

    system: str
    processor: str
    cores: int
    memory_gib: float
    file_system: str
    """Of the directory with the journals."""
    load: float
    """How many threads wanted a processor in the last minute."""
    versions: dict[str, str]


def load() -> float:
    """How busy the machine is: to be asked before anything is started."""
    return float(psutil.getloadavg()[0])


def look(directory: Path, busy: float, services: dict[str, str]) -> Machine:
    """Look at the machine.

    Args:
        directory: where the journals are.
        busy: how busy it was before.
        services: the versions of the services that are used.
    """
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=psutil.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        file_system=_file_system(directory),
        load=busy,
        versions={
            "Cauce": _commit(),
            "Python": platform.python_version(),
            "SQLite": apsw.sqlite_lib_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
            **services,
        },
    )


def describe(machine: Machine) -> str:
    """The machine in a sentence, and the versions in another."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.system}, {machine.cores} × {machine.processor}, {machine.memory_gib:g} GiB,"
        f" journals on {machine.file_system}; load before it began: {machine.load:.1f}.\n{versions}."
    )


def _processor() -> str:
    """The processor's name, which Python knows on some systems only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    place = directory.resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    return next((mounts[parent] for parent in (place, *place.parents) if parent in mounts), "unknown")


def _commit() -> str:
    """Which state of the sources this is; the version where they are no working copy."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        ended = subprocess.run(command, cwd=_TOP, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return metadata.version("cauce")
    return ended.stdout.strip() or metadata.version("cauce")
