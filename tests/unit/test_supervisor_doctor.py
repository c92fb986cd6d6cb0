"""How doctor judges versions and numbers, and the remedies on each platform."""

import sys
from pathlib import Path

import pytest

from core.repository.base import Audit
from core.supervisor.doctor import Finding, Verdict, remedies
from core.supervisor.doctor.configuration import missing_requirement
from core.supervisor.doctor.disk import ENOUGH_SPACE, MIN_SPACE, judge_space
from core.supervisor.doctor.interpreter import judge_packages, judge_python
from core.supervisor.doctor.journal import judge_audit
from core.supervisor.doctor.limits import judge_open_files
from core.supervisor.doctor.programs import judge_nginx
from core.supervisor.doctor.remedies import Family, Need, Platform
from core.supervisor.doctor.versions import minimum_version, numbers, version_in_path
from core.supervisor.nginx.executable import NginxBuild

DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n'
UBUNTU = 'NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n'
MINT = "ID=linuxmint\nID_LIKE='ubuntu debian'\n"
FEDORA = "NAME='Fedora Linux'\nID=fedora\n"
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n'
AMAZON = 'ID="amzn"\nID_LIKE="fedora"\n'
ALPINE = 'NAME="Alpine Linux"\nID=alpine\n'
MANJARO = "ID=manjaro\nID_LIKE=arch\n"
SUSE = 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n'

HERE = Platform(Family.DEBIAN, root=False)
INSTALL_NGINX = "sudo apt-get install nginx libnginx-mod-stream"
BUILD = NginxBuild(version="1.22.1", stream=True, modules=None)


@pytest.mark.parametrize(
    ("system", "os_release", "family"),
    [
        ("linux", DEBIAN, Family.DEBIAN),
        ("linux", UBUNTU, Family.DEBIAN),
        ("linux", MINT, Family.DEBIAN),
        ("linux", FEDORA, Family.FEDORA),
        ("linux", ROCKY, Family.RED_HAT),
        ("linux", AMAZON, Family.RED_HAT),
        ("linux", ALPINE, Family.ALPINE),
        ("linux", MANJARO, Family.ARCH),
        ("linux", SUSE, Family.OTHER),
        ("linux", "", Family.OTHER),
        ("linux", "\x00 no key here\n=\nID", Family.OTHER),
        ("linux", "XID=debian", Family.OTHER),
        ("darwin", "", Family.MACOS),
        ("win32", "", Family.WINDOWS),
        ("freebsd14", DEBIAN, Family.OTHER),
    ],
)
def test_a_platform_is_recognised_by_its_release_file(system: str, os_release: str, family: Family) -> None:
    assert remedies.recognise(system, os_release, root=False) == Platform(family, root=False)


@pytest.mark.parametrize(
    ("family", "root", "nginx", "rabbitmq", "start"),
    [
        (
            Family.DEBIAN,
            False,
            "sudo apt-get install nginx libnginx-mod-stream",
            "sudo apt-get install rabbitmq-server",
            "sudo systemctl start rabbitmq-server",
        ),
        (
            Family.DEBIAN,
            True,
            "apt-get install nginx libnginx-mod-stream",
            "apt-get install rabbitmq-server",
            "systemctl start rabbitmq-server",
        ),
        (
            Family.FEDORA,
            False,
            "sudo dnf install nginx nginx-mod-stream",
            "sudo dnf install rabbitmq-server",
            "sudo systemctl start rabbitmq-server",
        ),
        (
            Family.RED_HAT,
            False,
            "sudo dnf install nginx nginx-mod-stream",
            "install RabbitMQ as https://www.rabbitmq.com/docs/install-rpm says",
            "sudo systemctl start rabbitmq-server",
        ),
        (
            Family.ALPINE,
            True,
            "apk add nginx nginx-mod-stream",
            "apk add rabbitmq-server",
            "rc-service rabbitmq-server start",
        ),
        (
            Family.ARCH,
            False,
            "sudo pacman -S nginx",
            "sudo pacman -S rabbitmq",
            "sudo systemctl start rabbitmq",
        ),
        (
            Family.MACOS,
            False,
            "brew install nginx",
            "brew install rabbitmq",
            "brew services start rabbitmq",
        ),
        (
            Family.WINDOWS,
            False,
            "choco install nginx",
            "choco install rabbitmq (or use the embedded queue, which needs nothing: --broker embedded)",
            "rabbitmq-service start",
        ),
        (
            Family.OTHER,
            False,
            "install NGINX 1.21.4 or newer, with its stream module with this system's package manager",
            "install RabbitMQ with this system's package manager",
            "start RabbitMQ",
        ),
    ],
)
def test_each_platform_has_its_commands(family: Family, root: bool, nginx: str, rabbitmq: str, start: str) -> None:
    platform = Platform(family, root)
    assert remedies.install(platform, Need.NGINX) == nginx
    assert remedies.install(platform, Need.RABBITMQ) == rabbitmq
    assert remedies.start_rabbitmq(platform) == start


