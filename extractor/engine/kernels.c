/* What surrounds the matrix products of a layer, each in one pass over memory: norms, rotation with the write into the
   cache, and attention of few queries to many keys. bfloat16 is uint16_t here; sums are float32. */

#if defined(__AVX512BF16__) && defined(__AVX512VL__)
#include <immintrin.h>
#endif
#include <math.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 32        /* keys whose scores are computed before their values are read */
#define MOST_HEADS 64   /* that read the same keys */
#define MOST_SIZE 256   /* channels of a head */

static inline float wide(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Round to nearest, ties to even; what is no number stays none. */
static inline uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t rounded = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    return value == value ? rounded : 0x7fc0;
}

/* exp in float32 for x <= 0, relative error below 3e-7: 2^n times a polynomial of the fraction. */
static inline float exponential(float x) {
    x = x > -87.0f ? x : -87.0f;
    float n = rintf(x * 1.44269504f), r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

/* y = weight * (x / root mean square of its row), rounded before the weight as the model does. */
void norm_rows(const uint16_t *restrict x, int64_t rows, int64_t columns, const uint16_t *restrict weight, float eps,
               uint16_t *restrict y) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *restrict source = x + r * columns;
        uint16_t *restrict target = y + r * columns;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < columns; i++) sum += wide(source[i]) * wide(source[i]);
        float scale = 1.0f / sqrtf(sum / (float)columns + eps);
        for (int64_t i = 0; i < columns; i++) target[i] = narrow(wide(narrow(wide(source[i]) * scale)) * wide(weight[i]));
    }
}

/* The sizes of attention: query heads, groups of keys, channels, half of the channels that are rotated. */
struct sizes {
    int64_t heads, groups, size, half;
};

/* Tokens first .. first + count of a step continue a sequence with `start` tokens in its lane. */
struct run {
    int64_t first, count, start;
};

static inline void rotate(uint16_t *restrict head, const uint16_t *restrict cos, const uint16_t *restrict sin,
                          int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float one = wide(head[i]), other = wide(head[half + i]), c = wide(cos[i]), s = wide(sin[i]);
        head[i] = narrow(one * c - other * s);
        head[half + i] = narrow(other * c + one * s);
    }
}

/* Rotate queries and keys in place, and copy keys and values into the lanes. A row of `states` holds the queries, then
   the keys, then the values of a token; a row of `cos` and `sin` is for the token of the same number. */
void rotate_and_store(uint16_t *restrict states, const uint16_t *restrict cos, const uint16_t *restrict sin,
                      const struct sizes *sizes, const struct run *runs, int64_t count, uint16_t *const *keys,
                      uint16_t *const *values) {
    int64_t row = (sizes->heads + 2 * sizes->groups) * sizes->size, keep = sizes->groups * sizes->size;
#pragma omp parallel for schedule(dynamic)
    for (int64_t n = 0; n < count; n++) {
        for (int64_t i = 0; i < runs[n].count; i++) {
            int64_t token = runs[n].first + i, place = (runs[n].start + i) * keep;
            uint16_t *mine = states + token * row, *key = mine + sizes->heads * sizes->size;
            for (int64_t h = 0; h < sizes->heads + sizes->groups; h++)
                rotate(mine + h * sizes->size, cos + token * sizes->half, sin + token * sizes->half, sizes->half);
            memcpy(keys[n] + place, key, keep * sizeof(uint16_t));
            memcpy(values[n] + place, key + keep, keep * sizeof(uint16_t));
        }
    }
}

/* Softmax under way: the largest score, the sum of the exponentials and the values weighted by them, for each head. */
struct state {
    float largest[MOST_HEADS], sum[MOST_HEADS], mixed[MOST_HEADS][MOST_SIZE];
};

/* The product of a query and a key of `size` channels. */
static inline __attribute__((always_inline)) float dot(const uint16_t *restrict query, const uint16_t *restrict key,
                                                       int64_t size) {
    float sum = 0;
    int64_t i = 0;
#if defined(__AVX512BF16__) && defined(__AVX512VL__)
    __m512 sums = _mm512_setzero_ps();
    for (; i + 32 <= size; i += 32)
        sums = _mm512_dpbf16_ps(sums, (__m512bh)_mm512_loadu_si512(query + i), (__m512bh)_mm512_loadu_si512(key + i));
    sum = _mm512_reduce_add_ps(sums);
#endif
    for (; i < size; i++) sum += wide(query[i]) * wide(key[i]);
    return sum;
}

typedef float floats __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));

#define LANES 16 /* floats of a vector */
#define TILE 4   /* heads and vectors of channels whose sums stay in registers */

static inline floats widen(const uint16_t *source) {
    halves half;
    memcpy(&half, source, sizeof half);
    return (floats)(__builtin_convertvector(half, words) << 16);
}

/* mixed = mixed * shrink + scores * values, for some heads and some vectors of channels (known when compiled). */
static inline __attribute__((always_inline)) void mix_tile(float (*mixed)[MOST_SIZE], const float *shrink,
                                                           const float (*scores)[BLOCK], int heads, int vectors,
                                                           const uint16_t *values, int64_t stride, int64_t count) {
    floats sums[TILE][TILE];
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++) {
            memcpy(&sums[h][v], &mixed[h][v * LANES], sizeof(floats));
            sums[h][v] *= shrink[h];
        }
    for (int64_t k = 0; k < count; k++)
        for (int v = 0; v < vectors; v++) {
            floats value = widen(values + k * stride + v * LANES);
            for (int h = 0; h < heads; h++) sums[h][v] += scores[h][k] * value;
        }
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++) memcpy(&mixed[h][v * LANES], &sums[h][v], sizeof(floats));
}

