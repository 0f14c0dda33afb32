/* VGG's 3x3 convolutions, forward and backward, in float32. Called by native.py; no Python in here. What bfloat16 has of
 * its own stands in native_bf16.c and native_bf16.h.
 *
 * Every convolution is Winograd's F(4x4, 3x3) (Lavin & Gray 2016): a tile of 6 x 6 inputs becomes
 * 4 x 4 outputs with 36 instead of 144 multiplications. Features are (h, w, channels) in memory, so that a
 * vector holds neighbouring channels of one pixel, the transforms need no shuffles, and (h*w, channels) can be
 * handed to BLAS for a Gram matrix as it is. Channels come in multiples of 32.
 *
 * Written in the vector types of GCC and clang. The file includes itself once per instruction set, WIDTH floats to a
 * vector: AVX-512 and AVX2 on x86-64, of which `width` picks one at each call, and on ARM64 NEON, which all have. Any
 * number of threads may call at once, each with buffers of its own.
 *
 * The moments of features are in native_moments.c, poolings in native_pooling.h.
 *
 * Outputs are shared out among the threads in pieces that don't change a sum, and every sum runs in one fixed order:
 * the result is the same to the bit whatever the number of threads.
 */
#ifndef WIDTH

#if !defined(__GNUC__) && !defined(__clang__) || !defined(__x86_64__) && !defined(__aarch64__)
#error "native.c is written for GCC and clang on x86-64 and ARM64: without it, impasto computes with torch"
#endif
#if defined(_WIN32) && !defined(__clang__)
#error "GCC misaligns AVX's vectors on the stack of Windows (its bug 54412): compile native.c by clang"
#endif

#include <string.h>
#include "threads.h"

#define VERSION 6 /* of the calls below: native.py refuses a library built from another */
#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed" /* a loop that may end early isn't always unrolled */
#define UNROLL(n) PRAGMA(clang loop unroll(full))
#define BEGIN_TARGET(names) PRAGMA(clang attribute push(__attribute__((target(names))), apply_to = function))
#define END_TARGET PRAGMA(clang attribute pop)
#else
#define UNROLL(n) PRAGMA(GCC unroll n)
#define BEGIN_TARGET(names) PRAGMA(GCC push_options) PRAGMA(GCC target(names))
#define END_TARGET PRAGMA(GCC pop_options)
#endif
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* One convolution; native.py fills this in, field by field (ctypes.Structure). Null pointers switch a step off. */
typedef struct {
    const float *x;          /* (h, w, c) input */
    const float *kernels;    /* transformed by transform(), or as they are if `deep` */
    float *y;                /* (h, w, k) output */
    const float *bias;       /* (k): y = max(conv + bias, 0), the forward pass; without it the backward pass: */
    const float *add;        /* (h, w, k): the gradient a loss sends to the rectified layer, added first */
    unsigned char *mask;     /* (h, w, k): forward, set where y is positive; backward, elsewhere the gradient stops */
    const float *add_before; /* (h, w, k): the gradient a loss sends to the layer before its ReLU, added last */
    float *before;           /* (h, w, k): forward only, also store conv + bias */
    float *work;             /* scratch, workspace() floats */
    int h, w, c, k, block, deep, threads, width;
} Conv;

/* The arguments of the other functions, for the threads that share them. */
typedef struct {
    const float *g;
    float *u;
    int c, k;
} Transform;
typedef struct {
    const float *image, *b, *bias;
    float *y, *before;
    unsigned char *mask;
    float *work;
    int h, w, k, replicate;
} First;
typedef struct {
    const float *dy, *b;
    const unsigned short *half; /* in place of dy: the same in bfloat16, bordered */
    float *dimage, *work;
    int h, w, k, replicate;
} FirstBack;
typedef struct {
    const float *x;
    float *y, *features; /* `features`: NULL, as y are they */
    unsigned char *mask;
    int h, w, c;
    float mean;
} Pool;
typedef struct {
    const unsigned char *mask;
    const float *dy, *add, *add_before;
    float *dx;
    int h, w, c;
    float mean;
} PoolBack;
typedef struct {
    const float *x;   /* (m, c): features by positions */
    double *parts;    /* moments_parts() matrices (c + 1, c), one of each part of the positions */
    double *sums;     /* (c + 1, c + 1): the products of all pairs of channels, and of each with 1 */
    float *work;      /* a block of products a thread */
    ptrdiff_t m;
    int c;
} Moments;
typedef struct {
    const float *x;  /* (m, c) */
    const double *d; /* (c + 1, c + 1): the gradient to the moments; the last row and column are of the sums */
    float *panels;   /* (c / PANEL, c, PANEL), and c more: of d + its transpose */
    float *y;        /* (m, c) */
    int c;
} MomentsBack;

