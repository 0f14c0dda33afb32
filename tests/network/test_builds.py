"""native.c built by other compilers, for other processors and systems, and without OpenMP, against torch in float64."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from exact import NAMES, Decided, assert_equal_to_exact, error, gradient, image_of, random_gradients
from serve_kernels import ServedLibrary

import helpers
from helpers import tiny_weights
from impasto.losses.moments import moments
from impasto.network import weights
from impasto.network.engines import native, native_library
from impasto.network.engines.native import NativeEngine
from impasto.network.engines.native_bf16 import Bf16Engine
from impasto.network.engines.native_library import Bf16Kernel
from impasto.settings.choices import Padding, Pooling

ENGINES = Path(__file__).parents[2] / "src/impasto/network/engines"
"""In the checkout: a wheel holds no C."""
SERVER = Path(__file__).parent / "serve_kernels.c"
FLAGS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-Wno-psabi", "-Wall", "-Werror")
SERVED = (*FLAGS, f"-I{ENGINES}", "-static", str(SERVER))
ARM = ("qemu-aarch64-static",)
WINE = shutil.which("wine64") or "/usr/lib/wine/wine64"
"""Debian's, which puts only its script `wine` on the path."""

pytestmark = pytest.mark.slow
X86 = platform.machine() == "x86_64" and sys.platform == "linux"
HERE = {
    "GCC, pool": ("gcc", "-pthread"),
    "clang, pool": ("clang", "-pthread"),
}
ELSEWHERE = {
    "ARM64, GCC, OpenMP": (("aarch64-linux-gnu-gcc", "-fopenmp"), ARM),
    "ARM64, GCC, pool": (("aarch64-linux-gnu-gcc", "-pthread"), ARM),
    "ARM64, clang, pool": (("clang", "--target=aarch64-linux-gnu", "-pthread"), ARM),
    "Windows, clang, pool": (("clang", "--target=x86_64-w64-mingw32"), (WINE,)),
}


HEADERS = {
    "string.h": """
        #include <stddef.h>
        void *memset(void *, int, size_t);
        void *memcpy(void *, const void *, size_t);
    """,
    "pthread.h": """
        typedef struct { long opaque[8]; } pthread_mutex_t, pthread_cond_t;
        typedef void *pthread_t;
        #define PTHREAD_MUTEX_INITIALIZER {{1}}
        #define PTHREAD_COND_INITIALIZER {{1}}
        int pthread_mutex_lock(pthread_mutex_t *), pthread_mutex_unlock(pthread_mutex_t *);
        int pthread_cond_wait(pthread_cond_t *, pthread_mutex_t *), pthread_cond_broadcast(pthread_cond_t *);
        int pthread_create(pthread_t *, const void *, void *(*)(void *), void *), pthread_detach(pthread_t);
        int pthread_atfork(void (*)(void), void (*)(void), void (*)(void));
    """,
    "windows.h": """
        typedef struct { void *opaque; } SRWLOCK, CONDITION_VARIABLE;
        typedef unsigned long DWORD;
        typedef void *HANDLE;
        #define SRWLOCK_INIT {0}
        #define CONDITION_VARIABLE_INIT {0}
        #define WINAPI
        #define INFINITE 0xffffffff
        void AcquireSRWLockExclusive(SRWLOCK *), ReleaseSRWLockExclusive(SRWLOCK *);
        int SleepConditionVariableSRW(CONDITION_VARIABLE *, SRWLOCK *, DWORD, DWORD), CloseHandle(HANDLE);
        void WakeAllConditionVariable(CONDITION_VARIABLE *);
        HANDLE CreateThread(void *, size_t, DWORD (*)(void *), void *, DWORD, DWORD *);
    """,
}
"""What native.c takes of the headers of macOS and of Microsoft's SDK, which aren't free to install here."""


