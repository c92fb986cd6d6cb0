"""The settings of the console."""

from core import config, encryption
from core.config import Option
from core.supervisor import options as supervisor

UP = Option("tui.up", config.switch, False, "start the system first, unless it is running")
READ_ONLY = Option(
    "tui.read-only", config.switch, False, "change nothing: commands that act on the system are disabled"
)
DUMP = Option("tui.dump", config.switch, False, "print what the console would show as one JSON object, and exit")
LANGUAGE = Option(
    "tui.lang", config.optional_text, "", "en or es; by default the language of the environment", metavar="LANGUAGE"
)
THEME = Option(
    "tui.theme",
    config.optional_text,
    "",
    "cauce, cauce-light, cauce-contrast or cauce-16; by default the last one used",
    metavar="THEME",
)
GLYPHS = Option(
    "tui.glyphs",
    config.choice("auto", "unicode", "ascii"),
    "auto",
    "ascii for a terminal or font without lines, bars and dots; auto decides by the terminal's name and encoding",
    metavar="GLYPHS",
)
HZ = Option(
    "tui.hz", config.seconds(0.1, 10), 2.0, "how many times a second to read the state of the system", metavar="N"
)
WEB = Option("tui.web", config.switch, False, "serve the console to a browser of this machine")
WEB_PORT = Option("tui.web-port", config.whole_number(0, 65535), 0, "port of --web; 0 takes a free one")
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
