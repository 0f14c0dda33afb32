"""The native engine's C under sanitizers: of addresses and undefined behaviour on odd shapes, of races in its pool."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from impasto.network.engines.native_library import why_not

SOURCE = Path(__file__).parents[2] / "src/impasto/network/engines/native.c"
FLAGS = ("-std=gnu11", "-O1", "-g", "-fopenmp", "-ffp-contract=fast", "-Wno-psabi", "-shared", "-fPIC")
FLAGS += ("-DEMULATED_TILES",)  # AMX's loads and stores are read and written by C that the sanitizers see
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer")

SETUP = """
import ctypes, sys
sys.path.insert(0, sys.argv[2])
import helpers, torch
from impasto.losses.moments import moments
from impasto.network import weights
from impasto.network.engines import native, native_bf16, native_library
load = ctypes.CDLL
native_library.ctypes.CDLL = lambda path: load(sys.argv[1])
helpers.TINY_CHANNELS.update(dict.fromkeys("12345", 32))
narrow = helpers.tiny_weights(dtype=torch.float32)
"""

SHAPES = """
cases = 0
def both_ways(engine, image, layers, **below):
    global cases
    image = image.clone().requires_grad_()
    found = engine.features(image, layers, **below)
    sum(f.square().sum() for f in found.values()).backward()
    assert image.grad.isfinite().all()
    cases += 1

for pooling in ("max", "average"):
    for padding in ("zero", "replicate"):
        for width in {8, native_library.library().impasto_width()}:
            pooled = dict(pooling=native.Pooling(pooling), padding=native.Padding(padding), width=width)
            engine = native.NativeEngine(narrow, **pooled)
            for threads in (1, 3):
                torch.set_num_threads(threads)
                for h, w in ((16, 16), (17, 31), (33, 50), (64, 19), (47, 130)):
                    image = helpers.smooth_image(h, w, dtype=torch.float32)
                    both_ways(engine, image, ["relu1_1", "conv2_2", "relu3_4", "pool4", "relu5_4"])
                    both_ways(engine, image, ["relu1_2"])
                    both_ways(engine, torch.rand(1, 32, h, w), ["relu3_1", "conv5_1"], below="pool2")
for kernel in {native_library.Bf16Kernel.PLAIN, *native_library.bf16_kernels()}:
    for pooling in ("max", "average"):
        for threads, padding in ((1, "zero"), (3, "replicate")):
            torch.set_num_threads(threads)
            pooled = dict(pooling=native.Pooling(pooling), padding=native.Padding(padding), kernel=kernel)
            engine = native_bf16.Bf16Engine(narrow, **pooled)
            for h, w in ((16, 16), (17, 31), (33, 50), (64, 19)):
                image = helpers.smooth_image(h, w, dtype=torch.float32)
                both_ways(engine, image, ["relu1_1", "conv2_2", "relu3_4", "pool4", "relu5_4"])
                both_ways(engine, image, ["relu1_2"])
                both_ways(engine, torch.rand(1, 32, h, w), ["relu3_1", "conv5_1"], below="pool2")
for threads in (1, 3):
    torch.set_num_threads(threads)
    for m, c in ((1, 32), (255, 64), (700, 96), (2049, 512)):
        features = torch.rand(1, 1, m, c).permute(0, 3, 1, 2).requires_grad_()
        moments(features).square().sum().backward()
        assert features.grad.isfinite().all()
        cases += 1
engine = native.NativeEngine(weights.load())  # whose last layers are wide
both_ways(engine, helpers.smooth_image(33, 18, dtype=torch.float32), ["relu1_1", "relu5_1"])
print(cases)
"""

FAULT = """
engine = native.NativeEngine(narrow)
small, large = torch.rand(4, 4, 32), torch.rand(32, 32, 32)
engine.call("impasto_pool", small, large, None, 64, 64, 32, 0.0)  # reads 64 rows of 4
"""


def sanitized(library: Path, code: str) -> subprocess.CompletedProcess[str]:
    asan = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    told = {"LD_PRELOAD": asan.stdout.strip(), "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", SETUP + code, str(library), str(Path(__file__).parents[1])]
    return subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(
    why_not() is not None or shutil.which("gcc") is None, reason="THE NATIVE ENGINE CAN'T BE BUILT HERE"
)
def test_no_read_or_write_is_out_of_bounds_and_the_sanitizers_notice_one_that_is(tmp_path):
    library = tmp_path / "_native.so"
    subprocess.run(["gcc", *FLAGS, *SANITIZE, str(SOURCE), "-o", str(library), "-lm"], check=True)
    clean = sanitized(library, SHAPES)
    assert clean.returncode == 0, clean.stderr[-3000:]
    assert int(clean.stdout) >= 200
    faulty = sanitized(library, FAULT)
    assert faulty.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in faulty.stderr


CALLERS = """
#include "threads.h"
#include <pthread.h>
#include <stdlib.h>

typedef struct { long done[1000], by[8]; } Work; /* iterations, and how many each worker did */

static void square(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    Work *work = (Work *)context;
    for (ptrdiff_t i = from; i < to; i++) work->done[i] = i * i;
    work->by[worker] += to - from;
}
static void *caller(void *unused) {
    for (int n = 0; n < 300; n++) {
        Work *work = calloc(1, sizeof(Work));
        int count = n * 7 % 1000, step = 1 + n % 13, threads = 1 + n % 8, sum = 0;
        in_parallel(square, work, count, step, threads);
        for (int i = 0; i < 1000; i++) if (work->done[i] != (i < count ? (long)i * i : 0)) exit(2);
        for (int i = 0; i < 8; i++) sum += work->by[i];
        if (sum != count) exit(3);
        free(work);
    }
    return unused;
}
int main(void) {
    pthread_t callers[4];
    for (int i = 0; i < 4; i++) pthread_create(&callers[i], NULL, caller, NULL);
    for (int i = 0; i < 4; i++) pthread_join(callers[i], NULL);
}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="GCC IS NOT INSTALLED")
@pytest.mark.parametrize("right", [True, False])
def test_the_pool_has_no_race_and_the_sanitizer_notices_one(right, tmp_path):
    pool = SOURCE.with_name("threads.h").read_text("utf-8")
    wait = "while (loop.busy) wait_for"
    assert pool.count(wait) == 1
    if not right:
        pool = pool.replace(wait, "while (0) wait_for")
    (tmp_path / "threads.h").write_text(pool, "utf-8")
    (tmp_path / "callers.c").write_text(CALLERS, "utf-8")
    program = tmp_path / "callers"
    flags = ("-std=gnu11", "-O1", "-g", "-pthread", "-fsanitize=thread")
    subprocess.run(["gcc", *flags, str(tmp_path / "callers.c"), "-o", str(program)], check=True)
    for _ in range(1 if right else 20):  # on a busy machine the threads don't always meet
        ended = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
        if ended.returncode:
            break
    assert (ended.returncode == 0) == right, ended.stderr[-3000:]
