/* Attention of the tokens of prompts on a processor without AMX: a block of queries by a slice of keys at a time, as
   products are in panels.h. Called by attention.py; states, segments, slots and prefixes are those of attention.c, with
   keys and values in rows: [token][group][size].

   The heads of a group read the same keys, so they are rows of one matrix: row = token * heads of a group + head.

   queries   [row][size]                         of a task: TOGETHER rows of a segment
   keys      [slice][channel][keys of a slice]   CHUNK of them, transposed once for all rows of a task
   scores    [row][CHUNK]                        float32
   weights   [row][CHUNK]                        of the softmax; without bfloat16 they are where the scores were
   values    [slice][key][channels of a slice]   of the same chunk
   outputs   [row][size]                         float32

   Numbers are float32, or bfloat16 with instructions for it: then keys have pairs of channels, and values pairs of keys,
   side by side (`[channels / 2][keys][2]`). Sums are float32.

   Softmax is taken chunk by chunk with a running maximum and sum (flash attention, Dao et al., 2022). Chunks are counted
   from the beginning of a sequence, be that in a prefix or not, so that its prefix does not change what comes out. */

#include "panels.h"

#define CHUNK 128
#define TOGETHER 256  /* attention.py counts tasks alike */
#define MOST_SIZE 256 /* channels of a head; attention.py refuses more */
#define WIDTH(size) (((size) + SLICE - 1) / SLICE * SLICE) /* of the outputs, whose last slice may be padded */
#ifdef PAIRED
#define DEPTH(count) (((count) + 1) / 2 * 2) /* of a product: zeros complete the last pair */
#else
#define DEPTH(count) (count)
#endif

/* The sizes of attention: query heads, groups of keys, channels of a head. */
struct sizes {
    int64_t heads, groups, size;
};

/* Rows first .. first + count - 1 of a step continue a sequence with `start` tokens in its slot. */
struct segment {
    int64_t first, count, start;
};

/* A task under way, and the chunk that it looks at. `seen` says how many keys each row sees: not fewer from row to row. */
struct task {
    int64_t rows, size, seen[TOGETHER];
    float largest[TOGETHER], sum[TOGETHER], scores[TOGETHER][CHUNK];
    float outputs[TOGETHER * MOST_SIZE];
    number queries[TOGETHER * MOST_SIZE], keys[CHUNK * MOST_SIZE], values[CHUNK * MOST_SIZE];
#ifdef PAIRED
    number weights[TOGETHER][CHUNK];
#endif
};

#ifdef PAIRED
#define WEIGHTS(task) (task)->weights
#else
#define WEIGHTS(task) (task)->scores
#endif

/* The keys (or values) of a sequence in one group: the first `shared` are in its prefix. Rows are `stride` apart. */
struct tokens {
    const uint16_t *prefix, *own;
    int64_t shared, stride;
};

INLINE const uint16_t *token_of(const struct tokens *from, int64_t place) {
    return place < from->shared ? from->prefix + place * from->stride : from->own + (place - from->shared) * from->stride;
}

/* Lay out the keys and values first .. first + count - 1. What is missing of the last slice are zeros. */
static void take_chunk(struct task *task, const struct tokens *keys, const struct tokens *values, int64_t first,
                       int64_t count) {
    int64_t size = task->size, slices = (count + SLICE - 1) / SLICE, depth = DEPTH(count);
    for (int64_t k = 0; k < slices * SLICE; k++) {
        number *target = task->keys + k / SLICE * DEPTH(size) * SLICE;
        const uint16_t *source = token_of(keys, first + (k < count ? k : 0));
#ifdef PAIRED
        uint32_t *pairs = (uint32_t *)target + k % SLICE;
        for (int64_t c = 0; c < size; c += 2)
            pairs[c / 2 * SLICE] = k < count ? source[c] | (c + 1 < size ? (uint32_t)source[c + 1] << 16 : 0) : 0;
#else
        for (int64_t c = 0; c < size; c++) target[c * SLICE + k % SLICE] = k < count ? wide(source[c]) : 0.0f;
#endif
    }
    for (int64_t slice = 0; slice < WIDTH(size) / SLICE; slice++) {
        int64_t there = size - slice * SLICE < SLICE ? size - slice * SLICE : SLICE;
        number *target = task->values + slice * depth * SLICE;
#ifdef PAIRED
        for (int64_t k = 0; k < count; k += 2, target += 2 * SLICE) {
            const uint16_t *one = token_of(values, first + k) + slice * SLICE;
            const uint16_t *other = k + 1 < count ? token_of(values, first + k + 1) + slice * SLICE : 0;
            for (int64_t c = 0; c < SLICE; c++) {
                target[2 * c] = c < there ? one[c] : 0;
                target[2 * c + 1] = c < there && other ? other[c] : 0;
            }
        }
#else
        for (int64_t k = 0; k < count; k++, target += SLICE) {
            const uint16_t *source = token_of(values, first + k) + slice * SLICE;
            for (int64_t c = 0; c < SLICE; c++) target[c] = c < there ? wide(source[c]) : 0.0f;
        }
#endif
    }
}

/* A slice of a product of all rows from `first` on. */
static void add_rows(const struct task *task, int64_t first, const number *input, int64_t row, const number *weight,
                     int64_t depth, float *sums, int64_t stride, int is_first) {
    int64_t rows = task->rows - first, blocks = blocks_of(rows);
    for (int64_t block = 0; block < blocks; block++) {
        int64_t from = first + first_row(rows, block), count = first + first_row(rows, block + 1) - from;
        const number *mine = input + from * row;
        float *target = sums + from * stride;
#ifdef PAIRED
        const char *one = (const char *)weight, *other = one + 64;
#define ADD(n) add_pairs(mine, row, 2, one, other, 128, (depth + 1) / 2, target, stride, is_first, n)
#else
#define ADD(n) add_slice(mine, row, 1, weight, depth, target, stride, is_first, n)
#endif
        switch (count) {
#define CASE(n) \
    case n: ADD(n); break;
            FOR_COUNT(CASE)
#undef CASE
        }
    }
}

