/* Products with weights that are laid out for the matrix unit, in bfloat16 or in int8, and what follows them: scales,
   bias, residual, gate. A row of the result is the same bits alone and among others: sums are always taken in the same
   order. Compiled for the machine by products.py. */

#include "bfloat16.h"
#include "tiles.h"

#include <omp.h>

#ifdef HAS_TILES
#define TILE 1024          /* bytes */
#define STEPS 8            /* tiles along the sum whose part of the weight stays in the first cache */
#define AHEAD 16           /* steps between the weight that is asked for and the one that is read */
#define PANELS 8           /* of 32 outputs, taken together where there are many rows */
#define KEPT (1024 * 1024) /* bytes of the input that stay in the second cache */
#define MOST 16            /* blocks of 32 rows, of these */
#define INLINE static inline __attribute__((always_inline))

/* Inputs are tiles of 16 rows by 64 bytes, two of them side by side: [32 rows][step][2]. Weights are tiles of 64 bytes
   of the sum by 16 outputs: [16 outputs][step]; with `weight_scales` they are int8. A panel is 32 outputs; with `gate`
   16 of the first half, the gates, and 16 of the second. `norm`, `bias` and `residual` may be null. */
struct product {
    const uint16_t *x, *norm;
    float eps;
    int64_t rows, columns;
    char *input;
    float *input_scales;
    const char *weight;
    const float *weight_scales;
    const uint16_t *bias, *residual;
    int64_t steps, panels, gate;
    uint16_t *y;
    int64_t next_steps; /* where y is the input of a product of so many steps, in its tiles; else 0 */
};

/* Where a number of the input in bfloat16 stands, in bytes. */
INLINE int64_t place_of(int64_t row, int64_t column, int64_t steps) {
    return ((row / 32 * steps + column / 32) * 2 + row % 32 / ROWS) * TILE + row % ROWS * 64 + column % 32 * 2;
}

/* A row of the input to its tiles; rows that are not there are zeros, and so is what fills up the last tile. */
INLINE void take_row(const struct product *p, int64_t row, int whole) {
    char *target = p->input + place_of(row, 0, p->steps);
    const uint16_t *source = p->x + row * p->columns;
    uint16_t normed[p->norm ? p->columns : 1];
    int there = row < p->rows;
    if (there && p->norm) {
        norm_row(source, p->columns, p->norm, p->eps, normed);
        source = normed;
    }
    if (!whole) {
        for (int64_t s = 0; s < p->steps; s++)
            _mm512_store_si512(target + s * 2 * TILE, there ? _mm512_loadu_si512(source + s * 32) : _mm512_setzero_si512());
        return;
    }
    float scale = there ? row_scale(source, p->columns) : 1.0f;
    __m512 inverse = _mm512_set1_ps(1.0f / scale);
    p->input_scales[row] = scale;
    for (int64_t i = 0; i < p->steps * 64; i += 16) {
        __m128i codes = _mm_setzero_si128();
        if (there && i < p->columns)
            codes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(widened(source + i), inverse)));
        _mm_store_si128((__m128i *)(target + i / 64 * 2 * TILE + i % 64), codes);
    }
}

/* Add up `steps` tiles along the sum for 16 outputs and 16 others, of 16 or (`both`) 32 rows. `lines` of each weight
   are asked for ahead at each step, from `ahead` bytes behind the one that is read. */
INLINE void add_up(const char *input, const char *one, const char *other, int64_t steps, int64_t ahead, int64_t lines,
                   int both, int whole) {
#define MULTIPLY(sum, left, right)         \
    do {                                   \
        if (whole)                         \
            _tile_dpbssd(sum, left, right); \
        else                               \
            _tile_dpbf16ps(sum, left, right); \
    } while (0)
    for (int64_t s = 0; s < steps; s++, input += 2 * TILE, one += TILE, other += TILE) {
        _tile_loadd(4, input, 64);
        _tile_loadd(6, one, 64);
        MULTIPLY(0, 4, 6);
        _tile_loadd(7, other, 64);
        MULTIPLY(1, 4, 7);
        if (both) {
            _tile_loadd(5, input + TILE, 64);
            MULTIPLY(2, 5, 6);
            MULTIPLY(3, 5, 7);
        }
        for (int64_t i = 0; i < lines; i++) {
            _mm_prefetch(one + ahead + i * 64, _MM_HINT_T1);
            _mm_prefetch(other + ahead + i * 64, _MM_HINT_T1);
        }
        ahead += lines * 64 - TILE;
    }
#undef MULTIPLY
}

