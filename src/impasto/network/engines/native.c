/* VGG's 3x3 convolutions, forward and backward, in float32. Called by native.py; no Python in here.
 *
 * Every convolution is Winograd's F(4x4, 3x3) (Lavin & Gray 2016): a tile of 6 x 6 inputs becomes
 * 4 x 4 outputs with 36 instead of 144 multiplications. Features are (h, w, channels) in memory, so that a
 * vector holds neighbouring channels of one pixel, the transforms need no shuffles, and (h*w, channels) can be
 * handed to BLAS for a Gram matrix as it is. Channels come in multiples of 32.
 *
 * The file includes itself once per instruction set, WIDTH floats to a vector; `avx512` picks one at each call, and
 * there is no other state: any number of threads may call at once, each with buffers of its own.
 *
 * Outputs are shared out among the threads in pieces that don't depend on their number, and every sum runs in one fixed
 * order: the result is the same to the bit whatever the number of threads.
 */
#ifndef WIDTH

#if !defined(__x86_64__) || !defined(__GNUC__) || defined(__clang__)
#error "native.c is written for GCC on x86-64: without it, impasto computes with torch"
#endif

#include <string.h>

#define VERSION 3 /* of the calls below: native.py refuses a library built from another */
#define INLINE static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

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
    int h, w, c, k, block, deep, threads, avx512;
} Conv;

#define PASSES 1 /* a bit of a mask: the ReLU let the value through */
#define TAKEN 2  /* a bit of a mask: the pooling behind it took the value, the first of equal ones, as in torch */

#define M 4
#define N 6
#define DEEP_OUTPUTS 32 /* output channels that one thread takes of a deep layer */
extern int omp_get_thread_num(void);

/* Space between the frequencies of one block: a line more than a power of two, or all 36 fall on one cache set. */
INLINE long stride_of(int tiles, int channels) { return (long)tiles * channels + 16; }

#define WIDTH 16
#define ROWS 14
#define NAME(f) f##_avx512
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma")
#include "native.c"
#pragma GCC pop_options
#undef WIDTH
#undef ROWS
#undef NAME
#define WIDTH 8
#define ROWS 6
#define NAME(f) f##_avx2
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#include "native.c"
#pragma GCC pop_options

