"""Benchmarks of the system, of the libraries under it and of other task systems: `python -m tests.benchmarks`."""
