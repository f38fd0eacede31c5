/* Products y = x W^T with weights in AMX tiles, in bfloat16, int8 or int4, fused with the norm before them and with
   what follows: scales, bias, residual, gate. Called by tiled.py.

                 steps along the sum ->              A tile is 16 rows of 64 bytes. A step is 64 bytes of the
               s0     s1          sN                 sum: 32 numbers in bfloat16, 64 in int8; in int4 32 columns.
   input    [32 rows][step][2 tiles of 16 rows]      written by take_row(): norm, quantise, pad with zeros
   weight   [16 outputs][step][1 tile]               written once by tiled.py: 4 bytes of the sum for 16 outputs in a row
   sums     [2 tiles of rows][2 tiles of outputs]    tiles 0 .. 3; input in 4 and 5, weight in 6 and 7

   Loops, from the outside: a task is a group of panels (32 outputs each) and a chunk of input blocks (32 rows each);
   then DEPTH steps, whose part of the input stays in the second-level cache; then panel, then STEPS steps, whose part of
   the weight stays in the first-level cache, then block. Sums wait in `sums` between two groups of steps. They are always
   taken in the same order, so a row of the result is the same bits alone and among others; except in int4, where up to
   FEW rows are multiplied by the codes themselves (take_few) instead of by weights unpacked to bfloat16. */

#include "bfloat16.h"
#include "tiles.h"

#include <omp.h>

#ifdef HAS_TILES
#define TILE 1024          /* bytes */
#define STEPS 16           /* steps whose part of the weight stays in the first-level cache: 2 * 16 tiles, 32 KiB */
#define AHEAD 16           /* steps between the weight that is prefetched and the one that is read */
#define PANELS 16          /* most panels of 32 outputs in a task */
#define MOST 16            /* most blocks of 32 rows in a task */
#define DEPTH 32           /* steps whose part of the input, up to 1 MiB, stays in the second-level cache for all panels */
#define FEW 8              /* rows up to which weights in int4 are not unpacked */
#define GROUP 32           /* columns of int4 that share scale and zero */
#define INLINE static inline __attribute__((always_inline))

enum kind { HALF, INT8, INT4 }; /* tiled.py counts them alike */

/* A tile of a weight in int4: 16 outputs by 32 columns, with a scale and a zero for each output. A byte holds two
   columns, the even one low; four bytes, so eight columns, of each output are adjacent: [8 columns][output]. The weight
   is (code - 8) * scale + zero. */
struct packed {
    uint8_t codes[4][16][4];
    uint16_t scales[16], zeros[16];
};

/* One product. A panel is 32 outputs; with `gate` 16 of the first half of the weight, the gates, and the 16 of the
   second half that they gate. `norm`, `bias` and `residual` may be null; weight_scales are null except for int8. `x` is
   null where another product has written the input tiles. */
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
    int64_t next_steps; /* if y is the tiled input of a product of so many steps; else 0, and y is plain rows */
};

/* The place of a number in the tiled input in bfloat16, in bytes. */
INLINE int64_t place_of(int64_t row, int64_t column, int64_t steps) {
    return ((row / 32 * steps + column / 32) * 2 + row % 32 / ROWS) * TILE + row % ROWS * 64 + column % 32 * 2;
}

/* Write a row of the input to its tiles, after the norm. Rows after the last are zeros, and so is the padding of the
   last step. For int8 and int4 the row is quantised symmetrically; for int4 its codes are stored in bfloat16, which
   holds them exactly. */
INLINE void take_row(const struct product *p, int64_t row, enum kind kind) {
    char *target = p->input + place_of(row, 0, p->steps);
    const uint16_t *source = p->x + row * p->columns;
    uint16_t normed[p->norm ? p->columns : 1];
    int there = row < p->rows;
    if (there && p->norm) {
        norm_row(source, p->columns, p->norm, p->eps, normed);
        source = normed;
    }
    if (kind == HALF) {
        for (int64_t s = 0; s < p->steps; s++)
            _mm512_store_si512(target + s * 2 * TILE, there ? _mm512_loadu_si512(source + s * 32) : _mm512_setzero_si512());
        return;
    }
    float scale = there ? row_scale(source, p->columns) : 1.0f;
    __m512 inverse = _mm512_set1_ps(1.0f / scale);
    p->input_scales[row] = scale;
    int64_t size = kind == INT8 ? 1 : 2; /* bytes of a code */
    for (int64_t i = 0; i < p->steps * 64 / size; i += 16) {
        __m512i codes = _mm512_setzero_si512();
        if (there && i < p->columns) codes = _mm512_cvtps_epi32(_mm512_mul_ps(widened(source + i), inverse));
        char *place = target + i * size / 64 * 2 * TILE + i * size % 64;
        if (kind == INT8)
            _mm_store_si128((__m128i *)place, _mm512_cvtsepi32_epi8(codes));
        else
            store_narrowed((uint16_t *)place, _mm512_cvtepi32_ps(codes));
    }
}

