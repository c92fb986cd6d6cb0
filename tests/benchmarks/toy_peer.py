"""A peer for the tests of the measurement: it stores the result of a task at its submission."""

from itertools import count
from pathlib import Path

from tests.benchmarks.peers.publishing import Sent, Share, Wait, publish_in_threads
from tests.benchmarks.peers.results import Results
from tests.benchmarks.peers.setup import PAYLOAD, read_setup


def publish(share: Share, wait: Wait) -> Sent:
    """Store results, with keys that continue those of an earlier stage."""
    with Results(Path(read_setup().database)) as results:
        numbers = count(results.rows())
        return publish_in_threads(lambda: results.store(f"{next(numbers)}", PAYLOAD.encode()), share, wait)
