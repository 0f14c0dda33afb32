/* Products in bfloat16 for native_bf16.c: how what they multiply lies in memory, and the kernels of each instruction set.
 *
 * A kernel adds the products of one chunk, CHUNK input channels at all 9 taps, to the sums of POSITIONS x OUTPUTS, in
 * float32. The library has every kernel that its compiler knows; which of them this machine has is asked when it runs.
 */
#include <string.h>

typedef unsigned short bf16; /* the upper half of a float32 */

#define CHUNK 32     /* channels: what a row of a matrix unit's tile holds */
#define OUTPUTS 32   /* output channels of a panel: two tiles side by side */
#define POSITIONS 32 /* two tiles one below the other */
#define TAP (CHUNK * OUTPUTS)

enum { PLAIN_KERNEL, AVX512_KERNEL, AMX_KERNEL };

/* Features lie with a border of zeros, (h + 2, w + 2, pitch): a tap is then one offset for all positions, and any
 * POSITIONS in a row are a matrix, those in the border being computed for nothing. Behind the last row there is room for
 * what the last matrix reads. Many channels have a line more than a power of two: else they fall on few cache sets. */
static inline ptrdiff_t pitch(int channels) { return channels < 256 ? channels : channels + CHUNK; }
static inline ptrdiff_t bordered(int h, int w, int channels) {
    return (((ptrdiff_t)h + 2) * (w + 2) + POSITIONS) * pitch(channels);
}
/* Where a pixel's channels begin. */
static inline ptrdiff_t place(int row, int column, int w, int channels) {
    return ((row + 1) * ((ptrdiff_t)w + 2) + column + 1) * pitch(channels);
}
static void clear_border(bf16 *x, int h, int w, int channels) {
    const size_t line = pitch(channels) * sizeof(bf16);
    memset(x, 0, (w + 2) * line);
    memset(x + place(h, -1, w, channels), 0, (w + 2) * line);
    for (int row = 0; row < h; row++) {
        memset(x + place(row, -1, w, channels), 0, line);
        memset(x + place(row, w, w, channels), 0, line);
    }
}

/* One convolution of bordered features; native_bf16.py fills this in. Null pointers switch a step off, as in Conv. */
typedef struct {
    const bf16 *x;           /* input of c channels */
    const bf16 *kernels;     /* (k / OUTPUTS, c / CHUNK, 9, 2, CHUNK / 2, OUTPUTS / 2, 2): pairs of channels side by side */
    bf16 *y;                 /* output of k channels, bordered */
    float *features;         /* (h, w, k): the same in float32 */
    const float *bias;       /* (k): forward, without it backward */
    const float *add;        /* (h, w, k) */
    unsigned char *mask;     /* (h, w, k) */
    const float *add_before; /* (h, w, k) */
    float *before;           /* (h, w, k) */
    float *work;             /* block * OUTPUTS floats a thread */
    int h, w, c, k, block, threads, width, kernel;
} ConvBf16;

/* The arguments of the other functions, for the threads that share them; x, y, dy and dx are bordered. */
typedef struct {
    const float *x;
    bf16 *y;
    int h, w, c;
} Pack;
typedef struct {
    const float *image, *b, *bias;
    bf16 *y;
    float *features, *before;
    unsigned char *mask;
    float *work;
    int h, w, k, replicate;
} FirstBf16;
typedef struct {
    const bf16 *x;
    bf16 *y;
    float *features;
    unsigned char *mask;
    int h, w, c;
    float mean;
} PoolBf16;
typedef struct {
    const unsigned char *mask;
    const bf16 *dy;
    const float *add, *add_before;
    bf16 *dx;
    int h, w, c;
    float mean;
} PoolBackBf16;

/* `a`: POSITIONS of c channels, at the first tap's place of the first of them, `pitch` apart, rows of them `row` apart.
 * `b`: the chunk's part of a panel. `sums`: (POSITIONS, OUTPUTS), overwritten where `fresh`. */
typedef void Kernel(const bf16 *a, ptrdiff_t pitch, ptrdiff_t row, const bf16 *b, float *sums, int fresh);

