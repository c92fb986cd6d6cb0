"""Shows the progress of a campaign on standard error."""

import sys
import time


def show_progress(text: str) -> None:
    """Write a line with the time of day."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
