"""A private RabbitMQ node: its own directory, ports, credentials and epmd, all on the loopback address.

It touches no other RabbitMQ on the machine, needs no rights, and leaves no process behind.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import psutil

from tests.services.ports import free_ports
from tests.services.suspension import resume, suspend
from tests.services.waiting import wait_until

EVAL_ATTEMPTS = 5
HOW_TO_INSTALL = "these tests need RabbitMQ: apt-get install rabbitmq-server"

_SERVER_DIRECTORIES = (
    Path("/usr/lib/rabbitmq/bin"),
    Path("/opt/homebrew/opt/rabbitmq/sbin"),
    Path("/usr/local/opt/rabbitmq/sbin"),
)
"""The server's scripts; those in Debian's /usr/sbin require root or the user rabbitmq."""

_CONFIGURATION = """\
listeners.tcp.default = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 2GB
"""

_ERLANG = (
    "-kernel inet_dist_use_interface {127,0,0,1}",
    # Threads without work sleep at once, and leave the processor to the tests.
    "+sbwt none +sbwtdcpu none +sbwtdio none",
)
"""Arguments of the Erlang machine."""


class RabbitNode:
    """One node in `directory`, which is created. `start` starts it, also after `stop` or `kill`.

    A copy by pickle, in another process, uses the running node, and can't stop it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._programs = find_programs()
        self.port, self._distribution_port, self._epmd_port = free_ports(3)
        self.user = f"cauce-{secrets.token_hex(4)}"
        self.password = secrets.token_urlsafe(12)
        self._name = f"cauce-{secrets.token_hex(4)}@localhost"
        self._node: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._write_files()

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_node": None, "_epmd": None}

    @property
    def url(self) -> str:
        """The URL of the node's first virtual host, with user name and password."""
        return self.url_of("/")

    @property
    def pid(self) -> int:
        """The process id of the Erlang machine."""
        assert self._pid is not None, "the node was not started"
        return self._pid

    @property
    def runs(self) -> bool:
        """Whether the node was started, and neither stopped nor killed since."""
        return self._pid is not None

    def url_of(self, vhost: str) -> str:
        """Return the URL of a virtual host of this node, with user name and password."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def start(self, timeout: float = 200.0) -> None:
        """Start the node and wait until it runs."""
        if self._epmd is None:
            epmd = [self._programs["epmd"], "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = self._spawn(epmd, "epmd.log")
        self._node = self._spawn([self._programs["rabbitmq-server"]], "node.log")
        self._pid = self._node.pid
        wait_until(self._is_running, f"RabbitMQ to start; its log is {self._directory / 'node.log'}", timeout)

    def stop(self, timeout: float = 60.0) -> None:
        """Stop the node and its epmd, and make sure that none of their processes is left."""
        if self._node is not None:
            self.resume()
            self._node.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._node.wait(timeout)
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
        wait_until(lambda: not self.processes(), "the processes of RabbitMQ to end")

    def kill(self) -> None:
        """End the node as a power cut would."""
        if self._node is not None:
            # The whole group: otherwise its small child processes outlive it for a moment.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._node.pid, signal.SIGKILL)
            self._node.wait()
            self._node = self._pid = None

    def restart(self) -> None:
        """Kill the node and start it again on the same files and ports."""
        self.kill()
        self.start()

    def suspend(self) -> None:
        """Make the node hang: its sockets stay open and nothing is answered."""
        suspend(self.pid)

    def resume(self) -> None:
        """Resume a node that hangs."""
        resume(self.pid)

    def vhost(self, permissions: str = ".*") -> str:
        """Make a virtual host where the user may use names that match `permissions`. Returns its URL."""
        name = f"test-{secrets.token_hex(4)}"
        self.eval(
            f'rabbit_vhost:add(<<"{name}">>, <<"tests">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{self.user}">>, <<"{name}">>, '
            f'<<"{permissions}">>, <<"{permissions}">>, <<"{permissions}">>, <<"tests">>).'
        )
        return self.url_of(name)

    def cut(self, url: str) -> int:
        """Break all connections to the virtual host of `url`, as a network would. Returns their number."""
        answer = self.eval(
            "length([exit(Pid, kill) || Connection <- rabbit_connection_tracking:list"
            f'(<<"{_vhost_of(url)}">>), Pid <- tuple_to_list(Connection), is_pid(Pid)]).'
        )
        return int("".join(filter(str.isdigit, answer)))

    def sync_queues(self) -> None:
        """Store the places of queues on disk now, which the node does about a second after they were made.

        A node that is killed before that begins a quorum queue again, without the messages it had confirmed.
        """
        self.eval("[dets:sync(Table) || Table <- dets:all()].")

    def limit_length(self, url: str, length: int) -> None:
        """Limit the queues of the virtual host of `url` to `length` messages."""
        self.eval(
            f'rabbit_policy:set(<<"{_vhost_of(url)}">>, <<"short">>, <<".*">>, '
            f'[{{<<"max-length">>, {length}}}], 1, <<"queues">>, <<"tests">>).'
        )

    def eval(self, erlang: str) -> str:
        """Evaluate an Erlang expression, with its full stop, in the node. Returns its value as text."""
        if "erl_call" in self._programs:
            address = f"127.0.0.1:{self._distribution_port}"
            # With a name of its own, because other processes may evaluate something at the same time.
            command = [self._programs["erl_call"], "-h", f"c{secrets.token_hex(8)}", "-address", address, "-e"]
            stdin = erlang.encode() + b"\n"
        else:
            command = [self._programs["rabbitmqctl"], "-q", "-n", self._name, "eval", erlang]
            stdin = b""
        for _ in range(EVAL_ATTEMPTS):
            ended = subprocess.run(
                command, input=stdin, env=self._environment(), capture_output=True, timeout=60, check=False
            )
            answer = ended.stdout.decode() + ended.stderr.decode()
            if "failed to connect" not in answer:  # the node has seconds to answer, and the machine may be busy
                break
        if ended.returncode != 0 or "{error" in answer or answer.startswith("{EXIT"):
            raise RuntimeError(f"RabbitMQ could not evaluate {erlang!r}: {answer}")
        return answer

    def processes(self) -> list[psutil.Process]:
        """Return the live processes of this node and its epmd: those whose home is its directory."""
        return _processes_of(self._directory)

    def _is_running(self) -> bool:
        assert self._node is not None
        if self._node.poll() is not None:
            log = (self._directory / "node.log").read_text(errors="replace")
            raise RuntimeError(f"RabbitMQ ended while it started:\n{log[-4000:]}")
        if not self._listens():
            return False
        try:
            return "true" in self.eval("rabbit:is_running().")
        except RuntimeError:
            return False

    def _listens(self) -> bool:
        # It listens last, and a connection costs a hundredth of the program that evaluates an expression.
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _write_files(self) -> None:
        self._directory.mkdir(parents=True)
        cookie = self._directory / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        settings = self._directory / "rabbitmq.conf"
        settings.touch(0o600)
        settings.write_text(_CONFIGURATION.format(port=self.port, user=self.user, password=self.password))
        (self._directory / "environment.conf").touch()
        (self._directory / "enabled_plugins").write_text("[].")

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self._directory),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_CONFIG_FILE": str(self._directory / "rabbitmq"),
            # An empty file, so that the machine's is not read.
            "RABBITMQ_CONF_ENV_FILE": str(self._directory / "environment.conf"),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "enabled_plugins"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(_ERLANG),
            # The script then replaces itself by the Erlang machine, so the process started here is the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _spawn(self, command: list[str], log: str) -> subprocess.Popen[bytes]:
        with (self._directory / log).open("ab") as output:
            return subprocess.Popen(
                command,
                env=self._environment(),
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def kill_processes(directory: Path) -> None:
    """Kill the node in `directory`, whoever has started it, with its epmd, and wait until none of them is left."""
    for process in _processes_of(directory):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    wait_until(lambda: not _processes_of(directory), "the processes of RabbitMQ to end")


def _processes_of(directory: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_at_home(process, directory)]


def _is_at_home(process: psutil.Process, directory: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("HOME") == str(directory)
    except psutil.Error:
        return False


def _vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path[1:])


def find_programs() -> dict[str, str]:
    """Return the paths of RabbitMQ's programs, by name; `erl_call` only where it is installed.

    Raises:
        FileNotFoundError: RabbitMQ is not installed.
    """
    paths: dict[str, str] = {}
    for name in ("rabbitmq-server", "rabbitmqctl"):
        scripts = [directory / name for directory in _SERVER_DIRECTORIES if (directory / name).exists()]
        if scripts:
            paths[name] = str(scripts[0])
    for name in ("epmd", "erl_call"):
        program = shutil.which(name)
        if program is not None:
            paths[name] = program
    if not {"rabbitmq-server", "rabbitmqctl", "epmd"} <= paths.keys():
        raise FileNotFoundError(HOW_TO_INSTALL)
    return paths
