"""A worker that stores every outcome, also when its lease expired long ago."""

from core.repository import rules

rules.outcome_counts = lambda *_: True  # this is what is wrong with it
