"""Shows how far a campaign is, beside its report."""

import sys
import time


def say(text: str) -> None:
    """Write a line with the time of day."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