#define PASSES 1 /* a bit of a mask: the ReLU let the value through */
#define TAKEN 2  /* a bit of a mask: the pooling behind it took the value, the first of equal ones, as in torch */

#define M 4
#define N 6
#define DEEP_OUTPUTS 32 /* output channels that one thread takes of a deep layer */

/* Space between the frequencies of one block: a line more than a power of two, or all 36 fall on one cache set. */
INLINE ptrdiff_t stride_of(int tiles, int channels) { return (ptrdiff_t)tiles * channels + 16; }

INLINE int tiles_of(const Conv *a) { return ((a->h + M - 1) / M) * ((a->w + M - 1) / M); }

#include "native_bf16.h"

#define MOMENTS_PIECE 256 /* positions whose products are summed in float32; the sums of such pieces add up in double */
#define MOMENTS_ROWS 112  /* positions that are multiplied by a matrix at a time: so few that they stay in the cache */

/* Into how many parts positions are shared out, whatever the number of threads: sums have one order. */
static ptrdiff_t moments_parts(ptrdiff_t m, int c) {
    const ptrdiff_t most = c > 256 ? 8 : 16;
    ptrdiff_t parts = 1;
    while (parts < most && parts * MOMENTS_PIECE < m) parts *= 2;
    return parts;
}

/* A block of tiles of a deep layer, from `from` on, on which all threads work. */
typedef struct {
    const Conv *conv;
    float *v, *o, *kernels;
    int from, count;
} DeepBlock;

