"""Fixtures for tests that need a real NGINX."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from core.addresses import Address
from core.supervisor.nginx.executable import find_nginx, read_build
from tests.services.nginx import NginxProcess

StartNginx: TypeAlias = Callable[[Sequence[Address]], NginxProcess]


@pytest.fixture(scope="session")
def nginx_program() -> Path:
    """An NGINX with the stream module; without one the test fails, or is skipped when services are not wanted."""
    program = find_nginx()
    if program is not None and read_build(program).stream:
        return program
    if os.environ.get("CAUCE_SKIP_SERVICES") == "1":
        pytest.skip("NGINX with its stream module is missing")
    pytest.fail("NGINX with its stream module is missing: apt-get install nginx libnginx-mod-stream", pytrace=False)


@pytest.fixture
def start_nginx(nginx_program: Path, tmp_path: Path) -> Iterator[StartNginx]:
    """Starts balancers before the given servers, and ends them with the test."""
    started: list[NginxProcess] = []

    def start(servers: Sequence[Address]) -> NginxProcess:
        nginx = NginxProcess(nginx_program, tmp_path / f"nginx-{len(started)}", servers)
        started.append(nginx)
        nginx.start()
        return nginx

    yield start
    for nginx in started:
        nginx.stop()
