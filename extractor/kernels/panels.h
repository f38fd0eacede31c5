/* What products have in common on a processor without AMX: those with weights in tiles (vectors.c, integers.c), and
   those of attention (prefill.c), which need add_slice alone.

   A panel is 32 outputs: two tiles of 16, `one` and `other`. Rows are dealt out evenly to blocks of at most ROWS, whose
   sums with a slice of a panel, two vectors, stay in registers while columns are added.

   Loops, from the outside: a task is a group of panels and a chunk of blocks whose input stays in the second-level cache;
   then panel, then some columns, whose weights are laid out once in the first-level cache, then block. */

#include "bfloat16.h"

#include <omp.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __AVX512BW__
#define LANES 16
#define ROWS 14 /* of a block, 2 vectors each: 28 sums, 2 weights and 1 input in 32 registers */
#else
#define LANES 8
#define ROWS 6 /* 12 sums, 2 weights, 1 input and 1 product in 16 registers */
#endif
#define OUTPUTS 32 /* of a panel */
#define SLICE (2 * LANES) /* outputs */
#define SLICES (OUTPUTS / SLICE)
#define PANELS 8          /* most panels in a task */
#define KEPT (512 * 1024) /* bytes of the input that stay in the second-level cache */
#define MOST 64           /* most blocks among these */

/* Compute two sums here and now: without this gcc puts products off, and runs out of registers for them. */
#if defined(__AVX512F__) || (defined(__AVX__) && LANES == 8)
#define KEEP(one, other) __asm__("" : "+v"(one), "+v"(other))
#else
#define KEEP(one, other) ((void)0)
#endif

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Add `depth` columns to a slice of the sums of `count` (a constant when compiled) rows, which are `sums_stride` apart:
   number c of row r of the input is at r * row + c * column, the weight is [depth][SLICE]. */
INLINE void add_slice(const float *input, int64_t row, int64_t column, const float *weight, int64_t depth, float *sums,
                      int64_t sums_stride, int is_first, int count) {
    lanes sum[ROWS][2];
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++)
            sum[r][i] = is_first ? (lanes){0} : *(const lanes *)(sums + r * sums_stride + i * LANES);
    for (int64_t c = 0; c < depth; c++, weight += SLICE) {
        lanes one = *(const lanes *)weight, other = *(const lanes *)(weight + LANES);
        KEEP(one, other);
        for (int r = 0; r < count; r++) {
            sum[r][0] += input[r * row + c * column] * one;
            sum[r][1] += input[r * row + c * column] * other;
            KEEP(sum[r][0], sum[r][1]);
        }
    }
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++) *(lanes *)(sums + r * sums_stride + i * LANES) = sum[r][i];
}

/* With instructions for bfloat16 numbers are multiplied as they are, in pairs of neighbours; else they are widened. */
#if defined(__AVX512BF16__) && LANES == 16
#include <immintrin.h>
#define PAIRED
typedef uint16_t number;
INLINE number number_of(uint16_t half) { return half; }

/* Add `depth` pairs of columns to the sums of a panel for `count` (a constant when compiled) rows: pair number c of row r
   of the input is at r * row + c * column; a pair of 16 outputs of the weight is 64 bytes, `step` bytes after the last. */
INLINE void add_pairs(const number *input, int64_t row, int64_t column, const char *one, const char *other, int64_t step,
                      int64_t depth, float *sums, int64_t sums_stride, int is_first, int count) {
    typedef __m512i loose __attribute__((aligned(1), may_alias));
    lanes sum[ROWS][2];
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++)
            sum[r][i] = is_first ? (lanes){0} : *(const lanes *)(sums + r * sums_stride + i * LANES);
    for (int64_t c = 0; c < depth; c++) {
        loose left = *(const loose *)(one + c * step), right = *(const loose *)(other + c * step);
        for (int r = 0; r < count; r++) {
            int32_t both;
            memcpy(&both, input + r * row + c * column, 4);
            __m512bh x = (__m512bh)_mm512_set1_epi32(both);
            sum[r][0] = (lanes)_mm512_dpbf16_ps((__m512)sum[r][0], (__m512bh)left, x);
            sum[r][1] = (lanes)_mm512_dpbf16_ps((__m512)sum[r][1], (__m512bh)right, x);
        }
    }
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++) *(lanes *)(sums + r * sums_stride + i * LANES) = sum[r][i];
}
#else
typedef float number;
INLINE number number_of(uint16_t half) { return wide(half); }
#endif

