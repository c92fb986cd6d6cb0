"""The start of the system by the console. What can be refused at once is refused before the console opens.

Nothing here prints or draws.
"""

from collections.abc import Callable, Mapping

from core import config
from core.broker.factory import open_broker
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.supervisor import commands, declared_processes, launching, plan
from core.supervisor.home import Home
from core.supervisor.status import Phase, SystemStatus

Start = Callable[[Callable[[SystemStatus], None]], SystemStatus]
"""Starts the system and reports its status repeatedly. Returns when it is ready."""


def is_needed(settings: Settings) -> bool:
    """Return whether the system must be started.

    Raises:
        ConfigurationError: it can't be started with these settings.
        AlreadyRunning: it is running with other settings.
    """
    home = Home(settings[config.DIRECTORY])
    plan.check(settings, token=config.read_token(settings) is not None)
    declared_processes.read(settings, home.directory)
    if settings[config.BROKER] != plan.LOCAL:
        open_broker(settings[config.BROKER], home.directory)
    try:
        report = commands.status(home)
    except SupervisorError:
        # A supervisor that has just begun does not reply yet; if it never does, the start will fail.
        return True
    if report is None or report.phase is not Phase.RUNNING:
        return True
    launching.attach(settings)
    return False


def start(
    settings: Settings, environment: Mapping[str, str], on_progress: Callable[[SystemStatus], None]
) -> SystemStatus:
    """Start the system in the background, or wait for a start that is under way. Returns the status when it is ready.

    A supervisor that ends meanwhile leaves the directory to the next one.

    Args:
        settings: the settings of the supervisor.
        environment: the environment that the supervisor and its processes inherit.
        on_progress: takes the status, repeatedly until the system is ready.

    Raises:
        AlreadyRunning: it is running with other settings.
        SupervisorError: a process can't be started; no process is left running.
    """
    while True:
        try:
            return launching.up_detached(settings, environment, on_progress)
        except AlreadyRunning:
            report = launching.attach(settings)
        if report is not None:
            return report
