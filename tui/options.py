"""The settings of the console."""

from core import config, encryption
from core.config import Option
from core.supervisor import options as supervisor

UP = Option("tui.up", config.switch, False, "start the system first, if it does not run", ("--up",))
READ_ONLY = Option(
    "tui.read-only", config.switch, False, "only look: every command that acts is away", ("--read-only",)
)
DUMP = Option(
    "tui.dump", config.switch, False, "print what the console would show, as one JSON object, and end", ("--dump",)
)
LANGUAGE = Option(
    "tui.lang", config.optional_text, "", "en or es; what the environment says when left out", ("--lang",), "LANGUAGE"
)
THEME = Option(
    "tui.theme",
    config.optional_text,
    "",
    "cauce, cauce-light, cauce-contrast or cauce-16; the one that was used last when left out",
    ("--theme",),
    "THEME",
)
GLYPHS = Option(
    "tui.glyphs",
    config.choice("auto", "unicode", "ascii"),
    "auto",
    "ascii for a terminal or a font without lines, bars and dots; auto asks the terminal's name and encoding",
    ("--glyphs",),
    "GLYPHS",
)
HZ = Option("tui.hz", config.seconds(0.1, 10), 2.0, "how many times a second to look at the system", ("--hz",), "N")
WEB = Option("tui.web", config.switch, False, "serve the console to a browser of this machine", ("--web",))
WEB_PORT = Option(
    "tui.web-port",
    config.whole_number(0, 65535),
    0,
    "where --web serves; 0 takes one that is free",
    ("--web-port",),
    "N",
)
OPTIONS = (
    *supervisor.OPTIONS,
    *config.borrow(encryption.CLIENT_OPTIONS),
    UP,
    READ_ONLY,
    DUMP,
    LANGUAGE,
    THEME,
    GLYPHS,
    HZ,
    WEB,
    WEB_PORT,
)
