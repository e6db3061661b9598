// Multiplications and additions a second that one core does at most, in registers alone: nothing is
// read from memory. Prints "PRECISION GIGA" of each that the compiler knows of this CPU; the median
// of five, in CPU time.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#if defined(__AVX512BF16__) || defined(__AVX512VNNI__)
#include <immintrin.h>
#endif

enum { CHAINS = 12, ROUNDS = 30000000, TIMES = 5 };  // a core waits for none of so many chains
// As wide as a register: of wider ones not all the sums would be held in registers.
#if defined(__AVX512F__)
enum { WIDTH = 16 };
#elif defined(__AVX__)
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif
typedef float Floats __attribute__((vector_size(WIDTH * sizeof(float))));

static volatile float seen, start = 0.5f;  // or the compiler would foresee the sums

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// PER: operations of one instruction, a multiplication and an addition being two.
#define MEASURE(NAME, TYPE, PER, STEP)                                       \
  do {                                                                       \
    double found[TIMES];                                                     \
    for (int turn = 0; turn < TIMES; turn++) {                               \
      TYPE sums[CHAINS];                                                     \
      for (unsigned k = 0; k < sizeof sums / sizeof(float); k++)             \
        ((float *)sums)[k] = start * (k + 1);                                \
      double began = now();                                                  \
      for (long i = 0; i < ROUNDS; i++)                                      \
        for (int k = 0; k < CHAINS; k++) sums[k] = STEP(sums[k]);            \
      found[turn] = (double)ROUNDS * CHAINS * (PER) / (now() - began) * 1e-9; \
      for (int k = 0; k < CHAINS; k++) seen += *(float *)&sums[k];           \
    }                                                                        \
    qsort(found, TIMES, sizeof found[0], by_size);                           \
    printf("%s %.1f\n", NAME, found[TIMES / 2]);                             \
  } while (0)

int main(void) {
  Floats x, y;
  for (int i = 0; i < WIDTH; i++) x[i] = 0.999f, y[i] = 1e-4f;
#define FLOAT_STEP(sum) ((sum) * x + y)
  MEASURE("float32", Floats, WIDTH * 2, FLOAT_STEP);
#ifdef __AVX512BF16__
  __m512bh one = (__m512bh)_mm512_set1_epi16(0x3f80), small = (__m512bh)_mm512_set1_epi16(0x3400);
#define BFLOAT_STEP(sum) _mm512_dpbf16_ps(sum, one, small)
  MEASURE("bfloat16", __m512, 32 * 2, BFLOAT_STEP);
#endif
#ifdef __AVX512VNNI__
  __m512i ones = _mm512_set1_epi8(1);
#define INT_STEP(sum) _mm512_dpbusd_epi32(sum, ones, ones)
  MEASURE("int8", __m512i, 64 * 2, INT_STEP);
#endif
  return 0;
}