#ifdef __x86_64__
#include <cpuid.h>
#define WIDTH 16
#define ROWS 14
#define NAME(f) f##_avx512
BEGIN_TARGET("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include "native.c"
END_TARGET
#undef WIDTH
#undef ROWS
#undef NAME
#define WIDTH 8
#define ROWS 6
#define NAME(f) f##_avx2
BEGIN_TARGET("avx2,fma")
#include "native.c"
END_TARGET
#define KERNEL(f, width) ((width) == 16 ? f##_avx512 : f##_avx2)

static int widest(void) {
    const unsigned wide = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    unsigned a, b, basic, c, d, kept; /* `kept`: which registers the system keeps for each process */
    if (!__get_cpuid(1, &a, &b, &basic, &d) || ~basic & (bit_OSXSAVE | bit_FMA)) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return 0;
    __asm__ volatile("xgetbv" : "=a"(kept), "=d"(d) : "c"(0));
    if ((kept & 0x06) != 0x06) return 0;
    return (b & wide) == wide && (kept & 0xe6) == 0xe6 ? 16 : 8;
}
#else
#define WIDTH 4
#define ROWS 10 /* with more, clang doesn't keep all in the 32 registers */
#define NAME(f) f##_neon
#include "native.c"
#define KERNEL(f, width) ((void)(width), f##_neon)

static int widest(void) { return 4; }
#endif

EXPORT int impasto_version(void) { return VERSION; }
/* Floats to the widest vector of this processor, 0 if it has none of the kernels' instruction sets. */
EXPORT int impasto_width(void) { return widest(); }
EXPORT ptrdiff_t impasto_workspace(const Conv *a) {
    ptrdiff_t block = N * N * (stride_of(a->block, a->c) + stride_of(a->block, a->k));
    return MAX(a->c, a->k) + (a->deep ? block + (ptrdiff_t)a->threads * N * a->c * DEEP_OUTPUTS : block * a->threads);
}
EXPORT void impasto_conv(const Conv *a) {
    memset(a->work, 0, a->c * sizeof(float)); /* the zeros around the image */
    if (!a->deep) { /* few channels: each thread takes blocks of tiles that stay in its cache from end to end */
        in_parallel(KERNEL(shallow, a->width), a, tiles_of(a), a->block, a->threads);
        return;
    }
    /* Many channels: the kernels are the larger part, so all threads share one large block of tiles. Kept transformed,
     * they would take four times the memory and longer to fetch than to compute: so each thread transforms what it
     * multiplies next, one row of six frequencies for DEEP_OUTPUTS outputs, in its own cache. */
    DeepBlock b = {a, a->work + MAX(a->c, a->k), NULL, NULL, 0, 0};
    b.o = b.v + N * N * stride_of(a->block, a->c);
    b.kernels = b.o + N * N * stride_of(a->block, a->k);
    for (; b.from < tiles_of(a); b.from += a->block) {
        b.count = MIN(a->block, tiles_of(a) - b.from);
        in_parallel(KERNEL(deep_inputs, a->width), &b, b.count, 4, a->threads);
        in_parallel(KERNEL(deep_products, a->width), &b, N * (a->k / DEEP_OUTPUTS), 1, a->threads);
        in_parallel(KERNEL(deep_outputs, a->width), &b, b.count, 4, a->threads);
    }
}
EXPORT void impasto_transform(const float *g, float *u, int c, int k, int threads, int width) {
    Transform a = {g, u, c, k};
    in_parallel(KERNEL(transform, width), &a, N * (k / (2 * width)), 1, threads);
}
EXPORT void impasto_first(const float *image, const float *b, const float *bias, float *y, float *before,
                          unsigned char *mask, float *work, int h, int w, int k, int replicate, int threads,
                          int width) {
    First a = {image, b, bias, y, before, mask, work, h, w, k, replicate};
    in_parallel(KERNEL(first, width), &a, h, (h + threads - 1) / threads, threads);
}
EXPORT void impasto_first_back(const float *dy, const float *b, float *dimage, float *work, int h, int w, int k,
                               int replicate, int threads, int width) {
    FirstBack a = {dy, b, NULL, dimage, work, h, w, k, replicate};
    in_parallel(KERNEL(first_back, width), &a, h, (h + threads - 1) / threads, threads);
}
EXPORT void impasto_pool(const float *x, float *y, unsigned char *mask, int h, int w, int c, float mean, int threads,
                         int width) {
    Pool a = {x, y, NULL, mask, h, w, c, mean};
    in_parallel(KERNEL(pool, width), &a, h / 2, 1, threads);
}
EXPORT void impasto_pool_back(const unsigned char *mask, const float *dy, const float *add, const float *add_before,
                              float *dx, int h, int w, int c, float mean, int threads, int width) {
    PoolBack a = {mask, dy, add, add_before, dx, h, w, c, mean};
    in_parallel(KERNEL(pool_back, width), &a, (h + 1) / 2, 1, threads);
}
/* Sums over positions of the products of channels, and back: `sums` are the moments of native_moments.c. */
EXPORT ptrdiff_t impasto_moments_parts(ptrdiff_t m, int c) { return moments_parts(m, c); }
EXPORT void impasto_moments(const float *x, double *parts, double *sums, float *work, ptrdiff_t m, int c, int threads,
                            int width) {
    Moments a = {x, parts, sums, work, m, c};
    in_parallel(KERNEL(moments_part, width), &a, moments_parts(m, c), 1, threads);
    in_parallel(KERNEL(moments_sum, width), &a, c + 1, 8, threads);
}
EXPORT void impasto_moments_back(const float *x, const double *d, float *panels, float *y, ptrdiff_t m, int c,
                                 int threads, int width) {
    MomentsBack a = {x, d, panels, y, c};
    in_parallel(KERNEL(moments_panels, width), &a, c / (2 * width), 1, threads);
    in_parallel(KERNEL(moments_back, width), &a, m, MOMENTS_ROWS, threads);
}

/* The same in bfloat16. */
EXPORT int impasto_bf16_kernels(void) { return bf16_kernels(); }
EXPORT ptrdiff_t impasto_bf16_size(int h, int w, int c) { return bordered(h, w, c); }
EXPORT void impasto_conv_bf16(const ConvBf16 *a) {
    const ptrdiff_t positions = a->h * (a->w + (ptrdiff_t)2) - 2, blocks = (positions + a->block - 1) / a->block;
    if (a->y) clear_border(a->y, a->h, a->w, a->k);
    in_parallel(KERNEL(conv_bf16, a->width), a, blocks * (a->k / OUTPUTS), 1, a->threads);
}
EXPORT void impasto_pack_bf16(const float *x, bf16 *y, int h, int w, int c, int threads, int width) {
    Pack a = {x, y, h, w, c};
    clear_border(y, h, w, c);
    in_parallel(KERNEL(pack, width), &a, h, 1, threads);
}
EXPORT void impasto_first_bf16(const float *image, const float *b, const float *bias, bf16 *y, float *features,
                               float *before, unsigned char *mask, float *work, int h, int w, int k, int replicate,
                               int threads, int width) {
    FirstBf16 a = {image, b, bias, y, features, before, mask, work, h, w, k, replicate};
    clear_border(y, h, w, k);
    in_parallel(KERNEL(first_bf16, width), &a, h, 1, threads);
}
EXPORT void impasto_first_back_bf16(const bf16 *dy, const float *b, float *dimage, float *work, int h, int w, int k,
                                    int replicate, int threads, int width) {
    FirstBack a = {NULL, b, dy, dimage, work, h, w, k, replicate};
    in_parallel(KERNEL(first_back, width), &a, h, (h + threads - 1) / threads, threads);
}
EXPORT void impasto_pool_bf16(const bf16 *x, bf16 *y, float *features, unsigned char *mask, int h, int w, int c,
                              float mean, int threads, int width) {
    PoolBf16 a = {x, y, features, mask, h, w, c, mean};
    clear_border(y, h / 2, w / 2, c);
    in_parallel(KERNEL(pool_bf16, width), &a, h / 2, 1, threads);
}
EXPORT void impasto_pool_back_bf16(const unsigned char *mask, const bf16 *dy, const float *add, const float *add_before,
                                   bf16 *dx, int h, int w, int c, float mean, int threads, int width) {
    PoolBackBf16 a = {mask, dy, add, add_before, dx, h, w, c, mean};
    clear_border(dx, h, w, c);
    in_parallel(KERNEL(pool_back_bf16, width), &a, (h + 1) / 2, 1, threads);
}

#else /* ---- once per instruction set ---- */

#define vec NAME(vec)
#define PANEL (2 * WIDTH)
typedef float vec __attribute__((vector_size(4 * WIDTH), aligned(4), may_alias));
#define LOAD(p) (*(const vec *)(p))
#define STORE(p, v) (*(vec *)(p) = (v))

typedef int NAME(lanes) __attribute__((vector_size(4 * WIDTH)));
INLINE vec NAME(keep)(NAME(lanes) where, vec a) { return (vec)((NAME(lanes))a & where); }
INLINE vec NAME(largest)(vec a, vec b) { return (vec)(((NAME(lanes))a & (a > b)) | ((NAME(lanes))b & ~(a > b))); }
/* Activation masks have a byte a value. */
#define mask_bytes NAME(mask_bytes)
typedef unsigned char mask_bytes __attribute__((vector_size(WIDTH), aligned(1), may_alias));
INLINE NAME(lanes) NAME(in_mask)(const unsigned char *p, int bit) {
    return (__builtin_convertvector(*(const mask_bytes *)p, NAME(lanes)) & bit) != 0;
}
INLINE void NAME(store_mask)(unsigned char *p, NAME(lanes) where, int bit) {
    *(mask_bytes *)p = __builtin_convertvector(where & bit, mask_bytes);
}
INLINE vec NAME(rectified)(vec a) { return NAME(keep)(~(a <= (vec){0}), a); } /* NaN stays, so that a run notices */

/* bfloat16 is the upper half of a float32. */
#define halves NAME(halves)
typedef bf16 halves __attribute__((vector_size(2 * WIDTH), aligned(2), may_alias));
typedef unsigned NAME(bits) __attribute__((vector_size(4 * WIDTH), may_alias));

INLINE vec NAME(widen)(const bf16 *p) {
    return (vec)(__builtin_convertvector(*(const halves *)p, NAME(bits)) << 16);
}
/* Rounded to the nearest, of two equally near to the even one; NaN stays. */
INLINE void NAME(narrow)(bf16 *p, vec v) {
    NAME(bits) u = (NAME(bits))v, rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16, odd = (NAME(bits))(v != v);
    *(halves *)p = __builtin_convertvector((rounded & ~odd) | (odd & 0x7fc0), halves);
}

/* Row `row` of G g G^T for one panel of kernels (9 taps `apart`, c, PANEL) -> (6, c, PANEL), `step` between the six.
 * The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity: half the error of the usual 0, +-1, +-2. */
INLINE void NAME(transform_panel)(const float *g, ptrdiff_t apart, int row, int c, float *u, ptrdiff_t step) {
    const float r = 1.41421356237f;
    const float rows[N][3] = {{1, 0, 0}, {-2.f / 3, -r / 3, -1.f / 3}, {-2.f / 3, r / 3, -1.f / 3},
                              {1.f / 6, r / 6, 1.f / 3}, {1.f / 6, -r / 6, 1.f / 3}, {0, 0, 1}};
    const float *e = rows[row];
    for (ptrdiff_t i = 0; i < (ptrdiff_t)c * PANEL; i += WIDTH, g += WIDTH, u += WIDTH) {
        vec t[3];
        UNROLL(3)
        for (int q = 0; q < 3; q++)
            t[q] = e[0] * LOAD(g + q * apart) + e[1] * LOAD(g + (3 + q) * apart) + e[2] * LOAD(g + (6 + q) * apart);
        vec odd = r * t[1], inner = -2.f / 3 * t[0] - 1.f / 3 * t[2], outer = 1.f / 6 * t[0] + 1.f / 3 * t[2];
        STORE(u, t[0]);
        STORE(u + step, inner - 1.f / 3 * odd);
        STORE(u + 2 * step, inner + 1.f / 3 * odd);
        STORE(u + 3 * step, outer + 1.f / 6 * odd);
        STORE(u + 4 * step, outer - 1.f / 6 * odd);
        STORE(u + 5 * step, t[2]);
    }
}

/* Kernels (9, k / PANEL, c, PANEL) -> (36, k / PANEL, c, PANEL). */
static void NAME(transform)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const Transform a = *(const Transform *)context;
    const ptrdiff_t all = (ptrdiff_t)a.c * a.k, panel = (ptrdiff_t)a.c * PANEL;
    (void)worker;
    for (ptrdiff_t j = from; j < to; j++) {
        int row = j % N, p = j / N;
        NAME(transform_panel)(a.g + p * panel, all, row, a.c, a.u + row * N * all + p * panel, all);
    }
}

