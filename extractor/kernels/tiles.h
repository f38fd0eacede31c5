/* AMX, the matrix unit of the processor: eight tiles of 16 rows of 64 bytes. HAS_TILES where the compiler targets it.

   c += a b for tiles a [16 rows][64 bytes], b [16][16 outputs][4 bytes], c [16 rows][16 outputs], 4 bytes each:
       c[m][n] += sum over k of a[m][4 bytes of k] * b[k][n][4 bytes]     two bfloat16, or four int8, in 4 bytes
   so a right operand holds, for every output, the numbers of 4 bytes of the sum side by side. */

#include <immintrin.h>
#include <stdint.h>

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__AVX512BF16__) && \
    defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VNNI__) && defined(__linux__)
#define HAS_TILES

#include <sys/syscall.h>
#include <unistd.h>

#define ROWS 16 /* of a tile; its columns are 16 numbers of 4 bytes */

struct configuration {
    uint8_t palette, start, zeros[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

static const struct configuration ALL_TILES = {.palette = 1,
                                               .bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                               .rows = {ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS, ROWS}};

/* Ask Linux for the tiles' registers, which a process does not have by default; whether it grants them. */
int has_tiles(void) { return syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* tile data */) == 0; }

/* 2^x in float32, relative error below 3e-7. */
static inline __m512 power_of_two(__m512 x) {
    __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(x, whole);
    __m512 p = _mm512_set1_ps(1.33908634e-03f);
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.67603192e-03f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.55035711e-02f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.40221075e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.93147188e-01f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.00000008e+00f));
    return _mm512_scalef_ps(p, whole);
}

/* 16 bfloat16 numbers as float32. */
static inline __m512 widened(const uint16_t *source) {
    __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)source));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

/* Store 16 numbers in bfloat16. */
static inline void store_narrowed(uint16_t *target, __m512 values) {
    _mm256_storeu_si256((__m256i *)target, (__m256i)_mm512_cvtneps_pbh(values));
}
#else
int has_tiles(void) { return 0; }
#endif