INLINE __m512 finished(const struct product *p, const char *sums, int64_t row, int64_t output, int whole) {
    __m512 y = whole ? _mm512_cvtepi32_ps(_mm512_load_si512(sums)) : _mm512_load_ps((const float *)sums);
    if (whole) {
        y = _mm512_mul_ps(y, _mm512_loadu_ps(p->weight_scales + output));
        y = _mm512_mul_ps(y, _mm512_set1_ps(p->input_scales[row]));
    }
    return p->bias ? _mm512_add_ps(y, widened(p->bias + output)) : y;
}

/* What follows the sums of 32 outputs of up to 32 rows. */
INLINE void finish(const struct product *p, const char *sums, int64_t block, int64_t panel, int whole) {
    int64_t count = p->rows - block * 32 < 32 ? p->rows - block * 32 : 32;
    for (int64_t r = 0; r < count; r++) {
        int64_t row = block * 32 + r;
        const char *mine = sums + r / ROWS * 2 * TILE + r % ROWS * 64;
        int64_t beside = p->gate ? panel * 16 + p->panels * 16 : panel * 32 + 16;
        __m512 one = finished(p, mine, row, p->gate ? panel * 16 : panel * 32, whole);
        __m512 other = finished(p, mine + TILE, row, beside, whole);
        if (p->gate) {
            __m512 power = power_of_two(_mm512_mul_ps(one, _mm512_set1_ps(-1.44269504f)));
            one = _mm512_div_ps(one, _mm512_add_ps(power, _mm512_set1_ps(1.0f)));
            char *place = (char *)(p->y + (row * p->panels + panel) * 16);
            if (p->next_steps) place = (char *)p->y + place_of(row, panel * 16, p->next_steps);
            store_narrowed((uint16_t *)place, _mm512_mul_ps(one, other));
            continue;
        }
        int64_t place = (row * p->panels + panel) * 32;
        if (p->residual) {
            one = _mm512_add_ps(one, widened(p->residual + place));
            other = _mm512_add_ps(other, widened(p->residual + place + 16));
        }
        store_narrowed(p->y + place, one);
        store_narrowed(p->y + place + 16, other);
    }
}

/* 32 outputs for the blocks of 32 rows from `first` to `last`, STEPS tiles of the sum at a time. */
INLINE void take_panel(const struct product *p, int64_t panel, int64_t first, int64_t last, char *sums, int whole) {
    int64_t lines = last - first < 16 ? 16 / (last - first) : 1;
    const char *weight = p->weight + (p->gate ? panel : 2 * panel) * p->steps * TILE;
    int64_t apart = (p->gate ? p->panels : 1) * p->steps * TILE;
    for (int64_t from = 0; from < p->steps; from += STEPS) {
        int64_t some = p->steps - from < STEPS ? p->steps - from : STEPS;
        const char *one = weight + from * TILE, *other = one + apart;
        for (int64_t block = first; block < last; block++) {
            char *mine = sums + (block - first) * 4 * TILE;
            const char *input = p->input + (block * p->steps + from) * 2 * TILE;
            int64_t ahead = AHEAD * TILE + (block - first) * some * lines * 64;
            if (from) {
                _tile_loadd(0, mine, 64);
                _tile_loadd(1, mine + TILE, 64);
                _tile_loadd(2, mine + 2 * TILE, 64);
                _tile_loadd(3, mine + 3 * TILE, 64);
            } else {
                _tile_zero(0);
                _tile_zero(1);
                _tile_zero(2);
                _tile_zero(3);
            }
            if (p->rows - block * 32 > ROWS)
                add_up(input, one, other, some, ahead, lines, 1, whole);
            else
                add_up(input, one, other, some, ahead, lines, 0, whole);
            _tile_stored(0, mine, 64);
            _tile_stored(1, mine + TILE, 64);
            _tile_stored(2, mine + 2 * TILE, 64);
            _tile_stored(3, mine + 3 * TILE, 64);
            if (from + some == p->steps) finish(p, mine, block, panel, whole);
        }
    }
}