/* One product. With `gate` a panel is 16 of the first half of the weight, the gates, and the 16 of the second half that
   they gate. `norm`, `bias` and `residual` may be null; the weight's scales are null except for int8. `x` is null where
   another product has written the input. */
struct product {
    const uint16_t *x, *norm;
    float eps;
    int64_t rows, columns;
    char *input;
    int64_t row_bytes; /* of the input */
    const char *weight;
    const float *weight_scales;
    int64_t steps, panels, gate;
    const uint16_t *bias, *residual;
    uint16_t *y;
    char *next; /* where y is the input of another product: that, of `panels * 16` columns; else null */
};

/* Blocks of the rows, and the first row of one. */
INLINE int64_t blocks_of(int64_t rows) { return (rows + ROWS - 1) / ROWS; }
INLINE int64_t first_row(int64_t rows, int64_t block) { return rows * block / blocks_of(rows); }

/* The first and, at `other`, the second tile of a panel, of `size` bytes each. */
INLINE const char *tiles_of(const struct product *p, int64_t panel, int64_t size, const char **other) {
    const char *one = p->weight + (p->gate ? panel : 2 * panel) * p->steps * size;
    *other = one + (p->gate ? p->panels : 1) * p->steps * size;
    return one;
}

/* 4 bytes of each output of vector `v` of a panel, of which `one` and `other` hold 4 bytes of 16 outputs each. */
INLINE const char *vector_of(const char *one, const char *other, int v) {
    return v < SLICES ? one + v * 4 * LANES : other + (v - SLICES) * 4 * LANES;
}

/* A row of the input, after the norm, for which there is room at `normed`. */
INLINE const uint16_t *normed_row(const struct product *p, int64_t row, uint16_t *normed) {
    const uint16_t *source = p->x + row * p->columns;
    if (!p->norm) return source;
    norm_row(source, p->columns, p->norm, p->eps, normed);
    return normed;
}

/* The gate: silu(one) * other, for 16 outputs each, rounded. */
INLINE void gate_row(const float *sums, uint16_t *gated) {
    for (int i = 0; i < 16; i++) gated[i] = narrow(sums[i] / (1.0f + exponential(-sums[i])) * sums[16 + i]);
}

/* Finish a row of a panel: bias, gate or residual, round. */
INLINE void finish_row(const struct product *p, const float *sums, int64_t row, int64_t panel) {
    if (p->gate) {
        gate_row(sums, p->y + (row * p->panels + panel) * 16);
        return;
    }
    int64_t place = (row * p->panels + panel) * OUTPUTS;
    for (int i = 0; i < OUTPUTS; i++) {
        float y = sums[i];
        if (p->bias) y += wide(p->bias[panel * OUTPUTS + i]);
        if (p->residual) y += wide(p->residual[place + i]);
        p->y[place + i] = narrow(y);
    }
}

/* CASE(n) for each number of rows that a block can have. */
#if LANES == 16
#define FOR_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#else
#define FOR_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

typedef void (*take_block_t)(const struct product *, int64_t block);
typedef void (*take_panel_t)(const struct product *, int64_t panel, int64_t first, int64_t last, void *sums);

/* A whole product, by all threads of the parallel region: `take_block` writes the rows of a block to the input,
   `take_panel` multiplies the blocks first .. last - 1 by a panel. Each `omp for` ends in a barrier. */
INLINE void take_product(const struct product *p, void *sums, take_block_t take_block, take_panel_t take_panel) {
    int64_t blocks = blocks_of(p->rows), most = KEPT / (ROWS * p->row_bytes);
    most = most < 1 ? 1 : most < MOST ? most : MOST;
    int64_t chunks = (blocks + most - 1) / most, together = p->panels / (4 * omp_get_num_threads());
    together = together < 1 ? 1 : together < PANELS ? together : PANELS;
    int64_t groups = (p->panels + together - 1) / together;
    if (p->x) {
#pragma omp for schedule(static)
        for (int64_t block = 0; block < blocks; block++) take_block(p, block);
    }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < groups * chunks; task++) {
        int64_t group = task / chunks * together, chunk = task % chunks;
        int64_t first = blocks * chunk / chunks, last = blocks * (chunk + 1) / chunks;
        for (int64_t panel = group; panel < group + together && panel < p->panels; panel++)
            take_panel(p, panel, first, last, sums);
    }
}