/* Add `steps` steps to the sums of 16 outputs (`one`) and 16 others, for 16 or (`both`) 32 rows. At each step `lines`
   cache lines of each weight are prefetched, `ahead` bytes after the tile that is read: the blocks of a chunk share
   this, each prefetches a part. Tiles are used in the order in which they are loaded, so that loads and products
   overlap. Those of the input, which are needed once, are not kept in the first-level cache: the weight stays there. */
INLINE void add_up(const char *input, const char *one, const char *other, int64_t steps, int64_t ahead, int64_t lines,
                   int both, enum kind kind) {
#define MULTIPLY(sum, left, right)         \
    do {                                   \
        if (kind == INT8)                  \
            _tile_dpbssd(sum, left, right); \
        else                               \
            _tile_dpbf16ps(sum, left, right); \
    } while (0)
    for (int64_t s = 0; s < steps; s++, input += 2 * TILE, one += TILE, other += TILE) {
        _tile_stream_loadd(4, input, 64);
        _tile_loadd(6, one, 64);
        MULTIPLY(0, 4, 6);
        _tile_loadd(7, other, 64);
        MULTIPLY(1, 4, 7);
        if (both) {
            _tile_stream_loadd(5, input + TILE, 64);
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

/* Unpack a tile in int4 to one in bfloat16. A code is looked up in `steps` (permutexvar_ps reads the low four bits of a
   lane), and `pairs` interleaves even and odd columns as the product reads them. */
static void unpack(const struct packed *packed, char *tile) {
    const __m512 steps = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    const __m512i pairs = _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006,
                                            0x170007, 0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d,
                                            0x1e000e, 0x1f000f);
    __m512 scales = widened(packed->scales), zeros = widened(packed->zeros);
    for (int q = 0; q < 4; q++) {
        __m512i codes = _mm512_loadu_si512(packed->codes[q]);
        for (int r = 0; r < 4; r++) {
            __m512 even = _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 8 * r), steps);
            __m512 odd = _mm512_permutexvar_ps(_mm512_srli_epi32(codes, 8 * r + 4), steps);
            even = _mm512_fmadd_ps(even, scales, zeros);
            odd = _mm512_fmadd_ps(odd, scales, zeros);
            __m512i both = (__m512i)_mm512_cvtne2ps_pbh(odd, even);
            _mm512_store_si512(tile + (4 * q + r) * 64, _mm512_permutexvar_epi16(pairs, both));
        }
    }
}

/* Unpack `steps` tiles of two weights, and prefetch those AHEAD of them. */
static void unpack_all(const struct packed *one, const struct packed *other, int64_t steps, char *tiles) {
    for (int64_t s = 0; s < steps; s++) {
        for (int64_t i = 0; i < (int64_t)sizeof(struct packed); i += 64) {
            _mm_prefetch((const char *)(one + s + AHEAD) + i, _MM_HINT_T1);
            _mm_prefetch((const char *)(other + s + AHEAD) + i, _MM_HINT_T1);
        }
        unpack(one + s, tiles + s * TILE);
        unpack(other + s, tiles + (STEPS + s) * TILE);
    }
}

/* 16 outputs of a row from their sums: scales of weight and input, bias. */
INLINE __m512 finished(const struct product *p, const char *sums, int64_t row, int64_t output, enum kind kind) {
    __m512 y = kind == INT8 ? _mm512_cvtepi32_ps(_mm512_load_si512(sums)) : _mm512_load_ps((const float *)sums);
    if (kind == INT8) y = _mm512_mul_ps(y, _mm512_loadu_ps(p->weight_scales + output));
    if (kind != HALF) y = _mm512_mul_ps(y, _mm512_set1_ps(p->input_scales[row]));
    return p->bias ? _mm512_add_ps(y, widened(p->bias + output)) : y;
}

