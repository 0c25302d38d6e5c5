/*
 * limits.c: a simple reader and a multiplier for each instruction set.
 *
 * Several readers were compared.  One stream, with enough sums to hide the latency of an addition, was
 * as fast as any number of streams, with or without prefetching.  The widest registers are not always
 * the fastest: on Zen 4 the reader with AVX2 is 1.07 times as fast as that with AVX-512.  So
 * limits_create() tries all that the CPU has, and limits_read() uses the fastest.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS, madvise */

#include "limits.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <gpt2.h>

#include "../messages.h"
#include "../platform.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* A measurement takes this long at least, and reads the whole buffer this often at least. */
#define SECONDS  0.06
#define N_PASSES 2

/* Rounds in which the readers are compared. */
#define READER_ROUNDS 4

/* Two units with a latency of four or five cycles need ten sums at a time; 16 registers hold 12. */
#define N_SUMS 12

/* Between two looks at the clock a thread reads 1 MB, or multiplies for about the same time. */
#define CHUNK_FLOATS     ((size_t)N_SUMS * 16 * 1366)
#define MULTIPLY_REPEATS 20000

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* A register is a 'vector'.  read_NAME() sums n floats, without a last part that does not fill all
   sums.  multiply_NAME() does MULTIPLY_REPEATS rounds.  Both return the sum of all lanes, so that the
   compiler cannot leave work out. */
#define DEFINE_LIMITS(name, target, vector, set1, load, add, multiply_add)                      \
    target static float fold_##name(vector *sums)                                               \
    {                                                                                           \
        float lanes[sizeof(vector) / sizeof(float)];                                            \
        float sum = 0;                                                                          \
                                                                                                \
        UNROLL for (int i = 1; i < N_SUMS; i++) sums[0] = add(sums[0], sums[i]);                \
        memcpy(lanes, &sums[0], sizeof lanes);                                                  \
        for (size_t i = 0; i < sizeof(vector) / sizeof(float); i++)                             \
            sum += lanes[i];                                                                    \
        return sum;                                                                             \
    }                                                                                           \
                                                                                                \
    target static float read_##name(const float *x, size_t n)                                   \
    {                                                                                           \
        const size_t width = sizeof(vector) / sizeof(float);                                    \
        vector sums[N_SUMS];                                                                    \
                                                                                                \
        UNROLL for (int i = 0; i < N_SUMS; i++) sums[i] = set1(0.0f);                           \
        for (; n >= N_SUMS * width; n -= N_SUMS * width, x += N_SUMS * width) {                 \
            UNROLL for (int i = 0; i < N_SUMS; i++) sums[i] =                                   \
                add(sums[i], load(x + (size_t)i * width));                                      \
        }                                                                                       \
        return fold_##name(sums);                                                               \
    }                                                                                           \
                                                                                                \
    target static float multiply_##name(float start)                                            \
    {                                                                                           \
        const vector half = set1(start * 0.5f);                                                 \
        const vector one = set1(start);                                                         \
        vector sums[N_SUMS];                                                                    \
                                                                                                \
        UNROLL for (int i = 0; i < N_SUMS; i++) sums[i] = set1(start + (float)i);               \
        for (int r = 0; r < MULTIPLY_REPEATS; r++) {                                            \
            UNROLL for (int i = 0; i < N_SUMS; i++) sums[i] = multiply_add(sums[i], half, one); \
        }                                                                                       \
        return fold_##name(sums);                                                               \
    }

struct kind {
    uint32_t needs; /* GPT2_CPU_* */
    int width;      /* floats in a register */
    float (*read)(const float *x, size_t n);
    float (*multiply)(float start);
};

/* For any CPU: 16 bytes, and a multiplication followed by an addition. */
typedef float plain __attribute__((vector_size(16)));

static inline plain plain_set1(float x)
{
    return (plain){x, x, x, x};
}

static inline plain plain_load(const float *x)
{
    plain v;

    memcpy(&v, x, sizeof v);
    return v;
}

#define PLAIN_ADD(a, b)             ((a) + (b))
#define PLAIN_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
DEFINE_LIMITS(plain, , plain, plain_set1, plain_load, PLAIN_ADD, PLAIN_MULTIPLY_ADD)

#if defined(__x86_64__)
#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
DEFINE_LIMITS(avx2, AVX2, __m256, _mm256_set1_ps, _mm256_loadu_ps, _mm256_add_ps, _mm256_fmadd_ps)
DEFINE_LIMITS(avx512, AVX512, __m512, _mm512_set1_ps, _mm512_loadu_ps, _mm512_add_ps,
              _mm512_fmadd_ps)
#elif defined(__aarch64__)
#define NEON_FMA(a, b, c) vfmaq_f32(c, a, b)
DEFINE_LIMITS(neon, , float32x4_t, vdupq_n_f32, vld1q_f32, vaddq_f32, NEON_FMA)
#endif

/* The widest first. */
static const struct kind kinds[] = {
#if defined(__x86_64__)
    {GPT2_CPU_AVX512, 16, read_avx512, multiply_avx512},
    {GPT2_CPU_AVX2, 8, read_avx2, multiply_avx2},
#elif defined(__aarch64__)
    {GPT2_CPU_NEON, 4, read_neon, multiply_neon},
#endif
    {0, 4, read_plain, multiply_plain},
};

#define N_KINDS (sizeof kinds / sizeof kinds[0])

/* What the threads of one measurement share. */
struct race {
    const struct limits *limits;
    const struct kind *kind;
    bool reads; /* else it multiplies */
    _Atomic int n_ready;
    _Atomic bool has_begun;
    _Atomic size_t next_chunk;
    double start;
};