#if defined(__x86_64__) && defined(__linux__) && !defined(WITHOUT_BF16) && defined(__has_include)
#if __has_include(<avx512bf16intrin.h>) && (__has_include(<amxbf16intrin.h>) || __has_include(<amxintrin.h>))
#define HAS_BF16 /* GCC and clang of late 2020 */
#endif
#endif

#ifdef HAS_BF16
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* AVX512-BF16: a pair of channels of one position, times that pair's kernels of OUTPUTS / 2 outputs, in one instruction. */
#define ROWS_AT_ONCE 8 /* two registers of sums each */
BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
static void kernel_avx512(const bf16 *a, ptrdiff_t pitch, ptrdiff_t row, const bf16 *b, float *sums, int fresh) {
    for (int from = 0; from < POSITIONS; from += ROWS_AT_ONCE, a += ROWS_AT_ONCE * pitch, sums += ROWS_AT_ONCE * OUTPUTS) {
        __m512 left[ROWS_AT_ONCE], right[ROWS_AT_ONCE];
        UNROLL(8)
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            left[r] = fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * OUTPUTS);
            right[r] = fresh ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * OUTPUTS + OUTPUTS / 2);
        }
        for (int tap = 0; tap < 9; tap++) {
            const bf16 *at = a + tap / 3 * row + tap % 3 * pitch, *kernels = b + tap * TAP;
            for (int pair = 0; pair < CHUNK; pair += 2, kernels += OUTPUTS) {
                __m512bh b0 = (__m512bh)_mm512_loadu_si512(kernels);
                __m512bh b1 = (__m512bh)_mm512_loadu_si512(kernels + TAP / 2);
                UNROLL(8)
                for (int r = 0; r < ROWS_AT_ONCE; r++) {
                    int both;
                    memcpy(&both, at + r * pitch + pair, sizeof both);
                    __m512bh s = (__m512bh)_mm512_set1_epi32(both);
                    left[r] = _mm512_dpbf16_ps(left[r], s, b0);
                    right[r] = _mm512_dpbf16_ps(right[r], s, b1);
                }
            }
        }
        UNROLL(8)
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            _mm512_storeu_ps(sums + r * OUTPUTS, left[r]);
            _mm512_storeu_ps(sums + r * OUTPUTS + OUTPUTS / 2, right[r]);
        }
    }
}
END_TARGET
#endif

/* AMX: eight registers, each a tile of up to 16 rows of 64 bytes; its instructions, or C that does the same. */
#define LINE 64
#ifdef EMULATED_TILES /* by Intel's manual (TILELOADD, TDPBF16PS), for tests: rows and columns are those configured */
typedef struct {
    unsigned char palette, start_row, reserved[14];
    unsigned short columns[16]; /* bytes */
    unsigned char rows[16];
} TileShapes;
static __thread TileShapes shapes;
static __thread unsigned char tiles[8][16][LINE];
static void load_shapes(const void *from) { memcpy(&shapes, from, sizeof shapes), memset(tiles, 0, sizeof tiles); }
static void release_tiles(void) { memset(&shapes, 0, sizeof shapes), memset(tiles, 0xff, sizeof tiles); }
static void clear_tile(int t) { memset(tiles[t], 0, sizeof tiles[t]); }
static void load_tile(int t, const void *from, ptrdiff_t stride) {
    clear_tile(t);
    for (int r = 0; r < shapes.rows[t]; r++) memcpy(tiles[t][r], (const char *)from + r * stride, shapes.columns[t]);
}
static void store_tile(int t, void *to, ptrdiff_t stride) {
    for (int r = 0; r < shapes.rows[t]; r++) memcpy((char *)to + r * stride, tiles[t][r], shapes.columns[t]);
}
static float widened(bf16 half) {
    unsigned bits = (unsigned)half << 16;
    float value;
    return memcpy(&value, &bits, sizeof value), value;
}
static void multiply_tiles(int to, int a, int b) {
    for (int m = 0; m < shapes.rows[to]; m++)
        for (int n = 0; n < shapes.columns[to] / 4; n++) {
            float even = 0, odd = 0, sum;
            for (int k = 0; k < shapes.columns[a] / 4; k++) {
                bf16 x[2], y[2];
                memcpy(x, tiles[a][m] + 4 * k, sizeof x);
                memcpy(y, tiles[b][k] + 4 * n, sizeof y);
                even += widened(x[0]) * widened(y[0]);
                odd += widened(x[1]) * widened(y[1]);
            }
            memcpy(&sum, tiles[to][m] + 4 * n, sizeof sum);
            sum += even + odd;
            memcpy(tiles[to][m] + 4 * n, &sum, sizeof sum);
        }
}
#define HAS_TILES
#define BEGIN_TILES
#define END_TILES
#elif defined(HAS_BF16)
#define load_shapes(from) _tile_loadconfig(from)
#define release_tiles() _tile_release()
#define clear_tile(t) _tile_zero(t)
#define load_tile(t, from, stride) _tile_loadd(t, from, stride)
#define store_tile(t, to, stride) _tile_stored(t, to, stride)
#define multiply_tiles(to, a, b) _tile_dpbf16ps(to, a, b)
#define HAS_TILES
#define BEGIN_TILES BEGIN_TARGET("amx-tile,amx-bf16")
#define END_TILES END_TARGET
#endif

