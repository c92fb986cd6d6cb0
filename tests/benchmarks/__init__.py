"""How fast the system is, beside what its parts can do at best; run by `python -m tests.benchmarks`."""
