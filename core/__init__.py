"""The library of Cauce: socket protocol, journal, brokers, dispatcher, tasks, and the programs built from them.

It knows nothing of the console (`tui`). Only a program's `__main__` prints.
"""

__version__ = "0.1.0"
