"""The gate: `python3 -m tests` installs what is missing, and runs every check and every test.

It needs only Python 3.11. It runs `pip install -e .[test]` in the current virtual environment, or else in `.venv`
beside this directory. The tests use real RabbitMQ, NGINX, terminals, browsers and strace: as root on a Debian-like
system they are installed, elsewhere the command to install them is printed.

`python3 -m tests --quick` runs the checks and the tests that need no services: for every change, before the gate.
With other arguments, only pytest is run with them: `python3 -m tests -k broker`.
With `CAUCE_SKIP_SERVICES=1`, the tests that need RabbitMQ and NGINX are skipped.
"""

import hashlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
MIN_PYTHON = (3, 11)
CHECK_TIMEOUT = 5 * 60.0
INSTALL_TIMEOUT = 15 * 60.0
CLEANUP_TIMEOUT = 30.0
"""Seconds for pytest to clean up after it was interrupted."""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

QUICK = "--quick"
QUICK_TESTS = ["tests/unit", "tests/architecture", "-m", "not rabbitmq and not nginx"]

POLICY = Path("/usr/sbin/policy-rc.d")
"""The program that Debian's packages run before they start a service."""

# An ordinary user's PATH may lack the directories of servers.
SERVER_PATH = os.pathsep.join(
    ["/usr/lib/rabbitmq/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin"]
)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Browsers for the tests of the web console, of which one is needed."""

TEST_PROCESSES = 5
"""Processes of pytest, more than cores because tests mostly wait."""

PARALLEL = ["-n", str(TEST_PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder"]
"""Options of pytest: tests/conftest.py says which tests run in one process."""


class GateError(Exception):
    """The checks can't be run; the message has the remedy."""


def main(arguments: Sequence[str]) -> int:
    """Prepare, check and test. Returns the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Output must not fail on a terminal that lacks a character.
        sys.stdout.reconfigure(errors="replace")
    quick = list(arguments) == [QUICK]
    try:
        if not quick:
            prepare_services()
        python = prepare_python()
    except GateError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 1
    tests = QUICK_TESTS if quick else []
    failed = [] if arguments and not quick else run_checks(python, tests)
    options = arguments if arguments and not quick else [*PARALLEL, *tests]
    # Last, so that pytest's summary is at the end of the output.
    return 1 if not run_pytest(python, options) or failed else 0


def prepare_services() -> None:
    """Install RabbitMQ, NGINX, tmux, a browser and strace if they are missing."""
    if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
        return
    packages = missing_packages()
    if not packages:
        return
    if can_install():
        install(packages)
    still = missing_packages()
    if still:
        raise GateError(
            f"{', '.join(still)} is missing. Install it, and try again:\n"
            f"    {install_command(still)}\n"
            "or skip the tests that need RabbitMQ or NGINX: CAUCE_SKIP_SERVICES=1 python3 -m tests"
        )


def missing_packages() -> list[str]:
    """Return the Debian packages that are missing."""
    packages = [] if find("rabbitmq-server") else ["rabbitmq-server"]
    if not has_nginx():
        packages += ["nginx", "libnginx-mod-stream"]
    if not find("tmux"):
        packages.append("tmux")
    if sys.platform == "linux" and not find("strace"):
        packages.append("strace")
    if not any(find(browser) for browser in BROWSERS):
        packages.append("chromium")
    return packages


def find(program: str) -> str | None:
    """Return the path of a program on PATH or in the usual directories of servers."""
    return shutil.which(program) or shutil.which(program, path=SERVER_PATH)


def has_nginx() -> bool:
    """Return whether NGINX is installed with its stream module."""
    nginx = find("nginx")
    if nginx is None:
        return False
    build = subprocess.run([nginx, "-V"], stderr=subprocess.PIPE, text=True, check=False).stderr
    if "--with-stream=dynamic" not in build:
        return "--with-stream" in build.split()
    modules = re.search(r"--modules-path=(\S+)", build)
    return modules is not None and Path(modules[1], "ngx_stream_module.so").exists()


def can_install() -> bool:
    """Return whether packages can be installed without a password."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def install_command(packages: Sequence[str]) -> str:
    """Return the command that installs Debian's packages, or their equivalents on other systems."""
    if sys.platform == "darwin":
        return "brew install rabbitmq nginx tmux chromium"
    if sys.platform == "win32":
        return "choco install rabbitmq nginx chromium"
    return f"sudo apt-get install --yes {' '.join(packages)}"