/* All of a product, by the threads that are at it; `x` is null where the input stands in its tiles already. */
INLINE void take_product(const struct product *p, char *sums, int whole) {
    int64_t blocks = (p->rows + 31) / 32, most = KEPT / (p->steps * 2 * TILE);
    most = most < 1 ? 1 : most < MOST ? most : MOST;
    int64_t chunks = (blocks + most - 1) / most, together = p->panels / (4 * omp_get_num_threads());
    together = together < 1 ? 1 : together < PANELS ? together : PANELS;
    int64_t groups = (p->panels + together - 1) / together;
    if (p->x) {
#pragma omp for schedule(static)
        for (int64_t row = 0; row < blocks * 32; row++) take_row(p, row, whole);
    }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < groups * chunks; task++) {
        int64_t group = task / chunks * together, chunk = task % chunks;
        int64_t first = blocks * chunk / chunks, last = blocks * (chunk + 1) / chunks;
        for (int64_t panel = group; panel < group + together && panel < p->panels; panel++)
            take_panel(p, panel, first, last, sums, whole);
    }
}

/* Bytes of the input of a product in tiles, with the scales of its rows. */
static int64_t input_bytes(int64_t rows, int64_t steps) {
    return (rows + 31) / 32 * 32 * (steps * 64 + sizeof(float)); /* a multiple of 64 */
}

static void set_input(struct product *p, char *input) {
    p->input = input;
    p->input_scales = (float *)(input + (p->rows + 31) / 32 * 32 * p->steps * 64);
}

static int64_t sums_bytes(void) { return omp_get_max_threads() * MOST * 4 * TILE; }

/* Bytes that a product needs beside its operands, or two of them with their numbers between (`next_steps` not 0). */
int64_t scratch_bytes(int64_t rows, int64_t steps, int64_t next_steps) {
    return sums_bytes() + input_bytes(rows, steps) + input_bytes(rows, next_steps) + rows * next_steps * 128;
}

/* y (rows, 32 * panels) from x (rows, columns), both bfloat16, and a weight in tiles: in bfloat16 where `weight_scales`
   is null, else in int8, and then x is quantised row by row; `norm` is taken of x before. `scratch` begins at a multiple
   of 64. */
void multiply_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, const char *weight,
                    int64_t steps, int64_t panels, const float *weight_scales, const uint16_t *bias,
                    const uint16_t *residual, uint16_t *y, char *scratch) {
    struct product p = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = weight,
                        .weight_scales = weight_scales, .bias = bias, .residual = residual, .steps = steps,
                        .panels = panels, .y = y};
    set_input(&p, scratch + sums_bytes());
#pragma omp parallel
    {
        char *sums = scratch + omp_get_thread_num() * MOST * 4 * TILE;
        _tile_loadconfig(&ALL_TILES);
        if (weight_scales)
            take_product(&p, sums, 1);
        else
            take_product(&p, sums, 0);
        _tile_release();
    }
}

/* y = x + down(silu(gate) * up), where gate and up are the halves of the first product of norm(x): (rows, columns). */
void mlp_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, const char *gate_up,
               int64_t gate_steps, int64_t gate_panels, const float *gate_scales, const char *down, int64_t down_steps,
               int64_t down_panels, const float *down_scales, uint16_t *y, char *scratch) {
    int64_t between = gate_panels * 16; /* columns */
    struct product first = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = gate_up,
                            .weight_scales = gate_scales, .steps = gate_steps, .panels = gate_panels, .gate = 1};
    struct product second = {.rows = rows, .columns = between, .weight = down, .weight_scales = down_scales,
                             .residual = x, .steps = down_steps, .panels = down_panels, .y = y};
    char *input = scratch + sums_bytes();
    set_input(&first, input);
    input += input_bytes(rows, gate_steps);
    set_input(&second, input);
    first.y = (uint16_t *)(down_scales ? input + input_bytes(rows, down_steps) : input);
    first.next_steps = down_scales ? 0 : down_steps;
    second.x = down_scales ? first.y : 0;
#pragma omp parallel
    {
        char *sums = scratch + omp_get_thread_num() * MOST * 4 * TILE;
        _tile_loadconfig(&ALL_TILES);
        if (gate_scales) {
            take_product(&first, sums, 1);
            take_product(&second, sums, 1);
        } else {
            take_product(&first, sums, 0);
            take_product(&second, sums, 0);
        }
        _tile_release();
    }
}
#endif