def needed(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{Path(program).name} IS NOT INSTALLED")


@pytest.fixture(scope="module")
def narrow():
    """VGG19's geometry with 32 channels in each layer."""
    with pytest.MonkeyPatch.context() as patch:
        for block in helpers.TINY_CHANNELS:
            patch.setitem(helpers.TINY_CHANNELS, block, 32)
        return tiny_weights(dtype=torch.float32)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Makes the library of a build's name, once."""
    folder, made, served = tmp_path_factory.mktemp("builds"), {}, []

    def library(name: str):
        if name not in made:
            if name in HERE:
                made[name] = in_this_process(folder, name)
            else:
                served.append(in_another_process(folder, name))
                made[name] = served[-1]
        return made[name]

    yield library
    for process in served:
        process.close()


def in_this_process(folder: Path, name: str):
    compiler, *threads = HERE[name]
    if not X86:
        pytest.skip("NATIVE.C IS NOT BUILT WITHOUT OPENMP: this is no x86-64 Linux")
    needed(compiler)
    path = folder / f"{compiler}.so"
    source = str(ENGINES / "native.c")
    subprocess.run([compiler, *threads, *FLAGS, "-shared", "-fPIC", source, "-o", str(path)], check=True)
    library = native_library.load(path)
    if not library.impasto_width():
        pytest.skip("this processor lacks AVX2 and FMA")
    return library


def in_another_process(folder: Path, name: str) -> ServedLibrary:
    compile_, run = ELSEWHERE[name]
    needed(compile_[0], run[0])
    extra = []
    if name.startswith("Windows"):
        needed("x86_64-w64-mingw32-gcc")
        asked = ["x86_64-w64-mingw32-gcc", "-print-libgcc-file-name"]
        found = subprocess.run(asked, capture_output=True, text=True, check=True)
        extra = [f"-L{Path(found.stdout).parent}"]  # which Debian's clang doesn't find by itself
    program = folder / (name.replace(", ", "_") + ".exe")
    subprocess.run([*compile_, *SERVED, *extra, "-o", str(program)], check=True, capture_output=True)
    environment = os.environ | {"WINEPREFIX": str(folder / "wine"), "WINEDEBUG": "-all"}
    served = ServedLibrary([*run, str(program)], environment)
    assert served.impasto_version() == native_library.VERSION
    if name.startswith("Windows") and not served.impasto_width():
        pytest.skip("this processor lacks AVX2 and FMA")
    return served


@pytest.fixture(params=[*HERE, *ELSEWHERE])
def library(request, built, monkeypatch):
    """Each build in turn, taken by new engines."""
    found = built(request.param)
    monkeypatch.setattr(native, "library", lambda: found)
    monkeypatch.setattr(native_library, "library", lambda: found)
    if request.param.startswith("ARM64"):
        assert found.impasto_width() == 4
    return found


@pytest.fixture
def deep(monkeypatch):
    """Layers of 32 channels are computed as those of 512 are, but the first."""
    monkeypatch.setattr(native, "DEEP", 32 * 32 - 1)


@pytest.mark.parametrize("layers", [["relu1_1", "conv2_2", "pool2", "relu3_1"]])
@pytest.mark.parametrize(("size", "pooling"), [((33, 35), Pooling.MAX), ((21, 34), Pooling.AVERAGE)])
def test_features_and_gradient_equal_torch_in_float64(library, narrow, size, pooling, layers):
    reference = Decided(narrow, pooling=pooling).double()
    assert_equal_to_exact(NativeEngine(narrow, pooling=pooling), reference, image_of(*size), layers)


def test_deep_layers_equal_torch_in_float64(library, narrow, deep):
    layers = ["conv1_2", "relu2_1", "relu3_2"]
    assert_equal_to_exact(NativeEngine(narrow), Decided(narrow).double(), image_of(66, 61), layers)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (6, 1), (2, 3), (19, 33)])
def test_a_replicated_border_equals_torch_in_float64(library, narrow, size):
    layers = ["conv1_1", "relu1_2"]
    reference = Decided(narrow, padding=Padding.REPLICATE).double()
    engine = NativeEngine(narrow, padding=Padding.REPLICATE)
    assert_equal_to_exact(engine, reference, image_of(*size), layers[: 1 + (size[0] > 6)])


def test_threads_change_no_bit(library, narrow, deep):
    image, layers, threads, found = image_of(37, 42), ["relu1_1", "pool1", "relu3_1"], torch.get_num_threads(), []
    pulled = random_gradients(NativeEngine(narrow).features(image, layers))
    try:
        for n in (1, 2, 5, 1):
            torch.set_num_threads(n)
            engine = NativeEngine(narrow)
            found.append((gradient(engine, image, layers, pulled), *engine.features(image, layers).values()))
    finally:
        torch.set_num_threads(threads)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(others, found[0], strict=True))


