"""The themes of the console. Colours are defined here and in `styles/` only."""

from textual.theme import Theme

DARK = Theme(
    name="cauce",
    dark=True,
    primary="#4db6ac",
    secondary="#7aa2c8",
    accent="#5fd7c8",
    foreground="#d3dce2",
    background="#0d1317",
    surface="#11191e",
    panel="#1a252c",
    boost="#22313a",
    success="#8fcf7a",
    warning="#e3b862",
    error="#ef7a78",
    variables={
        "stripe": "#1a252c59",
        "dim": "#84959e",
        "block-cursor-background": "#1f5f5b",
        "block-cursor-foreground": "#ffffff",
        "footer-key-foreground": "#e3b862",
        "border": "#2c414a",
        "border-blurred": "#22313a",
        "input-selection-background": "#1f5f5b",
    },
)

LIGHT = Theme(
    name="cauce-light",
    dark=False,
    primary="#00796b",
    secondary="#3b6ea5",
    accent="#00695c",
    foreground="#1d2b31",
    background="#f4f6f5",
    surface="#ffffff",
    panel="#e3e9e7",
    boost="#d5dedb",
    success="#2e7d32",
    warning="#9a6700",
    error="#c62828",
    variables={
        "stripe": "#e3e9e759",
        "dim": "#62727a",
        "block-cursor-background": "#00796b",
        "block-cursor-foreground": "#ffffff",
        "footer-key-foreground": "#9a6700",
        "border": "#b4c4bf",
        "border-blurred": "#cdd8d4",
        "input-selection-background": "#b2dfdb",
    },
)

CONTRAST = Theme(
    name="cauce-contrast",
    dark=True,
    primary="#00ffff",
    secondary="#8ab4ff",
    accent="#ffff00",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    boost="#303030",
    success="#00ff00",
    warning="#ffff00",
    error="#ff6060",
    variables={
        "stripe": "#1c1c1c59",
        "dim": "#c8c8c8",
        "block-cursor-background": "#ffff00",
        "block-cursor-foreground": "#000000",
        "footer-key-foreground": "#ffff00",
        "border": "#ffffff",
        "border-blurred": "#808080",
        "input-selection-background": "#0000ff",
    },
)

# Each colour is one of the sixteen that every terminal has, and differs from its background.
SIXTEEN = Theme(
    name="cauce-16",
    dark=True,
    primary="#00aaaa",
    secondary="#55ffff",
    accent="#55ffff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#0000aa",
    success="#55ff55",
    warning="#ffff55",
    error="#ff5555",
    variables={
        "dim": "#aaaaaa",
        "boost": "#0000aa",
        "stripe": "#000000",
        "block-cursor-background": "#00aaaa",
        "block-cursor-foreground": "#000000",
        "footer-key-foreground": "#ffff55",
        "border": "#aaaaaa",
        "border-blurred": "#aaaaaa",
        "input-selection-background": "#00aaaa",
    },
)

THEMES = (DARK, LIGHT, CONTRAST, SIXTEEN)
_SIXTEEN_COLOUR_SYSTEMS = {"standard", "windows"}
"""Rich's names for terminals with sixteen colours."""


def resolve(name: str, colours: str | None = None) -> str:
    """Return the name of a known theme: the given one, or the default for the colours of the terminal.

    Args:
        name: the name of a theme; may be empty or unknown.
        colours: Rich's name for the colours of the terminal.
    """
    if any(theme.name == name for theme in THEMES):
        return name
    return SIXTEEN.name if colours in _SIXTEEN_COLOUR_SYSTEMS else DARK.name