int impasto_version(void) { return VERSION; }
/* What the processor has: 2 for AVX-512, 1 for AVX2 with FMA, 0 for neither. */
int impasto_instructions(void) {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl") ? 2 : 1;
}
long impasto_workspace(const Conv *a) {
    long block = N * N * (stride_of(a->block, a->c) + stride_of(a->block, a->k));
    return MAX(a->c, a->k) + (a->deep ? block + (long)a->threads * N * a->c * DEEP_OUTPUTS : block * a->threads);
}
void impasto_conv(const Conv *a) { a->avx512 ? conv_avx512(a) : conv_avx2(a); }
void impasto_transform(const float *g, float *u, int c, int k, int threads, int avx512) {
    (avx512 ? transform_avx512 : transform_avx2)(g, u, c, k, threads);
}
void impasto_first(const float *image, const float *b, const float *bias, float *y, float *before,
                   unsigned char *mask, float *work, int h, int w, int k, int replicate, int threads, int avx512) {
    (avx512 ? first_avx512 : first_avx2)(image, b, bias, y, before, mask, work, h, w, k, replicate, threads);
}
void impasto_first_back(const float *dy, const float *b, float *dimage, float *work, int h, int w, int k,
                        int replicate, int threads, int avx512) {
    (avx512 ? first_back_avx512 : first_back_avx2)(dy, b, dimage, work, h, w, k, replicate, threads);
}
void impasto_pool(const float *x, float *y, unsigned char *mask, int h, int w, int c, float mean, int threads,
                  int avx512) {
    (avx512 ? pool_avx512 : pool_avx2)(x, y, mask, h, w, c, mean, threads);
}
void impasto_pool_back(const unsigned char *mask, const float *dy, const float *add, const float *add_before,
                       float *dx, int h, int w, int c, float mean, int threads, int avx512) {
    (avx512 ? pool_back_avx512 : pool_back_avx2)(mask, dy, add, add_before, dx, h, w, c, mean, threads);
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

/* Row `row` of G g G^T for one panel of kernels (9 taps `apart`, c, PANEL) -> (6, c, PANEL), `step` between the six.
 * The points are 0, +-sqrt(1/2), +-sqrt(2) and infinity: half the error of the usual 0, +-1, +-2. */
INLINE void NAME(transform_panel)(const float *g, long apart, int row, int c, float *u, long step) {
    const float r = 1.41421356237f;
    const float rows[N][3] = {{1, 0, 0}, {-2.f / 3, -r / 3, -1.f / 3}, {-2.f / 3, r / 3, -1.f / 3},
                              {1.f / 6, r / 6, 1.f / 3}, {1.f / 6, -r / 6, 1.f / 3}, {0, 0, 1}};
    const float *e = rows[row];
    for (long i = 0; i < (long)c * PANEL; i += WIDTH, g += WIDTH, u += WIDTH) {
        vec t[3];
#pragma GCC unroll 3
        for (int q = 0; q < 3; q++)
            t[q] = e[0] * LOAD(g + q * apart) + e[1] * LOAD(g + (3 + q) * apart) + e[2] * LOAD(g + (6 + q) * apart);
        vec odd = r * t[1], near = -2.f / 3 * t[0] - 1.f / 3 * t[2], far = 1.f / 6 * t[0] + 1.f / 3 * t[2];
        STORE(u, t[0]);
        STORE(u + step, near - 1.f / 3 * odd);
        STORE(u + 2 * step, near + 1.f / 3 * odd);
        STORE(u + 3 * step, far + 1.f / 6 * odd);
        STORE(u + 4 * step, far - 1.f / 6 * odd);
        STORE(u + 5 * step, t[2]);
    }
}

/* Kernels (9, k / PANEL, c, PANEL) -> (36, k / PANEL, c, PANEL). */
static void NAME(transform)(const float *g, float *u, int c, int k, int threads) {
    const long all = (long)c * k, panel = (long)c * PANEL;
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int j = 0; j < N * (k / PANEL); j++) {
        int row = j % N, p = j / N;
        NAME(transform_panel)(g + p * panel, all, row, c, u + row * N * all + p * panel, all);
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
INLINE void NAME(input_transform)(const Conv *a, int tile, const float *zeros, float *v, long stride) {
    const int c = a->c, across = (a->w + M - 1) / M;
    const float *pixel[N * N];
    int top = tile / across * M - 1, left = tile % across * M - 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int y = top + i, x = left + j;
            pixel[i * N + j] = y >= 0 && y < a->h && x >= 0 && x < a->w ? a->x + ((long)y * a->w + x) * c : zeros;
        }
    for (int ch = 0; ch < c; ch += WIDTH) {
        vec half[N][N], in[N], out[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; j++) {
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) {
                in[i] = LOAD(pixel[i * N + j] + ch);
                if (j >= 2) __builtin_prefetch(pixel[i * N + j] + M * c + ch);
            }
            NAME(to_frequencies)(in, out);
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) half[i][j] = out[i];
        }
#pragma GCC unroll 8
        for (int i = 0; i < N; i++) {
            NAME(to_frequencies)(half[i], out);
#pragma GCC unroll 8
            for (int j = 0; j < N; j++) STORE(v + (i * N + j) * stride + ch, out[j]);
        }
    }
}

