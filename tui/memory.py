"""Keeps a console that runs for days small and quick, where the library under it does not do so by itself."""

import gc

from textual._styles_cache import StylesCache

_OLD_EVERY = 50
"""Collections of the middle generation between two of everything, of which each stops the console for a moment."""


def settle() -> None:
    """Take what was made at the start out of every later collection: it stays as long as the console does.

    It is for a process that is nothing but a console.
    """
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _OLD_EVERY)


def forget_dialogs() -> None:
    """Let go of dialogs that were closed: a cache in Textual 8.2.8 holds what up to a thousand widgets have drawn."""
    StylesCache.get_inner_outer.cache_clear()
