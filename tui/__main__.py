"""`python -m tui`: the full-screen console over the system of one directory."""

import functools
import io
import logging
import os
import shlex
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from core import config, logs
from core.addresses import LOOPBACK, Address
from core.config import Settings
from core.errors import ConfigurationError, SupervisorError
from core.launch import create_parser, parse, run_with_settings
from core.supervisor.home import Home
from tui import options
from tui.web import serving
from tui.web.environment import environment_for, is_served

if TYPE_CHECKING:
    from tui.system_start import Start
    from tui.translations import Translations

MODULE = "tui"
NOT_A_TERMINAL = 2
BROKER_TIMEOUT = 4.0
"""Seconds a broker has to reply before a dump is made without the depth of its queue."""

TERMINAL_TIMEOUT = 5.0
"""Seconds to restore the terminal before the process exits anyway."""


def main() -> int:
    """Run the command line. Returns the exit code."""
    parser = create_parser(MODULE, "Watch and run a whole task system from one terminal.")
    config.add_arguments(parser, options.OPTIONS)
    return run_with_settings(MODULE, options.OPTIONS, parse(parser), run)


def run(settings: Settings) -> int:
    """Show the console, serve it to a browser, or dump its view. Returns the exit code."""
    if settings[options.DUMP]:
        return _dump(settings)
    if settings[options.WEB]:
        return _serve(settings)
    if not (is_served(os.environ) or (sys.stdin.isatty() and sys.stdout.isatty())):
        sys.stderr.write(
            f"python -m {MODULE}: this needs a terminal; without one, use `python -m core.monitor`, "
            "`python -m core.supervisor` or --dump\n"
        )
        return NOT_A_TERMINAL
    return _show(settings)


def _dump(settings: Settings) -> int:
    from core.monitor.observer import look_until_certain  # imported here because not every mode needs them
    from tui.services import LocalSource

    with LocalSource(settings, os.environ).view_builder(BROKER_TIMEOUT) as builder:
        builder.build(time.monotonic(), time.time())
        view = look_until_certain(lambda: builder.build(time.monotonic(), time.time()), lambda view: view.snapshot)
    sys.stdout.write(msgspec.json.encode(view).decode() + "\n")
    return 0


def _serve(settings: Settings) -> int:
    """Serve the console to a browser, until Ctrl-C."""
    from tui.translations import translations_for

    serving.require_library()
    if settings[options.UP]:
        _start(settings)
    address = Address(LOOPBACK, settings[options.WEB_PORT])
    serving.serve(address, environment_for(settings, off=(options.WEB, options.UP)), _print_address)
    _print_what_runs(settings, translations_for(settings[options.LANGUAGE], os.environ))
    return 0


def _print_address(address: str) -> None:
    sys.stdout.write(
        f"Open this in a browser of this machine. It works once, for one browser; Ctrl-C ends it.\n{address}\n"
    )
    sys.stdout.flush()


def _start(settings: Settings) -> None:
    """Start the system unless it is running, and show the progress on the terminal."""
    from core.supervisor.display import not_ready
    from core.supervisor.status import SystemStatus
    from tui import system_start

    shown = ""

    def show(report: SystemStatus) -> None:
        nonlocal shown
        text = f"starting; waiting for {not_ready(report)}"
        if text != shown:
            shown = text
            sys.stderr.write(f"\r\x1b[K{logs.printable(text, 100)}")
            sys.stderr.flush()

    try:
        system_start.start(settings, dict(os.environ), show)
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")


def _starter(settings: Settings) -> "Start | None":
    """Return the function that starts the system, or None when the system is running as requested."""
    from tui import system_start

    environment = dict(os.environ)
    return functools.partial(system_start.start, settings, environment) if system_start.is_needed(settings) else None