/* One line of B^T d: 6 inputs to 6 frequencies. */
INLINE void NAME(to_frequencies)(const vec *d, vec *o) {
    const float r = 1.41421356237f, s = 0.70710678118f;
    vec a = d[4] - 2 * d[2], b = r * d[1] - s * d[3];
    vec e = d[4] - 0.5f * d[2], f = s * d[1] - r * d[3];
    o[0] = d[0] - 2.5f * d[2] + d[4];
    o[1] = a - b;
    o[2] = a + b;
    o[3] = e - f;
    o[4] = e + f;
    o[5] = d[1] - 2.5f * d[3] + d[5];
}

/* One line of A^T o: 6 frequencies to 4 outputs. */
INLINE void NAME(from_frequencies)(const vec *o, vec *y) {
    const float r = 1.41421356237f, s = 0.70710678118f;
    vec a = o[1] + o[2], b = o[1] - o[2], e = o[3] + o[4], f = o[3] - o[4];
    y[0] = o[0] + a + e;
    y[1] = s * b + r * f;
    y[2] = 0.5f * a + 2 * e;
    y[3] = 0.5f * s * b + 2 * r * f + o[5];
}

/* Input transform of one tile: (6, 6, c) pixels, outside the image zeros, to v[frequency][tile][c]. */
INLINE void NAME(input_transform)(const Conv *a, int tile, const float *zeros, float *v, ptrdiff_t stride) {
    const int c = a->c, across = (a->w + M - 1) / M;
    const float *pixel[N * N];
    int top = tile / across * M - 1, left = tile % across * M - 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int y = top + i, x = left + j;
            pixel[i * N + j] = y >= 0 && y < a->h && x >= 0 && x < a->w ? a->x + ((ptrdiff_t)y * a->w + x) * c : zeros;
        }
    for (int ch = 0; ch < c; ch += WIDTH) {
        vec half[N][N], in[N], out[N];
        UNROLL(8)
        for (int j = 0; j < N; j++) {
            UNROLL(8)
            for (int i = 0; i < N; i++) {
                in[i] = LOAD(pixel[i * N + j] + ch);
                if (j >= 2) __builtin_prefetch(pixel[i * N + j] + M * c + ch);
            }
            NAME(to_frequencies)(in, out);
            UNROLL(8)
            for (int i = 0; i < N; i++) half[i][j] = out[i];
        }
        UNROLL(8)
        for (int i = 0; i < N; i++) {
            NAME(to_frequencies)(half[i], out);
            UNROLL(8)
            for (int j = 0; j < N; j++) STORE(v + (i * N + j) * stride + ch, out[j]);
        }
    }
}