/* Scores of a row to weights exp(score * scale - largest), of which `seen` of `count` count, the rest become zero. The
   outputs before shrink to the new maximum. */
static void soften(struct task *task, int64_t row, int64_t seen, int64_t count, float scale) {
    float *scores = task->scores[row], *outputs = task->outputs + row * WIDTH(task->size);
    float largest = task->largest[row], sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t k = 0; k < seen; k++) largest = scores[k] * scale > largest ? scores[k] * scale : largest;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < seen; k++) {
        scores[k] = exponential(scores[k] * scale - largest);
        sum += scores[k];
    }
    number *weights = WEIGHTS(task)[row];
#ifdef PAIRED
    for (int64_t k = 0; k < seen; k += 32) { /* a part of CHUNK; what is after `seen` is written over below */
        __m512 one = _mm512_loadu_ps(scores + k), other = _mm512_loadu_ps(scores + k + 16);
        _mm512_storeu_si512(weights + k, (__m512i)_mm512_cvtne2ps_pbh(other, one));
    }
#endif
    for (int64_t k = seen; k < DEPTH(count); k++) weights[k] = 0;
    float shrink = exponential(task->largest[row] - largest);
    for (int64_t c = 0; c < WIDTH(task->size); c++) outputs[c] *= shrink;
    task->largest[row] = largest;
    task->sum[row] = task->sum[row] * shrink + sum;
}

/* Take keys and values, as far as the rows see them, into the softmax of a task. */
static void look(struct task *task, const struct tokens *keys, const struct tokens *values) {
    int64_t end = task->seen[task->rows - 1], size = task->size, first = 0;
    float scale = 1.0f / sqrtf((float)size);
    for (int64_t from = 0; from < end; from += CHUNK) {
        int64_t count = end - from < CHUNK ? end - from : CHUNK;
        while (task->seen[first] <= from) first++;
        take_chunk(task, keys, values, from, count);
        for (int64_t slice = 0; slice * SLICE < count; slice++)
            add_rows(task, first, task->queries, DEPTH(size), task->keys + slice * DEPTH(size) * SLICE, size,
                     task->scores[0] + slice * SLICE, CHUNK, 1);
        for (int64_t row = first; row < task->rows; row++) {
            int64_t seen = task->seen[row] - from;
            soften(task, row, seen < count ? seen : count, count, scale);
        }
        for (int64_t slice = 0; slice < WIDTH(size) / SLICE; slice++)
            add_rows(task, first, WEIGHTS(task)[0], CHUNK, task->values + slice * DEPTH(count) * SLICE, count,
                     task->outputs + slice * SLICE, WIDTH(size), 0);
    }
}

/* The same as attend_segments (attention.c). Segment n has the tasks tasks[n] .. tasks[n + 1] - 1 (of each group) of
   TOGETHER rows each. */
void attend_prefill(const uint16_t *states, const struct sizes *sizes, const struct segment *segments, int64_t count,
                    const int64_t *tasks, const uint16_t *const *keys, const uint16_t *const *values,
                    const uint16_t *const *prefix_keys, const uint16_t *const *prefix_values,
                    const int64_t *prefix_length, uint16_t *restrict output) {
    int64_t size = sizes->size, each = sizes->heads / sizes->groups, stride = sizes->groups * size;
    int64_t width = (sizes->heads + 2 * sizes->groups) * size;
#pragma omp parallel
    {
        struct task task __attribute__((aligned(64)));
        task.size = size;
#pragma omp for schedule(dynamic)
        for (int64_t job = 0; job < tasks[count] * sizes->groups; job++) {
            int64_t group = job / tasks[count], part = job % tasks[count], n = 0;
            while (tasks[n + 1] <= part) n++;
            int64_t first = (part - tasks[n]) * TOGETHER, left = segments[n].count * each - first;
            task.rows = left < TOGETHER ? left : TOGETHER;
            /* 1. collect the queries */
            for (int64_t row = 0; row < task.rows; row++) {
                int64_t token = segments[n].first + (first + row) / each, head = group * each + (first + row) % each;
                const uint16_t *query = states + token * width + head * size;
                number *target = task.queries + row * DEPTH(size);
                for (int64_t c = 0; c < DEPTH(size); c++) target[c] = c < size ? number_of(query[c]) : 0;
                task.largest[row] = -1e30f;
                task.sum[row] = 0;
                task.seen[row] = prefix_length[n] + segments[n].start + (first + row) / each + 1;
            }
            memset(task.outputs, 0, task.rows * WIDTH(size) * sizeof(float));
            /* 2. all rows see the whole prefix, and the slot up to their own token */
            struct tokens from_keys = {prefix_keys[n] + group * size, keys[n] + group * size, prefix_length[n], stride};
            struct tokens from_values = {prefix_values[n] + group * size, values[n] + group * size, prefix_length[n], stride};
            look(&task, &from_keys, &from_values);
            /* 3. divide by the sum of the weights */
            for (int64_t row = 0; row < task.rows; row++) {
                int64_t token = segments[n].first + (first + row) / each, head = group * each + (first + row) % each;
                uint16_t *target = output + (token * sizes->heads + head) * size;
                for (int64_t c = 0; c < size; c++) target[c] = narrow(task.outputs[row * WIDTH(size) + c] / task.sum[row]);
            }
        }
    }
}