/* The same for all channels (a multiple of LANES) of some heads. */
static inline __attribute__((always_inline)) void mix(float (*mixed)[MOST_SIZE], const float *shrink,
                                                      const float (*scores)[BLOCK], int heads, int64_t size,
                                                      const uint16_t *values, int64_t stride, int64_t count) {
    int64_t i = 0;
    for (; i + TILE * LANES <= size; i += TILE * LANES)
        mix_tile((float (*)[MOST_SIZE])(mixed[0] + i), shrink, scores, heads, TILE, values + i, stride, count);
    for (; i < size; i += LANES)
        mix_tile((float (*)[MOST_SIZE])(mixed[0] + i), shrink, scores, heads, 1, values + i, stride, count);
}

/* Take in `count` (at most BLOCK) keys and values, `stride` apart, for the heads of a group. */
static inline __attribute__((always_inline)) void take_block(struct state *restrict state,
                                                             const uint16_t *restrict query, float scale,
                                                             int64_t heads, int64_t size, const uint16_t *restrict keys,
                                                             const uint16_t *restrict values, int64_t stride,
                                                             int64_t count) {
    float scores[MOST_HEADS][BLOCK], shrink[MOST_HEADS];
    for (int64_t h = 0; h < heads; h++)
        for (int64_t k = 0; k < count; k++) scores[h][k] = dot(query + h * size, keys + k * stride, size) * scale;
    for (int64_t h = 0; h < heads; h++) {
        float largest = state->largest[h], sum = 0;
#pragma omp simd reduction(max : largest)
        for (int64_t k = 0; k < count; k++) largest = scores[h][k] > largest ? scores[h][k] : largest;
        shrink[h] = exponential(state->largest[h] - largest);
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < count; k++) {
            scores[h][k] = exponential(scores[h][k] - largest);
            sum += scores[h][k];
        }
        state->largest[h] = largest;
        state->sum[h] = state->sum[h] * shrink[h] + sum;
    }
    int64_t h = 0;
    for (; h + TILE <= heads; h += TILE)
        mix(state->mixed + h, shrink + h, scores + h, TILE, size, values, stride, count);
    for (; h < heads; h++) mix(state->mixed + h, shrink + h, scores + h, 1, size, values, stride, count);
}

static void take(struct state *state, const uint16_t *query, float scale, int64_t heads, int64_t size,
                 const uint16_t *keys, const uint16_t *values, int64_t stride, int64_t count) {
    for (int64_t k = 0; k < count; k += BLOCK) {
        int64_t some = count - k < BLOCK ? count - k : BLOCK;
        const uint16_t *key = keys + k * stride, *value = values + k * stride;
        for (int64_t next = k + BLOCK; next < k + 2 * BLOCK && next < count; next++)
            for (int64_t i = 0; i < size; i += 32) {
                __builtin_prefetch(keys + next * stride + i);
                __builtin_prefetch(values + next * stride + i);
            }
        if (size == 128) /* known when compiled, which halves the time */
            take_block(state, query, scale, heads, 128, key, value, stride, some);
        else
            take_block(state, query, scale, heads, size, key, value, stride, some);
    }
}

/* Attention of the tokens of `count` runs to the prefix of each (`prefix_length` tokens, none where 0) and to their own
   lane up to themselves. Queries are the first part of the rows of `states`; outputs are (tokens, heads, size). */
void attend_runs(const uint16_t *states, const struct sizes *sizes, const struct run *runs, int64_t count,
                 const uint16_t *const *keys, const uint16_t *const *values, const uint16_t *const *prefix_keys,
                 const uint16_t *const *prefix_values, const int64_t *prefix_length, uint16_t *restrict output) {
    int64_t size = sizes->size, each = sizes->heads / sizes->groups, stride = sizes->groups * size;
    int64_t row = (sizes->heads + 2 * sizes->groups) * size;
    float scale = 1.0f / sqrtf((float)size);
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < count * sizes->groups; task++) {
        int64_t n = task / sizes->groups, group = task % sizes->groups, shift = group * size;
        struct state state;
        for (int64_t t = 0; t < runs[n].count; t++) {
            int64_t token = runs[n].first + t;
            const uint16_t *query = states + token * row + group * each * size;
            for (int64_t h = 0; h < each; h++) {
                for (int64_t i = 0; i < size; i++) state.mixed[h][i] = 0;
                state.largest[h] = -INFINITY;
                state.sum[h] = 0;
            }
            if (prefix_length[n])
                take(&state, query, scale, each, size, prefix_keys[n] + shift, prefix_values[n] + shift, stride, prefix_length[n]);
            take(&state, query, scale, each, size, keys[n] + shift, values[n] + shift, stride, runs[n].start + t + 1);
            for (int64_t h = 0; h < each; h++) {
                uint16_t *mine = output + (token * sizes->heads + group * each + h) * size;
                for (int64_t i = 0; i < size; i++) mine[i] = narrow(state.mixed[h][i] / state.sum[h]);
            }
        }
    }
}