/* Output transform of one tile and whatever follows the convolution. */
INLINE void NAME(output_transform)(const Conv *a, int tile, const float *v, ptrdiff_t stride) {
    const int k = a->k, across = (a->w + M - 1) / M;
    int top = tile / across * M, left = tile % across * M;
    int high = MIN(M, a->h - top), broad = MIN(M, a->w - left);
    for (int ch = 0; ch < k; ch += WIDTH) {
        vec half[M][N], in[N], out[N];
        UNROLL(8)
        for (int j = 0; j < N; j++) {
            UNROLL(8)
            for (int i = 0; i < N; i++) in[i] = LOAD(v + (i * N + j) * stride + ch);
            NAME(from_frequencies)(in, out);
            UNROLL(8)
            for (int i = 0; i < M; i++) half[i][j] = out[i];
        }
        vec bias = {0}, zero = {0};
        if (a->bias) bias = LOAD(a->bias + ch);
        UNROLL(8)
        for (int i = 0; i < M; i++) {
            if (i >= high) break;
            NAME(from_frequencies)(half[i], out);
            ptrdiff_t at = ((ptrdiff_t)(top + i) * a->w + left) * k + ch;
            UNROLL(8)
            for (int j = 0; j < M; j++, at += k) {
                if (j >= broad) break;
                vec y = out[j];
                if (a->bias) {
                    y += bias;
                    if (a->before) STORE(a->before + at, y);
                    y = NAME(rectified)(y);
                    if (a->mask) NAME(store_mask)(a->mask + at, y > zero, PASSES);
                } else {
                    if (a->add) y += LOAD(a->add + at);
                    if (a->mask) y = NAME(keep)(NAME(in_mask)(a->mask + at, PASSES), y);
                    if (a->add_before) y += LOAD(a->add_before + at);
                }
                STORE(a->y + at, y);
            }
        }
    }
}

