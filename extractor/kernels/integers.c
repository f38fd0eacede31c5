/* Products y = x W^T with int8 and int4 weights in tiles on a processor without AMX: a row of the input is quantised to
   int8, and codes are multiplied by codes. Fused with the norm before them and with scales, bias, gate and residual after
   them, as in amx.c. Called by tiled.py.

                 columns of the sum ->              A quad is 4 codes of 1 byte: what one 32-bit lane sums up.
   int8 weight  [16 outputs][step][16 quads][16 outputs][4]            a tile is 1 KiB, a step 64 columns
   int4 weight  [16 outputs][step]: codes [4][16 outputs][4], 16 scales, 16 zeros          `struct packed`, 32 columns
   laid out     [slice][quad][outputs of a slice][4]         bytes, in the first-level cache, for a panel at a time
   input        [block][quad][rows of a block][4]   int8, written by take_block(): norm, quantise
   sums         [block][rows of a block][32 outputs]         int32 for int8, float32 for int4

   With x[r, k] = scale[r] * code[r, k] in int8:
     int8   y = scale[r] * scale[n] * sum_k code[r, k] * w[n, k]
     int4   y = scale[r] * sum over groups of 32 columns  scale[n] * sum_k code[r, k] * w[n, k] + low[n] * sum_k code[r, k]
            where a weight is (w - 8) * scale + zero = w * scale + low

   VNNI multiplies bytes without a sign by bytes with one, so 128 is added to the codes of an int8 weight on the way in,
   and 128 times the sum of the row is taken off at the end. Without VNNI two bytes without a sign are multiplied by two
   with one into 16 bits, which hold eight of the products of int4 codes, but not two of int8: there both operands are
   widened to 16 bits, the columns of a quad in pairs, 0 and 2, 1 and 3.

   Sums of codes are exact and groups are added up in their order, so a row of the result is the same bits alone and among
   others; with int8 also the same on every processor, up to the gate. */

#include "panels.h"

#include <immintrin.h>

#ifdef __AVX2__

enum kind { INT8 = 1, INT4 }; /* tiled.py counts them alike */

#if LANES == 16
typedef __m512i bytes;
#define ADD16(a, b) _mm512_add_epi16(a, b)
#define PAIRS16(a, b) _mm512_madd_epi16(a, b)
#define PAIRS8(a, b) _mm512_maddubs_epi16(a, b)
#define LEFT16(a, n) _mm512_slli_epi16(a, n)
#define RIGHT16(a, n) _mm512_srai_epi16(a, n)
#define LOGICAL16(a, n) _mm512_srli_epi16(a, n)
#define ALL8(x) _mm512_set1_epi8(x)
#define ALL16(x) _mm512_set1_epi16(x)
#define ALL32(x) _mm512_set1_epi32(x)
#ifdef __AVX512VNNI__
#define VNNI
#define QUADS(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#endif
#else
typedef __m256i bytes;
#define ADD16(a, b) _mm256_add_epi16(a, b)
#define PAIRS16(a, b) _mm256_madd_epi16(a, b)
#define PAIRS8(a, b) _mm256_maddubs_epi16(a, b)
#define LEFT16(a, n) _mm256_slli_epi16(a, n)
#define RIGHT16(a, n) _mm256_srai_epi16(a, n)
#define LOGICAL16(a, n) _mm256_srli_epi16(a, n)
#define ALL8(x) _mm256_set1_epi8(x)
#define ALL16(x) _mm256_set1_epi16(x)
#define ALL32(x) _mm256_set1_epi32(x)
#ifdef __AVXVNNI__
#define VNNI
#define QUADS(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#endif
#endif

#ifdef VNNI
#define CODE 1 /* bytes of a code of int8, in the input and laid out */
#else
#define CODE 2
#endif
#define TILE 1024 /* bytes, of int8 */
#define STEP 64   /* columns of a tile of int8 */
#define STEPS 4   /* steps of int8 that are laid out at a time */
#define GROUP 32  /* columns of int4 that share scale and zero: a step */
#define GROUPS 8  /* of them laid out at a time */
#define FEW 4     /* rows up to which weights are read as they are */
#define VECTORS (2 * SLICES) /* of outputs in a panel */

/* A tile of a weight in int4, as in amx.c: a byte holds two columns, the even one low. */
struct packed {
    uint8_t codes[4][16][4];
    uint16_t scales[16], zeros[16];
};