#ifdef HAS_TILES
#define KEPT_APART __asm__ volatile("" ::: "memory") /* the intrinsics don't say that they read and write memory */
BEGIN_TILES
static void begin_tiles(void) {
    unsigned char config[64] = {1}; /* palette 1 */
    for (int t = 0; t < 8; t++) config[16 + 2 * t] = LINE, config[48 + t] = 16;
    KEPT_APART;
    load_shapes(config);
}
static void end_tiles(void) { release_tiles(); }
static void kernel_amx(const bf16 *a, ptrdiff_t pitch, ptrdiff_t row, const bf16 *b, float *sums, int fresh) {
    const ptrdiff_t apart = pitch * sizeof(bf16), wide = OUTPUTS * sizeof(float);
    float *lower = sums + POSITIONS / 2 * OUTPUTS;
    KEPT_APART;
    if (fresh) {
        clear_tile(0);
        clear_tile(1);
        clear_tile(2);
        clear_tile(3);
    } else {
        load_tile(0, sums, wide);
        load_tile(1, sums + OUTPUTS / 2, wide);
        load_tile(2, lower, wide);
        load_tile(3, lower + OUTPUTS / 2, wide);
    }
    for (int tap = 0; tap < 9; tap++, b += TAP) {
        const bf16 *at = a + tap / 3 * row + tap % 3 * pitch;
        load_tile(4, at, apart);
        load_tile(6, b, LINE);
        multiply_tiles(0, 4, 6);
        load_tile(7, b + TAP / 2, LINE);
        multiply_tiles(1, 4, 7);
        load_tile(5, at + POSITIONS / 2 * pitch, apart);
        multiply_tiles(2, 5, 6);
        multiply_tiles(3, 5, 7);
    }
    store_tile(0, sums, wide);
    store_tile(1, sums + OUTPUTS / 2, wide);
    store_tile(2, lower, wide);
    store_tile(3, lower + OUTPUTS / 2, wide);
    KEPT_APART;
}
END_TILES
#else
#define begin_tiles() ((void)0)
#define end_tiles() ((void)0)
#define kernel_amx NULL
#endif
#ifndef HAS_BF16
#define kernel_avx512 NULL
#endif

/* A bit for each kernel that can run here. Linux lets a process use tiles that asks for it once; asked again, it agrees
 * again. It refuses where a thread's alternative stack for signals is too small to save them. */
static int bf16_kernels(void) {
    int found = 1 << PLAIN_KERNEL;
#ifdef HAS_BF16
    unsigned a, b, c, d, kept, high;
    const unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return found;
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d)) return found;
    const int dot_product = a >> 5 & 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    if (dot_product && (b & wide) == wide && (kept & 0xe6) == 0xe6) found |= 1 << AVX512_KERNEL;
#ifndef EMULATED_TILES
    const int units = (d >> 22 & 1) && (d >> 24 & 1); /* AMX-BF16, AMX-TILE */
    const int request = 0x1023, tile_data = 18;       /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    if (units && (kept >> 17 & 3) == 3 && !syscall(SYS_arch_prctl, request, tile_data)) found |= 1 << AMX_KERNEL;
#endif
#endif
#ifdef EMULATED_TILES
    found |= 1 << AMX_KERNEL;
#endif
    return found;
}