def test_a_path_stays_one_word_in_a_command() -> None:
    path = Path("/data/my $(things)")
    assert remedies.take_over(HERE, path) == "sudo chown -R \"$(id -un)\" '/data/my $(things)'"
    assert remedies.make_directory(HERE, path) == "sudo install -d -o \"$(id -un)\" '/data/my $(things)'"
    assert remedies.close_to_others(HERE, path) == "chmod -R go-rwx '/data/my $(things)'"
    assert remedies.supervisor(HERE, "up", path) == "python -m core.supervisor up --dir '/data/my $(things)'"
    assert remedies.install_python_packages(HERE, "/venv/python", ["pika<2,>=1.4.4"]) == (
        "/venv/python -m pip install --upgrade 'pika<2,>=1.4.4'"
    )


def test_windows_has_its_own_commands() -> None:
    windows = Platform(Family.WINDOWS, root=False)
    path = Path("my things")
    assert remedies.take_over(windows, path) == 'takeown /R /F "my things"'
    assert remedies.make_directory(windows, path) == 'mkdir "my things" as an administrator'
    assert remedies.end_process(windows, 7) == "taskkill /PID 7"
    assert remedies.end_process(HERE, 7) == "kill 7"


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 10, 14), Verdict.PROBLEM),
        ((3, 11, 0), Verdict.OK),
        ((3, 14, 1), Verdict.OK),
        ((4, 0, 0), Verdict.OK),
    ],
)
def test_an_old_python_is_a_problem(version: tuple[int, ...], verdict: Verdict) -> None:
    assert judge_python(version).verdict is verdict


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("apsw>=3.54.1.0", ("apsw", "3.54.1.0")),
        ("pika<2,>=1.4.4", ("pika", "1.4.4")),
        ("textual==8.2.8", ("textual", "8.2.8")),
        ("types-psutil ~= 7.0", ("types-psutil", "7.0")),
        ("rich", ("rich", "0")),
        ("ruff>=0.14; extra == 'test'", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_minimum_version_is_read_from_a_requirement(requirement: str, expected: tuple[str, str]) -> None:
    assert minimum_version(requirement) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.54.1.0", (3, 54, 1)),
        ("15", (15,)),
        ("4.0.0rc1", (4,)),
        ("2.10", (2, 10)),
        ("unknown", ()),
        ("", ()),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def test_old_and_missing_packages_are_named_with_the_command_that_installs_them() -> None:
    installed = {"apsw": "3.54.1.0", "psutil": "7.0", "rich": "15.0.0"}
    required = ["apsw>=3.54.1.0", "psutil>=7.1", "rich>=15", "pika<2,>=1.4.4", "mypy>=1; extra == 'test'"]
    found = judge_packages(required, lambda name: installed.get(name, ""), HERE)
    assert found.verdict is Verdict.PROBLEM
    assert found.text == "psutil 7.0 is older than 7.1; pika is missing"
    assert found.remedy.endswith("-m pip install --upgrade 'psutil>=7.1' 'pika<2,>=1.4.4'")
    assert judge_packages(required[:1], lambda name: installed.get(name, ""), HERE).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (0, Verdict.PROBLEM),
        (MIN_SPACE - 1, Verdict.PROBLEM),
        (MIN_SPACE, Verdict.WARNING),
        (ENOUGH_SPACE - 1, Verdict.WARNING),
        (ENOUGH_SPACE, Verdict.OK),
    ],
)
def test_a_disk_that_fills_up_is_reported(free: int, verdict: Verdict) -> None:
    found = judge_space(Path("/data"), free)
    assert found.verdict is verdict
    assert bool(found.remedy) is (verdict is not Verdict.OK)


