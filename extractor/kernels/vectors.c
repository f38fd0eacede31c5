/* Products y = x W^T with bfloat16 weights in tiles on a processor without AMX. With instructions for bfloat16 (AVX-512
   BF16) pairs of columns are multiplied as they are; else numbers are widened to float32 on the way into the first-level
   cache and multiplied there, so a weight takes 16 bits of memory and the sums are those of float32.
   Fused with the norm before them and with bias, gate and residual after them, as in amx.c. Called by tiled.py.

                 columns of the sum ->
   weight   [16 outputs][step][16 pairs of columns][16 outputs][2]     bfloat16, a tile is 1 KiB
   widened  [slice][DEPTH columns][outputs of a slice]                 float32, 16 KiB, for a panel at a time
   input    [block][column][rows of a block]                           float32, written by take_block(): norm, widen
            [block][pair of columns][rows of a block][2]               or bfloat16
   sums     [block][rows of a block][32 outputs]                       float32; in registers while columns are added

   Up to FEW rows are multiplied by weights that are widened in registers, since memory is what they wait for.
   Either way the sum of an output runs through the columns in their order, so a row of the result is the same bits alone
   and among others. */

#include "panels.h"

#define TILE 1024        /* bytes: 16 outputs by STEP columns */
#define STEP 32          /* columns of a tile */
#define DEPTH (4 * STEP) /* columns that are multiplied at a time: their weights are in the first-level cache */
#define FEW 4            /* rows for which weights are widened in registers */

typedef uint32_t pairs __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* The place of a number among those of a block. */
INLINE int64_t place_of(int64_t column, int64_t row, int64_t count) {
#ifdef PAIRED
    return (column / 2 * count + row) * 2 + column % 2;
#else
    return column * count + row;
#endif
}

/* Write the rows of a block to the input, after the norm. */
static void take_block(const struct product *p, int64_t block) {
    int64_t first = first_row(p->rows, block), count = first_row(p->rows, block + 1) - first;
    number *target = (number *)p->input + first * p->columns;
    uint16_t normed[p->norm ? p->columns : 1];
    for (int64_t r = 0; r < count; r++) {
        const uint16_t *source = normed_row(p, first + r, normed);
        for (int64_t c = 0; c < p->columns; c++) target[place_of(c, r, count)] = number_of(source[c]);
    }
}

#ifdef PAIRED
/* Add `depth` columns to the sums of a panel for the rows of a block. */
static void add_block(const number *input, const char *one, const char *other, int64_t depth, float *sums, int is_first,
                      int64_t count) {
    switch (count) {
#define CASE(n) \
    case n: add_pairs(input, 2, 2 * n, one, other, 64, depth / 2, sums, OUTPUTS, is_first, n); break;
        FOR_COUNT(CASE)
#undef CASE
    }
}
#else

/* Widen `steps` tiles of a panel. */
static void widen(const char *one, const char *other, int64_t steps, float *restrict widened) {
    for (int v = 0; v < 2 * SLICES; v++)
        for (int64_t pair = 0; pair < steps * STEP / 2; pair++) {
            pairs both = *(const pairs *)vector_of(one + pair * 64, other + pair * 64, v);
            float *target = widened + (v / 2 * steps * STEP + 2 * pair) * SLICE + v % 2 * LANES;
            *(pairs *)target = both << 16;
            *(pairs *)(target + SLICE) = both & 0xffff0000u;
        }
}

/* The same as add_slice, with weights that are still in their tiles, from vector `v` on. */
INLINE void add_narrow(const float *input, const char *one, const char *other, int v, int64_t depth, float *sums, int count) {
    lanes sum[FEW][2];
    for (int r = 0; r < count; r++) sum[r][0] = sum[r][1] = (lanes){0};
    for (int64_t c = 0; c < depth; c += 2)
        for (int i = 0; i < 2; i++) {
            pairs both = *(const pairs *)vector_of(one + c / 2 * 64, other + c / 2 * 64, v + i);
            lanes even = (lanes)(both << 16), odd = (lanes)(both & 0xffff0000u);
            for (int r = 0; r < count; r++) {
                sum[r][i] += input[c * count + r] * even;
                sum[r][i] += input[(c + 1) * count + r] * odd;
            }
        }
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++) *(lanes *)(sums + r * OUTPUTS + i * LANES) = sum[r][i];
}

/* All slices of a panel; the weights are widened, or else in their tiles. */
static void add_block(const float *input, const float *widened, const char *one, const char *other, int64_t depth,
                      float *sums, int is_first, int64_t count) {
    for (int slice = 0; slice < SLICES; slice++) {
#define CASE(n) \
    case n: add_slice(input, 1, n, widened + slice * depth * SLICE, depth, sums + slice * SLICE, OUTPUTS, is_first, n); break;
#define FEW_CASE(n) \
    case n: add_narrow(input, one, other, 2 * slice, depth, sums + slice * SLICE, n); break;
        if (widened)
            switch (count) { FOR_COUNT(CASE) }
        else
            switch (count) { FEW_CASE(1) FEW_CASE(2) FEW_CASE(3) FEW_CASE(4) }
#undef CASE
#undef FEW_CASE
    }
}

