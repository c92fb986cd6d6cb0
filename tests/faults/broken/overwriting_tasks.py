"""Kinds whose worker stores its outcome whatever is in the books, also when it lost its lease long ago."""

from core.repository import rules
from tests.faults.honest import honest

__all__ = ["honest"]


rules.outcome_counts = lambda *_: True  # this is what is wrong with it
