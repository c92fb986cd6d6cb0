"""Garbage collection at moments that the user does not notice, for a console that runs for days."""

import gc

from textual._styles_cache import StylesCache

_YOUNG_THRESHOLD = 2_000
"""New objects between two collections of the youngest generation: drawing makes many short-lived ones."""

_OLD_THRESHOLD = 50
"""Collections of the middle generation before the old one is collected without waiting for an idle moment.

Such a collection stops the console for some tens of milliseconds.
"""

_DUE_COUNT = 5
"""Collections of the middle generation after which the next idle moment is used to collect everything."""


def freeze_startup() -> None:
    """Exclude the objects made at the start from all later collections: they live as long as the console.

    Call it only in a process that is nothing but a console.
    """
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(_YOUNG_THRESHOLD, middle, _OLD_THRESHOLD)


def collect_if_due() -> None:
    """Collect all generations, if they are due. Call it while the console is idle."""
    if gc.get_count()[-1] >= _DUE_COUNT:
        gc.collect()


def collect() -> None:
    """Collect the reference cycles of a closed dialog, which are too old to be collected soon.

    Collecting those of some dozens of dialogs at once would stop the console for a quarter of a second.
    """
    gc.collect()


def drop_dialog_cache() -> None:
    """Clear a cache of Textual 8.2.8, which keeps closed dialogs alive: it holds the lines of up to 1,000 widgets."""
    StylesCache.get_inner_outer.cache_clear()
