"""The library of Cauce: socket protocol, journal, brokers, dispatcher, tasks, and the programs built of them.

It knows nothing of the console (`tui`), and draws nothing outside a program's `__main__`.
"""

__version__ = "0.1.0"
