"""What the cluster is given to do in the tests: its processes import this module."""

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from impasto.jobs.executors.executor import Item


def doubled(item, tell, ending) -> Item:
    return {"number": 2 * item["number"], "text": item["text"] * 1000, "nested": [item, None, 0.1]}


def surroundings(item, tell, ending) -> Item:
    return {"threads": os.environ["OMP_NUM_THREADS"], "spins": os.environ.get("GOMP_SPINCOUNT")}


def raising_where_odd(item, tell, ending) -> Item:
    if item["number"] % 2:
        raise ValueError(f"{item['number']} is odd")
    return item


def killed(item, tell, ending) -> Item:
    """Kills its process so many times, each of which is written down."""
    beginnings = Path(item["beginnings"])
    noted(beginnings, str(os.getpid()))
    if len(beginnings.read_text().split()) <= item["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"number": item["number"]}


def held(item, tell, ending) -> Item:
    """Says on which node it runs, and waits until it may go, which it never may on a node that is to die."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    noted(Path(item["beginnings"]), f"{item['number']}@{node}")
    while node == item["victim"] or not Path(item["go"]).exists():
        time.sleep(0.05)
    return {"number": item["number"]}


def saving(item, tell, ending) -> Item:
    """Works until it is to end."""
    noted(Path(item["beginnings"]), str(item["number"]))
    while not ending():
        time.sleep(0.05)
    return {"saved": item["number"]}


def hungry(item, tell, ending) -> Item:
    """Needs more memory than its machine is said to have."""
    time.sleep(600)
    return {}


def deaf(item, tell, ending) -> Item:
    """Doesn't ask whether it is to end."""
    noted(Path(item["beginnings"]), str(item["number"]))
    time.sleep(600)
    return {}


def mixed(item, tell, ending) -> Item:
    """Writes a hash of its inputs and as many bytes as it is told to."""
    inputs = [Path(path) for path in item["inputs"]]
    Path(item["output"]).write_bytes(mixture([path.read_bytes() for path in inputs], item["bytes"]))
    return {"read": item["inputs"], "wrote": item["output"]}


def mixture(contents: list[bytes], size: int) -> bytes:
    digest = hashlib.sha256(b"".join(contents)).digest()
    return (digest * (size // len(digest) + 1))[:size]


class MixParcel:
    def inputs(self, item: Item) -> list[Path]:
        return [Path(path) for path in item["inputs"]]

    def output(self, item: Item) -> Path:
        return Path(item["output"])

    def moved(self, item: Item, inputs: Mapping[str, str], output: str) -> Item:
        return item | {"inputs": [inputs[path] for path in item["inputs"]], "output": output}

    def told(self, result: Item, inputs: Mapping[str, str]) -> Item:
        return result


def noted(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text + "\n")
