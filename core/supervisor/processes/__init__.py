"""Supervised processes: starting, adopting, probing, restarting, stopping and identifying them."""
