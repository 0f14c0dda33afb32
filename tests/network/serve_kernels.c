/* The native engine's calls, done for another process that writes them here and reads what came of them.
 *
 * A call: which function, how many arguments, then each: its kind; and an int, a float, or the size of a buffer with its
 * bytes. The answer: the number returned, then the buffers that may have changed. Scratch begins as NaN. serve_kernels.py
 * is the other side.
 */
#include "native.c"
#include <stdio.h>
#include <stdlib.h>
#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

enum { KIND_NOTHING, KIND_INT, KIND_FLOAT, KIND_READ, KIND_CHANGED, KIND_SCRATCH };
enum { DO_VERSION, DO_WIDTH, DO_WORKSPACE, DO_CONV, DO_TRANSFORM, DO_FIRST, DO_FIRST_BACK, DO_POOL, DO_POOL_BACK,
       DO_MOMENTS_PARTS, DO_MOMENTS, DO_MOMENTS_BACK };

typedef struct {
    int kind, i;
    float f;
    void *p;
    long long size;
} Argument;

static void get(void *to, size_t size) {
    if (size && fread(to, 1, size, stdin) != size) exit(0); /* the other side is done */
}
static void put(const void *from, size_t size) {
    if (size && fwrite(from, 1, size, stdout) != size) exit(1);
}

static Argument argument(void) {
    Argument a = {0};
    get(&a.kind, sizeof a.kind);
    if (a.kind == KIND_INT) get(&a.i, sizeof a.i);
    if (a.kind == KIND_FLOAT) get(&a.f, sizeof a.f);
    if (a.kind < KIND_READ) return a;
    get(&a.size, sizeof a.size);
    if (!(a.p = malloc(a.size))) exit(1);
    if (a.kind == KIND_SCRATCH) memset(a.p, 0xff, a.size);
    else get(a.p, a.size);
    return a;
}

static long long call(int function, const Argument *a) {
    Conv conv = {a[0].p, a[1].p, a[2].p, a[3].p, a[4].p, a[5].p, a[6].p, a[7].p, a[8].p, a[9].i, a[10].i,
                 a[11].i, a[12].i, a[13].i, a[14].i, a[15].i, a[16].i};
    switch (function) {
    case DO_VERSION: return impasto_version();
    case DO_WIDTH: return impasto_width();
    case DO_WORKSPACE: return impasto_workspace(&conv);
    case DO_CONV: impasto_conv(&conv); break;
    case DO_TRANSFORM: impasto_transform(a[0].p, a[1].p, a[2].i, a[3].i, a[4].i, a[5].i); break;
    case DO_FIRST:
        impasto_first(a[0].p, a[1].p, a[2].p, a[3].p, a[4].p, a[5].p, a[6].p, a[7].i, a[8].i, a[9].i, a[10].i, a[11].i,
                      a[12].i);
        break;
    case DO_FIRST_BACK:
        impasto_first_back(a[0].p, a[1].p, a[2].p, a[3].p, a[4].i, a[5].i, a[6].i, a[7].i, a[8].i, a[9].i);
        break;
    case DO_POOL: impasto_pool(a[0].p, a[1].p, a[2].p, a[3].i, a[4].i, a[5].i, a[6].f, a[7].i, a[8].i); break;
    case DO_POOL_BACK:
        impasto_pool_back(a[0].p, a[1].p, a[2].p, a[3].p, a[4].p, a[5].i, a[6].i, a[7].i, a[8].f, a[9].i, a[10].i);
        break;
    case DO_MOMENTS_PARTS: return impasto_moments_parts(a[0].i, a[1].i);
    case DO_MOMENTS: impasto_moments(a[0].p, a[1].p, a[2].p, a[3].p, a[4].i, a[5].i, a[6].i, a[7].i); break;
    case DO_MOMENTS_BACK: impasto_moments_back(a[0].p, a[1].p, a[2].p, a[3].p, a[4].i, a[5].i, a[6].i, a[7].i); break;
    default: exit(1);
    }
    return 0;
}

int main(void) {
#ifdef _WIN32
    _setmode(0, _O_BINARY);
    _setmode(1, _O_BINARY);
#endif
    for (;;) {
        int function, count;
        Argument a[17] = {{0}};
        get(&function, sizeof function);
        get(&count, sizeof count);
        for (int i = 0; i < count; i++) a[i] = argument();
        long long found = call(function, a);
        put(&found, sizeof found);
        for (int i = 0; i < count; i++) {
            if (a[i].kind == KIND_CHANGED) put(a[i].p, a[i].size);
            free(a[i].p);
        }
        fflush(stdout);
    }
}
