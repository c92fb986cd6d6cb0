"""The gate: `python3 -m tests` prepares whatever is missing, then runs every check and every test.

It needs nothing but Python 3.11. What it runs with comes from `pip install -e .[test]`, in the virtual environment
that it runs in, or else in `.venv` beside this directory. RabbitMQ, NGINX, the terminal and the browser are real in the
tests, and strace makes real faults: as root on a Debian-like system they are installed, elsewhere the command to do so
is printed.

Arguments go to pytest, and then nothing else is run: `python3 -m tests -k broker`.
`CAUCE_SKIP_SERVICES=1` goes on without RabbitMQ and NGINX; the tests that need them are skipped.
"""

import hashlib
import importlib.util
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
PYTEST_LIMIT = 20 * 60.0
CHECK_LIMIT = 5 * 60.0
INSTALL_LIMIT = 15 * 60.0
FAREWELL = 30.0
"""How long pytest may take to tidy up after it was told to end."""

POLICY = Path("/usr/sbin/policy-rc.d")
"""What Debian's packages ask before they start a service."""

# An ordinary user's PATH may lack the directories of servers.
PLACES = os.pathsep.join(
    ["/usr/lib/rabbitmq/bin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/opt/homebrew/bin"]
)


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Any of these shows the console in a browser."""

AT_ONCE = 3
"""Processes that run tests: most tests wait for others most of the time. Each file is run by one of them."""


class GateError(Exception):
    """The checks can't be run; the message says what to do."""


def main(arguments: Sequence[str]) -> int:
    """Prepare, check and test; return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a tool prints must not end the gate on a terminal that lacks a character.
        sys.stdout.reconfigure(errors="replace")
    try:
        prepare_services()
        python = prepare_python()
    except GateError as error:
        print(f"gate: {error}", file=sys.stderr)
        return 1
    failed = [] if arguments else run_checks(python)
    # Last, so that pytest's own summary closes the output.
    return 1 if not run_pytest(python, arguments) or failed else 0


def prepare_services() -> None:
    """Make sure that RabbitMQ, NGINX, tmux, a browser and strace are on this machine."""
    if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
        return
    packages = missing()
    if not packages:
        return
    if can_install():
        install(packages)
    still = missing()
    if still:
        raise GateError(
            f"{', '.join(still)} is missing. Install what is, and try again:\n"
            f"    {advice(still)}\n"
            "or go on without the tests that need RabbitMQ or NGINX: CAUCE_SKIP_SERVICES=1 python3 -m tests"
        )


def missing() -> list[str]:
    """Tell what is missing, by the names of Debian's packages."""
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
    """Find a program on PATH or where servers usually are."""
    return shutil.which(program) or shutil.which(program, path=PLACES)


def has_nginx() -> bool:
    """Tell whether NGINX is here and can balance TCP."""
    nginx = find("nginx")
    if nginx is None:
        return False
    build = subprocess.run([nginx, "-V"], stderr=subprocess.PIPE, text=True, check=False).stderr
    if "--with-stream=dynamic" not in build:
        return "--with-stream" in build.split()
    modules = re.search(r"--modules-path=(\S+)", build)
    return modules is not None and Path(modules[1], "ngx_stream_module.so").exists()


def can_install() -> bool:
    """Tell whether packages can be installed without asking anybody."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") is not None


def advice(packages: Sequence[str]) -> str:
    """Write the command with which a person installs Debian's packages, or what they are called elsewhere."""
    if sys.platform == "darwin":
        return "brew install rabbitmq nginx tmux chromium"
    if sys.platform == "win32":
        return "choco install rabbitmq nginx chromium"
    return f"sudo apt-get install --yes {' '.join(packages)}"


def install(packages: Sequence[str]) -> None:
    """Install Debian packages without letting them start a service."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(packages)}"), no_service_starts():
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            ended = run(["apt-get", "-o", "DPkg::Lock::Timeout=120", *command], INSTALL_LIMIT, environment)
            if ended.returncode:
                raise GateError(f"apt-get {command[0]} failed:\n{ended.stdout}\nBy hand: {advice(packages)}")


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Deny Debian's packages to start what they install, unless the machine has its own rule."""
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
    """Return the interpreter of a virtual environment that holds Cauce and its tools."""
    directory = Path(sys.prefix) if sys.prefix != sys.base_prefix else TOP / ".venv"
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        make_environment(directory)
    stamp = directory / "cauce-gate.stamp"
    # The path is part of it: an editable installation points to one working copy.
    wanted = hashlib.sha256((TOP / "pyproject.toml").read_bytes() + os.fsencode(TOP)).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        install_project(str(python))
        stamp.write_text(wanted, encoding="utf-8")
    return str(python)


