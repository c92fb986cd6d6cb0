"""Starts a runner. `multiprocessing` imports this module again in each process that a task spawns."""

import os
import sys

if __name__ == "__main__":
    from core.runner.program import main

    sys.exit(main(sys.argv[1:], os.environ))
else:
    from core.runner.task_files import TaskFileFinder

    sys.meta_path.append(TaskFileFinder(os.environ))