/* Output transform of one tile and whatever follows the convolution. */
INLINE void NAME(output_transform)(const Conv *a, int tile, const float *v, long stride) {
    const int k = a->k, across = (a->w + M - 1) / M;
    int top = tile / across * M, left = tile % across * M;
    int high = MIN(M, a->h - top), broad = MIN(M, a->w - left);
    for (int ch = 0; ch < k; ch += WIDTH) {
        vec half[M][N], in[N], out[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; j++) {
#pragma GCC unroll 8
            for (int i = 0; i < N; i++) in[i] = LOAD(v + (i * N + j) * stride + ch);
            NAME(from_frequencies)(in, out);
#pragma GCC unroll 8
            for (int i = 0; i < M; i++) half[i][j] = out[i];
        }
        vec bias = {0}, zero = {0};
        if (a->bias) bias = LOAD(a->bias + ch);
#pragma GCC unroll 8
        for (int i = 0; i < M; i++) {
            if (i >= high) break;
            NAME(from_frequencies)(half[i], out);
            long at = ((long)(top + i) * a->w + left) * k + ch;
#pragma GCC unroll 8
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

/* rows x PANEL of a product: all accumulators stay in registers. b: (c, PANEL) contiguous. */
INLINE void NAME(product_rows)(const int rows, const float *a, long lda, const float *b, int c, float *o, long ldo) {
    vec left[rows], right[rows];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) left[r] = right[r] = (vec){0};
    for (int i = 0; i < c; i++, b += PANEL) {
        vec b0 = LOAD(b), b1 = LOAD(b + WIDTH);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            float s = a[r * lda + i];
            left[r] += s * b0;
            right[r] += s * b1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        STORE(o + r * ldo, left[r]);
        STORE(o + r * ldo + WIDTH, right[r]);
    }
}

/* (rows, c) @ panels (outs / PANEL, c, PANEL) -> (rows, outs) */
static void NAME(product)(const float *a, long lda, const float *b, int rows, int c, float *o, long ldo, int outs) {
    int blocks = (rows + ROWS - 1) / ROWS;
    for (int p = 0; p < outs; p += PANEL, b += (long)c * PANEL)
        for (int i = 0; i < blocks; i++) {
            int from = (long)rows * i / blocks, count = (long)rows * (i + 1) / blocks - from; /* even blocks */
            const float *x = a + from * lda;
            float *y = o + from * ldo + p;
            switch (count) {
#define CASE(r) case r: NAME(product_rows)(r, x, lda, b, c, y, ldo); break;
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#if ROWS > 6
                CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#endif
#undef CASE
            }
        }
}

static void NAME(conv)(const Conv *a) {
    const int n2 = N * N, block = a->block, c = a->c, k = a->k, threads = a->threads;
    const int tiles = ((a->h + M - 1) / M) * ((a->w + M - 1) / M);
    const long vs = stride_of(block, c), os = stride_of(block, k);
    float *zeros = a->work;
    memset(zeros, 0, c * sizeof(float));
    if (!a->deep) { /* few channels: each thread takes blocks of tiles that stay in its cache from end to end */
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int from = 0; from < tiles; from += block) {
            int count = MIN(block, tiles - from);
            float *v = a->work + MAX(c, k) + omp_get_thread_num() * n2 * (vs + os), *o = v + n2 * vs;
            for (int t = 0; t < count; t++) NAME(input_transform)(a, from + t, zeros, v + (long)t * c, vs);
            for (int f = 0; f < n2; f++)
                NAME(product)(v + f * vs, c, a->kernels + (long)f * c * k, count, c, o + f * os, k, k);
            for (int t = 0; t < count; t++) NAME(output_transform)(a, from + t, o + (long)t * k, os);
        }
        return;
    }
    /* Many channels: the kernels are the larger part, so all threads share one large block of tiles. Kept transformed,
     * they would take four times the memory and longer to fetch than to compute: so each thread transforms what it
     * multiplies next, one row of six frequencies for DEEP_OUTPUTS outputs, in its own cache. */
    float *v = a->work + MAX(c, k), *o = v + n2 * vs, *kernels = o + n2 * os;
    for (int from = 0; from < tiles; from += block) {
        int count = MIN(block, tiles - from);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads)
        for (int t = 0; t < count; t++) NAME(input_transform)(a, from + t, zeros, v + (long)t * c, vs);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int j = 0; j < N * (k / DEEP_OUTPUTS); j++) {
            const long row = j % N, first = j / N * DEEP_OUTPUTS, step = (long)c * DEEP_OUTPUTS;
            float *u = kernels + omp_get_thread_num() * N * step;
            for (int p = 0; p < DEEP_OUTPUTS; p += PANEL)
                NAME(transform_panel)(a->kernels + (first + p) * c, (long)c * k, row, c, u + (long)p * c, step);
            for (int f = row * N; f < (row + 1) * N; f++, u += step)
                NAME(product)(v + f * vs, c, u, count, c, o + f * os + first, k, DEEP_OUTPUTS);
        }
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads)
        for (int t = 0; t < count; t++) NAME(output_transform)(a, from + t, o + (long)t * k, os);
    }
}