typedef int32_t ints __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef bytes loose __attribute__((aligned(1), may_alias));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));

/* What else a row of the input has, before the codes of all rows: its scale, the sum of its codes, and for int4 the sum
   of each group, [group][rows of a block] in each block. */
struct input {
    float *scales, *groups;
    int32_t *sums;
    int8_t *codes;
};

/* 4 bytes in every lane. */
INLINE bytes spread(const int8_t *source) {
    int32_t all;
    memcpy(&all, source, 4);
    return ALL32(all);
}

INLINE int64_t padded(const struct product *p, enum kind kind) { return p->steps * (kind == INT8 ? STEP : GROUP); }

INLINE struct input input_of(const struct product *p) {
    struct input in = {.scales = (float *)p->input};
    in.sums = (int32_t *)(in.scales + p->rows);
    in.groups = (float *)(in.sums + p->rows);
    in.codes = (int8_t *)(in.groups + p->rows * p->steps);
    return in;
}

/* The codes of a row as the product reads them, those of a block interleaved by quads; zeros after the last column. */
INLINE void write_codes(const int8_t *codes, int64_t columns, int64_t count, int64_t row, enum kind kind, int8_t *target) {
    if (kind == INT4) { /* four even columns, then four odd ones */
        for (int64_t c = 0; c < columns; c += 8) {
            const int8_t *from = codes + c;
            const int8_t quads[2][4] = {{from[0], from[2], from[4], from[6]}, {from[1], from[3], from[5], from[7]}};
            memcpy(target + (c / 4 * count + row) * 4, quads[0], 4);
            memcpy(target + ((c / 4 + 1) * count + row) * 4, quads[1], 4);
        }
        return;
    }
    for (int64_t c = 0; c < columns; c += 4) {
        int8_t *place = target + (c / 4 * count + row) * 4 * CODE;
#ifdef VNNI
        memcpy(place, codes + c, 4);
#else
        const int16_t pairs[4] = {codes[c], codes[c + 2], codes[c + 1], codes[c + 3]};
        memcpy(place, pairs, sizeof pairs);
#endif
    }
}

/* Write the rows of a block to the input, after the norm. */
INLINE void take_block(const struct product *p, int64_t block, enum kind kind) {
    int64_t first = first_row(p->rows, block), count = first_row(p->rows, block + 1) - first, width = padded(p, kind);
    struct input in = input_of(p);
    uint16_t normed[p->norm ? p->columns : 1];
    int8_t codes[width];
    memset(codes + p->columns, 0, width - p->columns);
    for (int64_t r = 0; r < count; r++) {
        const uint16_t *source = normed_row(p, first + r, normed);
        float scale = row_scale(source, p->columns), inverse = 1.0f / scale;
        int32_t sum = 0;
        for (int64_t c = 0; c < p->columns; c++) codes[c] = code(source[c], inverse);
        for (int64_t c = 0; c < p->columns; c++) sum += codes[c];
        in.scales[first + r] = scale;
        in.sums[first + r] = sum;
        write_codes(codes, width, count, r, kind, in.codes + first * width * (kind == INT8 ? CODE : 1));
        if (kind == INT8) continue;
        for (int64_t g = 0; g < p->steps; g++) {
            int32_t group = 0;
            for (int64_t c = g * GROUP; c < (g + 1) * GROUP; c++) group += codes[c];
            in.groups[first * p->steps + g * count + r] = (float)group;
        }
    }
}

/* Lay out `steps` steps of a panel of int8. */
static void lay_out_int8(const char *one, const char *other, int64_t steps, char *target) {
    for (int v = 0; v < 2 * SLICES; v++)
        for (int64_t quad = 0; quad < steps * STEP / 4; quad++) {
            bytes codes = *(const loose *)vector_of(one + quad * 64, other + quad * 64, v);
            char *place = target + ((v / 2 * steps * STEP / 4 + quad) * CODE * SLICE + v % 2 * LANES) * 4;
#ifdef VNNI
            *(loose *)place = codes ^ ALL8((char)128);
#else
            *(loose *)place = RIGHT16(LEFT16(codes, 8), 8);
            *(loose *)(place + SLICE * 4) = RIGHT16(codes, 8);
#endif
        }
}

