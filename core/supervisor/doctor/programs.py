"""The checks of the broker, and of the external programs that the supervisor can run: RabbitMQ and NGINX."""

from core import config
from core.broker.factory import open_broker
from core.errors import BrokerError, BrokerMisconfigured, ConfigurationError, SupervisorError
from core.supervisor import options, rabbitmq_node
from core.supervisor.doctor import remedies
from core.supervisor.doctor.finding import Finding, Findings, Subject, ok, problem, warning
from core.supervisor.doctor.remedies import Need, Platform
from core.supervisor.doctor.versions import numbers, version_in_path
from core.supervisor.nginx import executable
from core.supervisor.nginx.executable import NginxBuild
from core.supervisor.plan import LOCAL

MIN_NGINX = (1, 21, 4)
"""The first version with `proxy_half_close`, without which a client that has ended its sending side gets no replies."""

BROKER_TIMEOUT = 4.0
"""Seconds that a broker has to answer."""

_STREAM_MODULE = "ngx_stream_module.so"
_UNNEEDED = "; only --nginx needs it"


def check_broker(subject: Subject) -> Findings:
    """Check whether the broker answers and accepts this user."""
    settings = subject.settings
    url, place = settings[config.BROKER], settings.origins[config.BROKER.key].place
    if url == LOCAL:
        yield _check_rabbitmq_program("broker", subject, needed=True)
        return
    try:
        broker = open_broker(url, subject.home.directory)
        broker.check(BROKER_TIMEOUT)
    except ConfigurationError as error:
        yield problem("broker", str(error), f"correct {place}")
    except BrokerError as error:
        yield problem("broker", str(error), _broker_remedy(error, place, subject))
    else:
        yield ok("broker", f"{broker.description} can be used")


def _broker_remedy(error: BrokerError, place: str, subject: Subject) -> str:
    if subject.settings[config.BROKER].startswith("embedded"):
        again = remedies.supervisor(subject.platform, "redispatch", subject.home.directory)
        return f"make that file this user's, or rename it, let `up` create a new one, and refill it with {again}"
    if isinstance(error, BrokerMisconfigured):
        return f"correct the user, the password or the virtual host in {place}, or that user's permissions in RabbitMQ"
    start = remedies.start_rabbitmq(subject.platform)
    return f"start it (when it is to be on this machine: {start}), or correct {place}"


def check_rabbitmq(subject: Subject) -> Findings:
    """Check whether a private RabbitMQ node could be run."""
    # Where it is needed, the check of the broker reports it.
    if subject.settings[config.BROKER] != LOCAL:
        yield _check_rabbitmq_program("rabbitmq", subject, needed=False)


def _check_rabbitmq_program(check: str, subject: Subject, *, needed: bool) -> Finding:
    install = remedies.install(subject.platform, Need.RABBITMQ)
    try:
        programs = rabbitmq_node.find_programs()
    except SupervisorError as error:
        if needed:
            return problem(check, str(error), install)
        return ok(check, "not installed; only --broker local needs it", install)
    version = version_in_path(programs.server.resolve())
    return ok(check, f"RabbitMQ {version or 'of unknown version'} is installed ({programs.server})")


def check_nginx(subject: Subject) -> Findings:
    """Check whether an NGINX could be run."""
    program = executable.find_nginx()
    build = executable.read_build(program) if program is not None else None
    loadable = build is not None and (build.modules is None or (build.modules / _STREAM_MODULE).exists())
    yield judge_nginx(build, subject.platform, loadable=loadable, needed=subject.settings[options.NGINX])


def judge_nginx(build: NginxBuild | None, platform: Platform, *, loadable: bool, needed: bool) -> Finding:
    """Judge an NGINX.

    Args:
        build: its version and modules, or None when NGINX is not installed.
        platform: this platform.
        loadable: whether the stream module exists, where it must be loaded.
        needed: whether NGINX is to be run.
    """
    install = remedies.install(platform, Need.NGINX)
    if build is None:
        if needed:
            return problem("nginx", "not installed", install)
        return ok("nginx", f"not installed{_UNNEEDED}", install)
    version = numbers(build.version)
    if version and version < MIN_NGINX:
        text = f"NGINX {build.version} is too old: {'.'.join(map(str, MIN_NGINX))} or newer is needed"
    elif not build.stream or not loadable:
        text = f"NGINX {build.version} lacks its stream module"
    else:
        return ok("nginx", f"NGINX {build.version}, with its stream module")
    return problem("nginx", text, install) if needed else warning("nginx", f"{text}{_UNNEEDED}", install)
