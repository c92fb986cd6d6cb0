"""The console: one full-screen terminal application over a whole system. `python -m tui`."""
