"""A program that maps a task over items with Ray, and says on lines of JSON what it hears; Ctrl-C ends it gently.

python drive.py ADDRESS TASK ITEMS
"""

import json
import signal
import sys

from impasto.errors import ImpastoError
from impasto.jobs.executors.ray import RayExecutor

if __name__ == "__main__":
    address, task, items = sys.argv[1:]
    executor = RayExecutor(address, threads=1)
    signal.signal(signal.SIGINT, lambda number, frame: executor.end())
    try:
        for news in executor.map(task, json.loads(items)):
            if news is not None:
                print(json.dumps([type(news).__name__, vars(news)]), flush=True)  # noqa: T201
    except ImpastoError as error:
        sys.exit(str(error))