/* Add `steps` steps of int8 to the sums of a slice for `count` (a constant when compiled) rows. */
INLINE void add_int8(const int8_t *input, const char *weight, int64_t steps, int32_t *sums, int is_first, int count) {
    ints sum[ROWS][2];
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++) sum[r][i] = is_first ? (ints){0} : *(const ints *)(sums + r * OUTPUTS + i * LANES);
    for (int64_t quad = 0; quad < steps * STEP / 4; quad++, input += count * 4 * CODE)
        for (int pair = 0; pair < CODE; pair++, weight += SLICE * 4) {
            bytes one = *(const loose *)weight, other = *(const loose *)(weight + 4 * LANES);
            for (int r = 0; r < count; r++) {
                bytes x = spread(input + (r * CODE + pair) * 4);
#ifdef VNNI
                sum[r][0] = (ints)QUADS((bytes)sum[r][0], one, x);
                sum[r][1] = (ints)QUADS((bytes)sum[r][1], other, x);
#else
                sum[r][0] += (ints)PAIRS16(one, x);
                sum[r][1] += (ints)PAIRS16(other, x);
#endif
                KEEP(sum[r][0], sum[r][1]);
            }
        }
    for (int r = 0; r < count; r++)
        for (int i = 0; i < 2; i++) *(ints *)(sums + r * OUTPUTS + i * LANES) = sum[r][i];
}

/* A panel of int4 laid out: codes, even columns and odd ones of each 8; for each group the scale and low. */
struct groups {
    char codes[SLICES][GROUPS][8][SLICE][4];
    float scales[GROUPS][OUTPUTS], lows[GROUPS][OUTPUTS];
};

static void lay_out_int4(const struct packed *one, const struct packed *other, int64_t groups, struct groups *target) {
    const bytes low = ALL8(15);
    for (int64_t g = 0; g < groups; g++, one++, other++) {
        for (int q = 0; q < 4; q++)
            for (int v = 0; v < 2 * SLICES; v++) {
                bytes both = *(const loose *)vector_of((const char *)one->codes[q], (const char *)other->codes[q], v);
                *(loose *)target->codes[v / 2][g][2 * q][v % 2 * LANES] = both & low;
                *(loose *)target->codes[v / 2][g][2 * q + 1][v % 2 * LANES] = LOGICAL16(both, 4) & low;
            }
        for (int n = 0; n < 16; n++) {
            target->scales[g][n] = wide(one->scales[n]);
            target->scales[g][16 + n] = wide(other->scales[n]);
            target->lows[g][n] = wide(one->zeros[n]) - 8.0f * wide(one->scales[n]);
            target->lows[g][16 + n] = wide(other->zeros[n]) - 8.0f * wide(other->scales[n]);
        }
    }
}

/* Add a group of int4 to the sums of a slice for `count` (a constant when compiled) rows. */
INLINE void add_group(const int8_t *input, const float *group_sums, const char *weight, const float *scales,
                      const float *lows, float *sums, int is_first, int count) {
    bytes dots[ROWS][2];
    for (int r = 0; r < count; r++) dots[r][0] = dots[r][1] = (bytes){0};
    for (int quad = 0; quad < 8; quad++, input += count * 4, weight += SLICE * 4) {
        bytes one = *(const loose *)weight, other = *(const loose *)(weight + 4 * LANES);
        for (int r = 0; r < count; r++) {
            bytes x = spread(input + r * 4);
#ifdef VNNI
            dots[r][0] = QUADS(dots[r][0], one, x);
            dots[r][1] = QUADS(dots[r][1], other, x);
#else /* eight sums of two products of at most 15 * 127 fit into 16 bits */
            dots[r][0] = ADD16(dots[r][0], PAIRS8(one, x));
            dots[r][1] = ADD16(dots[r][1], PAIRS8(other, x));
#endif
            KEEP(dots[r][0], dots[r][1]);
        }
    }
    for (int i = 0; i < 2; i++) {
        lanes scale = *(const lanes *)(scales + i * LANES), low = *(const lanes *)(lows + i * LANES);
        for (int r = 0; r < count; r++) {
#ifdef VNNI
            ints dot = (ints)dots[r][i];
#else
            ints dot = (ints)PAIRS16(dots[r][i], ALL16(1));
#endif
            lanes *sum = (lanes *)(sums + r * OUTPUTS + i * LANES), before = is_first ? (lanes){0} : *sum;
            *sum = before + __builtin_convertvector(dot, lanes) * scale + low * group_sums[r];
        }
    }
}

