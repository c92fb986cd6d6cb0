"""How long to wait before the next try at a broker that can't be reached: a pure function."""

FIRST = 0.2
"""The longest wait after the first failure, in seconds."""

LONGEST = 5.0
"""The longest wait of all, in seconds."""


def delay(attempt: int, random: float) -> float:
    """Say how many seconds to wait after failure number `attempt`, counted from 0.

    `random`, between 0 and 1, spreads the clients that lost the broker at the same moment over the whole wait.
    """
    # Beyond a few doublings the longest wait rules; without the bound the power would grow for ever.
    return random * min(LONGEST, FIRST * 2.0 ** min(attempt, 10))
