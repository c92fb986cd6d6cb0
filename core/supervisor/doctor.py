"""Whether this machine can run a system in a directory: findings, each with what mends it on this platform.

The checks don't know of each other: one that fails says so and keeps none of the others from being made.
None changes anything that it does not undo, whether the system runs meanwhile or not.
What is made of a number or a version is told by pure functions; the commands are in `core.supervisor.remedies`.
"""

import contextlib
import enum
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from core import config
from core.addresses import Address
from core.broker.opening import open_broker
from core.config import Settings
from core.database import Database, refuse_network_file_system
from core.errors import (
    BrokerError,
    BrokerMisconfigured,
    CauceError,
    ConfigurationError,
    JournalUnavailable,
    JournalUnusable,
    SupervisorError,
)
from core.logs import printable
from core.repository.opening import Journal
from core.repository.sqlite import FAULTS
from core.supervisor import census, commands, declared, nginx, options, orphans, plan, ports, rabbitmq, remedies, state
from core.supervisor.adoption import Survivors
from core.supervisor.home import Home
from core.supervisor.lock import Lock, is_held
from core.supervisor.nginx import Build
from core.supervisor.plan import LOCAL
from core.supervisor.remedies import Need, Platform
from core.supervisor.report import PartState, Report
from core.supervisor.state import ChildRecords, SupervisorState

LEAST_PYTHON = (3, 11)
LEAST_NGINX = (1, 21, 4)
"""The first that has `proxy_half_close`, without which a client that has sent all loses the answers."""

LEAST_SPACE = 200_000_000
"""Free bytes below which a journal soon can't be written."""

ENOUGH_SPACE = 500_000_000
ENOUGH_FILES = 1024
"""How many files a process has to be allowed to have open, to serve many clients."""

LOOKED_THROUGH = 64_000_000
"""Bytes up to which a whole journal is looked through: it takes less than a second."""

BROKER_WITHIN = 4.0
"""Seconds that a broker has to answer."""

PATIENCE = 1.0
"""Seconds to wait for another process's transaction."""

_DISTRIBUTION = "cauce"
_STREAM_MODULE = "ngx_stream_module.so"
_WRITE_AHEAD = b"\x02\x02"
"""In a database's header: it is written by way of a write-ahead log."""
_OS_RELEASES = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
_UNNEEDED = "; only --nginx needs it"
_MEND = "mend what this says, and run doctor again"
_ELSEWHERE = "choose another directory with --dir"
_ON_THIS_MACHINE = "choose a directory on a local disk with --dir"
_ANOTHER_FILE = "choose another file with --database"


class Verdict(enum.StrEnum):
    """How something is."""

    OK = "ok"
    WARNING = "warning"
    """The system runs, though not as it might."""
    PROBLEM = "problem"
    """The system does not run so."""


class Finding(msgspec.Struct, frozen=True):
    """What was found out about one thing."""

    check: str
    """What was looked at, in a word or two."""
    verdict: Verdict
    text: str
    """A sentence."""
    remedy: str = ""
    """What mends it: a command of this platform, or an instruction. Empty where there is nothing to mend."""


class _Subject(msgspec.Struct, frozen=True):
    """What is examined."""

    settings: Settings
    environment: Mapping[str, str]
    home: Home
    platform: Platform


_Findings: TypeAlias = Iterator[Finding]


def _ok(check: str, text: str, remedy: str = "") -> Finding:
    """All is well; a remedy says how to get what is not needed as things are."""
    return Finding(check, Verdict.OK, text, remedy)


def _warning(check: str, text: str, remedy: str) -> Finding:
    """The system runs, though not as it might."""
    return Finding(check, Verdict.WARNING, text, remedy)


def _problem(check: str, text: str, remedy: str) -> Finding:
    """The system does not run so."""
    return Finding(check, Verdict.PROBLEM, text, remedy)


def examine(settings: Settings, environment: Mapping[str, str], home: Home) -> Iterator[Finding]:
    """Look at everything that a system in this directory needs.

    Args:
        settings: of the supervisor.
        environment: what its processes would inherit.
        home: of the data directory, which need not be there.
    """
    subject = _Subject(settings, environment, home, _this_platform())
    for check, look in _CHECKS:
        for finding in _guarded(check, look, subject):
            yield replace(finding, text=printable(finding.text), remedy=printable(finding.remedy))