/* Add some groups of int4 to the sums of a slice. */
INLINE void add_int4(const int8_t *input, const float *group_sums, const struct groups *weight, int slice, int64_t groups,
                     float *sums, int is_first, int count) {
    for (int64_t g = 0; g < groups; g++)
        add_group(input + g * GROUP * count, group_sums + g * count, (const char *)weight->codes[slice][g],
                  weight->scales[g] + slice * SLICE, weight->lows[g] + slice * SLICE, sums, is_first && g == 0, count);
}

/* Scale the sums of a block and finish them. */
INLINE void finish(const struct product *p, const void *sums, int64_t block, int64_t panel, enum kind kind) {
    int64_t first = first_row(p->rows, block), count = first_row(p->rows, block + 1) - first;
    struct input in = input_of(p);
    int64_t outputs[2] = {p->gate ? panel * 16 : panel * OUTPUTS, p->gate ? (p->panels + panel) * 16 : panel * OUTPUTS + 16};
    for (int64_t r = 0; r < count; r++) {
        float scaled[OUTPUTS];
        for (int i = 0; i < OUTPUTS; i++) {
            if (kind == INT4) {
                scaled[i] = ((const float *)sums)[r * OUTPUTS + i] * in.scales[first + r];
                continue;
            }
            int32_t sum = ((const int32_t *)sums)[r * OUTPUTS + i];
#ifdef VNNI
            sum -= 128 * in.sums[first + r];
#endif
            scaled[i] = (float)sum * p->weight_scales[outputs[i / 16] + i % 16] * in.scales[first + r];
        }
        finish_row(p, scaled, first + r, panel);
    }
}

/* A panel of int8 for few rows: its tiles are read once and as they are, nothing is laid out. Two sums of each vector of
   outputs, since one would wait for itself. */
INLINE void add_few_int8(const int8_t *input, const char *one, const char *other, int64_t steps, int32_t *sums, int count) {
    ints sum[FEW][VECTORS][2];
    for (int r = 0; r < count; r++)
        for (int v = 0; v < VECTORS; v++) sum[r][v][0] = sum[r][v][1] = (ints){0};
    for (int64_t quad = 0; quad < steps * STEP / 4; quad += 2)
        for (int half = 0; half < 2; half++, one += 64, other += 64, input += count * 4 * CODE)
            for (int v = 0; v < VECTORS; v++) {
                bytes codes = *(const loose *)vector_of(one, other, v);
                for (int r = 0; r < count; r++) {
                    ints *target = &sum[r][v][half];
#ifdef VNNI
                    *target = (ints)QUADS((bytes)*target, codes ^ ALL8((char)128), spread(input + r * 4));
#else
                    *target += (ints)PAIRS16(RIGHT16(LEFT16(codes, 8), 8), spread(input + r * 8));
                    *target += (ints)PAIRS16(RIGHT16(codes, 8), spread(input + r * 8 + 4));
#endif
                }
            }
    for (int r = 0; r < count; r++)
        for (int v = 0; v < VECTORS; v++) *(ints *)(sums + r * OUTPUTS + v * LANES) = sum[r][v][0] + sum[r][v][1];
}

/* bfloat16 to float32. */
INLINE lanes wide_lanes(const uint16_t *source) {
    return (lanes)(__builtin_convertvector(*(const halves *)source, words) << 16);
}

/* A panel of int4 for few rows, likewise. */
INLINE void add_few_int4(const int8_t *input, const float *group_sums, const struct packed *one, const struct packed *other,
                         int64_t groups, float *sums, int count) {
    const bytes low_half = ALL8(15);
    lanes sum[FEW][VECTORS];
    for (int r = 0; r < count; r++)
        for (int v = 0; v < VECTORS; v++) sum[r][v] = (lanes){0};
    for (int64_t g = 0; g < groups; g++, one++, other++, input += count * GROUP, group_sums += count) {
        bytes dots[FEW][VECTORS][2];
        for (int r = 0; r < count; r++)
            for (int v = 0; v < VECTORS; v++) dots[r][v][0] = dots[r][v][1] = (bytes){0};
        for (int q = 0; q < 4; q++)
            for (int v = 0; v < VECTORS; v++) {
                bytes both = *(const loose *)vector_of((const char *)one->codes[q], (const char *)other->codes[q], v);
                const bytes codes[2] = {both & low_half, LOGICAL16(both, 4) & low_half};
                for (int r = 0; r < count; r++)
                    for (int odd = 0; odd < 2; odd++) {
                        bytes x = spread(input + ((2 * q + odd) * count + r) * 4), *target = &dots[r][v][odd];
#ifdef VNNI
                        *target = QUADS(*target, codes[odd], x);
#else
                        *target = ADD16(*target, PAIRS8(codes[odd], x));
#endif
                    }
            }
        for (int v = 0; v < VECTORS; v++) {
            const struct packed *tile = v < SLICES ? one : other;
            lanes scale = wide_lanes(tile->scales + v % SLICES * LANES), zero = wide_lanes(tile->zeros + v % SLICES * LANES);
            lanes low = zero - 8.0f * scale;
            for (int r = 0; r < count; r++) {
#ifdef VNNI
                ints dot = (ints)dots[r][v][0] + (ints)dots[r][v][1];
#else
                ints dot = (ints)PAIRS16(ADD16(dots[r][v][0], dots[r][v][1]), ALL16(1));
#endif
                sum[r][v] = sum[r][v] + __builtin_convertvector(dot, lanes) * scale + low * group_sums[r];
            }
        }
    }
    for (int r = 0; r < count; r++)
        for (int v = 0; v < VECTORS; v++) *(lanes *)(sums + r * OUTPUTS + v * LANES) = sum[r][v];
}