def test_moments_and_their_gradient_equal_float64_and_threads_change_no_bit(library, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    f = torch.rand((1, 19, 31, 96), generator=generator).permute(0, 3, 1, 2).requires_grad_()
    pulled = torch.randn((1, 97, 97), generator=generator, dtype=torch.float64)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(native_library, "thread_count", lambda n=threads: n)
        statistics = moments(f)
        found.append((statistics.detach(), *torch.autograd.grad(statistics, f, pulled)))
    exact = f.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(moments(exact), exact, pulled)
    assert error(found[0][0], moments(exact)) < 1e-6
    assert error(found[0][1], wanted) < 1e-6
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_the_real_network_equals_torch_in_float64(library):
    frozen = weights.load()
    assert_equal_to_exact(NativeEngine(frozen), Decided(frozen).double(), image_of(33, 35), NAMES)


@pytest.mark.parametrize("build", HERE)
def test_matrix_units_are_compiled_for_and_bfloat16_is_float64_but_for_rounding(built, build, narrow, monkeypatch):
    needed("objdump")
    found = built(build)
    code = subprocess.run(["objdump", "-d", found._name], capture_output=True, text=True, check=True).stdout
    assert all(f"\t{name} " in code for name in ("tdpbf16ps", "tileloadd", "vdpbf16ps"))
    monkeypatch.setattr(native, "library", lambda: found)
    monkeypatch.setattr(native_library, "library", lambda: found)
    image, layers = image_of(33, 50), ["relu1_1", "pool2", "relu3_1"]
    exact = Decided(narrow).double().features(image.double(), layers)
    for kernel in {Bf16Kernel.PLAIN, *native_library.bf16_kernels()}:
        ours = Bf16Engine(narrow, kernel=kernel).features(image, layers)
        assert all(error(ours[name], exact[name]) < 0.01 for name in layers)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_compiler_without_matrix_units_builds_the_rest(compiler, tmp_path):
    """As setup.py does where the assembler doesn't know them."""
    needed(compiler, "objdump")
    path = tmp_path / "without.so"
    source = str(ENGINES / "native.c")
    command = [compiler, "-pthread", "-DWITHOUT_BF16", *FLAGS, "-shared", "-fPIC", source, "-o", str(path)]
    subprocess.run(command, check=True)
    code = subprocess.run(["objdump", "-d", str(path)], capture_output=True, text=True, check=True).stdout
    assert "dpbf16ps" not in code
    assert native_library.load(path).impasto_bf16_kernels() == 1 << Bf16Kernel.PLAIN


@pytest.mark.parametrize("build", HERE)
def test_the_pool_serves_several_callers_and_a_forks_child(built, build, tmp_path):
    """In a process of its own, whose forked child has none of the pool's threads."""
    library = built(build)
    code = """
        import os, sys, threading, time
        sys.path.insert(0, sys.argv[2])
        import helpers, torch
        from impasto.network.engines import native, native_library
        from pathlib import Path
        loaded = native_library.load(Path(sys.argv[1]))
        native.library = native_library.library = lambda: loaded
        helpers.TINY_CHANNELS.update(dict.fromkeys("12345", 32))
        narrow = helpers.tiny_weights(dtype=torch.float32)
        image = helpers.smooth_image(70, 50, dtype=torch.float32)
        torch.set_num_threads(1)  # torch's own, so that whichever there are more of are the pool's
        def computed(threads):
            torch.get_num_threads = lambda: threads
            with torch.no_grad():
                return native.NativeEngine(narrow).features(image, ["relu3_1"])["relu3_1"]
        def running(): return len(os.listdir("/proc/self/task"))
        alone, found, before = computed(1), [], running()
        callers = [threading.Thread(target=lambda: found.extend(computed(3) for _ in range(5))) for _ in range(4)]
        for caller in callers: caller.start()
        for caller in callers: caller.join()
        assert len(found) == 20 and all(torch.equal(f, alone) for f in found)
        for _ in range(500):  # a thread that was joined may still be about to end
            if running() > before + 2: time.sleep(0.01)
        assert running() == before + 2
        child = os.fork()
        if child == 0:
            right = running() == 1 and torch.equal(computed(3), alone) and running() == 3
            os._exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert torch.equal(computed(3), alone)
    """
    told = subprocess.run(
        [sys.executable, "-c", dedent(code), library._name, str(Path(__file__).parents[1])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]


@pytest.mark.parametrize(
    "target", ["arm64-apple-macos11", "x86_64-apple-macos11", "x86_64-pc-windows-msvc", "aarch64-pc-windows-msvc"]
)
def test_it_compiles_for_systems_that_are_not_here(target, tmp_path):
    """With stand-ins for their headers; nothing of it is linked or run."""
    needed("clang")
    for name, text in HEADERS.items():
        (tmp_path / name).write_text(dedent(text))
    source, made = str(ENGINES / "native.c"), tmp_path / "native.o"
    command = ["clang", f"--target={target}", *FLAGS, f"-isystem{tmp_path}", "-c", source, "-o", str(made)]
    subprocess.run(command, check=True)
    assert b"impasto_first_back" in made.read_bytes()
