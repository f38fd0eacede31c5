/* What surrounds the matrix products of a layer, each in one pass over memory: norms, rotation with the write into the
   KV cache, attention, and the choice of tokens. bfloat16 is uint16_t here; sums are float32. Called by attention.py.

   states   [row]  | query heads 0 .. heads-1 | keys of groups 0 .. groups-1 | values of the groups |  `size` each
   segment  rows first .. first+count-1 of the states: tokens `start` .. of one slot, all after the segment's prefix

   A slot holds keys and values of one sequence, a prefix those that several sequences begin with:

   rows     [token][group][size]                                  read with vectors
   tiles    [token / 32][group][32 * 128]                         read by AMX (heads of 128 channels, #ifdef HAS_TILES)
            keys     [2: 16 keys][4: 32 channels][16 pairs of channels][16 keys][2]
            values   [8: 16 channels]            [16 pairs of keys]   [16 channels][2]

   Softmax is taken block of keys by block of keys with a running maximum and sum (flash attention, Dao et al., 2022):
   what was summed before shrinks by exp(old maximum - new maximum). */

#include "bfloat16.h"
#include "tiles.h"

#define BLOCK 32        /* keys whose scores are computed before their values are read */
#define MOST_HEADS 64   /* query heads that read the same keys; attention.py refuses more */
#define MOST_SIZE 256   /* channels of a head; attention.py refuses more */

/* The RMS norm of each row. */
void norm_rows(const uint16_t *x, int64_t rows, int64_t columns, const uint16_t *weight, float eps, uint16_t *y) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) norm_row(x + r * columns, columns, weight, eps, y + r * columns);
}

/* The sizes of attention: query heads, groups of keys (heads / groups heads read the same), channels of a head. */
struct sizes {
    int64_t heads, groups, size;
};

/* Rows first .. first + count - 1 of a step continue a sequence with `start` tokens in its slot. */
struct segment {
    int64_t first, count, start;
};

/* Rotate the pairs (i, half + i) of a head by their angle (RoFormer, Su et al., 2021). The weights' rows are in an
   order that puts the partners of a pair half the rotated channels apart, so this is a vector operation. */
static inline void rotate(uint16_t *restrict head, const uint16_t *restrict cos, const uint16_t *restrict sin,
                          int64_t half) {
    for (int64_t i = 0; i < half; i++) {
        float one = wide(head[i]), other = wide(head[half + i]), c = wide(cos[i]), s = wide(sin[i]);
        head[i] = narrow(one * c - other * s);
        head[half + i] = narrow(other * c + one * s);
    }
}

#define HEAD 128  /* channels of a head, the only size that AMX is used for here */
#define PAIRS 32  /* numbers of 2 bytes in a row of a tile, and keys that lie together in a slot */

/* Write a token's keys and values in the order in which AMX reads a right operand: the two numbers that one instruction
   sums over are adjacent. For scores these are two channels of a key, for outputs one channel of two keys. `place` is
   the token's place in its slot. */
static void store_in_tiles(const uint16_t *key, const uint16_t *value, int64_t place, int64_t groups, uint16_t *keys,
                           uint16_t *values) {
    for (int64_t g = 0; g < groups; g++, key += HEAD, value += HEAD) {
        int64_t block = (place / PAIRS * groups + g) * PAIRS * HEAD, n = place % PAIRS;
        uint16_t *to_keys = keys + block + n / 16 * 16 * HEAD + n % 16 * 2, *to_values = values + block + n / 2 * PAIRS + n % 2;
        /* A block is multiplied as a whole, keys that are not there yet with weight 0: a NaN left from before would
           spread, so the first token clears the block. */
        if (n == 0) memset(values + block, 0, PAIRS * HEAD * sizeof(uint16_t));
        for (int64_t i = 0; i < HEAD / 2; i++) memcpy(to_keys + i * PAIRS, key + 2 * i, 4);
        for (int64_t i = 0; i < HEAD; i++) to_values[i / 16 * 16 * PAIRS + i % 16 * 2] = value[i];
    }
}

