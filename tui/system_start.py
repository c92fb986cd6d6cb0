"""How the console has the system started. What can be refused at once is refused before there is a console.

Nothing here prints or draws: it returns values or raises errors.
"""

from collections.abc import Callable, Mapping

from core import config
from core.broker.factory import open_broker
from core.config import Settings
from core.errors import AlreadyRunning, SupervisorError
from core.supervisor import commands, declared_processes, launching, plan
from core.supervisor.home import Home
from core.supervisor.status import Phase, SystemStatus

Start = Callable[[Callable[[SystemStatus], None]], SystemStatus | None]
"""Starts the system, tells how it stands again and again, and returns when it is ready; None when it has ended."""


def is_needed(settings: Settings) -> bool:
    """Whether a start is wanted of a system that does not run yet.

    Raises:
        ConfigurationError: it can't be started so.
        AlreadyRunning: it runs otherwise than is asked for here.
    """
    home = Home(settings[config.DIRECTORY])
    plan.check(settings, token=config.read_token(settings) is not None)
    declared_processes.read(settings, home.directory)
    if settings[config.BROKER] != plan.LOCAL:
        open_broker(settings[config.BROKER], home.directory)
    try:
        report = commands.status(home)
    except SupervisorError:
        # One that has only just begun can't be asked yet; if it stays so, the start will say it.
        return True
    if report is None or report.phase is not Phase.RUNNING:
        return True
    launching.attach(settings)
    return False


def start(
    settings: Settings, environment: Mapping[str, str], tell: Callable[[SystemStatus], None]
) -> SystemStatus | None:
    """Start the system in the background, or wait for one that is being started already.

    Args:
        settings: as the supervisor's options describe them.
        environment: what the supervisor and its processes inherit.
        tell: called again and again until it is ready, with how it stands.

    Raises:
        AlreadyRunning: it runs otherwise than is asked for here.
        SupervisorError: something can't be started; says what, and nothing is left running.
    """
    try:
        return launching.up_detached(settings, environment, tell)
    except AlreadyRunning:
        return launching.attach(settings)
