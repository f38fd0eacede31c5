/* Instructions that a processor with AVX2 lacks, by others that it has, so that kernels which use them can be tested:
   included before a kernel's source, with AVX512_BY_HAND or VNNI_BY_HAND or both. */

#include <immintrin.h>
#include <string.h>

/* Add the products of 4 bytes without a sign and 4 with one to each sum. */
static inline __m256i hand_quads(__m256i sum, __m256i a, __m256i b) {
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

#ifdef AVX512_BY_HAND
#define __AVX512BW__ 1
struct halves {
    __m256i low, high;
};
#define HALVES(a, one)                                   \
    struct halves one;                                   \
    __m512i whole_##one = a;                             \
    memcpy(&one, &whole_##one, sizeof one)
#define JOINED(one, other)                               \
    ({                                                   \
        struct halves joined = {one, other};             \
        __m512i whole_joined;                            \
        memcpy(&whole_joined, &joined, sizeof joined);   \
        whole_joined;                                    \
    })
#define BOTH(f, a, b) ({ HALVES(a, left); HALVES(b, right); JOINED(f(left.low, right.low), f(left.high, right.high)); })
#define EACH(f, a, n) ({ HALVES(a, left); JOINED(f(left.low, n), f(left.high, n)); })
#define _mm512_add_epi16(a, b) BOTH(_mm256_add_epi16, a, b)
#define _mm512_madd_epi16(a, b) BOTH(_mm256_madd_epi16, a, b)
#define _mm512_maddubs_epi16(a, b) BOTH(_mm256_maddubs_epi16, a, b)
#define _mm512_slli_epi16(a, n) EACH(_mm256_slli_epi16, a, n)
#define _mm512_srai_epi16(a, n) EACH(_mm256_srai_epi16, a, n)
#define _mm512_srli_epi16(a, n) EACH(_mm256_srli_epi16, a, n)
#define _mm512_set1_epi8(x) JOINED(_mm256_set1_epi8(x), _mm256_set1_epi8(x))
#define _mm512_set1_epi16(x) JOINED(_mm256_set1_epi16(x), _mm256_set1_epi16(x))
#define _mm512_set1_epi32(x) JOINED(_mm256_set1_epi32(x), _mm256_set1_epi32(x))
#endif

#ifdef VNNI_BY_HAND
#ifdef AVX512_BY_HAND
#define __AVX512VNNI__ 1
#define _mm512_dpbusd_epi32(s, a, b)                                                                                   \
    ({                                                                                                                 \
        HALVES(s, sums);                                                                                               \
        HALVES(a, left);                                                                                               \
        HALVES(b, right);                                                                                              \
        JOINED(hand_quads(sums.low, left.low, right.low), hand_quads(sums.high, left.high, right.high));               \
    })
#else
#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32 hand_quads
#endif
#endif

#ifdef BF16_BY_HAND
#define __AVX512BF16__ 1
typedef float hand_floats __attribute__((vector_size(64)));
typedef unsigned hand_words __attribute__((vector_size(64)));
/* Add the products of two pairs of bfloat16 to each sum. */
#define _mm512_dpbf16_ps(s, a, b)                                                                                      \
    ({                                                                                                                 \
        hand_words left_words = (hand_words)(a), right_words = (hand_words)(b);                                        \
        hand_floats even = (hand_floats)(left_words << 16) * (hand_floats)(right_words << 16);                         \
        (__m512)((hand_floats)(s) + even +                                                                             \
                 (hand_floats)(left_words & 0xffff0000u) * (hand_floats)(right_words & 0xffff0000u));                  \
    })
#define __m512bh __m512i
#endif