/* rows x PANEL of a product of c terms: all accumulators stay in registers, and begin with `start` (PANEL), or 0 without.
 * A row of `a` is lda further on than the one before, its next term `across`; b: PANEL neighbours of each term, ldb apart. */
INLINE void NAME(product_rows)(const int rows, const float *a, ptrdiff_t lda, ptrdiff_t across, const float *b,
                               ptrdiff_t ldb, ptrdiff_t c, const float *start, float *o, ptrdiff_t ldo) {
    vec left[ROWS], right[ROWS], begin[2] = {{0}, {0}};
    if (start) begin[0] = LOAD(start), begin[1] = LOAD(start + WIDTH);
    UNROLL(16)
    for (int r = 0; r < rows; r++) left[r] = begin[0], right[r] = begin[1];
    for (ptrdiff_t i = 0; i < c; i++, b += ldb) {
        vec b0 = LOAD(b), b1 = LOAD(b + WIDTH);
        UNROLL(16)
        for (int r = 0; r < rows; r++) {
            float s = a[r * lda + i * across];
            left[r] += s * b0;
            right[r] += s * b1;
        }
    }
    UNROLL(16)
    for (int r = 0; r < rows; r++) {
        STORE(o + r * ldo, left[r]);
        STORE(o + r * ldo + WIDTH, right[r]);
    }
}

/* The same for a number of rows, 1 to ROWS, that is known only now. */
#define PRODUCT_ROWS(count, ...) \
    switch (count) { \
        CASES_6(__VA_ARGS__) \
        CASES_10(__VA_ARGS__) \
        CASES_14(__VA_ARGS__) \
    }
#define CASE(r, ...) case r: NAME(product_rows)(r, __VA_ARGS__); break;
#define CASES_6(...) CASE(1, __VA_ARGS__) CASE(2, __VA_ARGS__) CASE(3, __VA_ARGS__) CASE(4, __VA_ARGS__) \
                     CASE(5, __VA_ARGS__) CASE(6, __VA_ARGS__)
#if ROWS > 6
#define CASES_10(...) CASE(7, __VA_ARGS__) CASE(8, __VA_ARGS__) CASE(9, __VA_ARGS__) CASE(10, __VA_ARGS__)
#else
#define CASES_10(...)
#endif
#if ROWS > 10
#define CASES_14(...) CASE(11, __VA_ARGS__) CASE(12, __VA_ARGS__) CASE(13, __VA_ARGS__) CASE(14, __VA_ARGS__)
#else
#define CASES_14(...)
#endif