/* First layer, 3 channels: a product with the 27 neighbours of each pixel. The 9 values of a column (3 colours, 3 rows)
 * lie side by side, so the neighbours of a pixel are 27 in a row and the next pixel's begin 9 further on. Outside the
 * image are zeros, or with `replicate` the nearest pixels.
 * image (3, h, w); b (k / PANEL, 27, PANEL), in the order column, colour, row; work: 9 (w + 2) floats a thread. */
static void NAME(first)(const float *image, const float *b, const float *bias, float *y, float *before,
                        unsigned char *mask, float *work, int h, int w, int k, int replicate, int threads) {
    const vec zero = {0};
#pragma omp parallel num_threads(threads)
    {
        float *columns = work + omp_get_thread_num() * (w + 2L) * 9;
        memset(columns, 0, (w + 2L) * 9 * sizeof(float)); /* left and right of the image */
#pragma omp for schedule(static)
        for (int row = 0; row < h; row++) {
            for (int q = 0; q < 9; q++) {
                int yy = row + q % 3 - 1;
                if (replicate) yy = MIN(MAX(yy, 0), h - 1);
                const float *s = image + ((long)(q / 3) * h + yy) * w;
                for (int x = 0; x < w; x++) columns[(x + 1) * 9 + q] = yy >= 0 && yy < h ? s[x] : 0;
            }
            if (replicate) {
                memcpy(columns, columns + 9, 9 * sizeof(float));
                memcpy(columns + (w + 1L) * 9, columns + w * 9L, 9 * sizeof(float));
            }
            long at = (long)row * w * k;
            NAME(product)(columns, 9, b, w, 27, y + at, k, k);
            for (int x = 0; x < w; x++)
                for (int ch = 0; ch < k; ch += WIDTH, at += WIDTH) {
                    vec v = LOAD(y + at) + LOAD(bias + ch);
                    if (before) STORE(before + at, v);
                    if (mask) NAME(store_mask)(mask + at, v > zero, PASSES);
                    STORE(y + at, NAME(rectified)(v));
                }
        }
    }
}

/* Back through the first layer: each pixel's 27 parts, then added up by the neighbours. b (32 / PANEL, k, PANEL), of
 * which 27 outputs count, in the order row, column, colour; work: 96 w floats a thread. With `replicate` a pixel of the
 * border also gets what went to its copies outside the image. */