def _guarded(check: str, look: Callable[[_Subject], _Findings], subject: _Subject) -> _Findings:
    """Make one check; whatever goes wrong with it is a finding too."""
    try:
        yield from look(subject)
    except CauceError as error:
        yield _problem(check, str(error), _MEND)
    except OSError as error:
        yield _problem(check, f"can't be examined: {error}", _MEND)
    except Exception as error:  # noqa: BLE001 - the other checks are to be made, whatever this is
        # It may quote anything, a broker's URL too.
        text = config.mask_password(f"can't be examined: {type(error).__name__}: {error}")
        yield _problem(check, text, "nothing that this program foresees; please report it with this text")


def _this_platform() -> Platform:
    told = ""
    for path in _OS_RELEASES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            told = told or path.read_text("utf-8")
    return remedies.recognise(sys.platform, told, root=_user_id() == 0)


if sys.platform == "win32":

    def _user_id() -> int | None:
        return None

    def _files_limit() -> tuple[int, int] | None:
        return None

else:
    import resource

    def _user_id() -> int | None:
        """Who this user is; None where users have no numbers, and files no such rights."""
        return os.geteuid()

    def _files_limit() -> tuple[int, int] | None:
        """How many files a process may have open, and up to where the user may raise that."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return _finite(soft), _finite(hard)

    def _finite(limit: int) -> int:
        return sys.maxsize if limit == resource.RLIM_INFINITY else limit


# The interpreter and its packages.


def _python(subject: _Subject) -> _Findings:
    yield judge_python(sys.version_info[:3])


def judge_python(version: Sequence[int]) -> Finding:
    """Say whether a version of Python will do."""
    text = f"Python {'.'.join(map(str, version))}"
    if tuple(version) >= LEAST_PYTHON:
        return _ok("python", text)
    least = ".".join(map(str, LEAST_PYTHON))
    remedy = f"install Python {least} or newer (https://www.python.org), and make the virtual environment anew with it"
    return _problem("python", f"{text} is too old: {least} or newer is needed", remedy)


def _packages(subject: _Subject) -> _Findings:
    try:
        required = metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        yield _ok("packages", "Cauce was not installed as a package, so its requirements are not known")
        return
    yield judge_packages(required, _installed_version, subject.platform)


def judge_packages(required: Sequence[str], version_of: Callable[[str], str], platform: Platform) -> Finding:
    """Say whether the packages are there, and new enough.

    Args:
        required: as a distribution's metadata has them; what is only for some cases is left out.
        version_of: tells the version of a package; an empty one when it is not installed.
        platform: this one.
    """
    lacking, told = [], []
    for requirement in required:
        name, least = least_version(requirement)
        found = version_of(name) if name else ""
        if name and (not found or numbers(found) < numbers(least)):
            lacking.append(requirement)
            told.append(f"{name} {found or 'is missing'}{f' is older than {least}' if found else ''}")
    if not lacking:
        return _ok("packages", "the Python packages are there, and new enough")
    remedy = remedies.install_python_packages(platform, sys.executable, lacking)
    return _problem("packages", "; ".join(told), remedy)


def least_version(requirement: str) -> tuple[str, str]:
    """Read the name of a package and the least version; an empty name when it is needed only in some cases."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    if found is None or ";" in requirement:
        return "", ""
    least = re.search(r"(?:>=|==|~=)\s*([0-9][0-9A-Za-z.]*)", requirement)
    return found[0], least[1] if least else "0"