def _show(settings: Settings) -> int:
    # After a pause, Textual draws at its second frame: twice as many frames answer a key sooner.
    os.environ.setdefault("TEXTUAL_FPS", "120")
    from tui import garbage_collection
    from tui.app import Console
    from tui.commands import keymap
    from tui.glyphs import encoding_for
    from tui.key_names import KeyNames
    from tui.preferences import Preferences
    from tui.services import LocalSource
    from tui.tabs import all_tabs
    from tui.translations import translations_for

    start = _starter(settings) if settings[options.UP] else None
    tr = translations_for(settings[options.LANGUAGE], os.environ, KeyNames(keymap(settings.keys, settings.file)))
    log = _log_to_file(settings)
    preferences = Preferences(Home(settings[config.DIRECTORY]).path / "console.json")
    written, terminal = ("utf-8", "browser") if is_served(os.environ) else _terminal()
    app = Console(
        LocalSource(settings, os.environ),
        tr,
        all_tabs(tr, _descriptions()),
        first=preferences.text("tab", "monitor"),
        start=start,
        theme=settings[options.THEME] or preferences.text("theme", ""),
        compact=preferences.flag("compact"),
        encoding=encoding_for(settings[options.GLYPHS], written, terminal),
        on_ready=garbage_collection.freeze_startup,
        when_idle=garbage_collection.collect_if_due,
        on_exit=_exit_anyway,
        on_change=preferences.put,
        editor=_editor(),
    )
    try:
        with app.stopped_by_signals():
            app.run()
    except Exception as error:
        logging.getLogger("cauce.tui").exception("the console broke down")
        sys.stderr.write(f"python -m {MODULE}: the console broke down ({type(error).__name__}); see {log}\n")
        return 1
    if app.return_code == 1:
        sys.stderr.write(f"python -m {MODULE}: the console broke down; see {log}\n")
    if not app.return_code and not is_served(os.environ):
        _print_what_runs(settings, tr)
    return app.return_code or 0


def _print_what_runs(settings: Settings, tr: "Translations") -> None:
    """Say that the system goes on without the console, if it does."""
    from core.supervisor import commands
    from tui.view_builder import SUPERVISOR_TIMEOUT

    home = Home(settings[config.DIRECTORY])
    try:
        report = commands.status(home, SUPERVISOR_TIMEOUT)
        is_here = home.directory == Path.cwd()
    except (SupervisorError, FileNotFoundError):
        # There is no answer, or no current directory any more.
        return
    if report is None:
        return
    names = ", ".join(unit.name for unit in report.processes if unit.pid is not None)
    flags = "" if is_here else f" --dir {shlex.quote(str(home.directory))}"
    lines = (
        tr(
            "Still running in {directory}: {names}.",
            directory=logs.printable(str(home.directory), 300),
            names=logs.printable(names, 300),
        ),
        tr("Open the console again: {command}", command=f"python -m {MODULE}{flags}"),
        tr("Stop the system: {command}", command=f"python -m core.supervisor down{flags}"),
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _terminal() -> tuple[str | None, str]:
    """Return the encoding and the name of the terminal. Windows gives it no name."""
    return sys.stdout.encoding, os.environ.get("TERM", "windows" if os.name == "nt" else "")


def _exit_anyway(code: int) -> None:
    """Exit even if the terminal is gone or blocked: Textual would wait for it for ever."""
    timer = threading.Timer(TERMINAL_TIMEOUT, os._exit, (code,))
    timer.daemon = True
    timer.start()


def _editor() -> list[str]:
    """Return the command of the user's editor."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"the editor in $VISUAL or $EDITOR can't be read: {error}") from error


def _descriptions() -> dict[str, str]:
    """Return the descriptions of Cauce's own kinds by name, the default kind first. Workers tell which they run."""
    from core.tasks.builtin import DEFAULT_KIND
    from core.tasks.registry import builtin_registry

    descriptions = {each.kind: each.description for each in builtin_registry(lab_kinds=True).definitions}
    return {DEFAULT_KIND: descriptions.pop(DEFAULT_KIND), **descriptions}


def _log_to_file(settings: Settings) -> Path:
    """Write the log to a file, because only the console may write to the terminal. Returns the path of the file."""
    home = Home(settings[config.DIRECTORY])
    home.create()
    from core.supervisor.logs.log_files import open_log

    path = home.log("console")
    stream = io.TextIOWrapper(open_log(path), encoding="utf-8", write_through=True)
    logs.set_up(settings[config.LOG_LEVEL], settings[config.LOG_FORMAT], "console", stream)
    return path


if __name__ == "__main__":
    sys.exit(main())
