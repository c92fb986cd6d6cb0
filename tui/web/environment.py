"""The environment of a served console: it names the driver and carries the settings of the program that serves."""

from collections.abc import Collection, Mapping

from core.config import Option, Settings

DRIVER = "tui.web.driver:ServedDriver"
"""The driver of a console that is shown in a browser."""


def environment_for(settings: Settings, off: Collection[Option[bool]] = ()) -> dict[str, str]:
    """Return the environment that gives a console these settings. Flags would show passwords to other local users.

    Args:
        settings: the settings of the program that serves.
        off: the switches that are off in the consoles.
    """
    environment = {"CAUCE_CONFIG": settings.file} if settings.file else {}
    for option in settings.options:
        if settings.given(option):
            environment[option.variable] = settings.origins[option.key].text
    return environment | {option.variable: "false" for option in off}


def is_served(environment: Mapping[str, str]) -> bool:
    """Return whether this program is the console of a browser tab, which needs no terminal."""
    return environment.get("TEXTUAL_DRIVER") == DRIVER
