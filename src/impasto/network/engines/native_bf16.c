/* The network in bfloat16: features and gradients between its layers in half the bytes, sums in float32.
 *
 * A convolution is a product done directly: where a processor multiplies matrices of bfloat16 by itself, that is faster
 * than Winograd's algorithm in float32. Included by native.c once per instruction set, for all around the products; the
 * kernels stand in native_bf16.h.
 */

/* The kernel for any machine: each half widened to float32. */
static void NAME(kernel_plain)(const bf16 *a, ptrdiff_t pitch, ptrdiff_t row, const bf16 *b, float *sums, int fresh) {
    for (int p = 0; p < POSITIONS; p += 4, a += 4 * pitch)
        for (int out = 0; out < OUTPUTS; out += WIDTH) {
            const bf16 *panel = b + out / (OUTPUTS / 2) * (TAP / 2) + out % (OUTPUTS / 2) * 2;
            vec sum[4];
            UNROLL(4)
            for (int r = 0; r < 4; r++) sum[r] = fresh ? (vec){0} : LOAD(sums + (p + r) * OUTPUTS + out);
            for (int tap = 0; tap < 9; tap++) {
                const bf16 *at = a + tap / 3 * row + tap % 3 * pitch, *kernels = panel + tap * TAP;
                for (int pair = 0; pair < CHUNK; pair += 2, kernels += OUTPUTS) {
                    NAME(bits) both = (NAME(bits))LOAD((const float *)kernels);
                    vec even = (vec)(both << 16), odd = (vec)(both & 0xffff0000);
                    UNROLL(4)
                    for (int r = 0; r < 4; r++) {
                        unsigned s[2] = {(unsigned)at[r * pitch + pair] << 16, (unsigned)at[r * pitch + pair + 1] << 16};
                        float x[2];
                        memcpy(x, s, sizeof x);
                        sum[r] += x[0] * even + x[1] * odd;
                    }
                }
            }
            UNROLL(4)
            for (int r = 0; r < 4; r++) STORE(sums + (p + r) * OUTPUTS + out, sum[r]);
        }
}

/* What follows the convolution of one pixel, for the outputs of one panel. */
INLINE void NAME(finish)(const ConvBf16 *a, int row, int column, int from, const float *sums) {
    const ptrdiff_t plain = ((ptrdiff_t)row * a->w + column) * a->k + from, to = place(row, column, a->w, a->k) + from;
    const vec zero = {0};
    UNROLL(8)
    for (int i = 0; i < OUTPUTS; i += WIDTH) {
        const ptrdiff_t at = plain + i;
        vec y = LOAD(sums + i);
        if (a->bias) {
            y += LOAD(a->bias + from + i);
            if (a->before) STORE(a->before + at, y);
            y = NAME(rectified)(y);
            if (a->mask) NAME(store_mask)(a->mask + at, y > zero, PASSES);
        } else {
            if (a->add) y += LOAD(a->add + at);
            if (a->mask) y = NAME(keep)(NAME(in_mask)(a->mask + at, PASSES), y);
            if (a->add_before) y += LOAD(a->add_before + at);
        }
        if (a->y) NAME(narrow)(a->y + to + i, y);
        if (a->features) STORE(a->features + at, y);
    }
}

/* Pieces of a convolution: so many positions that they stay in the cache, for one panel of outputs after another. */
static void NAME(conv_bf16)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const ConvBf16 *a = context;
    const ptrdiff_t step = pitch(a->c), across = a->w + 2, all = a->h * across - 2, chunks = a->c / CHUNK;
    const ptrdiff_t panels = a->k / OUTPUTS;
    Kernel *kernel = a->kernel == AMX_KERNEL ? kernel_amx : a->kernel == AVX512_KERNEL ? kernel_avx512 : NAME(kernel_plain);
    float *sums = a->work + worker * (ptrdiff_t)a->block * OUTPUTS;
    if (a->kernel == AMX_KERNEL) begin_tiles();
    for (ptrdiff_t piece = from; piece < to; piece++) {
        const ptrdiff_t first = piece / panels * a->block, count = MIN(a->block, all - first), panel = piece % panels;
        for (ptrdiff_t chunk = 0; chunk < chunks; chunk++)
            for (ptrdiff_t p = 0; p < count; p += POSITIONS)
                kernel(a->x + (first + p) * step + chunk * CHUNK, step, across * step,
                       a->kernels + (panel * chunks + chunk) * 9 * TAP, sums + p * OUTPUTS, chunk == 0);
        int row = first / across, column = first % across;
        for (ptrdiff_t p = 0; p < count; p++) {
            if (column < a->w) NAME(finish)(a, row, column, panel * OUTPUTS, sums + p * OUTPUTS);
            if (++column == across) column = 0, row++;
        }
    }
    if (a->kernel == AMX_KERNEL) end_tiles();
}

static void NAME(pack)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const Pack a = *(const Pack *)context;
    (void)worker;
    for (int row = from; row < to; row++)
        for (int x = 0; x < a.w; x++)
            for (int ch = 0; ch < a.c; ch += WIDTH)
                NAME(narrow)(a.y + place(row, x, a.w, a.c) + ch, LOAD(a.x + ((ptrdiff_t)row * a.w + x) * a.c + ch));
}

/* As `first`; work: 9 (w + 2) + w k floats a thread. */
static void NAME(first_bf16)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const FirstBf16 a = *(const FirstBf16 *)context;
    const int h = a.h, w = a.w, k = a.k;
    const vec zero = {0};
    float *columns = a.work + worker * ((ptrdiff_t)(w + 2) * 9 + (ptrdiff_t)w * k), *sums = columns + (w + 2) * 9;
    for (int row = from; row < to; row++) {
        NAME(columns_of)(a.image, h, w, row, a.replicate, columns);
        NAME(product)(columns, 9, a.b, w, 27, NULL, sums, k, k);
        for (int x = 0; x < w; x++)
            for (int ch = 0; ch < k; ch += WIDTH) {
                const ptrdiff_t at = ((ptrdiff_t)row * w + x) * k + ch;
                vec v = LOAD(sums + (ptrdiff_t)x * k + ch) + LOAD(a.bias + ch);
                if (a.before) STORE(a.before + at, v);
                if (a.mask) NAME(store_mask)(a.mask + at, v > zero, PASSES);
                v = NAME(rectified)(v);
                if (a.features) STORE(a.features + at, v);
                NAME(narrow)(a.y + place(row, x, w, k) + ch, v);
            }
    }
}

#define POOLING(f) NAME(f##_bf16)
#define POOLED PoolBf16
#define POOLED_BACK PoolBackBf16
#define AT(row, column, w, c) place(row, column, w, c)
#define READ(p) NAME(widen)(p)
#define WRITE(p, v) NAME(narrow)(p, v)
#include "native_pooling.h"
