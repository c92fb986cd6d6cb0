"""For the tests of task functions: a system without processes and sockets, in which time passes when you say so.

from core.testing import run_here

with run_here("mytasks") as system:
    assert system.submit("greet", "World").result() == "Hello, World!"
"""

from core.testing.system import LocalHandle, System, run_here

__all__ = ["LocalHandle", "System", "run_here"]
