"""Makes all checks, in the order in which their findings are read. A check that fails does not stop the others."""

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from core import config
from core.config import Settings
from core.errors import CauceError, reason_of
from core.logs import printable
from core.supervisor.doctor.configuration import check_declared, check_settings
from core.supervisor.doctor.directory import check_directory
from core.supervisor.doctor.disk import check_file_system, check_space
from core.supervisor.doctor.finding import Finding, Findings, Subject, problem
from core.supervisor.doctor.interpreter import check_packages, check_python, check_sqlite
from core.supervisor.doctor.journal import check_journal
from core.supervisor.doctor.limits import check_open_files, check_user
from core.supervisor.doctor.machine import this_platform
from core.supervisor.doctor.permissions import check_permissions
from core.supervisor.doctor.programs import check_broker, check_nginx, check_rabbitmq
from core.supervisor.doctor.running import check_ports, check_supervisor
from core.supervisor.home import Home

_MEND = "correct this, and run doctor again"

_CHECKS: tuple[tuple[str, Callable[[Subject], Findings]], ...] = (
    ("python", check_python),
    ("packages", check_packages),
    ("sqlite", check_sqlite),
    ("settings", check_settings),
    ("user", check_user),
    ("directory", check_directory),
    ("permissions", check_permissions),
    ("file system", check_file_system),
    ("space", check_space),
    ("journal", check_journal),
    ("supervisor", check_supervisor),
    ("ports", check_ports),
    ("broker", check_broker),
    ("rabbitmq", check_rabbitmq),
    ("nginx", check_nginx),
    ("open files", check_open_files),
    ("declared", check_declared),
)


def examine(settings: Settings, environment: Mapping[str, str], home: Home) -> Iterator[Finding]:
    """Check everything that a system in this directory needs.

    Args:
        settings: the supervisor's settings.
        environment: the variables that its processes would inherit.
        home: the paths of the data directory, which need not exist.
    """
    subject = Subject(settings, environment, home, this_platform())
    for name, check in _CHECKS:
        for finding in _run_check(name, check, subject):
            yield replace(finding, text=printable(finding.text), remedy=printable(finding.remedy))


def _run_check(name: str, check: Callable[[Subject], Findings], subject: Subject) -> Findings:
    """Make one check. An error in it becomes a finding too."""
    try:
        yield from check(subject)
    except CauceError as error:
        yield problem(name, str(error), _MEND)
    except OSError as error:
        yield problem(name, f"can't be checked: {reason_of(error)}", _MEND)
    except Exception as error:  # noqa: BLE001 - the other checks must still be made
        # The error may quote anything, even the URL of a broker.
        text = config.mask_password(f"can't be checked: {type(error).__name__}: {reason_of(error)}")
        yield problem(name, text, "this is an error in doctor; please report it with this text")