@pytest.mark.parametrize(
    ("build", "loadable", "needed", "expected"),
    [
        (BUILD, True, True, Finding("nginx", Verdict.OK, "NGINX 1.22.1, with its stream module")),
        (None, False, True, Finding("nginx", Verdict.PROBLEM, "not installed", INSTALL_NGINX)),
        (None, False, False, Finding("nginx", Verdict.OK, "not installed; only --nginx needs it", INSTALL_NGINX)),
        (
            NginxBuild(version="1.18.0", stream=True, modules=None),
            True,
            True,
            Finding("nginx", Verdict.PROBLEM, "NGINX 1.18.0 is too old: 1.21.4 or newer is needed", INSTALL_NGINX),
        ),
        (
            NginxBuild(version="1.22.1", stream=True, modules=Path("/usr/lib/nginx/modules")),
            False,
            True,
            Finding("nginx", Verdict.PROBLEM, "NGINX 1.22.1 lacks its stream module", INSTALL_NGINX),
        ),
        (
            NginxBuild(version="1.26.0", stream=False, modules=None),
            True,
            False,
            Finding(
                "nginx", Verdict.WARNING, "NGINX 1.26.0 lacks its stream module; only --nginx needs it", INSTALL_NGINX
            ),
        ),
    ],
)
def test_an_nginx_is_a_problem_only_when_it_is_to_be_run(
    build: NginxBuild | None, loadable: bool, needed: bool, expected: Finding
) -> None:
    assert judge_nginx(build, HERE, loadable=loadable, needed=needed) == expected


@pytest.mark.parametrize(
    ("soft", "hard", "verdict", "remedy"),
    [
        (1024, 1024, Verdict.OK, ""),
        (sys.maxsize, sys.maxsize, Verdict.OK, ""),
        (256, sys.maxsize, Verdict.WARNING, "ulimit -n 4096"),
        (
            256,
            512,
            Verdict.WARNING,
            (
                "let root write `* - nofile 4096` into /etc/security/limits.conf "
                "(a service of systemd: LimitNOFILE=4096), then log in again"
            ),
        ),
    ],
)
def test_a_low_limit_of_open_files_is_reported(soft: int, hard: int, verdict: Verdict, remedy: str) -> None:
    found = judge_open_files(soft, hard, HERE)
    assert (found.verdict, found.remedy) == (verdict, remedy)


def test_on_macos_the_hard_limit_is_raised_by_its_own_command() -> None:
    found = judge_open_files(256, 512, Platform(Family.MACOS, root=False))
    assert found.remedy == "sudo launchctl limit maxfiles 4096 unlimited, then log in again"


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server", "3.10.8"),
        ("/opt/homebrew/Cellar/rabbitmq/4.0.5/sbin/rabbitmq-server", "4.0.5"),
        (r"C:\Program Files\RabbitMQ Server\rabbitmq_server-4.1.0\sbin\rabbitmq-server.bat", "4.1.0"),
        ("/usr/lib/rabbitmq/bin/rabbitmq-server", ""),
    ],
)
def test_the_version_of_rabbitmq_is_in_its_path(program: str, version: str) -> None:
    assert version_in_path(Path(program)) == version


def test_a_journal_that_agrees_with_its_ledger_is_fine() -> None:
    audit = Audit({"accepted": 2, "done": 1200}, {"accepted": 2, "done": 1200, "failed": 0}, ())
    assert judge_audit(Path("j.db"), audit) == Finding(
        "audit", Verdict.OK, "the ledger agrees with a count of all tasks (1,202)"
    )


def test_the_discrepancies_of_a_journal_are_named() -> None:
    audit = Audit({"done": 2, "failed": 1}, {"accepted": 1, "done": 2}, tuple("abcdefg"))
    found = judge_audit(Path("j.db"), audit)
    assert found.verdict is Verdict.PROBLEM
    assert found.text == (
        "j.db has discrepancies: accepted: 1 by the ledger, 0 counted; failed: 0 by the ledger, 1 counted; "
        "the rows of these tasks contradict themselves: a, b, c, d, e and 2 more"
    )
    assert found.remedy


def test_a_command_is_looked_for_where_its_process_would_find_it(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    program = programs / "tool"
    program.write_text("")
    program.chmod(0o755)
    assert missing_requirement("tool", tmp_path, str(programs)) == ""
    assert missing_requirement("tool", tmp_path, "") == "its command tool is not found"
    assert missing_requirement(str(Path("programs", "tool")), tmp_path, "") == ""
    assert missing_requirement(str(program), programs, "") == ""
    assert missing_requirement("tool", tmp_path / "gone", str(programs)).endswith("does not exist")
    program.chmod(0o644)
    assert missing_requirement(str(program), tmp_path, "") == f"its command {program} is not found"