/* Rotate queries and keys in place (2 * half channels of each head), and copy keys and values into the slots, whose
   addresses are given by segment. A row of `cos` and `sin` (half) is for the row of the same number of `states`. A task
   is a block of places, so that the tokens of one prompt are not left to one core. */
void rotate_and_store(uint16_t *restrict states, const uint16_t *restrict cos, const uint16_t *restrict sin, int64_t half,
                      const struct sizes *sizes, const struct segment *segments, int64_t count, uint16_t *const *keys,
                      uint16_t *const *values, int64_t in_tiles) {
    int64_t row = (sizes->heads + 2 * sizes->groups) * sizes->size, keep = sizes->groups * sizes->size;
    int64_t blocks[count + 1]; /* of PAIRS places in a slot: those of segment n are blocks[n] .. blocks[n + 1] - 1 */
    blocks[0] = 0;
    for (int64_t n = 0; n < count; n++)
        blocks[n + 1] = blocks[n] + (segments[n].start % PAIRS + segments[n].count + PAIRS - 1) / PAIRS;
#pragma omp parallel for schedule(dynamic)
    for (int64_t block = 0; block < blocks[count]; block++) {
        int64_t n = 0;
        while (blocks[n + 1] <= block) n++;
        int64_t start = segments[n].start, from = (start / PAIRS + block - blocks[n]) * PAIRS, to = from + PAIRS;
        if (to > start + segments[n].count) to = start + segments[n].count;
        for (int64_t place = from < start ? start : from; place < to; place++) {
            int64_t token = segments[n].first + place - start;
            uint16_t *mine = states + token * row, *key = mine + sizes->heads * sizes->size;
            for (int64_t h = 0; h < sizes->heads + sizes->groups; h++)
                rotate(mine + h * sizes->size, cos + token * half, sin + token * half, half);
            if (in_tiles) {
                store_in_tiles(key, key + keep, place, sizes->groups, keys[n], values[n]);
                continue;
            }
            memcpy(keys[n] + place * keep, key, keep * sizeof(uint16_t));
            memcpy(values[n] + place * keep, key + keep, keep * sizeof(uint16_t));
        }
    }
}

/* Softmax under way, for each head: the largest score so far, the sum of the exponentials relative to it, and the
   values weighted by them. */
struct state {
    float largest[MOST_HEADS], sum[MOST_HEADS], mixed[MOST_HEADS][MOST_SIZE];
};

#ifdef __AVX512BW__
#define LANES 16  /* floats of a vector */
#define VECTORS 4 /* of channels whose sums for HEADS heads stay in registers */
#else
#define LANES 8
#define VECTORS 2
#endif
#define HEADS 4

typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
typedef float four __attribute__((vector_size(16)));

static inline lanes widen(const uint16_t *source) {
    halves half;
    memcpy(&half, source, sizeof half);
    return (lanes)(__builtin_convertvector(half, words) << 16);
}