/* A panel for a block of few rows. */
INLINE void take_few(const struct product *p, int64_t panel, int64_t block, void *sums, enum kind kind) {
    const char *other, *one = tiles_of(p, panel, kind == INT8 ? TILE : (int64_t)sizeof(struct packed), &other);
    struct input in = input_of(p);
    int64_t row = first_row(p->rows, block), count = first_row(p->rows, block + 1) - row;
    const int8_t *input = in.codes + row * padded(p, kind) * (kind == INT8 ? CODE : 1);
    switch (count) {
#define CASE(n)                                                                                                            \
    case n:                                                                                                                \
        if (kind == INT8)                                                                                                  \
            add_few_int8(input, one, other, p->steps, sums, n);                                                            \
        else                                                                                                               \
            add_few_int4(input, in.groups + row * p->steps, (const struct packed *)one, (const struct packed *)other,      \
                         p->steps, sums, n);                                                                               \
        break;
        CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
    }
    finish(p, sums, block, panel, kind);
}

/* Tell whether a panel is for one block, and that of few rows: then its weights need not be laid out. */
INLINE int is_few(const struct product *p, int64_t first, int64_t last) {
    return last - first == 1 && first_row(p->rows, last) - first_row(p->rows, first) <= FEW;
}

/* A panel for the blocks `first` .. `last` - 1. */
static void take_panel_int8(const struct product *p, int64_t panel, int64_t first, int64_t last, void *space) {
    if (is_few(p, first, last)) {
        take_few(p, panel, first, space, INT8);
        return;
    }
    char laid_out[STEPS * STEP * OUTPUTS * CODE] __attribute__((aligned(64)));
    const char *other, *one = tiles_of(p, panel, TILE, &other);
    struct input in = input_of(p);
    for (int64_t from = 0; from < p->steps; from += STEPS) {
        int64_t some = p->steps - from < STEPS ? p->steps - from : STEPS;
        lay_out_int8(one + from * TILE, other + from * TILE, some, laid_out);
        for (int64_t block = first; block < last; block++) {
            int64_t row = first_row(p->rows, block), count = first_row(p->rows, block + 1) - row;
            const int8_t *input = in.codes + (row * p->steps + from * count) * STEP * CODE;
            int32_t *sums = (int32_t *)space + (block - first) * ROWS * OUTPUTS;
            for (int slice = 0; slice < SLICES; slice++) {
                const char *weight = laid_out + slice * some * STEP * SLICE * CODE;
                switch (count) {
#define CASE(n) \
    case n: add_int8(input, weight, some, sums + slice * SLICE, from == 0, n); break;
                    FOR_COUNT(CASE)
#undef CASE
                }
            }
            if (from + some == p->steps) finish(p, sums, block, panel, INT8);
        }
    }
}

