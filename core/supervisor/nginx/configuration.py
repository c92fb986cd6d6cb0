"""The text of NGINX's configuration for a set of servers. Pure: addresses in, text out.

The `nginx.conf` of the repository is this text for the default addresses, so it shows what runs.
"""

from collections.abc import Sequence

from core.addresses import Address
from core.errors import ConfigurationError

_SERVER = "        server {address} max_fails=1 fail_timeout=2s;"


def render(listen: Address, servers: Sequence[Address], max_per_client: int = 0) -> str:
    """Return the configuration that balances connections to `listen` over `servers`.

    Args:
        listen: the address for clients.
        servers: the addresses that connections are passed on to.
        max_per_client: the most connections that one client address may have; 0 for any number.

    Raises:
        ConfigurationError: there is no server, an address is given twice, or a port is 0.
    """
    if not servers:
        raise ConfigurationError("NGINX needs at least one server to send connections to")
    if len({listen, *servers}) <= len(servers):
        raise ConfigurationError("NGINX's address and those of its servers must all differ")
    for address in (listen, *servers):
        if address.port == 0:
            raise ConfigurationError(f"NGINX can't use {address}: give the port")
    lines = "\n".join(_SERVER.format(address=address) for address in servers)
    text = _TEMPLATE.replace("@LISTEN@", str(listen)).replace("@TRIES@", str(len(servers)))
    text = text.replace("@ZONE@", _ZONE if max_per_client else "")
    text = text.replace("@LIMIT@", _LIMIT.format(limit=max_per_client) if max_per_client else "")
    return text.replace("@SERVERS@", lines)


_ZONE = """
    # Counts the connections of each client address.
    limit_conn_zone $binary_remote_addr zone=clients:10m;
"""

_LIMIT = """
        # One client may have this many connections; a further one is closed at once.
        limit_conn clients {limit};
"""


_TEMPLATE = """\
# NGINX as a TCP balancer: clients connect to @LISTEN@, and each connection goes to one of the servers below.
#
# The supervisor starts NGINX with its own file of this kind. By hand, from the directory of this file:
#
#   mkdir -p .cauce/nginx/logs
#   ln -s /usr/lib/nginx/modules .cauce/nginx/modules     # on Debian; see the first directive
#   nginx -p "$PWD/.cauce/nginx" -c "$PWD/nginx.conf" -e logs/boot.log -t
#   nginx -p "$PWD/.cauce/nginx" -c "$PWD/nginx.conf" -e logs/boot.log -g "daemon off;"
#
# NGINX 1.21.4 or newer is needed, and no privileges: relative paths lie in the directory given by -p, and the port is
# above 1023. There is no `user` line: when root starts NGINX, its workers run as the user `nobody` anyway; for another
# user the line would only cause a warning.

# The stream module balances TCP. Debian, Fedora and Alpine load it in a separate file, which these lines include; where
# the module is compiled in, they match no file, which is no error.
# Debian's file contains `load_module modules/...`, relative to the -p directory: hence the link named `modules`.
include /etc/nginx/modules-enabled/*stream*.conf;
include /usr/share/nginx/modules/*stream*.conf;
include /etc/nginx/modules/*stream*.conf;

pid nginx.pid;
error_log logs/error.log warn;

# One worker process is enough for the load; the second one goes on when the first dies.
worker_processes 2;

# A client uses two connections of a worker process: one from the client and one to the server. Each process can thus
# serve some 4,000 clients, and the limit of open files is set accordingly.
worker_rlimit_nofile 8256;
events {
    worker_connections 8192;
}

# After a reload the old worker processes close their connections after this time. Clients reconnect, which is how new
# servers get work.
worker_shutdown_timeout 15s;

stream {
    # One line for each connection, written when it ends: the client, the server, the bytes and the duration.
    # When a server could not be reached, $upstream_addr lists all that were tried, in order.
    log_format served '$time_iso8601 $remote_addr:$remote_port -> $upstream_addr $status '
                      'received=$bytes_received sent=$bytes_sent seconds=$session_time';
    access_log logs/access.log served buffer=4k flush=1s;
@ZONE@
    upstream servers {
        # The worker processes share the state of the servers; otherwise each would count for itself.
        zone servers 64k;

        # Connections last long and differ in length, so a new one goes to the server with the fewest.
        least_conn;

        # A server that could not be reached gets no connection for two seconds. NGINX notices only refused connections;
        # a server that accepts them and hangs is found by the supervisor.
@SERVERS@
    }

    server {
        # Keep-alive probes detect clients whose machine or network is gone.
        listen @LISTEN@ so_keepalive=on;
        proxy_pass servers;
        proxy_socket_keepalive on;

        # The default of a minute to reach a server is too long to wait at a terminal.
        proxy_connect_timeout 1s;

        # When a server can't be reached, the others are tried once each. This happens only before the first byte is
        # passed on, so NGINX never submits a task twice.
        proxy_next_upstream on;
        proxy_next_upstream_tries @TRIES@;
        proxy_next_upstream_timeout 3s;

        # A server closes an idle connection after 15 minutes, and gives the reason. This longer time covers the rest.
        proxy_timeout 20m;

        # A client may end its sending side and still read its replies: printf '...' | nc -N HOST PORT
        proxy_half_close on;
@LIMIT@    }
}
"""