/* (rows, c) @ panels (outs / PANEL, c, PANEL) + start (outs), 0 without -> (rows, outs) */
static void NAME(product)(const float *a, ptrdiff_t lda, const float *b, int rows, int c, const float *start, float *o,
                          ptrdiff_t ldo, int outs) {
    int blocks = (rows + ROWS - 1) / ROWS;
    for (int p = 0; p < outs; p += PANEL, b += (ptrdiff_t)c * PANEL)
        for (int i = 0; i < blocks; i++) {
            int from = (ptrdiff_t)rows * i / blocks, count = (ptrdiff_t)rows * (i + 1) / blocks - from; /* even blocks */
            PRODUCT_ROWS(count, a + from * lda, lda, 1, b, PANEL, c, start ? start + p : NULL, o + from * ldo + p, ldo)
        }
}

/* One block of tiles, end to end. */
static void NAME(shallow)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const Conv *a = context;
    const int c = a->c, k = a->k, count = to - from;
    const ptrdiff_t vs = stride_of(a->block, c), os = stride_of(a->block, k);
    float *v = a->work + MAX(c, k) + worker * N * N * (vs + os), *o = v + N * N * vs;
    for (int t = 0; t < count; t++) NAME(input_transform)(a, from + t, a->work, v + (ptrdiff_t)t * c, vs);
    for (int f = 0; f < N * N; f++)
        NAME(product)(v + f * vs, c, a->kernels + (ptrdiff_t)f * c * k, count, c, NULL, o + f * os, k, k);
    for (int t = 0; t < count; t++) NAME(output_transform)(a, from + t, o + (ptrdiff_t)t * k, os);
}

static void NAME(deep_inputs)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const DeepBlock *b = context;
    const Conv *a = b->conv;
    (void)worker;
    for (ptrdiff_t t = from; t < to; t++)
        NAME(input_transform)(a, b->from + t, a->work, b->v + t * a->c, stride_of(a->block, a->c));
}

/* One row of frequencies for DEEP_OUTPUTS outputs. */
static void NAME(deep_products)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const DeepBlock *b = context;
    const Conv *a = b->conv;
    const int c = a->c, k = a->k, count = b->count;
    const ptrdiff_t vs = stride_of(a->block, c), os = stride_of(a->block, k), step = (ptrdiff_t)c * DEEP_OUTPUTS;
    for (ptrdiff_t j = from; j < to; j++) {
        const ptrdiff_t row = j % N, first = j / N * DEEP_OUTPUTS;
        float *u = b->kernels + worker * N * step;
        for (int p = 0; p < DEEP_OUTPUTS; p += PANEL)
            NAME(transform_panel)(a->kernels + (first + p) * c, (ptrdiff_t)c * k, row, c, u + (ptrdiff_t)p * c, step);
        for (int f = row * N; f < (row + 1) * N; f++, u += step)
            NAME(product)(b->v + f * vs, c, u, count, c, NULL, b->o + f * os + first, k, DEEP_OUTPUTS);
    }
}

static void NAME(deep_outputs)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const DeepBlock *b = context;
    const Conv *a = b->conv;
    (void)worker;
    for (ptrdiff_t t = from; t < to; t++)
        NAME(output_transform)(a, b->from + t, b->o + t * a->k, stride_of(a->block, a->k));
}

/* The neighbours of a row of an image (3, h, w): 9 values (3 colours, 3 rows) of a column side by side, w + 2 columns.
 * So the neighbours of a pixel are 27 in a row and the next pixel's begin 9 further on. Outside the image are zeros, or
 * with `replicate` the nearest pixels. */
INLINE void NAME(columns_of)(const float *image, int h, int w, int row, int replicate, float *columns) {
    memset(columns, 0, 9 * sizeof(float)); /* left and right of the image */
    memset(columns + (w + 1) * 9, 0, 9 * sizeof(float));
    for (int q = 0; q < 9; q++) {
        int yy = row + q % 3 - 1;
        if (replicate) yy = MIN(MAX(yy, 0), h - 1);
        const float *s = image + ((ptrdiff_t)(q / 3) * h + yy) * w;
        for (int x = 0; x < w; x++) columns[(x + 1) * 9 + q] = yy >= 0 && yy < h ? s[x] : 0;
    }
    if (replicate) {
        memcpy(columns, columns + 9, 9 * sizeof(float));
        memcpy(columns + (w + 1) * 9, columns + w * 9, 9 * sizeof(float));
    }
}