#endif

/* Finish a panel of a block. */
static void finish(const struct product *p, const float *sums, int64_t block, int64_t panel) {
    int64_t first = first_row(p->rows, block), count = first_row(p->rows, block + 1) - first;
    for (int64_t r = 0; r < count; r++, sums += OUTPUTS) {
        uint16_t gated[16];
        if (!p->next) {
            finish_row(p, sums, first + r, panel);
            continue;
        }
        gate_row(sums, gated);
        number *next = (number *)p->next + first * p->panels * 16;
        for (int i = 0; i < 16; i++) next[place_of(panel * 16 + i, r, count)] = number_of(gated[i]);
    }
}

/* A panel for the blocks `first` .. `last` - 1. */
static void take_panel(const struct product *p, int64_t panel, int64_t first, int64_t last, void *space) {
    float *sums = space;
    const char *other, *one = tiles_of(p, panel, TILE, &other);
#ifndef PAIRED
    float widened[DEPTH * OUTPUTS] __attribute__((aligned(64)));
    int few = p->rows <= FEW;
#endif
    for (int64_t from = 0, some; from < p->steps; from += some) {
        some = p->steps - from < DEPTH / STEP ? p->steps - from : DEPTH / STEP;
#ifndef PAIRED
        if (few)
            some = p->steps;
        else
            widen(one + from * TILE, other + from * TILE, some, widened);
#endif
        for (int64_t block = first; block < last; block++) {
            int64_t row = first_row(p->rows, block), count = first_row(p->rows, block + 1) - row;
            const number *input = (number *)p->input + row * p->columns + from * STEP * count;
            float *mine = sums + (block - first) * ROWS * OUTPUTS;
#ifdef PAIRED
            add_block(input, one + from * TILE, other + from * TILE, some * STEP, mine, from == 0, count);
#else
            add_block(input, few ? 0 : widened, one, other, some * STEP, mine, from == 0, count);
#endif
            if (from + some == p->steps) finish(p, mine, block, panel);
        }
    }
}

#define SUMS (MOST * ROWS * OUTPUTS) /* of each thread */

/* Bytes that a product needs beside its operands, or (`next_steps` not 0) two of them:
   [sums of each thread][input of the first][input of the second]. */
int64_t scratch_bytes(int64_t rows, int64_t steps, int64_t next_steps) {
    return (omp_get_max_threads() * SUMS + rows * (steps + next_steps) * STEP) * (int64_t)sizeof(float);
}

static void take_products(const struct product *first, const struct product *second, float *scratch) {
#pragma omp parallel
    {
        float *sums = scratch + omp_get_thread_num() * SUMS;
        take_product(first, sums, take_block, take_panel);
        if (second) take_product(second, sums, take_block, take_panel);
    }
}

/* y (rows, 32 * panels) from x (rows, columns), both bfloat16, and a weight in tiles; `norm` is taken of x before.
   `kind` and the scales are amx.c's: here a weight is bfloat16. `scratch` begins at a multiple of 64. */
void multiply_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
                    const char *weight, int64_t steps, int64_t panels, const float *weight_scales, const uint16_t *bias,
                    const uint16_t *residual, uint16_t *y, char *scratch) {
    float *space = (float *)scratch;
    struct product p = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = weight, .bias = bias,
                        .residual = residual, .steps = steps, .panels = panels, .y = y, .row_bytes = columns * sizeof(number),
                        .input = (char *)(space + omp_get_max_threads() * SUMS)};
    (void)kind, (void)weight_scales;
    if (rows) take_products(&p, 0, space);
}

/* y = x + down(silu(gate) * up), where gate and up are the halves of the first product of norm(x): (rows, columns). */
void mlp_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
               const char *gate_up, int64_t gate_steps, int64_t gate_panels, const float *gate_scales, const char *down,
               int64_t down_steps, int64_t down_panels, const float *down_scales, uint16_t *y, char *scratch) {
    float *space = (float *)scratch, *input = space + omp_get_max_threads() * SUMS;
    struct product first = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = gate_up,
                            .steps = gate_steps, .panels = gate_panels, .gate = 1, .input = (char *)input,
                            .row_bytes = columns * sizeof(number), .next = (char *)(input + rows * columns)};
    struct product second = {.rows = rows, .columns = gate_panels * 16, .weight = down, .residual = x,
                             .steps = down_steps, .panels = down_panels, .y = y, .input = first.next,
                             .row_bytes = gate_panels * 16 * sizeof(number)};
    (void)kind, (void)gate_scales, (void)down_scales;
    if (rows) take_products(&first, &second, space);
}
