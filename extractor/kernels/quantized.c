/* What torch has no single kernel for, each in one pass over memory: rows to int8, the scales after an int8 product,
   and products with int4 weights on AVX-512 with VNNI. bfloat16 is uint16_t here. Called by quantized.py.

   int8 row     codes [columns], a scale: x = code * scale, codes -127 .. 127
   int4 weight  codes [rows][columns / 2]     a byte: low half the even column, high half the odd one
                scales, zeros [rows][columns / GROUP]             w = (code - 8) * scale + zero, codes 0 .. 15
   int4 product x in int8 as  even [columns / 2], odd [columns / 2], sums [columns / GROUP], a scale
                y = x.scale * sum over groups g of  scale[g] * (even . low[g] + odd . high[g])
                                                  + (zero[g] - 8 scale[g]) * sums[g]
   One vector of 64 bytes is 128 columns of one output: 16 lanes, four for each of four groups. */

#include "bfloat16.h"

#include <immintrin.h>
#include <stdlib.h>

#define GROUP 32  /* columns of an int4 weight that share scale and zero; quantized.py counts alike */
#define AT_ONCE 4 /* rows of x for which a weight is read once: their sums stay in registers */

/* x (rows, columns) to codes in int8 and a scale for each row. */
void quantize_rows(const uint16_t *restrict x, int64_t rows, int64_t columns, int8_t *restrict codes,
                   float *restrict scales) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *restrict source = x + r * columns;
        int8_t *restrict target = codes + r * columns;
        scales[r] = row_scale(source, columns);
        float inverse = 1.0f / scales[r];
        for (int64_t i = 0; i < columns; i++) target[i] = code(source[i], inverse);
    }
}

/* y = product * scale of the row, which is rounded to bfloat16 as torch rounds it. */
void scale_rows(const uint16_t *product, int64_t rows, int64_t columns, const float *restrict scales, uint16_t *y) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float scale = wide(narrow(scales[r]));
        for (int64_t i = r * columns; i < (r + 1) * columns; i++) y[i] = narrow(wide(product[i]) * scale);
    }
}

/* y = residual + product * scale of the row. */
void add_rows(const uint16_t *restrict product, int64_t rows, int64_t columns, const float *restrict scales,
              const uint16_t *restrict residual, uint16_t *restrict y) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float scale = wide(narrow(scales[r]));
        for (int64_t i = r * columns; i < (r + 1) * columns; i++)
            y[i] = narrow(wide(residual[i]) + wide(product[i]) * scale);
    }
}

/* y (rows, columns / 2) = silu(first half) * second half of product * scale of the row. */
void gate_rows(const uint16_t *restrict product, int64_t rows, int64_t columns, const float *restrict scales,
               uint16_t *restrict y) {
    int64_t half = columns / 2;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *restrict gates = product + r * columns, *restrict ups = gates + half;
        float scale = wide(narrow(scales[r]));
        for (int64_t i = 0; i < half; i++) {
            float gate = wide(gates[i]) * scale, up = wide(ups[i]) * scale;
            y[r * half + i] = narrow(gate / (1.0f + exponential(-gate)) * up);
        }
    }
}

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)

/* A row of x in int8 as the product below reads it: even columns, odd columns, the sum of each group, the scale. */
struct row {
    int8_t *even, *odd;
    float *sums, scale;
};

static void split_row(const uint16_t *restrict x, int64_t columns, struct row *row) {
    row->scale = row_scale(x, columns);
    float inverse = 1.0f / row->scale;
    int8_t *restrict even = row->even, *restrict odd = row->odd;
    for (int64_t i = 0; i < columns / 2; i++) {
        even[i] = code(x[2 * i], inverse);
        odd[i] = code(x[2 * i + 1], inverse);
    }
    for (int64_t g = 0; g < columns / GROUP; g++) {
        int32_t sum = 0;
        for (int64_t i = g * GROUP / 2; i < (g + 1) * GROUP / 2; i++) sum += even[i] + odd[i];
        row->sums[g] = (float)sum;
    }
}

/* Up to 16 bfloat16 numbers as float32, zeros for the rest. */
static inline __m512 widen(__mmask16 some, const uint16_t *halves) {
    __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, halves));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

/* An int4 weight (rows, columns) in bfloat16. The sixteen values that a group can have are a table in one register, in
   which its 32 codes are looked up. */
void unpack_int4(const uint8_t *restrict codes, const uint16_t *restrict scales, const uint16_t *restrict zeros,
                 int64_t rows, int64_t columns, uint16_t *restrict weight) {
    const __m128i nibble = _mm_set1_epi8(15);
    const __m512 steps = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
#pragma omp parallel for schedule(static)
    for (int64_t g = 0; g < rows * columns / GROUP; g++) {
        __m512 values = _mm512_fmadd_ps(steps, _mm512_set1_ps(wide(scales[g])), _mm512_set1_ps(wide(zeros[g])));
        __m512i bits = _mm512_castps_si512(values), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
        bits = _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff)), 16);
        __m512i table = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(bits));
        __m128i packed = _mm_loadu_si128((const __m128i *)(codes + g * GROUP / 2));
        __m128i evens = _mm_and_si128(packed, nibble), odds = _mm_and_si128(_mm_srli_epi16(packed, 4), nibble);
        __m256i order = _mm256_setr_m128i(_mm_unpacklo_epi8(evens, odds), _mm_unpackhi_epi8(evens, odds));
        _mm512_storeu_si512(weight + g * GROUP, _mm512_permutexvar_epi16(_mm512_cvtepu8_epi16(order), table));
    }
}

