"""The tests that need services, with the versions of Debian 13: `python3 -m tests.versions`.

As root on a Debian-like system, it makes a root directory of Debian 13 with mmdebstrap: Python 3.13, RabbitMQ 4.0,
NGINX 1.26 and PostgreSQL 17. It copies the working tree there and runs the tests with that directory as their root,
with processes and mounts of their own that end with them. This takes some minutes more than the tests, and is not part
of the gate.

`python3 -m tests.versions --root DIR` keeps the root directory, and uses it again the next time. Further arguments are
those of pytest, instead of the tests that are run otherwise.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.__main__ import INSTALL_TIMEOUT, PARALLEL, TOP, GateError, can_install, find, install, run, run_shown, step

SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    *("ca-certificates", "chromium", "git", "iproute2", "libnginx-mod-stream", "nginx", "openssl", "postgresql"),
    *("procps", "python3", "python3-venv", "rabbitmq-server", "strace", "tmux"),
)

TESTS = ("tests/contract", "tests/integration", "tests/faults/test_quick.py", "tests/tui/test_pictures.py")

TREE = Path("/srv/cauce")
"""Where the working tree is, in the root directory."""

COMPLETE = Path("/etc/cauce-versions")
"""A file that the root directory has once it is complete."""

OF_THE_MACHINE = ("/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files that the tests' root directory shares with the machine: how to reach the network, and whom to trust there."""

ENVIRONMENT = ("CI", "TERM", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "http_proxy", "https_proxy", "no_proxy")
"""Variables that are kept."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

VERSIONS = "python3 --version; rabbitmqctl version; nginx -v 2>&1; ls /usr/lib/postgresql; cat /etc/debian_version"

# The shell stays as the first process of its namespace, where it waits for orphans.
ENTER = """\
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" || exit 1
chroot "$0" sh -c 'cd "$0" && exec "$@"' "$@"
exit $?
"""


def main(arguments: Sequence[str]) -> int:
    """Make the root directory and run the tests in it. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.versions", description="Run the tests in a Debian 13.")
    parser.add_argument("--root", type=Path, metavar="DIR", help="keep the root directory, and use it again")
    given, options = parser.parse_known_args(arguments)
    try:
        prepare_programs()
        with root_directory(given.root) as root:
            if not inside(root, COMPLETE).exists():
                make_root(root)
            copy_machine_files(root)
            copy_tree(root)
            print("versions:", *run(command_in(root, ["sh", "-c", VERSIONS]), INSTALL_TIMEOUT).stdout.split("\n"))
            tests = options or [*PARALLEL, *TESTS]
            return run_shown(command_in(root, ["python3", "-m", "tests", *tests]))
    except GateError as error:
        print(f"versions: {error}", file=sys.stderr)
        return 1


def prepare_programs() -> None:
    """Install mmdebstrap where it is missing, and check that a root directory can be made and entered here."""
    if not can_install():
        raise GateError("a root directory of Debian can only be made as root on a system with apt-get, such as Debian")
    for program, package in (("mmdebstrap", "mmdebstrap"), ("unshare", "util-linux"), ("git", "git")):
        if not find(program):
            install([package])
    ended = run(["unshare", "--mount", "--pid", "--fork", "true"], INSTALL_TIMEOUT)
    if ended.returncode:
        raise GateError(f"this system allows no namespaces, as in some containers: {ended.stdout.strip()}")


@contextmanager
def root_directory(kept: Path | None) -> Iterator[Path]:
    """Provide the root directory: the one to keep, or a temporary one."""
    if kept is not None:
        yield kept.absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="cauce-versions-"))
    try:
        yield directory / "root"
    finally:
        remove(directory)


def make_root(root: Path) -> None:
    """Make a Debian in the directory, which must be empty or missing."""
    if root.exists() and any(root.iterdir()):
        raise GateError(f"{root} has files, and is not a root directory that was made here; choose another --root")
    root.parent.mkdir(parents=True, exist_ok=True)
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    with step(f"mmdebstrap {SUITE}"):
        ended = run([*command, SUITE, str(root), MIRROR], INSTALL_TIMEOUT)
        if ended.returncode:
            remove(root)
            raise GateError(f"mmdebstrap failed; it needs {MIRROR}:\n{ended.stdout}")
    inside(root, COMPLETE).touch()


def copy_machine_files(root: Path) -> None:
    """Copy the files that are the machine's."""
    for name in OF_THE_MACHINE:
        if Path(name).exists():
            shutil.copyfile(name, inside(root, Path(name)))


def copy_tree(root: Path) -> None:
    """Copy the files of the working tree, committed or not. The virtual environment of a former run stays."""
    tree = inside(root, TREE)
    tree.mkdir(parents=True, exist_ok=True)
    for path in tree.iterdir():
        if path.name != ".venv":
            remove(path)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        stdout=subprocess.PIPE,
        check=False,
    )
    if listed.returncode:
        raise GateError(f"{TOP} is not a working tree of git, whose files could be copied")
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        # A file that was deleted is listed until that is committed.
        if (TOP / name).exists():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, tree / name)


def command_in(root: Path, command: Sequence[str]) -> list[str]:
    """Return the command that runs another in the root directory, with mounts and processes of its own."""
    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    environment |= {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
    return [
        *("env", "-i", *(f"{name}={value}" for name, value in environment.items())),
        *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
        *("sh", "-c", ENTER, str(root), str(TREE), *command),
    ]


def inside(root: Path, path: Path) -> Path:
    """Return where a path of the root directory is."""
    return root / path.relative_to("/")


def remove(path: Path) -> None:
    """Remove a file or a directory.

    Raises:
        GateError: something is mounted in it.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    mounted = mounts_in(path, Path("/proc/self/mountinfo").read_text("utf-8"))
    if mounted:
        raise GateError(f"{path} is not removed, because of what is mounted there: {', '.join(mounted)}")
    shutil.rmtree(path)


def mounts_in(directory: Path, mountinfo: str) -> list[str]:
    """Return what is mounted in a directory, by Linux's list of mounts."""
    mounts = [line.split()[4] for line in mountinfo.splitlines()]
    return [mount for mount in mounts if Path(mount).is_relative_to(directory)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
