"""The text of NGINX's configuration for a set of servers.

It is pure: addresses in, text out.
The repository's own `nginx.conf` is this text for the default addresses, so what a person reads there is what runs.
"""

from collections.abc import Sequence

from core.addresses import Address
from core.errors import ConfigurationError

_SERVER = "        server {address} max_fails=1 fail_timeout=2s;"


def render(listen: Address, servers: Sequence[Address], max_per_client: int = 0) -> str:
    """Write the configuration that balances connections to `listen` over `servers`.

    Args:
        listen: where clients connect.
        servers: where their connections go on to.
        max_per_client: how many connections one client's address may have; 0 for any.

    Raises:
        ConfigurationError: there is no server, one is named twice, or a port is 0.
    """
    if not servers:
        raise ConfigurationError("NGINX needs at least one server to send connections to")
    if len({listen, *servers}) <= len(servers):
        raise ConfigurationError("NGINX's own address and those of its servers must all differ")
    for address in (listen, *servers):
        if address.port == 0:
            raise ConfigurationError(f"NGINX can't use {address}: give the port")
    lines = "\n".join(_SERVER.format(address=address) for address in servers)
    text = _TEMPLATE.replace("@LISTEN@", str(listen)).replace("@TRIES@", str(len(servers)))
    text = text.replace("@ZONE@", _ZONE if max_per_client else "")
    text = text.replace("@MOST@", _MOST.format(most=max_per_client) if max_per_client else "")
    return text.replace("@SERVERS@", lines)


_ZONE = """
    # How many connections each client has, by its address.
    limit_conn_zone $binary_remote_addr zone=clients:10m;
"""

_MOST = """
        # Of one client, no more connections than this: a further one is closed at once.
        limit_conn clients {most};
"""


_TEMPLATE = """\
# NGINX as a TCP balancer: clients connect to @LISTEN@, and each connection goes on to one of the servers below.
#
# The supervisor starts it by itself. By hand, from the directory of this file:
#
#   mkdir -p .cauce/nginx/logs
#   ln -s /usr/lib/nginx/modules .cauce/nginx/modules     # on Debian; see the first directive
#   nginx -p "$PWD/.cauce/nginx" -c "$PWD/nginx.conf" -e logs/boot.log -t
#   nginx -p "$PWD/.cauce/nginx" -c "$PWD/nginx.conf" -e logs/boot.log -g "daemon off;"
#
# It needs no privileges. Every relative path lies in the directory given by -p, and the port is above 1023.
# There is no `user` line: started by root, NGINX gives its workers to the user `nobody` by itself;
# started by anybody else, the line would only be a warning.
# It needs NGINX 1.21.4 or newer.

# Balancing TCP is the work of the stream module. Debian, Fedora and Alpine load it from a file of its own, which these
# lines find; where the module is compiled in, they find nothing, and that is fine.
# Debian's file says `load_module modules/...`, relative to the -p directory: hence the link called `modules`.
include /etc/nginx/modules-enabled/*stream*.conf;
include /usr/share/nginx/modules/*stream*.conf;
include /etc/nginx/modules/*stream*.conf;

pid nginx.pid;
error_log logs/error.log warn;

# One worker process could carry it all; of two, the other goes on when one dies.
worker_processes 2;

# A client takes two connections of its worker process: one from the client and one to the server.
# So each process can carry some 4,000 clients; open files are allowed accordingly.
worker_rlimit_nofile 8256;
events {
    worker_connections 8192;
}

# After a reload the old processes keep their connections this long and then cut them.
# Clients connect again, and that is how work reaches servers which have just been added.
worker_shutdown_timeout 15s;

stream {
    # One line for each connection, written when it ends: who was served by which server, how much, how long.
    # When a server could not be reached, $upstream_addr names the tried ones in order.
    log_format served '$time_iso8601 $remote_addr:$remote_port -> $upstream_addr $status '
                      'received=$bytes_received sent=$bytes_sent seconds=$session_time';
    access_log logs/access.log served buffer=4k flush=1s;
@ZONE@
    upstream servers {
        # The worker processes share what they know of the servers; without it each would count for itself.
        zone servers 64k;

        # Connections live long and unequally, so the next one goes to the server that has the fewest.
        least_conn;

        # A server that can't be reached once gets no connection for two seconds, then one is tried again.
        # NGINX notices only servers that refuse; one that accepts and hangs is for the supervisor to find.
@SERVERS@
    }

    server {
        # Keep-alive probes find clients whose machine or network is gone.
        listen @LISTEN@ so_keepalive=on;
        proxy_pass servers;
        proxy_socket_keepalive on;

        # The time to reach a server; the default of a minute is too long for a person to wait.
        proxy_connect_timeout 1s;

        # When a server can't be reached, try the others, each once. This happens only before the first byte is passed
        # on, so NGINX never submits a task twice.
        proxy_next_upstream on;
        proxy_next_upstream_tries @TRIES@;
        proxy_next_upstream_timeout 3s;

        # Silence is ended by the server, after 15 minutes and with a reason. This is longer, for what is left over.
        proxy_timeout 20m;

        # A client may say that it has no more to send and still read its answers: printf '...' | nc -N HOST PORT
        proxy_half_close on;
@MOST@    }
}
"""
