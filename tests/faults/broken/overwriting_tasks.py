"""Kinds whose worker stores every outcome, also when its lease expired long ago."""

from core.repository import rules
from tests.faults.honest import honest

__all__ = ["honest"]


rules.outcome_counts = lambda *_: True  # this is what is wrong with it
