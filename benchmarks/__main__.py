"""Every benchmark, one after the other, then the tables of docs/benchmarks.md: python benchmarks [--quick].

An hour and a half on two cores, most of it for the gallery and the previews, whose pictures are kept and not painted
again. Close what else runs; nothing here runs two things at once.
"""

import argparse
import subprocess
import sys
import time

import critic
import record

RUNS = (
    ("startup.py",),
    ("busy.py",),
    ("peers.py", "--rounds", "5"),
    ("peers.py", "--isa", "avx2", "--rounds", "4", "--only", "pastiche", "tutorial", "torch", "native"),
    ("roofline.py", "--rounds", "4"),
    ("roofline.py", "--isa", "avx2", "--rounds", "4"),
    ("memory.py",),
    ("growth.py",),
    ("growth.py", "--sides", "1024", "2048", "4096", "--max-memory", "3GB", "--steps", "1"),
    ("time_to_loss.py",),
    ("time_to_loss.py", "--isa", "avx2"),
    ("checkpoints.py",),
    ("losses.py",),
    ("gallery.py",),
    ("critic.py",),
    ("preview.py",),
    ("patience.py",),
    ("inventors.py",),
    ("print_size.py", "--rows", "2"),  # 60 GB of files
)
QUICK = tuple((name, "--quick") for name in sorted({run[0] for run in RUNS}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all of it runs; docs stay")
    parser.add_argument("--results", default=str(record.RESULTS))
    chosen = parser.parse_args()
    began = time.perf_counter()
    for name, *options in QUICK if chosen.quick else RUNS:
        print(f"== {name} {' '.join(options)} ({time.perf_counter() - began:.0f} s so far)", flush=True)
        if name == "critic.py" and (why := critic.missing()):
            print(f"NOT RUN. {why}", flush=True)
            continue
        command = [sys.executable, str(record.HERE / name), *options, "--results", chosen.results]
        subprocess.run(command, check=True)
    if not chosen.quick:
        subprocess.run([sys.executable, str(record.HERE / "render.py"), "--results", chosen.results], check=True)
    print(f"Done in {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
