"""`python -m tests.benchmarks.peers`: publishes a peer's tasks.

The benchmark starts this process and exchanges lines with it: it writes `ready`, starts at the next input line, writes
its result, and runs until its input ends, so that its processor time can be read.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

import msgspec

from tests.benchmarks.peers.publishing import Sent, Share


def main(words: Sequence[str]) -> int:
    """Run the program. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers")
    parser.add_argument("module")
    parser.add_argument("tasks", type=int)
    parser.add_argument("warm_up", type=int)
    parser.add_argument("at_once", type=int)
    arguments = parser.parse_args(words)
    share = Share(arguments.tasks, arguments.warm_up, arguments.at_once)
    sent: Sent = importlib.import_module(arguments.module).publish(share, _wait)
    print(msgspec.json.encode(sent).decode(), flush=True)
    sys.stdin.read()
    return 0


def _wait() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