/* Finish a panel of a block: scale, add, gate, round, and write up to 32 rows of 32 outputs (with `gate` of 16). */
INLINE void finish(const struct product *p, const char *sums, int64_t block, int64_t panel, enum kind kind) {
    int64_t count = p->rows - block * 32 < 32 ? p->rows - block * 32 : 32;
    for (int64_t r = 0; r < count; r++) {
        int64_t row = block * 32 + r;
        const char *mine = sums + r / ROWS * 2 * TILE + r % ROWS * 64;
        int64_t beside = p->gate ? panel * 16 + p->panels * 16 : panel * 32 + 16;
        __m512 one = finished(p, mine, row, p->gate ? panel * 16 : panel * 32, kind);
        __m512 other = finished(p, mine + TILE, row, beside, kind);
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
        _mm512_storeu_si512(p->y + place, (__m512i)_mm512_cvtne2ps_pbh(other, one));
    }
}

/* Steps `begin` .. `end` - 1 of a panel for the blocks of rows `first` .. `last` - 1, STEPS steps at a time. `sums` has 4
   tiles for each block. */
INLINE void take_panel(const struct product *p, int64_t panel, int64_t first, int64_t last, int64_t begin, int64_t end,
                       char *sums, enum kind kind) {
    int64_t lines = kind == INT4 ? 0 : last - first < 16 ? 16 / (last - first) : 1;
    int64_t size = kind == INT4 ? sizeof(struct packed) : TILE;
    const char *weight = p->weight + (p->gate ? panel : 2 * panel) * p->steps * size;
    int64_t apart = (p->gate ? p->panels : 1) * p->steps * size;
    char unpacked[kind == INT4 ? 2 * STEPS * TILE : 64] __attribute__((aligned(64)));
    for (int64_t from = begin; from < end; from += STEPS) {
        int64_t some = end - from < STEPS ? end - from : STEPS;
        const char *one = weight + from * size, *other = one + apart;
        if (kind == INT4) {
            unpack_all((const struct packed *)one, (const struct packed *)other, some, unpacked);
            one = unpacked;
            other = unpacked + STEPS * TILE;
        }
        for (int64_t block = first; block < last; block++) {
            char *mine = sums + (block - first) * 4 * TILE;
            const char *input = p->input + (block * p->steps + from) * 2 * TILE;
            int64_t ahead = AHEAD * TILE + (block - first) * some * lines * 64;
            if (from) { /* go on with the sums of the steps before */
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
                add_up(input, one, other, some, ahead, lines, 1, kind);
            else
                add_up(input, one, other, some, ahead, lines, 0, kind);
            _tile_stored(0, mine, 64);
            _tile_stored(1, mine + TILE, 64);
            _tile_stored(2, mine + 2 * TILE, 64);
            _tile_stored(3, mine + 3 * TILE, 64);
            if (from + some == p->steps) finish(p, mine, block, panel, kind);
        }
    }
}

/* Quantise one of few rows for a weight in int4. The input holds, row by row, the codes of even columns, then of odd
   ones; after FEW rows of them the sum of each group of columns, which the zeros of the weight are multiplied by. */
static void take_few_row(const struct product *p, int64_t row) {
    int8_t *even = (int8_t *)p->input + row * p->columns, *odd = even + p->columns / 2;
    float *sums = (float *)(p->input + FEW * p->columns) + row * p->steps;
    const uint16_t *source = p->x + row * p->columns;
    uint16_t normed[p->norm ? p->columns : 1];
    if (p->norm) {
        norm_row(source, p->columns, p->norm, p->eps, normed);
        source = normed;
    }
    float scale = row_scale(source, p->columns), inverse = 1.0f / scale;
    p->input_scales[row] = scale;
    for (int64_t i = 0; i < p->columns / 2; i++) {
        even[i] = code(source[2 * i], inverse);
        odd[i] = code(source[2 * i + 1], inverse);
    }
    for (int64_t s = 0; s < p->steps; s++) {
        int32_t sum = 0;
        for (int64_t i = s * GROUP / 2; i < (s + 1) * GROUP / 2; i++) sum += even[i] + odd[i];
        sums[s] = (float)sum;
    }
}

/* Sums of 16 outputs for `count` (a constant when compiled) rows from `first` on; each becomes a row of `tile`.
   sum(x w) = scale * sum(x code) + (zero - 8 scale) * sum(x), group by group; codes are unsigned, as vpdpbusd wants. */
INLINE void add_few(const struct product *p, const struct packed *weight, int64_t first, int count, char *tile) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const float *group_sums = (const float *)(p->input + FEW * p->columns) + first * p->steps;
    const char *even = p->input + first * p->columns;
    __m512 sums[4];
    for (int m = 0; m < count; m++) sums[m] = _mm512_setzero_ps();
    for (int64_t s = 0; s < p->steps; s++, weight++, even += GROUP / 2) {
        __m512 scales = widened(weight->scales);
        __m512 lowest = _mm512_fmadd_ps(scales, _mm512_set1_ps(-8.0f), widened(weight->zeros));
        __m512i dots[4];
        for (int m = 0; m < count; m++) dots[m] = _mm512_setzero_si512();
        for (int64_t i = 0; i < (int64_t)sizeof *weight; i += 64)
            _mm_prefetch((const char *)(weight + AHEAD) + i, _MM_HINT_T0);
        for (int q = 0; q < 4; q++) {
            __m512i codes = _mm512_loadu_si512(weight->codes[q]);
            __m512i low = _mm512_and_si512(codes, nibble), high = _mm512_and_si512(_mm512_srli_epi16(codes, 4), nibble);
            for (int m = 0; m < count; m++) {
                const char *mine = even + m * p->columns + 4 * q;
                int32_t evens, odds;
                memcpy(&evens, mine, 4);
                memcpy(&odds, mine + p->columns / 2, 4);
                dots[m] = _mm512_dpbusd_epi32(dots[m], low, _mm512_set1_epi32(evens));
                dots[m] = _mm512_dpbusd_epi32(dots[m], high, _mm512_set1_epi32(odds));
            }
        }
        for (int m = 0; m < count; m++) {
            sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[m]), scales, sums[m]);
            sums[m] = _mm512_fmadd_ps(lowest, _mm512_set1_ps(group_sums[m * p->steps + s]), sums[m]);
        }
    }
    for (int m = 0; m < count; m++) _mm512_store_ps((float *)(tile + (first + m) * 64), sums[m]);
}

