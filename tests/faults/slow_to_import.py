"""A module of tasks that takes 20 seconds to import."""

import time

from core.tasks import task

time.sleep(20)


@task
def trifle() -> None:
    """Do nothing."""
