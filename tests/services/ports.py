"""Finds ports on the loopback address that nobody listens on."""

import socket


def free_port() -> int:
    """Find a port that is free now; nothing keeps it free until it is used."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Find several ports that are free now and differ from each other."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
    finally:
        for each in sockets:
            each.close()
