/* Attention of the tokens of prompts on a processor without AMX: in float32, a block of queries by a slice of keys at a
   time, as products are in panels.h. Called by attention.py; states, segments, slots and prefixes are those of
   attention.c, with keys and values in rows: [token][group][size].

   The heads of a group read the same keys, so they are rows of one matrix: row = token * heads of a group + head.

   queries   [row][size]                         of a task: TOGETHER rows of a segment
   keys      [slice][channel][keys of a slice]   CHUNK of them, widened and transposed once for all rows of a task
   scores    [row][CHUNK]                        become weights where they are
   values    [slice][key][channels of a slice]   of the same chunk
   outputs   [row][size]

   Softmax is taken chunk by chunk with a running maximum and sum (flash attention, Dao et al., 2022). */

#include "panels.h"

#define CHUNK 128
#define TOGETHER 128  /* attention.py counts tasks alike */
#define MOST_SIZE 256 /* channels of a head; attention.py refuses more */
#define WIDTH(size) (((size) + SLICE - 1) / SLICE * SLICE) /* of the outputs, whose last slice may be padded */

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
    float queries[TOGETHER * MOST_SIZE], outputs[TOGETHER * MOST_SIZE];
    float keys[CHUNK * MOST_SIZE], values[CHUNK * MOST_SIZE];
};

/* Widen `count` keys and values, `stride` apart. What is missing of the last slice are zeros. */
static void take_chunk(struct task *task, const uint16_t *keys, const uint16_t *values, int64_t stride, int64_t count) {
    int64_t size = task->size, slices = (count + SLICE - 1) / SLICE;
    for (int64_t k = 0; k < slices * SLICE; k++) {
        float *target = task->keys + k / SLICE * size * SLICE + k % SLICE;
        for (int64_t c = 0; c < size; c++) target[c * SLICE] = k < count ? wide(keys[k * stride + c]) : 0.0f;
    }
    for (int64_t slice = 0; slice < WIDTH(size) / SLICE; slice++)
        for (int64_t k = 0; k < count; k++) {
            float *target = task->values + (slice * count + k) * SLICE;
            const uint16_t *source = values + k * stride + slice * SLICE;
            int64_t there = size - slice * SLICE < SLICE ? size - slice * SLICE : SLICE;
            for (int64_t c = 0; c < SLICE; c++) target[c] = c < there ? wide(source[c]) : 0.0f;
        }
}

/* A slice of a product of all rows from `first` on. */
static void add_rows(const struct task *task, int64_t first, const float *input, int64_t row, const float *weight,
                     int64_t depth, float *sums, int64_t stride, int is_first) {
    int64_t rows = task->rows - first, blocks = blocks_of(rows);
    for (int64_t block = 0; block < blocks; block++) {
        int64_t from = first + first_row(rows, block), count = first + first_row(rows, block + 1) - from;
        switch (count) {
#define CASE(n) \
    case n: add_slice(input + from * row, row, 1, weight, depth, sums + from * stride, stride, is_first, n); break;
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
    for (int64_t k = seen; k < count; k++) scores[k] = 0;
    float shrink = exponential(task->largest[row] - largest);
    for (int64_t c = 0; c < WIDTH(task->size); c++) outputs[c] *= shrink;
    task->largest[row] = largest;
    task->sum[row] = task->sum[row] * shrink + sum;
}

/* Take keys and values, as far as the rows see them, into the softmax of a task. */
static void look(struct task *task, const uint16_t *keys, const uint16_t *values, int64_t stride) {
    int64_t end = task->seen[task->rows - 1], size = task->size, first = 0;
    float scale = 1.0f / sqrtf((float)size);
    for (int64_t from = 0; from < end; from += CHUNK) {
        int64_t count = end - from < CHUNK ? end - from : CHUNK;
        while (task->seen[first] <= from) first++;
        take_chunk(task, keys + from * stride, values + from * stride, stride, count);
        for (int64_t slice = 0; slice * SLICE < count; slice++)
            add_rows(task, first, task->queries, size, task->keys + slice * size * SLICE, size,
                     task->scores[0] + slice * SLICE, CHUNK, 1);
        for (int64_t row = first; row < task->rows; row++) {
            int64_t seen = task->seen[row] - from;
            soften(task, row, seen < count ? seen : count, count, scale);
        }
        for (int64_t slice = 0; slice < WIDTH(size) / SLICE; slice++)
            add_rows(task, first, task->scores[0], CHUNK, task->values + slice * count * SLICE, count,
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
        for (int64_t number = 0; number < tasks[count] * sizes->groups; number++) {
            int64_t group = number / tasks[count], part = number % tasks[count], n = 0;
            while (tasks[n + 1] <= part) n++;
            int64_t first = (part - tasks[n]) * TOGETHER, left = segments[n].count * each - first;
            task.rows = left < TOGETHER ? left : TOGETHER;
            /* 1. collect the queries */
            for (int64_t row = 0; row < task.rows; row++) {
                int64_t token = segments[n].first + (first + row) / each, head = group * each + (first + row) % each;
                const uint16_t *query = states + token * width + head * size;
                for (int64_t c = 0; c < size; c++) task.queries[row * size + c] = wide(query[c]);
                task.largest[row] = -1e30f;
                task.sum[row] = 0;
                task.seen[row] = prefix_length[n];
            }
            memset(task.outputs, 0, task.rows * WIDTH(size) * sizeof(float));
            /* 2. all rows see the whole prefix, and the slot up to their own token */
            look(&task, prefix_keys[n] + group * size, prefix_values[n] + group * size, stride);
            for (int64_t row = 0; row < task.rows; row++) task.seen[row] = segments[n].start + (first + row) / each + 1;
            look(&task, keys[n] + group * size, values[n] + group * size, stride);
            /* 3. divide by the sum of the weights */
            for (int64_t row = 0; row < task.rows; row++) {
                int64_t token = segments[n].first + (first + row) / each, head = group * each + (first + row) % each;
                uint16_t *target = output + (token * sizes->heads + head) * size;
                for (int64_t c = 0; c < size; c++) target[c] = narrow(task.outputs[row * WIDTH(size) + c] / task.sum[row]);
            }
        }
    }
}
