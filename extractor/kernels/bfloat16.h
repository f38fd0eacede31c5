/* Arithmetic that the kernels share. bfloat16 is uint16_t in C: the upper half of a float32. */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* bfloat16 to float32, exactly. */
static inline float wide(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* Round to nearest, ties to even; NaN stays NaN. */
static inline uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint16_t rounded = (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    return value == value ? rounded : 0x7fc0;
}

/* exp in float32, relative error below 3e-7, infinite above 88: x = n ln 2 + r, then 2^n times a polynomial of r (that
   of Cephes' expf). ln 2 is subtracted in two parts, so that r keeps its digits. */
static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float n = rintf(x * 1.44269504f), r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r) + 1.0f;
    uint32_t bits = (uint32_t)((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

/* The scale of a row in int8: its largest magnitude over 127. Magnitudes are ordered like their bits. */
static inline float row_scale(const uint16_t *restrict x, int64_t columns) {
    uint16_t largest = 0;
    for (int64_t i = 0; i < columns; i++) {
        uint16_t magnitude = x[i] & 0x7fff;
        largest = magnitude > largest ? magnitude : largest;
    }
    float scale = wide(largest) / 127.0f;
    return scale < 1e-30f ? 1e-30f : scale;
}

/* The code of a number in a row whose scale is 1 / inverse. */
static inline int8_t code(uint16_t x, float inverse) { return (int8_t)(int32_t)rintf(wide(x) * inverse); }

/* y = weight * (x / root mean square of x) (Zhang and Sennrich, 2019), rounded before the weight as the model does. */
static inline void norm_row(const uint16_t *restrict x, int64_t columns, const uint16_t *restrict weight, float eps,
                            uint16_t *restrict y) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < columns; i++) sum += wide(x[i]) * wide(x[i]);
    float scale = 1.0f / sqrtf(sum / (float)columns + eps);
    for (int64_t i = 0; i < columns; i++) y[i] = narrow(wide(narrow(wide(x[i]) * scale)) * wide(weight[i]));
}