def install(packages: Sequence[str]) -> None:
    """Install Debian packages without starting their services."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(packages)}"), no_service_starts():
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            ended = run(["apt-get", "-o", "DPkg::Lock::Timeout=120", *command], INSTALL_TIMEOUT, environment)
            if ended.returncode:
                raise GateError(f"apt-get {command[0]} failed:\n{ended.stdout}\nBy hand: {install_command(packages)}")


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Keep Debian's packages from starting services within the block, unless the machine has its own policy."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def prepare_python() -> str:
    """Return the interpreter of a virtual environment with Cauce and its tools."""
    directory = Path(sys.prefix) if sys.prefix != sys.base_prefix else TOP / ".venv"
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        make_environment(directory)
    stamp = directory / "cauce-gate.stamp"
    # With the path, because an editable installation points to one working copy.
    wanted = hashlib.sha256((TOP / "pyproject.toml").read_bytes() + os.fsencode(TOP)).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        install_project(str(python))
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def make_environment(directory: Path) -> None:
    """Make a virtual environment. Debian has a required module in a separate package."""
    package = f"python3.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") is None:
        if not can_install():
            raise GateError(f"Python can't make virtual environments here: {install_command([package])}")
        install([package])
    with step(f"virtual environment {directory.name}"):
        try:
            venv.create(directory, with_pip=True, clear=directory.exists(), symlinks=sys.platform != "win32")
        except (OSError, subprocess.CalledProcessError) as error:
            raise GateError(f"Python can't make a virtual environment in {directory}: {error}") from error


def install_project(python: str) -> None:
    """Install Cauce with its tools; try twice, because the network may fail."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[test]"]
    with step("pip install -e .[test]"):
        ended = run(command, INSTALL_TIMEOUT)
        if ended.returncode:
            ended = run(command, INSTALL_TIMEOUT)
        if ended.returncode:
            raise GateError(f"pip install failed twice:\n{ended.stdout}")


def run_checks(python: str, tests: Sequence[str]) -> list[str]:
    """Run the static checks, and compile the tests. Returns the names of those that failed."""
    lint_imports = Path(python).with_name("lint-imports.exe" if sys.platform == "win32" else "lint-imports")
    checks = {
        "mypy": [python, "-m", "mypy"],
        # Otherwise each process of pytest would compile all tests for itself.
        "collection": [python, "-m", "pytest", "--collect-only", "--quiet", *tests],
        "lint-imports": [str(lint_imports)],
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "ruff check": [python, "-m", "ruff", "check", "."],
    }
    # Side by side, one a core; the longest first.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        passed = list(pool.map(check, checks, checks.values()))
    failed = [name for name, well in zip(checks, passed, strict=True) if not well]
    if failed:
        print(f"gate: FAILED: {', '.join(failed)}; the gate fails, also if the tests pass", flush=True)
    else:
        print(f"gate: {len(checks)} of {len(checks)} checks passed", flush=True)
    return failed


def check(name: str, command: Sequence[str]) -> bool:
    """Run one check, and print its output if it failed. Returns whether it passed."""
    began = time.monotonic()
    ended = run(command, CHECK_TIMEOUT, test_environment())
    verdict = f"{'FAILED' if ended.returncode else 'passed'} in {time.monotonic() - began:.1f} s"
    # In one piece, because others print at the same time.
    print("\n".join([f"gate: {name:<12} {verdict}", *([ended.stdout] if ended.returncode else [])]), flush=True)
    return ended.returncode == 0


def run_pytest(python: str, options: Sequence[str]) -> bool:
    """Run pytest with its output shown. Returns whether every test passed.

    A test that hangs is ended by its own time limit, which is pytest's setting `timeout`.
    """
    return run_shown([python, "-m", "pytest", *options], test_environment()) == 0


def run_shown(command: Sequence[str], environment: dict[str, str] | None = None) -> int:
    """Run a command with its output shown. Returns its exit code, which is not 0 after an interrupt."""
    process = subprocess.Popen(command, cwd=TOP, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # The terminal has interrupted the command as well.
        wait_or_kill(process)
        return INTERRUPTED


def test_environment() -> dict[str, str]:
    """Return the environment of the tests. Python keeps bytecode: the tests start it more than a thousand times."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of a process, and kill it after a timeout."""
    try:
        process.wait(CLEANUP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(
    command: Sequence[str], timeout: float, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep its output. A command that is missing or takes too long has failed."""
    try:
        return subprocess.run(
            command,
            cwd=TOP,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, stdout=str(error))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name and the duration of a step."""
    print(f"gate: {name} ...", flush=True)
    began = time.monotonic()
    yield
    print(f"gate: {name} took {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    if sys.version_info < MIN_PYTHON:
        sys.exit("gate: Cauce needs Python 3.11 or newer; this is " + sys.version.split()[0])
    sys.exit(main(sys.argv[1:]))