static inline float total(lanes values) {
    four parts[LANES / 4], sum = {0};
    memcpy(parts, &values, sizeof parts);
    for (int i = 0; i < LANES / 4; i++) sum += parts[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Scores of some heads (known when compiled) with `count` keys of `size` channels. Queries are widened. */
static inline __attribute__((always_inline)) void score_heads(const float *queries, int heads, int64_t size,
                                                              const uint16_t *keys, int64_t stride, int64_t count,
                                                              float scale, float (*scores)[BLOCK]) {
    for (int64_t k = 0; k < count; k += 2) {
        const uint16_t *one = keys + k * stride, *other = k + 1 < count ? one + stride : one;
        lanes sums[HEADS][2];
        for (int h = 0; h < heads; h++) sums[h][0] = sums[h][1] = (lanes){0};
        for (int64_t i = 0; i < size; i += LANES) {
            lanes first = widen(one + i), second = widen(other + i);
            for (int h = 0; h < heads; h++) {
                lanes query = *(const lanes *)(queries + h * size + i);
                sums[h][0] += query * first;
                sums[h][1] += query * second;
            }
        }
        for (int h = 0; h < heads; h++) {
            scores[h][k] = total(sums[h][0]) * scale;
            if (k + 1 < count) scores[h][k + 1] = total(sums[h][1]) * scale;
        }
    }
}

/* mixed = mixed * shrink + scores * values, for some heads and some vectors of channels (known when compiled). */
static inline __attribute__((always_inline)) void mix_tile(float (*mixed)[MOST_SIZE], const float *shrink,
                                                           const float (*scores)[BLOCK], int heads, int vectors,
                                                           const uint16_t *values, int64_t stride, int64_t count) {
    lanes sums[HEADS][VECTORS];
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++) {
            memcpy(&sums[h][v], &mixed[h][v * LANES], sizeof(lanes));
            sums[h][v] *= shrink[h];
        }
    for (int64_t k = 0; k < count; k++)
        for (int v = 0; v < vectors; v++) {
            lanes value = widen(values + k * stride + v * LANES);
            for (int h = 0; h < heads; h++) sums[h][v] += scores[h][k] * value;
        }
    for (int h = 0; h < heads; h++)
        for (int v = 0; v < vectors; v++) memcpy(&mixed[h][v * LANES], &sums[h][v], sizeof(lanes));
}

/* The same for all channels (a multiple of LANES) of some heads. */
static inline __attribute__((always_inline)) void mix(float (*mixed)[MOST_SIZE], const float *shrink,
                                                      const float (*scores)[BLOCK], int heads, int64_t size,
                                                      const uint16_t *values, int64_t stride, int64_t count) {
    int64_t i = 0;
    for (; i + VECTORS * LANES <= size; i += VECTORS * LANES)
        mix_tile((float (*)[MOST_SIZE])(mixed[0] + i), shrink, scores, heads, VECTORS, values + i, stride, count);
    for (; i < size; i += LANES)
        mix_tile((float (*)[MOST_SIZE])(mixed[0] + i), shrink, scores, heads, 1, values + i, stride, count);
}

/* Take `count` (at most BLOCK) keys and values, `stride` apart, into the softmax of the heads of a group. */
static inline __attribute__((always_inline)) void take_block(struct state *restrict state, const float *restrict queries,
                                                             float scale, int64_t heads, int64_t size,
                                                             const uint16_t *restrict keys,
                                                             const uint16_t *restrict values, int64_t stride,
                                                             int64_t count) {
    float scores[MOST_HEADS][BLOCK], shrink[MOST_HEADS];
    int64_t h = 0;
    /* 1. scores with all keys, for HEADS heads at a time while there are as many */
    for (; h + HEADS <= heads; h += HEADS)
        score_heads(queries + h * size, HEADS, size, keys, stride, count, scale, scores + h);
    for (; h < heads; h++) score_heads(queries + h * size, 1, size, keys, stride, count, scale, scores + h);
    /* 2. scores to weights, relative to the new maximum; `shrink` makes up for the old one */
    for (h = 0; h < heads; h++) {
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
    /* 3. values, in the same way */
    for (h = 0; h + HEADS <= heads; h += HEADS)
        mix(state->mixed + h, shrink + h, scores + h, HEADS, size, values, stride, count);
    for (; h < heads; h++) mix(state->mixed + h, shrink + h, scores + h, 1, size, values, stride, count);
}

/* Take `count` keys and values into the softmax, block by block; the next block is prefetched meanwhile. */
static void take(struct state *state, const float *queries, float scale, int64_t heads, int64_t size,
                 const uint16_t *keys, const uint16_t *values, int64_t stride, int64_t count) {
    for (int64_t k = 0; k < count; k += BLOCK) {
        int64_t some = count - k < BLOCK ? count - k : BLOCK;
        const uint16_t *key = keys + k * stride, *value = values + k * stride;
        for (int64_t next = k + BLOCK; next < k + 2 * BLOCK && next < count; next++)
            for (int64_t i = 0; i < size; i += 32) {
                __builtin_prefetch(keys + next * stride + i);
                __builtin_prefetch(values + next * stride + i);
            }
        if (size == 128) /* a constant when compiled, which halves the time */
            take_block(state, queries, scale, heads, 128, key, value, stride, some);
        else
            take_block(state, queries, scale, heads, size, key, value, stride, some);
    }
}

/* Attention of the rows of `count` segments to the prefix of each (`prefix_length` tokens, none where 0) and to their
   own slot up to themselves. Queries are the first part of the rows of `states`; outputs are (rows, heads, size). A
   task is one segment and one group: the heads of the group read each key once. */
void attend_segments(const uint16_t *states, const struct sizes *sizes, const struct segment *segments, int64_t count,
                     const uint16_t *const *keys, const uint16_t *const *values, const uint16_t *const *prefix_keys,
                     const uint16_t *const *prefix_values, const int64_t *prefix_length, uint16_t *restrict output) {
    int64_t size = sizes->size, each = sizes->heads / sizes->groups, stride = sizes->groups * size;
    int64_t row = (sizes->heads + 2 * sizes->groups) * size;
    float scale = 1.0f / sqrtf((float)size);
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < count * sizes->groups; task++) {
        int64_t n = task / sizes->groups, group = task % sizes->groups, shift = group * size;
        struct state state;
        float queries[each * size];
        for (int64_t t = 0; t < segments[n].count; t++) {
            int64_t token = segments[n].first + t;
            const uint16_t *query = states + token * row + group * each * size;
            for (int64_t i = 0; i < each * size; i++) queries[i] = wide(query[i]);
            for (int64_t h = 0; h < each; h++) {
                for (int64_t i = 0; i < size; i++) state.mixed[h][i] = 0;
                state.largest[h] = -INFINITY;
                state.sum[h] = 0;
            }
            if (prefix_length[n])
                take(&state, queries, scale, each, size, prefix_keys[n] + shift, prefix_values[n] + shift, stride,
                     prefix_length[n]);
            take(&state, queries, scale, each, size, keys[n] + shift, values[n] + shift, stride, segments[n].start + t + 1);
            for (int64_t h = 0; h < each; h++) {
                uint16_t *mine = output + (token * sizes->heads + group * each + h) * size;
                for (int64_t i = 0; i < size; i++) mine[i] = narrow(state.mixed[h][i] / state.sum[h]);
            }
        }
    }
}

/* Attention on AMX tiles, 32 queries by 32 keys at a time. The heads of a group read the same keys, so they are rows of
   one matrix: row = token * heads of a group + head.

                            keys 0 .. 15   keys 16 .. 31       tiles of score(), for each 32 channels
                                 6              7
   queries  0 .. 15     4        0              1              weigh() has weights in the place of queries, values in
   queries 16 .. 31     5        2              3              that of keys, and sums over each 32 keys

   Each operand that is loaded serves two products, and four sums hide the latency of one. The lower half is left out
   where there are no more than 16 queries. Scores of CHUNK keys become weights, in bfloat16, where they stand. */
#ifdef HAS_TILES
#define QUERIES 32 /* rows of a block: two tiles */
#define CHUNK 512  /* keys whose scores are kept before their values are read: 64 KiB */
#define TOGETHER 8 /* blocks of 32 rows of a segment that read a chunk of keys while it is in the second-level cache */

/* The scores of a query, or its weights. Tiles of 16 rows that lie a power of two apart would share few sets of the
   first-level cache, so rows are a line longer. */
typedef union {
    float score[CHUNK + 16];
    uint16_t weight[2 * (CHUNK + 16)];
} row_scores;

static inline void prefetch_block(const uint16_t *block) {
    for (int64_t i = 0; i < PAIRS * HEAD; i += 32) _mm_prefetch((const char *)(block + i), _MM_HINT_T1);
}

/* Tiles 0 .. 3 += left * right, where `left` are rows 0 .. 15 (and, if `both`, those `down` after them) and `right` two
   tiles, the second `next` after the first. */
#define MULTIPLY_ADD(left, left_bytes, down, right, next) \
    do {                                                  \
        _tile_loadd(4, left, left_bytes);                 \
        _tile_loadd(6, right, 64);                        \
        _tile_dpbf16ps(0, 4, 6);                          \
        _tile_loadd(7, (right) + (next), 64);             \
        _tile_dpbf16ps(1, 4, 7);                          \
        if (both) {                                       \
            _tile_loadd(5, (left) + (down), left_bytes);  \
            _tile_dpbf16ps(2, 5, 6);                      \
            _tile_dpbf16ps(3, 5, 7);                      \
        }                                                 \
    } while (0)

/* Scores of 32 queries, or 16, with `count` keys, a multiple of 32; blocks of 32 are `stride` apart. */
static inline __attribute__((always_inline)) void score(const uint16_t *queries, int both, const uint16_t *keys,
                                                        int64_t stride, int64_t count, int ahead, row_scores *scores) {
    for (int64_t n = 0; n < count; n += PAIRS) {
        const uint16_t *block = keys + n / PAIRS * stride;
        if (ahead) prefetch_block(block + CHUNK / PAIRS * stride);
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        MULTIPLY_ADD(queries, HEAD * 2, ROWS * HEAD, block, ROWS * HEAD);
        MULTIPLY_ADD(queries + PAIRS, HEAD * 2, ROWS * HEAD, block + ROWS * PAIRS, ROWS * HEAD);
        MULTIPLY_ADD(queries + 2 * PAIRS, HEAD * 2, ROWS * HEAD, block + 2 * ROWS * PAIRS, ROWS * HEAD);
        MULTIPLY_ADD(queries + 3 * PAIRS, HEAD * 2, ROWS * HEAD, block + 3 * ROWS * PAIRS, ROWS * HEAD);
        _tile_stored(0, scores[0].score + n, sizeof(row_scores));
        _tile_stored(1, scores[0].score + n + ROWS, sizeof(row_scores));
        if (both) {
            _tile_stored(2, scores[ROWS].score + n, sizeof(row_scores));
            _tile_stored(3, scores[ROWS].score + n + ROWS, sizeof(row_scores));
        }
    }
}

/* mixed += weights * values, over `count` keys, a multiple of 32. */
static inline __attribute__((always_inline)) void weigh(const row_scores *weights, int both, const uint16_t *values,
                                                        int64_t stride, int64_t count, int ahead, float (*mixed)[HEAD]) {
    for (int64_t c = 0; c < HEAD; c += 2 * ROWS, values += 2 * ROWS * PAIRS) {
        _tile_loadd(0, mixed[0] + c, HEAD * 4);
        _tile_loadd(1, mixed[0] + c + ROWS, HEAD * 4);
        if (both) {
            _tile_loadd(2, mixed[ROWS] + c, HEAD * 4);
            _tile_loadd(3, mixed[ROWS] + c + ROWS, HEAD * 4);
        }
        for (int64_t n = 0; n < count; n += PAIRS) {
            if (ahead && !c) prefetch_block(values + (n + CHUNK) / PAIRS * stride);
            MULTIPLY_ADD(weights[0].weight + n, sizeof(row_scores), ROWS * sizeof(row_scores) / 2,
                         values + n / PAIRS * stride, ROWS * PAIRS);
        }
        _tile_stored(0, mixed[0] + c, HEAD * 4);
        _tile_stored(1, mixed[0] + c + ROWS, HEAD * 4);
        if (both) {
            _tile_stored(2, mixed[ROWS] + c, HEAD * 4);
            _tile_stored(3, mixed[ROWS] + c + ROWS, HEAD * 4);
        }
    }
}

/* A mask of the first `count` of 16 lanes; all for more, none for less. */
static inline __mmask16 first(int64_t count) { return count >= 16 ? 0xffff : count <= 0 ? 0 : (1 << count) - 1; }

/* Scores of a query to weights 2^(score * scale - largest), with the largest of the chunk and of those before it. The
   first `seen` count; the rest of `count`, a multiple of 32, become zero. What was summed before shrinks where there is
   a new maximum. */
static inline void soften(row_scores *row, int64_t seen, int64_t count, float scale, float *largest, float *sum,
                          float *restrict mixed) {
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 tops[2], total[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    tops[0] = tops[1] = _mm512_set1_ps(-1e30f);
    int64_t whole = seen / PAIRS * PAIRS, k;
    for (k = 0; k < whole; k += PAIRS)
        for (int i = 0; i < 2; i++) tops[i] = _mm512_max_ps(tops[i], _mm512_loadu_ps(row->score + k + 16 * i));
    for (; k < seen; k += 16)
        tops[0] = _mm512_mask_max_ps(tops[0], first(seen - k), tops[0], _mm512_loadu_ps(row->score + k));
    float most = _mm512_reduce_max_ps(_mm512_max_ps(tops[0], tops[1])) * scale;
    if (most > *largest) {
        float shrink = exp2f(*largest - most);
        *largest = most;
        *sum *= shrink;
        for (int64_t c = 0; c < HEAD; c++) mixed[c] *= shrink;
    }
    const __m512 top = _mm512_set1_ps(*largest);
    for (k = 0; k < count; k += PAIRS) {
        __m512 weights[2];
        for (int i = 0; i < 2; i++) {
            weights[i] = power_of_two(_mm512_fmsub_ps(_mm512_loadu_ps(row->score + k + 16 * i), factor, top));
            if (k >= whole) weights[i] = _mm512_maskz_mov_ps(first(seen - k - 16 * i), weights[i]);
            total[i] = _mm512_add_ps(total[i], weights[i]);
        }
        /* half as many bytes as the scores, so only what has been read is written over */
        _mm512_storeu_si512(row->weight + k, (__m512i)_mm512_cvtne2ps_pbh(weights[1], weights[0]));
    }
    *sum += _mm512_reduce_add_ps(_mm512_add_ps(total[0], total[1]));
}

/* A block of 32 rows: `used` queries, how many keys each of them sees (not fewer from row to row, so the last row says
   how far to read), and their softmax under way. The rows after `used` are computed as well, and never read. */
struct rows {
    float mixed[QUERIES][HEAD], largest[QUERIES], sum[QUERIES];
    uint16_t queries[QUERIES][HEAD];
    int64_t seen[QUERIES], used;
};

/* Take the chunk of keys and values that begins at `from` into the softmax of a block, as far as its rows see. Blocks
   of 32 keys are `stride` apart; `scores` are for 32 rows, reused by every block. With `ahead` the next chunk is brought
   into the second-level cache meanwhile. */
static void look(struct rows *rows, row_scores *scores, const uint16_t *keys, const uint16_t *values, int64_t stride,
                 int64_t from, int ahead) {
    int64_t left = rows->seen[rows->used - 1] - from;
    if (left <= 0) return;
    float scale = 1.44269504f / sqrtf((float)HEAD);
    int64_t some = left < CHUNK ? (left + PAIRS - 1) / PAIRS * PAIRS : CHUNK;
    int both = rows->used > ROWS;
    keys += from / PAIRS * stride;
    values += from / PAIRS * stride;
    if (both)
        score(rows->queries[0], 1, keys, stride, some, ahead, scores);
    else
        score(rows->queries[0], 0, keys, stride, some, ahead, scores);
    for (int64_t i = 0; i < rows->used; i++) {
        int64_t seen = rows->seen[i] - from < 0 ? 0 : rows->seen[i] - from < some ? rows->seen[i] - from : some;
        soften(&scores[i], seen, some, scale, &rows->largest[i], &rows->sum[i], rows->mixed[i]);
    }
    if (both)
        weigh(scores, 1, values, stride, some, ahead, rows->mixed);
    else
        weigh(scores, 0, values, stride, some, ahead, rows->mixed);
}

/* The same as attend_segments, for heads of 128 channels and for keys and values in tiles. Segment n has the tasks
   tasks[n] .. tasks[n + 1] - 1 (of each group): TOGETHER blocks of 32 rows each. */
void attend_segments_tiled(const uint16_t *states, const struct sizes *sizes, const struct segment *segments,
                           int64_t count, const int64_t *tasks, const uint16_t *const *keys,
                           const uint16_t *const *values, const uint16_t *const *prefix_keys,
                           const uint16_t *const *prefix_values, const int64_t *prefix_length,
                           uint16_t *restrict output) {
    int64_t each = sizes->heads / sizes->groups, row = (sizes->heads + 2 * sizes->groups) * HEAD;
    int64_t stride = sizes->groups * PAIRS * HEAD;
#pragma omp parallel
    {
        struct rows blocks[TOGETHER];
        row_scores scores[QUERIES] __attribute__((aligned(64)));
        memset(blocks, 0, sizeof blocks);
        memset(scores, 0, sizeof scores);
        _tile_loadconfig(&ALL_TILES);
#pragma omp for schedule(dynamic)
        for (int64_t task = 0; task < tasks[count] * sizes->groups; task++) {
            int64_t group = task / tasks[count], part = task % tasks[count], shift = group * PAIRS * HEAD, n = 0;
            while (tasks[n + 1] <= part) n++;
            int64_t first = (part - tasks[n]) * TOGETHER * QUERIES, left = segments[n].count * each - first;
            int64_t some = left < TOGETHER * QUERIES ? (left + QUERIES - 1) / QUERIES : TOGETHER, end = 0;
            /* 1. collect the queries of the blocks; all of them see the whole prefix */
            for (int64_t b = 0; b < some; b++) {
                struct rows *rows = &blocks[b];
                rows->used = left - b * QUERIES < QUERIES ? left - b * QUERIES : QUERIES;
                memset(rows->mixed, 0, sizeof rows->mixed);
                for (int64_t i = 0; i < rows->used; i++) {
                    int64_t mine = first + b * QUERIES + i, token = mine / each, head = group * each + mine % each;
                    const uint16_t *query = states + (segments[n].first + token) * row + head * HEAD;
                    memcpy(rows->queries[i], query, sizeof rows->queries[i]);
                    rows->largest[i] = -1e30f;
                    rows->sum[i] = 0;
                    rows->seen[i] = prefix_length[n];
                }
            }
            /* 2. the prefix, a chunk for all blocks before the next chunk */
            for (int64_t from = 0; from < prefix_length[n]; from += CHUNK)
                for (int64_t b = 0; b < some; b++)
                    look(&blocks[b], scores, prefix_keys[n] + shift, prefix_values[n] + shift, stride, from,
                         !b && from + CHUNK < prefix_length[n]);
            /* 3. the slot: each row sees it up to its own token */
            for (int64_t b = 0; b < some; b++)
                for (int64_t i = 0; i < blocks[b].used; i++)
                    end = blocks[b].seen[i] = segments[n].start + (first + b * QUERIES + i) / each + 1;
            for (int64_t from = 0; from < end; from += CHUNK)
                for (int64_t b = 0; b < some; b++)
                    look(&blocks[b], scores, keys[n] + shift, values[n] + shift, stride, from, !b && from + CHUNK < end);
            /* 4. divide by the sum of the weights */
            for (int64_t b = 0; b < some; b++)
                for (int64_t i = 0; i < blocks[b].used; i++) {
                    int64_t mine = first + b * QUERIES + i, token = segments[n].first + mine / each;
                    uint16_t *target = output + (token * sizes->heads + group * each + mine % each) * HEAD;
                    for (int64_t c = 0; c < HEAD; c++) target[c] = narrow(blocks[b].mixed[i][c] / blocks[b].sum[i]);
                }
        }
        _tile_release();
    }
}

/* The allowed ones of tokens i .. i + 15 (i a multiple of 16), as far as the vocabulary goes. */
static inline __mmask16 allowed_of(const uint32_t *bits, int64_t i, int64_t size) {
    __mmask16 there = first(size - i);
    return bits ? there & (__mmask16)(bits[i / 32] >> (i % 32)) : there;
}

/* For each row of logits the largest that its bits allow (null: all), the first of equal ones, and its log-probability
   among the allowed ones; 0 and NaN where none is allowed, NaN too where an allowed one is not finite. Bit t % 32 of word t / 32 is for token t. */
void pick_rows(const uint16_t *logits, int64_t rows, int64_t size, const uint32_t *bits, int64_t words, double *picked) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *row = logits + r * size;
        const uint32_t *mine = bits ? bits + r * words : bits;
        __m512 tops = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
        for (int64_t i = 0; i < size; i += 16) {
            __mmask16 allowed = allowed_of(mine, i, size);
            __m512i half = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(allowed, row + i));
            tops = _mm512_mask_max_ps(tops, allowed, tops, _mm512_castsi512_ps(_mm512_slli_epi32(half, 16)));
        }
        float top = _mm512_reduce_max_ps(tops);
        /* second pass: where the largest is, and the sum of exponentials relative to it */
        int64_t place = -1;
        __mmask16 unordered = 0; /* a maximum forgets NaN, so they are looked for */
        for (int64_t i = 0; i < size; i += 16) {
            __mmask16 allowed = allowed_of(mine, i, size);
            if (!allowed) continue;
            __m512i half = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(allowed, row + i));
            __m512 value = _mm512_castsi512_ps(_mm512_slli_epi32(half, 16));
            __mmask16 equal = _mm512_mask_cmp_ps_mask(allowed, value, _mm512_set1_ps(top), _CMP_EQ_OQ);
            unordered |= _mm512_mask_cmp_ps_mask(allowed, value, value, _CMP_UNORD_Q);
            if (place < 0 && equal) place = i + __builtin_ctz(equal);
            __m512 less = _mm512_mul_ps(_mm512_sub_ps(value, _mm512_set1_ps(top)), _mm512_set1_ps(1.44269504f));
            total = _mm512_add_ps(total, _mm512_maskz_mov_ps(allowed, power_of_two(less)));
        }
        picked[2 * r] = place < 0 ? 0 : (double)place;
        picked[2 * r + 1] = place < 0 || unordered || isinf(top) ? NAN : -log(_mm512_reduce_add_ps(total));
    }
}
#else
/* Numbers i .. i + 31 of a row in float32, -infinity for those whose bit is not set. */
static inline __attribute__((always_inline)) void allowed_of(const uint16_t *row, uint32_t word, int64_t count, float *found) {
    if (count >= 32)
        for (int j = 0; j < 32; j++) found[j] = word >> j & 1 ? wide(row[j]) : -INFINITY;
    else
        for (int j = 0; j < 32; j++) found[j] = j < count && word >> j & 1 ? wide(row[j]) : -INFINITY;
}