/* A product of up to FEW rows with a weight in int4, which is read once from memory and never unpacked. */
static void take_few(const struct product *p, char *sums) {
#pragma omp for schedule(static)
    for (int64_t row = 0; row < p->rows; row++) take_few_row(p, row);
#pragma omp for schedule(static)
    for (int64_t panel = 0; panel < p->panels; panel++) {
        const struct packed *one = (const struct packed *)p->weight + (p->gate ? panel : 2 * panel) * p->steps;
        const struct packed *other = one + (p->gate ? p->panels : 1) * p->steps;
        for (int64_t m = 0; m < p->rows; m += 4) {
            int64_t count = p->rows - m < 4 ? p->rows - m : 4;
            if (count == 1) add_few(p, one, m, 1, sums), add_few(p, other, m, 1, sums + TILE);
            if (count == 2) add_few(p, one, m, 2, sums), add_few(p, other, m, 2, sums + TILE);
            if (count == 3) add_few(p, one, m, 3, sums), add_few(p, other, m, 3, sums + TILE);
            if (count == 4) add_few(p, one, m, 4, sums), add_few(p, other, m, 4, sums + TILE);
        }
        finish(p, sums, 0, panel, INT4);
    }
}

/* A whole product, by all threads of the parallel region. Each `omp for` ends in a barrier: the input is complete
   before the first panel, and a product before the next. */