def numbers(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, fit to be compared."""
    found = re.match(r"\d+(\.\d+)*", version)
    parts = [int(part) for part in found[0].split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _installed_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _sqlite(subject: _Subject) -> _Findings:
    try:
        # In memory, so that no file is made. A library that loses commits is refused here.
        with Database(Path(":memory:"), FAULTS, readonly=True) as database:
            [(version,)] = database.execute("SELECT sqlite_version()")
    except JournalUnusable as error:
        remedy = remedies.install_python_packages(subject.platform, sys.executable, ["apsw>=3.54.1.0"])
        yield _problem("sqlite", str(error), remedy)
    else:
        yield _ok("sqlite", f"SQLite {version!s}, free of the race that loses commits")


def _settings(subject: _Subject) -> _Findings:
    token = config.read_token(subject.settings)
    plan.check(subject.settings, token=token is not None)
    yield _ok("settings", "they go together")


# The directory.


def _directory(subject: _Subject) -> _Findings:
    home = subject.home
    place = _nearest(home.directory)
    if not place.is_dir():
        yield _problem("directory", f"{place} is not a directory, so {home.directory} can't be one", _ELSEWHERE)
        return
    if os.path.lexists(home.path) and not home.path.is_dir():
        yield _problem("directory", f"{home.path} is not a directory", f"rename it, or {_ELSEWHERE}")
        return
    for written in dict.fromkeys((place, home.path if home.path.is_dir() else place)):
        try:
            with _scratch(written) as scratch:
                locks = _locks(scratch)
        except OSError as error:
            text = f"{written} can't be written: {error.strerror or error}"
            yield _problem("directory", text, _way_in(written, subject))
            return
    there = place == home.directory
    yield _ok("directory", f"{home.directory} {'can be written' if there else 'is not there yet, and can be made'}")
    yield locks


def _way_in(written: Path, subject: _Subject) -> str:
    """Say what to do where this user can't write. Nothing is taken from others that was not made for a system."""
    home = subject.home
    if written == home.path:
        return f"{remedies.take_over(subject.platform, written)}, or {_ELSEWHERE}"
    if written == home.directory:
        return "choose a directory of your own with --dir"
    return f"{remedies.make_directory(subject.platform, home.directory)}, or {_ELSEWHERE}"


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    # `os.path` takes what can't be looked at for missing: what can is tried then.
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """A directory to try things in, with a file in it; it is removed in the end.

    Raises:
        OSError: nothing can be written there.
    """
    with tempfile.TemporaryDirectory(prefix=".cauce-doctor-", dir=place) as name:
        Path(name, "file").write_bytes(b"written")
        yield Path(name)


def _locks(scratch: Path) -> Finding:
    """Say whether the system keeps a second holder from a lock, and frees the lock in the end."""
    path = scratch / "lock"
    try:
        with Lock(path):
            works = is_held(path)
        works = works and not is_held(path)
    except SupervisorError as error:
        return _problem("locks", str(error), _ON_THIS_MACHINE)
    if works:
        return _ok("locks", "files can be locked there")
    text = f"files in {scratch.parent} can't be locked: two supervisors could run in one directory"
    return _problem("locks", text, _ON_THIS_MACHINE)


def _permissions(subject: _Subject) -> _Findings:
    path = subject.home.path
    if not path.is_dir():
        yield _ok("permissions", f"{path} will be made for this user alone")
    elif _user_id() is None:
        yield _ok("permissions", f"{path} has those of the directory that it is in")
    else:
        yield _judge_rights(path, subject.platform)


def _judge_rights(path: Path, platform: Platform) -> Finding:
    """Say whether the supervisor's directory, and what the system keeps in it, is this user's alone."""
    user = _user_id()
    # What belongs to another can perhaps not even be listed.
    found = {path: path.stat()} if path.stat().st_uid != user else _listed(path)
    strangers = [file for file, seen in found.items() if seen.st_uid != user]
    loose = [file for file, seen in found.items() if seen.st_mode & 0o077]
    if strangers:
        text = f"{_some(strangers)} in {path.parent} belong to another user"
        if platform.root:
            return _warning("permissions", text, "run as that user")
        return _problem("permissions", text, f"{remedies.take_over(platform, path)}, or run as that user")
    if loose:
        text = f"other users may read or write {_some(loose)} in {path.parent}"
        return _warning("permissions", text, remedies.close_to_others(platform, path))
    return _ok("permissions", f"{path} is this user's alone")


def _listed(path: Path) -> dict[Path, os.stat_result]:
    """The supervisor's directory, and the files in it and in that of the logs."""
    found = {path: path.stat()}
    for place in (path, path / "logs"):
        for file in place.iterdir() if place.is_dir() else ():
            # A system that runs makes files and takes them away.
            with contextlib.suppress(FileNotFoundError):
                seen = file.stat()
                if stat.S_ISREG(seen.st_mode):
                    found[file] = seen
    return found


def _some(paths: Sequence[Path]) -> str:
    """Name a few, and say how many the others are."""
    named = ", ".join(path.name for path in paths[:3])
    return f"{named} and {len(paths) - 3} more" if len(paths) > 3 else named


def _file_system(subject: _Subject) -> _Findings:
    for path in _data_paths(subject):
        try:
            refuse_network_file_system(path, FAULTS)
        except JournalUnusable as error:
            yield _problem("file system", str(error), _ON_THIS_MACHINE)
            return
    yield _ok("file system", "the data is on local disks")


def _space(subject: _Subject) -> _Findings:
    places = [_nearest(path) for path in _data_paths(subject)]
    for place in {place.stat().st_dev: place for place in reversed(places)}.values():
        yield judge_space(place, shutil.disk_usage(place).free)


def _data_paths(subject: _Subject) -> list[Path]:
    """Where data lies: the directory, and the journal, which may be elsewhere."""
    paths = [subject.home.directory]
    # A setting that names no journal is told by the check of the journal.
    with contextlib.suppress(ConfigurationError):
        paths.append(_journal_path(subject))
    return paths


def judge_space(place: Path, free: int) -> Finding:
    """Say whether so many free bytes will do."""
    text = f"{_megabytes(free)} are free on the disk of {place}"
    if free >= ENOUGH_SPACE:
        return _ok("space", text)
    remedy = f"free some space there, or {_ELSEWHERE}"
    if free >= LEAST_SPACE:
        return _warning("space", f"only {text}", remedy)
    return _problem("space", f"only {text}: at least {_megabytes(LEAST_SPACE)} are needed", remedy)


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB" if size < 10_000_000 else f"{size / 1_000_000:,.0f} MB"


# The journal.


def _journal_path(subject: _Subject) -> Path:
    return Journal(subject.settings[config.DATABASE], subject.home.directory).path


def _journal(subject: _Subject) -> _Findings:
    path = _journal_path(subject)
    if path.parent != subject.home.directory:
        try:
            with _scratch(_nearest(path.parent)):
                pass
        except OSError as error:
            text = f"{path.parent} can't be written: {error.strerror or error}"
            yield _problem("journal", text, _ANOTHER_FILE)
            return
    if not os.path.lexists(path):
        yield _ok("journal", f"{path} is not there yet, and will be made")
    elif not path.is_file():
        yield _problem("journal", f"{path} is not a file", f"rename it, or {_ANOTHER_FILE}")
    elif not os.access(path, os.W_OK):
        yield _problem("journal", f"this user may not write {path}", remedies.take_over(subject.platform, path))
    else:
        yield _read_journal(path)


def _read_journal(path: Path) -> Finding:
    aside = f"put a good copy in its place, or rename it together with {path.name}-wal and {path.name}-shm"
    try:
        size = path.stat().st_size
        with Database(path, FAULTS, readonly=not _leaves_no_trace(path), patience=PATIENCE) as database:
            version = database.number("PRAGMA user_version")
            damage = _damage(database) if size <= LOOKED_THROUGH else ""
    except JournalUnavailable as error:
        return _warning("journal", str(error), "run doctor again in a moment")
    except JournalUnusable as error:
        return _problem("journal", str(error), aside)
    known = _schema_version()
    if damage:
        return _problem("journal", f"{path} is damaged: {damage}", aside)
    if version > known:
        text = f"{path} was written by a newer Cauce: its schema is {version}, and this one knows up to {known}"
        return _problem("journal", text, f"use the newer Cauce, or {_ANOTHER_FILE}")
    looked_through = "" if size <= LOOKED_THROUGH else ", too large to be looked through here"
    return _ok("journal", f"{path} can be read ({_megabytes(size)}{looked_through})")


def _leaves_no_trace(path: Path) -> bool:
    """Whether a connection that may write takes away again what it makes beside the file.

    One that may only read leaves an empty write-ahead log behind where there was none. Where there is one, somebody
    uses the file, or a process was killed: then it is looked at as it lies there.
    """
    with path.open("rb") as stream:
        header = stream.read(20)
    return header[18:20] == _WRITE_AHEAD and not os.path.lexists(f"{path}-wal")


def _damage(database: Database) -> str:
    """What SQLite finds wrong with the file's structure; nothing when it is sound."""
    [(told, *_), *_] = database.execute("PRAGMA quick_check(1)")
    return "" if told == "ok" else str(told)


def _schema_version() -> int:
    scripts = (resources.files("core.repository") / "schema").iterdir()
    return sum(1 for script in scripts if script.name.endswith(".sql"))


# What runs, and where it would listen.


def _supervisor(subject: _Subject) -> _Findings:
    home = subject.home
    found = state.load(home.state, SupervisorState)
    if is_held(home.lock):
        report = commands.ask_status(found) if found is not None else None
        yield _judge_running(report, subject)
        return
    left = [f"{orphan.name} (pid {orphan.identity.pid})" for orphan in orphans.find(home)]
    if left:
        up, down = (remedies.supervisor(subject.platform, command, home.directory) for command in ("up", "down"))
        text = f"a supervisor was killed here, and left running: {', '.join(left)}"
        yield _warning("supervisor", text, f"{up} goes on with them, {down} ends them")
    elif found is not None:
        yield _ok("supervisor", "none runs here; the last one was killed, and left only files, which the next replaces")
    else:
        yield _ok("supervisor", "none runs here")


def _judge_running(report: Report | None, subject: _Subject) -> Finding:
    if report is None:
        remedy = f"try again; if it stays so: {remedies.supervisor(subject.platform, 'down', subject.home.directory)}"
        return _warning("supervisor", "a supervisor runs here, and does not answer", remedy)
    text = f"a supervisor runs here (pid {report.pid}); it is {report.phase}"
    if report.ready:
        return _ok("supervisor", f"{text}, and everything is ready")
    troubled = [
        f"{part.name} is {part.state}{f' ({part.note})' if part.note else ''}"
        for part in report.processes
        if part.state not in {PartState.READY, PartState.STOPPED}
    ]
    remedy = remedies.supervisor(subject.platform, "status", subject.home.directory)
    return _warning("supervisor", f"{text}, and not everything is ready: {', '.join(troubled) or 'wait'}", remedy)


def _ports(subject: _Subject) -> _Findings:
    own = _own_addresses(subject.home)
    names = {address.port: name for name, address in own.items()}

    def holder(address: Address) -> str:
        name = names.get(address.port)
        return f"{name} of this system" if name else ports.holder_of(address)

    try:
        choice = ports.choose(subject.settings, holder, kept=own)
    except SupervisorError as error:
        remedy = f"{_end(str(error), subject.platform)}, or choose another address with --listen"
        yield _problem("ports", str(error), remedy)
        return
    except ConfigurationError as error:
        yield _problem("ports", str(error), "choose an address of this machine with --listen")
        return
    if choice.remarks:
        remedy = f"{_end(choice.remarks[0], subject.platform)}, or choose others with --listen and --server-port"
        yield _warning("ports", "; ".join(choice.remarks), remedy)
        return
    wanted = [at for at in (choice.layout.listen, *choice.layout.servers) if at is not None]
    told = [f"{at} is {f'held by {names[at.port]} of this system' if at.port in names else 'free'}" for at in wanted]
    yield _ok("ports", ", ".join(told) or "no server is wanted, so none is needed")


def _own_addresses(home: Home) -> dict[str, Address]:
    """Where the live processes of this system listen, by their names."""
    records = state.load(home.children, ChildRecords) or ChildRecords()
    return Survivors(tuple(each for each in records.children if census.is_alive(each.identity))).addresses


def _end(text: str, platform: Platform) -> str:
    """Say how to end the program that a sentence names as the holder of a port."""
    found = re.search(r"\(pid (\d+)\)", text)
    return f"end that program ({remedies.end_process(platform, int(found[1]))})" if found else "end that program"


# The broker, and programs of others.


def _broker(subject: _Subject) -> _Findings:
    settings = subject.settings
    url, place = settings[config.BROKER], settings.origins[config.BROKER.key].place
    if url == LOCAL:
        yield _look_for_rabbitmq("broker", subject, needed=True)
        return
    try:
        broker = open_broker(url, subject.home.directory)
        broker.check(BROKER_WITHIN)
    except ConfigurationError as error:
        yield _problem("broker", str(error), f"correct {place}")
    except BrokerError as error:
        yield _problem("broker", str(error), _broker_remedy(error, place, subject))
    else:
        yield _ok("broker", f"{broker.description} can be used")


def _broker_remedy(error: BrokerError, place: str, subject: _Subject) -> str:
    if subject.settings[config.BROKER].startswith("embedded"):
        again = remedies.supervisor(subject.platform, "redispatch", subject.home.directory)
        return f"make that file this user's, or rename it, have a new one made by `up`, and fill that with {again}"
    if isinstance(error, BrokerMisconfigured):
        return f"correct the user, the password or the virtual host in {place}, or that user's permissions in RabbitMQ"
    start = remedies.start_rabbitmq(subject.platform)
    return f"start it (when it is to be on this machine: {start}), or correct {place}"


def _rabbitmq(subject: _Subject) -> _Findings:
    # Where it is needed, the check of the broker tells of it.
    if subject.settings[config.BROKER] != LOCAL:
        yield _look_for_rabbitmq("rabbitmq", subject, needed=False)


def _look_for_rabbitmq(check: str, subject: _Subject, *, needed: bool) -> Finding:
    install = remedies.install(subject.platform, Need.RABBITMQ)
    try:
        programs = rabbitmq.find_programs()
    except SupervisorError as error:
        if needed:
            return _problem(check, str(error), install)
        return _ok(check, "not installed; only --broker local needs it", install)
    version = version_in_path(programs.server.resolve())
    return _ok(check, f"RabbitMQ {version or 'of unknown version'} is installed ({programs.server})")


def version_in_path(program: Path) -> str:
    """The version of RabbitMQ in the name of the directory that it is installed in; empty when it tells none."""
    found = re.search(r"rabbitmq(?:_server-|[/\\])(\d+(?:\.\d+)+)", str(program))
    return found[1] if found else ""


def _nginx(subject: _Subject) -> _Findings:
    program = nginx.find_nginx()
    build = nginx.read_build(program) if program is not None else None
    loadable = build is not None and (build.modules is None or (build.modules / _STREAM_MODULE).exists())
    yield judge_nginx(build, subject.platform, loadable=loadable, needed=subject.settings[options.NGINX])


def judge_nginx(build: Build | None, platform: Platform, *, loadable: bool, needed: bool) -> Finding:
    """Say whether an NGINX will do.

    Args:
        build: how it was compiled; None when there is none.
        platform: this one.
        loadable: whether the stream module is there, should it have to be loaded.
        needed: whether it is to be run.
    """
    install = remedies.install(platform, Need.NGINX)
    if build is None:
        if needed:
            return _problem("nginx", "not installed", install)
        return _ok("nginx", f"not installed{_UNNEEDED}", install)
    version = numbers(build.version)
    if version and version < LEAST_NGINX:
        text = f"NGINX {build.version} is too old: {'.'.join(map(str, LEAST_NGINX))} or newer is needed"
    elif not build.stream or not loadable:
        text = f"NGINX {build.version} lacks its stream module"
    else:
        return _ok("nginx", f"NGINX {build.version}, with its stream module")
    return _problem("nginx", text, install) if needed else _warning("nginx", f"{text}{_UNNEEDED}", install)


# The limits of this user, and what this user has declared.


def _open_files(subject: _Subject) -> _Findings:
    limit = _files_limit()
    if limit is None:
        yield _ok("open files", "this system sets no limit to a user")
    else:
        yield judge_open_files(*limit, subject.platform)


def judge_open_files(soft: int, hard: int, platform: Platform) -> Finding:
    """Say whether a process may have enough files open.

    Args:
        soft: how many it may have.
        hard: up to where the user may raise that.
        platform: this one.
    """
    if soft >= ENOUGH_FILES:
        return _ok("open files", "a process may have enough of them")
    text = f"a process may have only {soft} files open, and each connection is one"
    return _warning("open files", text, remedies.raise_open_files(platform, hard))


def _user(subject: _Subject) -> _Findings:
    if subject.platform.root:
        text = "you are root: every file and process will belong to root, and other users can't use the system"
        yield _warning("user", text, "run it as an ordinary user, in a directory of that user")
    else:
        yield _ok("user", "an ordinary user")


def _declared(subject: _Subject) -> _Findings:
    path = subject.environment.get("PATH", os.defpath)
    every = list(declared.read(subject.settings, subject.home.directory))
    sound = True
    for each in every:
        missing = missing_of(each.command[0], each.directory, each.environment.get("PATH", path))
        if missing:
            sound = False
            remedy = f"install it, or correct {each.name} in {config.FILE_NAME}"
            yield _problem("declared", f"{each.name}: {missing}", remedy)
    if sound:
        yield _ok("declared", f"all that {len(every)} processes of your own need is there" if every else "none")


def missing_of(program: str, directory: Path, path: str) -> str:
    """Say what is missing of a command; nothing when it can be run.

    Args:
        program: its first word.
        directory: where it is run.
        path: where programs are looked for.
    """
    if not directory.is_dir():
        return f"its directory {directory} is not there"
    # A name with a directory in it is one from where the process runs.
    found = shutil.which(directory / program) if os.path.dirname(program) else shutil.which(program, path=path)
    return "" if found else f"its command {program} is not found"


_CHECKS: tuple[tuple[str, Callable[[_Subject], _Findings]], ...] = (
    ("python", _python),
    ("packages", _packages),
    ("sqlite", _sqlite),
    ("settings", _settings),
    ("user", _user),
    ("directory", _directory),
    ("permissions", _permissions),
    ("file system", _file_system),
    ("space", _space),
    ("journal", _journal),
    ("supervisor", _supervisor),
    ("ports", _ports),
    ("broker", _broker),
    ("rabbitmq", _rabbitmq),
    ("nginx", _nginx),
    ("open files", _open_files),
    ("declared", _declared),
)