/* As above, without the matrix unit. */
void pick_rows(const uint16_t *logits, int64_t rows, int64_t size, const uint32_t *bits, int64_t words, double *picked) {
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        const uint16_t *row = logits + r * size;
        const uint32_t *mine = bits ? bits + r * words : bits;
        float found[32], top = -INFINITY, sum = 0;
        int64_t place = -1;
        int unordered = 0; /* a maximum forgets NaN, so they are looked for */
        for (int64_t i = 0; i < size; i += 32) {
            if (mine && !mine[i / 32]) continue;
            allowed_of(row + i, mine ? mine[i / 32] : ~0u, size - i, found);
            float most = -INFINITY;
#pragma omp simd reduction(max : most) reduction(| : unordered)
            for (int j = 0; j < 32; j++) {
                most = found[j] > most ? found[j] : most;
                unordered |= found[j] != found[j];
            }
            top = most > top ? most : top;
        }
        /* second pass: where the largest is, and the sum of exponentials relative to it */
        for (int64_t i = 0; i < size; i += 32) {
            uint32_t word = mine ? mine[i / 32] : ~0u;
            if (!word) continue;
            allowed_of(row + i, word, size - i, found);
            for (int j = 0; place < 0 && j < 32 && j < size - i; j++)
                if (word >> j & 1 && found[j] == top) place = i + j;
#pragma omp simd reduction(+ : sum)
            for (int j = 0; j < 32; j++) sum += found[j] == -INFINITY ? 0.0f : exponential(found[j] - top);
        }
        picked[2 * r] = place < 0 ? 0 : (double)place;
        picked[2 * r + 1] = place < 0 || unordered || isinf(top) ? NAN : -log(sum);
    }
}
#endif
