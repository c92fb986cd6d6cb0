"""Supervised processes: starting, adopting, probing, restarting and stopping them, and telling who they are."""
