"""The machine of a benchmark and the versions of its software, as far as they can be determined."""

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
    """The machine, and its load before the benchmark."""

    system: str
    processor: str
    cores: int
    memory_gib: float
    file_system: str
    """The file system of the journals."""
    load: float
    """The load average of the last minute."""
    versions: dict[str, str]


def load() -> float:
    """Return the load of the machine, to be read before the benchmark starts."""
    return float(psutil.getloadavg()[0])


def inspect(directory: Path, busy: float, services: dict[str, str]) -> Machine:
    """Return the description of the machine.

    Args:
        directory: of the journals.
        busy: the load before the benchmark.
        services: the versions of the services.
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
    """Return a sentence on the machine, and one on the versions."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    return (
        f"{machine.system}, {machine.cores} × {machine.processor}, {machine.memory_gib:g} GiB,"
        f" journals on {machine.file_system}; load before it began: {machine.load:.1f}.\n{versions}."
    )


def _processor() -> str:
    """Return the name of the processor, which Python knows on some systems only."""
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
    """Return the commit of the sources, or the version when they are not a working copy."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        ended = subprocess.run(command, cwd=_TOP, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return metadata.version("cauce")
    return ended.stdout.strip() or metadata.version("cauce")
