/* 2x2 pooling forwards and back, once for each way that features lie in memory. Included by native.c and native_bf16.c,
 * which define
 *
 *     POOLING(f)            the functions' names
 *     POOLED, POOLED_BACK   the structs of their arguments
 *     AT(row, column, w, c) where a pixel's channels begin
 *     READ(p), WRITE(p, v)  a vector of them as float32
 *
 * What has a byte or a float32 for each value, masks, `features`, `add` and `add_before`, lies as (h, w, c) anyway.
 */
#define PLAIN(row, column, w, c) (((ptrdiff_t)(row) * (w) + (column)) * (c))

/* `mean`: 0 takes the largest and notes it in the mask, else the mean times this. An odd last row or column is left out. */
static void POOLING(pool)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const POOLED a = *(const POOLED *)context;
    const int w = a.w, c = a.c;
    (void)worker;
    for (ptrdiff_t i = from; i < to; i++)
        for (int j = 0; j < w / 2; j++)
            for (int ch = 0; ch < c; ch += WIDTH) {
                vec v[4], top;
                for (int q = 0; q < 4; q++) v[q] = READ(a.x + AT(2 * i + q / 2, 2 * j + q % 2, w, c) + ch);
                if (a.mean) top = a.mean * 0.25f * (v[0] + v[1] + v[2] + v[3]);
                else top = NAME(largest)(NAME(largest)(v[0], v[1]), NAME(largest)(v[2], v[3]));
                WRITE(a.y + AT(i, j, w / 2, c) + ch, top);
                if (a.features) STORE(a.features + PLAIN(i, j, w / 2, c) + ch, top);
                if (a.mean || !a.mask) continue;
                NAME(lanes) open = top == top;
                for (int q = 0; q < 4; q++) {
                    mask_bytes *m = (mask_bytes *)(a.mask + PLAIN(2 * i + q / 2, 2 * j + q % 2, w, c) + ch);
                    NAME(lanes) taken = open & (v[q] == top);
                    *m |= __builtin_convertvector(taken & TAKEN, mask_bytes);
                    open &= ~taken;
                }
            }
}

/* Back through pooling and the ReLU before it, or without `dy` through the ReLU alone. */
static void POOLING(pool_back)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const POOLED_BACK a = *(const POOLED_BACK *)context;
    const int h = a.h, w = a.w, c = a.c;
    (void)worker;
    for (ptrdiff_t i = from; i < to; i++)
        for (int j = 0; j < (w + 1) / 2; j++) {
            int whole = a.dy && 2 * i + 1 < h && 2 * j + 1 < w;
            for (int ch = 0; ch < c; ch += WIDTH) {
                vec g = {0};
                if (whole) g = READ(a.dy + AT(i, j, w / 2, c) + ch);
                if (a.mean) g *= a.mean * 0.25f;
                for (int q = 0; q < 4; q++) {
                    ptrdiff_t yy = 2 * i + q / 2;
                    int xx = 2 * j + q % 2;
                    if (yy >= h || xx >= w) continue;
                    ptrdiff_t at = PLAIN(yy, xx, w, c) + ch;
                    vec d = a.mean ? g : NAME(keep)(NAME(in_mask)(a.mask + at, TAKEN), g);
                    if (a.add) d += LOAD(a.add + at);
                    d = NAME(keep)(NAME(in_mask)(a.mask + at, PASSES), d);
                    if (a.add_before) d += LOAD(a.add_before + at);
                    WRITE(a.dx + AT(yy, xx, w, c) + ch, d);
                }
            }
        }
}
#undef PLAIN
#undef POOLING
#undef POOLED
#undef POOLED_BACK
#undef AT
#undef READ
#undef WRITE