/* Add 64 bytes of one output, that is 128 columns or four groups of four lanes, to the sums of `count` rows. Codes are
   unsigned and those of x signed, as vpdpbusd wants them; `there` masks what is after the last column. */
static inline __attribute__((always_inline)) void add_dots(__m512i packed, __m128i scales, __mmask64 there,
                                                           const struct row *rows, int count, int64_t at,
                                                           __m512 *sums) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m512i even = _mm512_and_si512(packed, nibble), odd = _mm512_and_si512(_mm512_srli_epi16(packed, 4), nibble);
    __m128i wide_scales = _mm_slli_epi32(_mm_cvtepu16_epi32(scales), 16);
    __m512 lanes = _mm512_castsi512_ps(_mm512_permutexvar_epi32(spread, _mm512_castsi128_si512(wide_scales)));
    for (int m = 0; m < count; m++) {
        __m512i dots = _mm512_dpbusd_epi32(_mm512_setzero_si512(), even,
                                           _mm512_maskz_loadu_epi8(there, rows[m].even + at));
        dots = _mm512_dpbusd_epi32(dots, odd, _mm512_maskz_loadu_epi8(there, rows[m].odd + at));
        sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), lanes, sums[m]);
    }
}

/* One output for `count` (at most AT_ONCE, a constant when compiled) rows of x. */
static inline __attribute__((always_inline)) void dot_rows(const uint8_t *codes, const uint16_t *scales,
                                                           const uint16_t *zeros, int64_t columns,
                                                           const struct row *rows, int count, float *y) {
    int64_t half = columns / 2, groups = columns / GROUP, c = 0;
    __m512 sums[AT_ONCE];
    for (int m = 0; m < count; m++) sums[m] = _mm512_setzero_ps();
    /* 1. scale * dot products of the codes, 128 columns at a time, then what is left */
    for (; c + 64 <= half; c += 64)
        add_dots(_mm512_loadu_si512(codes + c), _mm_loadl_epi64((const __m128i *)(scales + c / 16)), ~0ull, rows, count,
                 c, sums);
    if (c < half) {
        __mmask64 there = (1ull << (half - c)) - 1;
        __m128i last = _mm_maskz_loadu_epi16((__mmask8)((1u << (groups - c / 16)) - 1), scales + c / 16);
        add_dots(_mm512_maskz_loadu_epi8(there, codes + c), last, there, rows, count, c, sums);
    }
    /* 2. (zero - 8 scale) * sum of x, 16 groups at a time */
    for (int64_t g = 0; g < groups; g += 16) {
        __mmask16 some = groups - g >= 16 ? 0xffff : (__mmask16)((1u << (groups - g)) - 1);
        __m512 low = _mm512_fmadd_ps(widen(some, scales + g), _mm512_set1_ps(-8.0f), widen(some, zeros + g));
        for (int m = 0; m < count; m++)
            sums[m] = _mm512_fmadd_ps(low, _mm512_maskz_loadu_ps(some, rows[m].sums + g), sums[m]);
    }
    for (int m = 0; m < count; m++) y[m] = _mm512_reduce_add_ps(sums[m]) * rows[m].scale;
}

/* y (count, rows) = x (count, columns) times the int4 weight (rows, columns), x quantised to int8 row by row. `split`
   (count, columns) and `sums` (count, columns / GROUP) are memory for the quantised rows. */
void multiply_int4(const uint16_t *restrict x, int64_t count, int64_t columns, const uint8_t *restrict codes,
                   const uint16_t *restrict scales, const uint16_t *restrict zeros, int64_t rows,
                   uint16_t *restrict y, int8_t *restrict split, float *restrict sums) {
    int64_t half = columns / 2, groups = columns / GROUP;
    struct row *in = malloc(count * sizeof(struct row));
    if (!in) abort();
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t m = 0; m < count; m++) {
            in[m] = (struct row){split + m * columns, split + m * columns + half, sums + m * groups, 0};
            split_row(x + m * columns, columns, &in[m]);
        }
#pragma omp for schedule(static)
        for (int64_t n = 0; n < rows; n++) {
            const uint8_t *w = codes + n * half;
            const uint16_t *s = scales + n * groups, *z = zeros + n * groups;
            for (int64_t m = 0; m < count; m += AT_ONCE) {
                float found[AT_ONCE] = {0};
                int some = count - m < AT_ONCE ? (int)(count - m) : AT_ONCE;
                switch (some) {
#define CASE(number) \
    case number: dot_rows(w, s, z, columns, in + m, number, found); break
                    CASE(1); CASE(2); CASE(3); CASE(4);
                }
                for (int i = 0; i < some; i++) y[(m + i) * rows + n] = narrow(found[i]);
            }
        }
    }
    free(in);
}

#endif
