"""The text of NGINX's configuration, and NGINX's prefix directory."""

import re
import sys
from pathlib import Path

import pytest

from core.addresses import BALANCER, SERVERS, Address
from core.errors import ConfigurationError, SupervisorError
from core.supervisor.nginx.configuration import render
from core.supervisor.nginx.executable import (
    NginxBuild,
    check,
    command,
    control_command,
    find_nginx,
    parse_build,
    prepare_prefix,
    read_build,
)

TOP = Path(__file__).parents[2]
SERVER_IDLE_LIMIT = 900
"""Seconds after which a server closes an idle connection."""

DEBIAN = """\
nginx version: nginx/1.22.1
built with OpenSSL 3.0.22
configure arguments: --with-cc-opt='-g -O2' --prefix=/usr/share/nginx --modules-path=/usr/lib/nginx/modules \
--with-stream=dynamic --with-stream_geoip_module=dynamic
"""


def test_nginx_conf_is_rendered_for_the_default_addresses() -> None:
    assert (TOP / "nginx.conf").read_bytes() == render(BALANCER, SERVERS).encode()


def test_each_server_has_a_line() -> None:
    text = render(Address("::1", 9000), [Address("10.0.0.1", 9001), Address("::1", 9002)])
    assert re.findall(r"^ +server (\S+) max_fails", text, re.MULTILINE) == ["10.0.0.1:9001", "[::1]:9002"]
    assert re.findall(r"^ +listen (\S+)", text, re.MULTILINE) == ["[::1]:9000"]
    assert "proxy_next_upstream_tries 2;" in text
    assert "@" not in text


def test_a_silent_connection_is_ended_by_the_server_first() -> None:
    minutes = re.search(r"^ +proxy_timeout (\d+)m;", render(BALANCER, SERVERS), re.MULTILINE)
    assert minutes is not None
    assert int(minutes[1]) * 60 > SERVER_IDLE_LIMIT


@pytest.mark.parametrize(
    "servers",
    [
        pytest.param([], id="none"),
        pytest.param([BALANCER], id="the balancer itself"),
        pytest.param([SERVERS[0], SERVERS[0]], id="one twice"),
        pytest.param([Address("127.0.0.1", 0)], id="without a port"),
    ],
)
def test_inconsistent_servers_are_refused(servers: list[Address]) -> None:
    with pytest.raises(ConfigurationError):
        render(BALANCER, servers)


@pytest.mark.parametrize(
    ("text", "build"),
    [
        pytest.param(DEBIAN, NginxBuild("1.22.1", True, Path("/usr/lib/nginx/modules")), id="dynamic"),
        pytest.param(DEBIAN.replace("stream=dynamic", "stream"), NginxBuild("1.22.1", True, None), id="compiled in"),
        pytest.param(DEBIAN.replace("--with-stream=dynamic", ""), NginxBuild("1.22.1", False, None), id="without"),
        pytest.param(
            "nginx version: nginx/1.28.0\nconfigure arguments: --with-stream=dynamic",
            NginxBuild("1.28.0", True, Path("/usr/local/nginx/modules")),
            id="default directories",
        ),
        pytest.param("", NginxBuild("unknown", False, None), id="nothing"),
    ],
)
def test_the_build_of_nginx_is_parsed(text: str, build: NginxBuild) -> None:
    assert parse_build(text) == build


def test_the_command_lines_name_the_directory(tmp_path: Path) -> None:
    program = Path("/usr/sbin/nginx")
    base = [str(program), "-p", str(tmp_path), "-c", "nginx.conf", "-e", "logs/boot.log"]
    assert command(program, tmp_path) == [*base, "-g", "daemon off;"]
    assert control_command(program, tmp_path, "reload") == [*base, "-s", "reload"]


def test_a_program_that_cannot_be_run_is_explained(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="can't run"):
        read_build(tmp_path / "nginx")


@pytest.mark.nginx
def test_nginx_is_found_although_path_is_short(nginx_program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert find_nginx() == nginx_program


@pytest.mark.nginx
def test_nginx_accepts_nginx_conf(nginx_program: Path, tmp_path: Path) -> None:
    prepare_prefix(nginx_program, tmp_path / "with a space", (TOP / "nginx.conf").read_text(encoding="utf-8"))
    check(nginx_program, tmp_path / "with a space")


@pytest.mark.nginx
def test_a_refusal_holds_the_text_of_nginx(nginx_program: Path, tmp_path: Path) -> None:
    prepare_prefix(nginx_program, tmp_path, render(BALANCER, SERVERS).replace("least_conn;", "least_connections;"))
    with pytest.raises(SupervisorError, match=r'unknown directive "least_connections" in .*nginx\.conf:\d+'):
        check(nginx_program, tmp_path)


@pytest.mark.nginx
def test_a_missing_stream_module_is_explained(nginx_program: Path, tmp_path: Path) -> None:
    text = re.sub(r"^include .*$", "", render(BALANCER, SERVERS), flags=re.MULTILINE)
    if read_build(nginx_program).modules is None:
        text = text.replace("stream {", "load_module modules/ngx_stream_module.so;\nstream {")
    prepare_prefix(nginx_program, tmp_path, text)
    with pytest.raises(SupervisorError, match="lacks its stream module"):
        check(nginx_program, tmp_path)


@pytest.mark.nginx
def test_a_directory_is_brought_up_to_date(nginx_program: Path, tmp_path: Path) -> None:
    modules = read_build(nginx_program).modules
    if modules is not None:
        (tmp_path / "modules").symlink_to(tmp_path / "gone")
    for text in ("old\n", "new\n"):
        prepare_prefix(nginx_program, tmp_path, text)
        assert (tmp_path / "nginx.conf").read_text(encoding="utf-8") == text
    assert {path.name for path in tmp_path.iterdir()} == {"nginx.conf", "logs"} | ({"modules"} if modules else set())
    if modules is not None:
        assert (tmp_path / "modules").readlink() == modules


@pytest.mark.nginx
@pytest.mark.skipif(sys.platform == "win32", reason="a file in the directory's place is reported otherwise there")
def test_a_directory_that_cannot_be_made_is_explained(nginx_program: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SupervisorError, match="can't prepare"):
        prepare_prefix(nginx_program, tmp_path / "file" / "nginx", "")