INLINE void take_product(const struct product *p, char *sums, enum kind kind) {
    int64_t blocks = (p->rows + 31) / 32, chunks = (blocks + MOST - 1) / MOST;
    int64_t together = p->panels * chunks / (4 * omp_get_num_threads());
    together = together < 1 ? 1 : together < PANELS ? together : PANELS;
    int64_t groups = (p->panels + together - 1) / together;
    if (kind == INT4 && p->rows <= FEW) {
        take_few(p, sums);
        return;
    }
    if (p->x) {
#pragma omp for schedule(static)
        for (int64_t row = 0; row < blocks * 32; row++) take_row(p, row, kind);
    }
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < groups * chunks; task++) {
        int64_t group = task / chunks * together, chunk = task % chunks;
        int64_t first = blocks * chunk / chunks, last = blocks * (chunk + 1) / chunks;
        int64_t end = group + together < p->panels ? group + together : p->panels;
        for (int64_t from = 0; from < p->steps; from += DEPTH) {
            int64_t to = from + DEPTH < p->steps ? from + DEPTH : p->steps;
            for (int64_t panel = group; panel < end; panel++) {
                int64_t place = p->steps > DEPTH ? panel - group : 0; /* of its sums, if they wait for other panels */
                take_panel(p, panel, first, last, from, to, sums + place * MOST * 4 * TILE, kind);
            }
        }
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

#define SUMS (PANELS * MOST * 4 * TILE) /* bytes of the sums of a thread */

static int64_t sums_bytes(void) { return omp_get_max_threads() * SUMS; }

/* Bytes that a product needs beside its operands, or (`next_steps` not 0) two of them with the rows between them:
   [sums of each thread][input of the first][input of the second][rows between, for int8 and int4]. */
int64_t scratch_bytes(int64_t rows, int64_t steps, int64_t next_steps) {
    return sums_bytes() + input_bytes(rows, steps) + input_bytes(rows, next_steps) + rows * next_steps * 128;
}

/* One product, or one and then another, each by all threads. Tiles are configured for each thread. */
INLINE void take_products(const struct product *first, const struct product *second, char *scratch, enum kind kind) {
#pragma omp parallel
    {
        char *sums = scratch + omp_get_thread_num() * SUMS;
        _tile_loadconfig(&ALL_TILES);
        take_product(first, sums, kind);
        if (second) take_product(second, sums, kind);
        _tile_release();
    }
}

/* Compile everything above once for each kind. */
static void take_kind(const struct product *first, const struct product *second, char *scratch, int64_t kind) {
    if (kind == HALF) take_products(first, second, scratch, HALF);
    if (kind == INT8) take_products(first, second, scratch, INT8);
    if (kind == INT4) take_products(first, second, scratch, INT4);
}

/* y (rows, 32 * panels) from x (rows, columns), both bfloat16, and a weight in tiles. For one in int8 or int4 x is
   quantised to int8 row by row; `norm` is taken of x before. `scratch` begins at a multiple of 64. */
void multiply_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
                    const char *weight, int64_t steps, int64_t panels, const float *weight_scales, const uint16_t *bias,
                    const uint16_t *residual, uint16_t *y, char *scratch) {
    struct product p = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = weight,
                        .weight_scales = weight_scales, .bias = bias, .residual = residual, .steps = steps,
                        .panels = panels, .y = y};
    set_input(&p, scratch + sums_bytes());
    take_kind(&p, 0, scratch, kind);
}

/* y = x + down(silu(gate) * up), where gate and up are the halves of the first product of norm(x): (rows, columns). */
void mlp_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
               const char *gate_up, int64_t gate_steps, int64_t gate_panels, const float *gate_scales, const char *down,
               int64_t down_steps, int64_t down_panels, const float *down_scales, uint16_t *y, char *scratch) {
    struct product first = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = gate_up,
                            .weight_scales = gate_scales, .steps = gate_steps, .panels = gate_panels, .gate = 1};
    struct product second = {.rows = rows, .columns = gate_panels * 16, .weight = down, .weight_scales = down_scales,
                             .residual = x, .steps = down_steps, .panels = down_panels, .y = y};
    set_input(&first, scratch + sums_bytes());
    set_input(&second, first.input + input_bytes(rows, gate_steps));
    if (kind != HALF) { /* plain rows between the products: a row is quantised when it is complete */
        first.y = (uint16_t *)(second.input + input_bytes(rows, down_steps));
        second.x = first.y;
    } else { /* the first product writes the second's input tiles */
        first.y = (uint16_t *)second.input;
        first.next_steps = down_steps;
    }
    take_kind(&first, &second, scratch, kind);
}
#endif
