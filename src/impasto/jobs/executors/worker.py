"""A process of `LocalExecutor`: it reads items as lines of JSON, and tells what became of them in such lines.

Where its input ends, because whoever asked has gone or wants no more, its task saves and returns.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import Any

from impasto.jobs.executors.executor import found
from impasto.storage.process import owned


def main() -> int:
    """Work until the input ends."""
    # What libraries print goes to the log, not between the answers.
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    gone = threading.Event()

    def read() -> None:
        for line in sys.stdin:
            requests.put(json.loads(line))
        gone.set()
        requests.put(None)

    def tell(**message: Any) -> None:
        try:
            outgoing.write(json.dumps(message) + "\n")
            outgoing.flush()
        except OSError:
            gone.set()

    threading.Thread(target=read, daemon=True).start()
    while (request := requests.get()) is not None and not gone.is_set():
        number = request["number"]
        try:
            result = found(request["task"])(
                request["item"], lambda what, n=number: tell(told=n, what=what), gone.is_set
            )
        except Exception as error:  # one item's fault is no other's; the log has the rest
            traceback.print_exception(error)
            tell(lost=number, fault=f"{type(error).__name__}: {error}")
        else:
            tell(done=number, result=result)
    return 0


if __name__ == "__main__":
    with owned():
        sys.exit(main())