struct runner {
    struct race *race;
    pthread_t thread;
    double end;
    double done; /* floats read, or registers multiplied */
    float sum;
};

static size_t count_chunks(const struct limits *limits)
{
    return (limits->n_bytes / sizeof(float) + CHUNK_FLOATS - 1) / CHUNK_FLOATS;
}

static void read_chunk(struct runner *runner)
{
    const struct limits *limits = runner->race->limits;
    size_t n_floats = limits->n_bytes / sizeof(float);
    size_t n_chunks = count_chunks(limits);
    size_t first = atomic_fetch_add(&runner->race->next_chunk, 1) % n_chunks * CHUNK_FLOATS;
    size_t n = n_floats - first < CHUNK_FLOATS ? n_floats - first : CHUNK_FLOATS;

    runner->sum += runner->race->kind->read(limits->buffer + first, n);
    runner->done += (double)n;
}

static void run(struct runner *runner)
{
    struct race *race = runner->race;
    size_t n_chunks = race->reads ? N_PASSES * count_chunks(race->limits) : 0;

    do {
        if (race->reads) {
            read_chunk(runner);
        } else {
            runner->sum += race->kind->multiply(1.0f);
            runner->done += (double)N_SUMS * MULTIPLY_REPEATS;
        }
        runner->end = platform_seconds();
    } while (runner->end - race->start < SECONDS || atomic_load(&race->next_chunk) < n_chunks);
}

static void *runner_main(void *argument)
{
    struct runner *runner = argument;

    atomic_fetch_add(&runner->race->n_ready, 1);
    while (!atomic_load(&runner->race->has_begun))
        sched_yield();
    run(runner);
    return NULL;
}

/* All threads begin together.  Each finishes its chunk when the time is over, and its rate is its work
   divided by its own time. */
static enum outcome run_all(struct race *race, struct runner *runners, double *done_per_second)
{
    int32_t n_threads = race->limits->n_threads;
    int32_t n_started = 1;

    for (int32_t i = 0; i < n_threads; i++)
        runners[i].race = race;
    while (n_started < n_threads &&
           pthread_create(&runners[n_started].thread, NULL, runner_main, &runners[n_started]) == 0)
        n_started++;
    while (atomic_load(&race->n_ready) < n_started - 1)
        sched_yield();
    race->start = platform_seconds();
    atomic_store(&race->has_begun, true);
    run(&runners[0]);
    for (int32_t i = 1; i < n_started; i++)
        pthread_join(runners[i].thread, NULL);
    if (n_started < n_threads)
        return complain(OUTCOME_FAILED, "thread %d of %d could not be started", (int)n_started + 1,
                        (int)n_threads);
    *done_per_second = 0;
    for (int32_t i = 0; i < n_threads; i++)
        *done_per_second += runners[i].done / (runners[i].end - race->start);
    return OUTCOME_DONE;
}

static bool is_allowed(const struct limits *limits, size_t kind)
{
    return (kinds[kind].needs & limits->cpu) == kinds[kind].needs;
}

static enum outcome measure(const struct limits *limits, size_t kind, bool reads,
                            double *units_per_second)
{
    struct race race = {.limits = limits, .kind = &kinds[kind], .reads = reads};
    struct runner *runners = calloc((size_t)limits->n_threads, sizeof *runners);
    enum outcome outcome;

    if (runners == NULL)
        return complain_memory();
    outcome = run_all(&race, runners, units_per_second);
    if (outcome == OUTCOME_DONE)
        *units_per_second *= reads ? (double)sizeof(float) : 2.0 * race.kind->width;
    free(runners);
    return outcome;
}

enum outcome limits_read(const struct limits *limits, double *bytes_per_second)
{
    return measure(limits, limits->reader, true, bytes_per_second);
}

enum outcome limits_multiply(const struct limits *limits, double *flops_per_second)
{
    size_t kind = 0;

    while (!is_allowed(limits, kind))
        kind++;
    return measure(limits, kind, false, flops_per_second);
}

static enum outcome choose_reader(struct limits *limits)
{
    enum outcome outcome = OUTCOME_DONE;
    double sums[N_KINDS] = {0}; /* of bytes per second, over rounds */

    for (size_t i = 0; i < READER_ROUNDS * N_KINDS && outcome == OUTCOME_DONE; i++) {
        size_t kind = i % N_KINDS;
        double bytes_per_second = 0;

        if (is_allowed(limits, kind))
            outcome = measure(limits, kind, true, &bytes_per_second);
        sums[kind] += bytes_per_second;
    }
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        if (sums[kind] > sums[limits->reader])
            limits->reader = kind;
    }
    return outcome;
}

enum outcome limits_create(struct limits *limits, int32_t n_threads, uint32_t cpu, uint64_t n_bytes)
{
    void *buffer;

    memset(limits, 0, sizeof *limits);
    if (n_bytes > SIZE_MAX)
        return complain_memory();
    buffer =
        mmap(NULL, (size_t)n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer == MAP_FAILED)
        return complain_memory();
#ifdef MADV_HUGEPAGE
    (void)madvise(buffer, (size_t)n_bytes, MADV_HUGEPAGE); /* reading is fastest in large pages */
#endif
    memset(buffer, 0x3c, (size_t)n_bytes); /* floats of 0.011 */
    *limits = (struct limits){n_threads, cpu, buffer, (size_t)n_bytes, 0};
    return choose_reader(limits);
}

void limits_free(struct limits *limits)
{
    if (limits->buffer != NULL)
        munmap(limits->buffer, limits->n_bytes);
    memset(limits, 0, sizeof *limits);
}
