/* Moments of features: the products of all pairs of channels, and the channels, summed over positions; and their gradient.
 *
 * Included by native.c once per instruction set. A product of features with themselves is symmetric, so a panel of
 * columns is multiplied by the rows up to its own end alone. The positions come in parts that the threads share out,
 * whose number depends on nothing else; each part's sums are in double, of pieces summed in float32.
 */

/* Rows of PANEL, added to double ones that are `apart`, or put there. */
INLINE void NAME(add_block)(const float *block, int rows, double *sums, ptrdiff_t apart, int fresh) {
    for (int r = 0; r < rows; r++, block += PANEL, sums += apart)
        for (int j = 0; j < PANEL; j++) sums[j] = (fresh ? 0 : sums[j]) + block[j];
}

/* Parts `from` to `to`: the upper triangle, in whole panels, and in row c the channels' sums. */
static void NAME(moments_part)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const Moments a = *(const Moments *)context;
    const ptrdiff_t c = a.c, parts = moments_parts(a.m, a.c);
    float *block = a.work + worker * (ptrdiff_t)(ROWS * PANEL);
    for (ptrdiff_t part = from; part < to; part++) {
        double *sums = a.parts + part * (c + 1) * c;
        const ptrdiff_t first = a.m * part / parts, end = a.m * (part + 1) / parts;
        for (ptrdiff_t at = first; at < end; at += MOMENTS_PIECE) {
            const ptrdiff_t count = MIN(MOMENTS_PIECE, end - at);
            const float *x = a.x + at * c;
            for (ptrdiff_t p = 0; p < c; p += PANEL) {
                const int rows = p + PANEL, blocks = (rows + ROWS - 1) / ROWS;
                for (int i = 0; i < blocks; i++) {
                    const int top = rows * i / blocks, high = rows * (i + 1) / blocks - top;
                    PRODUCT_ROWS(high, x + top, 1, c, x + p, c, count, NULL, block, PANEL)
                    NAME(add_block)(block, high, sums + top * c + p, c, at == first);
                }
                vec left = {0}, right = {0};
                for (ptrdiff_t i = 0; i < count; i++) left += LOAD(x + i * c + p), right += LOAD(x + i * c + p + WIDTH);
                STORE(block, left);
                STORE(block + WIDTH, right);
                NAME(add_block)(block, 1, sums + c * c + p, c, at == first);
            }
        }
    }
}

/* Rows `from` to `to` of all parts' sums, the lower triangle being the upper one; in the corner the positions. */
static void NAME(moments_sum)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const Moments a = *(const Moments *)context;
    const ptrdiff_t c = a.c, parts = moments_parts(a.m, a.c);
    (void)worker;
    for (ptrdiff_t i = from; i < to; i++) {
        double *row = a.sums + i * (c + 1);
        for (ptrdiff_t j = i < c ? i : 0; j < c; j++) {
            double sum = 0;
            for (ptrdiff_t part = 0; part < parts; part++) sum += a.parts[(part * (c + 1) + i) * c + j];
            row[j] = sum;
            a.sums[j * (c + 1) + i] = sum;
        }
    }
    if (to == c + 1) a.sums[(c + 1) * (c + 1) - 1] = a.m;
}

/* Panels `from` to `to` of the matrix that features are multiplied by on the way back, and of what is added. */
static void NAME(moments_panels)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const MomentsBack a = *(const MomentsBack *)context;
    const ptrdiff_t c = a.c, apart = c + 1;
    (void)worker;
    for (ptrdiff_t p = from * PANEL; p < to * PANEL; p += PANEL)
        for (int j = 0; j < PANEL; j++) {
            const double *row = a.d + (p + j) * apart, *column = a.d + p + j;
            for (ptrdiff_t i = 0; i < c; i++) a.panels[p * c + i * PANEL + j] = row[i] + column[i * apart];
            a.panels[c * c + p + j] = row[c] + column[c * apart];
        }
}

/* Positions `from` to `to` of the gradient. */
static void NAME(moments_back)(const void *context, ptrdiff_t from, ptrdiff_t to, int worker) {
    const MomentsBack a = *(const MomentsBack *)context;
    const ptrdiff_t c = a.c;
    (void)worker;
    NAME(product)(a.x + from * c, c, a.panels, to - from, c, a.panels + c * c, a.y + from * c, c, c);
}
