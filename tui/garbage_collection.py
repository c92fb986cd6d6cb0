"""Keeps a console that runs for days small and quick, where the library under it does not do so by itself."""

import gc

from textual._styles_cache import StylesCache

_YOUNG_EVERY = 2_000
"""New objects between two collections of the youngest: drawing makes many that are gone at once."""

_OLD_EVERY = 50
"""Collections of the middle generation between two of everything, when nobody has found a better moment for it.

Each of those stops the console for some tens of milliseconds.
"""

_MUCH = 5
"""So many collections of the middle generation make it worth while to use a good moment."""


def settle() -> None:
    """Take what was made at the start out of every later collection: it stays as long as the console does.

    It is for a process that is nothing but a console.
    """
    gc.collect()
    gc.freeze()
    _, middle, _ = gc.get_threshold()
    gc.set_threshold(_YOUNG_EVERY, middle, _OLD_EVERY)


def tidy() -> None:
    """Collect everything, if it is worth while: for a moment in which nobody waits for the console."""
    if gc.get_count()[-1] >= _MUCH:
        gc.collect()


def sweep() -> None:
    """Collect what a closed dialog has left: many things in cycles, too old by then to be collected soon.

    Left lying, some dozens of dialogs would stop the console for a quarter of a second.
    """
    gc.collect()


def forget_dialogs() -> None:
    """Let go of dialogs that were closed: a cache in Textual 8.2.8 holds what up to a thousand widgets have drawn."""
    StylesCache.get_inner_outer.cache_clear()