def make_environment(directory: Path) -> None:
    """Make a virtual environment; Debian keeps a part of what that needs in a package of its own."""
    package = f"python3.{sys.version_info.minor}-venv"
    if importlib.util.find_spec("ensurepip") is None:
        if not can_install():
            raise GateError(f"Python can't make virtual environments here: {advice([package])}")
        install([package])
    with step(f"virtual environment {directory.name}"):
        try:
            venv.create(directory, with_pip=True, clear=directory.exists(), symlinks=sys.platform != "win32")
        except (OSError, subprocess.CalledProcessError) as error:
            raise GateError(f"Python can't make a virtual environment in {directory}: {error}") from error


def install_project(python: str) -> None:
    """Install Cauce with its tools, with a second try for a network that stumbled."""
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[test]"]
    with step("pip install -e .[test]"):
        ended = run(command, INSTALL_LIMIT)
        if ended.returncode:
            ended = run(command, INSTALL_LIMIT)
        if ended.returncode:
            raise GateError(f"pip install failed twice:\n{ended.stdout}")


def run_checks(python: str) -> list[str]:
    """Run all that looks at the code without running it; return the names of what failed."""
    lint_imports = Path(python).with_name("lint-imports.exe" if sys.platform == "win32" else "lint-imports")
    checks = {
        "ruff format": [python, "-m", "ruff", "format", "--check", "."],
        "ruff check": [python, "-m", "ruff", "check", "."],
        "mypy": [python, "-m", "mypy"],
        "lint-imports": [str(lint_imports)],
    }
    failed = [name for name, command in checks.items() if not check(name, command)]
    if failed:
        print(f"gate: FAILED: {', '.join(failed)}; the gate fails, whatever the tests say", flush=True)
    else:
        print(f"gate: {len(checks)} of {len(checks)} checks passed", flush=True)
    return failed


def check(name: str, command: Sequence[str]) -> bool:
    """Run one check; what it printed is shown only when it failed."""
    began = time.monotonic()
    ended = run(command, CHECK_LIMIT)
    verdict = "FAILED" if ended.returncode else "passed"
    print(f"gate: {name:<12} {verdict} in {time.monotonic() - began:.1f} s", flush=True)
    if ended.returncode:
        print(ended.stdout, flush=True)
    return ended.returncode == 0


def run_pytest(python: str, arguments: Sequence[str]) -> bool:
    """Run pytest with its output on ours; tell whether all was well."""
    told = arguments or ["-n", str(AT_ONCE), "--dist", "loadfile"]
    process = subprocess.Popen([python, "-m", "pytest", *told], cwd=TOP)
    try:
        return process.wait(PYTEST_LIMIT) == 0
    except subprocess.TimeoutExpired:
        print(f"gate: pytest ran for more than {PYTEST_LIMIT / 60:g} minutes: ending it", file=sys.stderr, flush=True)
        end(process)
        return False
    except KeyboardInterrupt:
        # The terminal has told pytest as well.
        wait_or_kill(process)
        return False


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask pytest to end, which lets its fixtures stop their services, and insist after a while."""
    if sys.platform == "win32":
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)
    wait_or_kill(process)


def wait_or_kill(process: subprocess.Popen[bytes]) -> None:
    """Give a process the time for its farewell."""
    try:
        process.wait(FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(
    command: Sequence[str], limit: float, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep all that it prints; one that takes too long, or isn't there, has failed."""
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
            timeout=limit,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, stdout=str(error))


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print the name of a step and how long it took."""
    print(f"gate: {name} ...", flush=True)
    began = time.monotonic()
    yield
    print(f"gate: {name} took {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    if sys.version_info < OLDEST_PYTHON:
        sys.exit("gate: Cauce needs Python 3.11 or newer; this is " + sys.version.split()[0])
    sys.exit(main(sys.argv[1:]))
