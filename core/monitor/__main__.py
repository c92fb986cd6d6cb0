"""`python -m core.monitor`: the ledger, the processes and the latest results, every second, without a full screen."""

import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import msgspec

from core import config
from core.broker.factory import open_broker
from core.config import Option, Settings
from core.errors import JournalUnusable
from core.launch import launch
from core.model import Part
from core.monitor.depth import DepthWatch
from core.monitor.observer import Observer, look_until_certain
from core.monitor.snapshot import Snapshot
from core.repository.journal import Journal

ONCE = Option("monitor.once", config.switch, False, "print one snapshot and exit")
JSON = Option("monitor.json", config.switch, False, "print each snapshot as a JSON object")
LATEST = Option("monitor.latest", config.whole_number(0, 1000), 10, "how many results to show")
INTERVAL = Option("monitor.interval", config.seconds(0.1, 3600), 1.0, "seconds between two snapshots")
OPTIONS = (*config.COMMON, ONCE, JSON, LATEST, INTERVAL)

FIRST_DEPTH_TIMEOUT = 4.0
"""Seconds to wait for the broker before the first snapshot is shown without its depth."""


def run(settings: Settings) -> int:
    """Show snapshots until interrupted, or one. Returns the exit code."""
    directory = settings[config.DIRECTORY]
    journal = Journal(settings[config.DATABASE], directory)
    observer = Observer(journal.open_readonly, settings[LATEST])
    depth = DepthWatch(open_broker(settings[config.BROKER], directory).gauge)
    depth.start(FIRST_DEPTH_TIMEOUT)

    def take_snapshot() -> Snapshot:
        return observer.take_snapshot(time.monotonic(), time.time(), depth.depth, depth.troubles)

    try:
        if settings[ONCE]:
            return _once(look_until_certain(take_snapshot, lambda snapshot: snapshot), as_json=settings[JSON])
        if settings[JSON] or not sys.stdout.isatty():
            while True:
                _write(take_snapshot(), as_json=settings[JSON])
                time.sleep(settings[INTERVAL])
        _show(take_snapshot, settings[INTERVAL])
    except KeyboardInterrupt:
        return 0
    finally:
        depth.stop()
        observer.close()


def _show(take_snapshot: Callable[[], Snapshot], interval: float) -> NoReturn:
    """Draw snapshots on the terminal until interrupted."""
    from rich.live import Live  # JSON needs no Rich

    from core.monitor.drawing import render

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            live.update(render(take_snapshot()), refresh=True)
            time.sleep(interval)


def _once(snapshot: Snapshot, *, as_json: bool) -> int:
    unread = next((trouble.reason for trouble in snapshot.troubles if trouble.part is Part.JOURNAL), "")
    if unread:
        raise JournalUnusable(f"{unread}; is this the system's directory? (--dir)")
    _write(snapshot, as_json=as_json)
    return 0


def _write(snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(_members(snapshot)).decode() + os.linesep)
        sys.stdout.flush()
    else:
        from rich.console import Console  # JSON needs no Rich

        from core.monitor.drawing import render

        Console().print(render(snapshot))


def _members(snapshot: Snapshot) -> dict[str, object]:
    """Return the members of the snapshot for JSON, with the total that the ledger computes."""
    members: dict[str, object] = msgspec.structs.asdict(snapshot)
    members["ledger"] = {"accepted": snapshot.ledger.total, **msgspec.structs.asdict(snapshot.ledger)}
    return members


if __name__ == "__main__":
    description = "Show the ledger, the processes and the latest results, every second."
    sys.exit(launch("core.monitor", description, OPTIONS, run))