static void take_panel_int4(const struct product *p, int64_t panel, int64_t first, int64_t last, void *space) {
    if (is_few(p, first, last)) {
        take_few(p, panel, first, space, INT4);
        return;
    }
    struct groups laid_out __attribute__((aligned(64)));
    const char *other, *one = tiles_of(p, panel, sizeof(struct packed), &other);
    struct input in = input_of(p);
    for (int64_t from = 0; from < p->steps; from += GROUPS) {
        int64_t some = p->steps - from < GROUPS ? p->steps - from : GROUPS;
        lay_out_int4((const struct packed *)one + from, (const struct packed *)other + from, some, &laid_out);
        for (int64_t block = first; block < last; block++) {
            int64_t row = first_row(p->rows, block), count = first_row(p->rows, block + 1) - row;
            const int8_t *input = in.codes + (row * p->steps + from * count) * GROUP;
            const float *group_sums = in.groups + row * p->steps + from * count;
            float *sums = (float *)space + (block - first) * ROWS * OUTPUTS;
            for (int slice = 0; slice < SLICES; slice++)
                switch (count) {
#define CASE(n) \
    case n: add_int4(input, group_sums, &laid_out, slice, some, sums + slice * SLICE, from == 0, n); break;
                    FOR_COUNT(CASE)
#undef CASE
                }
            if (from + some == p->steps) finish(p, sums, block, panel, INT4);
        }
    }
}

static void take_block_int8(const struct product *p, int64_t block) { take_block(p, block, INT8); }
static void take_block_int4(const struct product *p, int64_t block) { take_block(p, block, INT4); }

#define SUMS (MOST * ROWS * OUTPUTS * 4) /* bytes, of each thread */

/* Bytes of a row of the input: codes, scale, sum, sums of groups; enough for either kind. */
INLINE int64_t row_bytes(int64_t steps) { return steps * (STEP * CODE + 4) + 8; }

/* Bytes that a product needs beside its operands, or (`next_steps` not 0) two of them:
   [sums of each thread][input of the first][input of the second][the rows between them]. */
int64_t scratch_bytes(int64_t rows, int64_t steps, int64_t next_steps) {
    int64_t between = next_steps ? row_bytes(next_steps) + next_steps * STEP * 2 : 0;
    return omp_get_max_threads() * SUMS + rows * (row_bytes(steps) + between) + 128;
}

static char *after(const char *place, int64_t size) { return (char *)(((intptr_t)place + size + 63) & -64); }

static void take_products(const struct product *first, const struct product *second, char *scratch, enum kind kind) {
#pragma omp parallel
    {
        char *sums = scratch + omp_get_thread_num() * SUMS;
        for (const struct product *p = first; p; p = p == first ? second : 0)
            if (kind == INT8)
                take_product(p, sums, take_block_int8, take_panel_int8);
            else
                take_product(p, sums, take_block_int4, take_panel_int4);
    }
}

/* y (rows, 32 * panels) from x (rows, columns), both bfloat16, and a weight in tiles of a kind; `norm` is taken of x
   before. `scratch` begins at a multiple of 64. */
void multiply_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
                    const char *weight, int64_t steps, int64_t panels, const float *weight_scales, const uint16_t *bias,
                    const uint16_t *residual, uint16_t *y, char *scratch) {
    struct product p = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = weight, .bias = bias,
                        .weight_scales = weight_scales, .residual = residual, .steps = steps, .panels = panels, .y = y,
                        .row_bytes = row_bytes(steps), .input = scratch + omp_get_max_threads() * SUMS};
    if (rows) take_products(&p, 0, scratch, kind);
}

/* y = x + down(silu(gate) * up), where gate and up are the halves of the first product of norm(x): (rows, columns). A row
   between the products is quantised when it is complete. */
void mlp_tiles(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *norm, float eps, int64_t kind,
               const char *gate_up, int64_t gate_steps, int64_t gate_panels, const float *gate_scales, const char *down,
               int64_t down_steps, int64_t down_panels, const float *down_scales, uint16_t *y, char *scratch) {
    struct product first = {.x = x, .norm = norm, .eps = eps, .rows = rows, .columns = columns, .weight = gate_up,
                            .weight_scales = gate_scales, .steps = gate_steps, .panels = gate_panels, .gate = 1,
                            .row_bytes = row_bytes(gate_steps), .input = scratch + omp_get_max_threads() * SUMS};
    struct product second = {.rows = rows, .columns = gate_panels * 16, .weight = down, .weight_scales = down_scales,
                             .residual = x, .steps = down_steps, .panels = down_panels, .y = y,
                             .row_bytes = row_bytes(down_steps)};
    second.input = after(first.input, rows * first.row_bytes);
    first.y = (uint16_t *)after(second.input, rows * second.row_bytes);
    second.x = first.y;
    if (rows) take_products(&first, &second, scratch, kind);
}
#endif