/* First layer, 3 channels: a product with the 27 neighbours of each pixel.
 * image (3, h, w); b (k / PANEL, 27, PANEL), in the order column, colour, row; work: 9 (w + 2) floats a thread. */
static void NAME(first)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const First a = *(const First *)context;
    const int h = a.h, w = a.w, k = a.k;
    const vec zero = {0};
    float *columns = a.work + worker * (ptrdiff_t)(w + 2) * 9;
    for (int row = from; row < to; row++) {
        NAME(columns_of)(a.image, h, w, row, a.replicate, columns);
        ptrdiff_t at = (ptrdiff_t)row * w * k;
        NAME(product)(columns, 9, a.b, w, 27, NULL, a.y + at, k, k);
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < k; ch += WIDTH, at += WIDTH) {
                vec v = LOAD(a.y + at) + LOAD(a.bias + ch);
                if (a.before) STORE(a.before + at, v);
                if (a.mask) NAME(store_mask)(a.mask + at, v > zero, PASSES);
                STORE(a.y + at, NAME(rectified)(v));
            }
    }
}

/* Back through the first layer: each pixel's 27 parts, then added up by the neighbours. b (32 / PANEL, k, PANEL), of
 * which 27 outputs count, in the order row, column, colour; work: 96 w floats a thread, and k w more for `half`. With
 * `replicate` a pixel of the border also gets what went to its copies outside the image. */
static void NAME(first_back)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const FirstBack a = *(const FirstBack *)context;
    const int h = a.h, w = a.w, k = a.k;
    float *parts = a.work + worker * (ptrdiff_t)(a.half ? 96 + k : 96) * w; /* three rows, by row number modulo 3 */
    float *wide = parts + (ptrdiff_t)96 * w;                                /* a row of `half` */
    int last = -2;                                       /* the last row in there */
    for (int row = from; row < to; row++) {
        for (int r = MAX(row - 1, last + 1); r <= MIN(row + 1, h - 1); last = r++)
            if (r >= 0) {
                const float *dy = a.half ? wide : a.dy + (ptrdiff_t)r * w * k;
                for (ptrdiff_t i = 0; a.half && i < (ptrdiff_t)w * k; i += WIDTH)
                    STORE(wide + i, NAME(widen)(a.half + place(r, i / k, w, k) + i % k));
                NAME(product)(dy, k, a.b, w, k, NULL, parts + (ptrdiff_t)(r % 3) * w * 32, 32, 32);
            }
        for (int x = 0; x < w; x++) {
            float sum[3] = {0, 0, 0};
            int above = a.replicate && row == 0, below = a.replicate && row == h - 1;
            int left = a.replicate && x == 0, right = a.replicate && x == w - 1;
            for (int y = row - above; y <= row + below; y++)
                for (int at = x - left; at <= x + right; at++)
                    for (int i = 0; i < 3; i++)
                        for (int j = 0; j < 3; j++) {
                            int yy = y + 1 - i, xx = at + 1 - j;
                            if (yy < 0 || yy >= h || xx < 0 || xx >= w) continue;
                            const float *p = parts + ((ptrdiff_t)(yy % 3) * w + xx) * 32 + (i * 3 + j) * 3;
                            for (int ch = 0; ch < 3; ch++) sum[ch] += p[ch];
                        }
            for (int ch = 0; ch < 3; ch++) a.dimage[((ptrdiff_t)ch * h + row) * w + x] = sum[ch];
        }
    }
}

#define POOLING(f) NAME(f)
#define POOLED Pool
#define POOLED_BACK PoolBack
#define AT(row, column, w, c) (((ptrdiff_t)(row) * (w) + (column)) * (c))
#define READ(p) LOAD(p)
#define WRITE(p, v) STORE(p, v)
#include "native_pooling.h"
#include "native_moments.c"
#include "native_bf16.c"
#undef vec
#undef mask_bytes
#undef halves
#undef PANEL
#undef LOAD
#undef STORE
#undef PRODUCT_ROWS
#undef CASE
#undef CASES_6
#undef CASES_10
#undef CASES_14
#endif