static void NAME(first_back)(const float *dy, const float *b, float *dimage, float *work, int h, int w, int k,
                             int replicate, int threads) {
#pragma omp parallel num_threads(threads)
    {
        float *parts = work + omp_get_thread_num() * 96L * w; /* three rows, by row number modulo 3 */
        int last = -2;                                         /* the last row in there */
#pragma omp for schedule(static)
        for (int row = 0; row < h; row++) {
            for (int r = MAX(row - 1, last + 1); r <= MIN(row + 1, h - 1); last = r++)
                if (r >= 0) NAME(product)(dy + (long)r * w * k, k, b, w, k, parts + (long)(r % 3) * w * 32, 32, 32);
            for (int x = 0; x < w; x++) {
                float sum[3] = {0, 0, 0};
                int above = replicate && row == 0, below = replicate && row == h - 1;
                int left = replicate && x == 0, right = replicate && x == w - 1;
                for (int from = row - above; from <= row + below; from++)
                    for (int at = x - left; at <= x + right; at++)
                        for (int i = 0; i < 3; i++)
                            for (int j = 0; j < 3; j++) {
                                int yy = from + 1 - i, xx = at + 1 - j;
                                if (yy < 0 || yy >= h || xx < 0 || xx >= w) continue;
                                const float *p = parts + ((long)(yy % 3) * w + xx) * 32 + (i * 3 + j) * 3;
                                for (int ch = 0; ch < 3; ch++) sum[ch] += p[ch];
                            }
                for (int ch = 0; ch < 3; ch++) dimage[((long)ch * h + row) * w + x] = sum[ch];
            }
        }
    }
}

/* 2x2 pooling; mean: 0 takes the largest and notes it in the mask, else the mean times this. An odd last row or column
 * is left out. */
static void NAME(pool)(const float *x, float *y, unsigned char *mask, int h, int w, int c, float mean, int threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int i = 0; i < h / 2; i++)
        for (int j = 0; j < w / 2; j++) {
            const long from = ((long)2 * i * w + 2 * j) * c, next[4] = {0, c, (long)w * c, (long)w * c + c};
            float *d = y + ((long)i * (w / 2) + j) * c;
            for (int ch = 0; ch < c; ch += WIDTH) {
                vec v[4];
                for (int q = 0; q < 4; q++) v[q] = LOAD(x + from + next[q] + ch);
                if (mean) {
                    STORE(d + ch, mean * 0.25f * (v[0] + v[1] + v[2] + v[3]));
                    continue;
                }
                vec top = NAME(largest)(NAME(largest)(v[0], v[1]), NAME(largest)(v[2], v[3]));
                STORE(d + ch, top);
                if (!mask) continue;
                NAME(lanes) open = top == top;
                for (int q = 0; q < 4; q++) {
                    mask_bytes *m = (mask_bytes *)(mask + from + next[q] + ch);
                    NAME(lanes) taken = open & (v[q] == top);
                    *m |= __builtin_convertvector(taken & TAKEN, mask_bytes);
                    open &= ~taken;
                }
            }
        }
}

/* Back through pooling and the ReLU before it, or without `dy` through the ReLU alone. */
static void NAME(pool_back)(const unsigned char *mask, const float *dy, const float *add, const float *add_before,
                            float *dx, int h, int w, int c, float mean, int threads) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int i = 0; i < (h + 1) / 2; i++)
        for (int j = 0; j < (w + 1) / 2; j++) {
            int whole = dy && 2 * i + 1 < h && 2 * j + 1 < w;
            for (int ch = 0; ch < c; ch += WIDTH) {
                vec g = {0};
                if (whole) g = LOAD(dy + ((long)i * (w / 2) + j) * c + ch);
                if (mean) g *= mean * 0.25f;
                for (int q = 0; q < 4; q++) {
                    int yy = 2 * i + q / 2, xx = 2 * j + q % 2;
                    if (yy >= h || xx >= w) continue;
                    long at = ((long)yy * w + xx) * c + ch;
                    vec d = mean ? g : NAME(keep)(NAME(in_mask)(mask + at, TAKEN), g);
                    if (add) d += LOAD(add + at);
                    d = NAME(keep)(NAME(in_mask)(mask + at, PASSES), d);
                    if (add_before) d += LOAD(add_before + at);
                    STORE(dx + at, d);
                }
            }
        }
}
#undef vec
#undef mask_bytes
#undef PANEL
#undef LOAD
#undef STORE
#endif
