"""The worker of startup.py: `impasto paint` in this process, with the clock read on the way; prints JSON."""

import json
import sys
import time

BEGAN = time.perf_counter()
COMMAND, TORCH, JOBS, NETWORK, COARSE, FINE, END = (
    "the command line, settings, checks of files",
    "torch",
    "impasto's own modules, pictures, plan",
    "weights and kernels",
    "the coarse scale",
    "the fine scale",
    "the picture and its recipe written",
)


def main() -> None:
    """Paint, and print the seconds of each phase."""
    taken = dict.fromkeys((COMMAND, TORCH, JOBS, NETWORK, COARSE, FINE, END), 0.0)
    last = BEGAN

    def lap(phase: str) -> None:
        nonlocal last
        now = time.perf_counter()
        taken[phase] += now - last
        last = now

    from impasto.cli import main as impasto
    from impasto.cli import paint  # noqa: F401
    from impasto.storage.process import owned

    with owned():
        lap(COMMAND)
        import torch  # noqa: F401

        lap(TORCH)
        from impasto.jobs import network, stylization
        from impasto.run.events import ScaleDone

        load, events = network.load_network, stylization.Stylization.events

        def timed_load(settings):
            lap(JOBS)
            found = load(settings)
            lap(NETWORK)
            return found

        def timed_events(job, *arguments):
            lap(JOBS)
            for event in events(job, *arguments):
                if isinstance(event, ScaleDone):
                    lap(COARSE if event.scale == 1 else FINE)
                yield event

        stylization.load_network, stylization.Stylization.events = timed_load, timed_events
        code = impasto(sys.argv[1:])
        lap(END)
    print(json.dumps(taken))
    raise SystemExit(code)


if __name__ == "__main__":
    main()
