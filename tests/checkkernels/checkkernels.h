/*
 * checkkernels.h: what the checks and the benchmarks of kernels share.
 *
 * A case is one call: its operands' contents before it, and what they must hold after it.  Every
 * kernel table of this machine then runs it in several placements: all operands against a guard page
 * below, all against one above, and each at offsets of 1 to 15 elements.
 */
#ifndef CHECKKERNELS_H
#define CHECKKERNELS_H

#include "kernels/kernels.h"

#include <stdio.h>

/* One pointer of struct gpt2i_kernels. */
struct entry {
    const char *name;
    size_t offset; /* in struct gpt2i_kernels */
    void (*check)(const struct entry *entry);
    void (*bench)(const struct entry *entry);
};

/* The tables that this CPU can run, plainest first. */
#define MAX_TABLES 7
extern struct gpt2i_kernels tables[MAX_TABLES];
extern size_t n_tables;

/* Whether this kernel of table t is one of its own, not that of a plainer table. */
bool is_own(const struct entry *entry, size_t t);

/* ----------------------------------------------------------------------------------------- cases -- */

/* A call of a kernel, or its definition: at[i] is where the i-th operand lies. */
typedef void kernel_call(const struct gpt2i_kernels *kernels, void *const *at, const void *sizes);

/* These NaN fill what a kernel must neither use nor write. */
#define CANARY      UINT32_C(0x7fedbeef)
#define CANARY_HALF UINT16_C(0x7eef)
void fill_canary(float *x, size_t n);
void fill_canary_halves(uint16_t *x, size_t n);

/* The checks of one kernel begin. */
void check_begin(const struct entry *entry);

extern bool quick; /* one of 17 cases is taken, and none of the largest */

/* Whether to leave out the case that would begin now. */
bool case_skipped(void);

/* A case begins; its sizes and kinds of values, in words. */
void case_begin(const char *format, ...) GPT2I_FORMAT(1, 2);

/* The next operand, n floats or half floats, for the caller to fill. */
float *case_operand(const char *name, size_t n);
uint16_t *case_operand_halves(const char *name, size_t n);

/*
 * Runs the case: 'call' by each table, in up to 17 placements.  'define', or 'call' by the scalar
 * table where that is NULL, says what the operands must hold.
 */
void case_run(kernel_call *call, kernel_call *define, const void *sizes, size_t n_placements);

/* Prints what the checks of this kernel gave; returns how many tables failed, counts the others. */
size_t check_end(size_t *n_passed);

/* Prints the case that runs now and crashed at an address; false if none runs. */
bool case_print_crash(FILE *file, const void *address);

/* ---------------------------------------------------------------------------------------- values -- */

enum {
    VALUES_ORDINARY,
    VALUES_MIXED,
    VALUES_LARGE,
    VALUES_SPECIAL,
    VALUES_BITS,
    VALUES_EQUAL,
    VALUES_ALTERNATING,
    N_VALUES
};

extern const char *const values_names[N_VALUES];

void random_seed(uint64_t seed);
size_t random_below(size_t n);
void fill_values(float *x, size_t n, size_t kind);
void fill_halves(uint16_t *x, size_t n, size_t kind);

/* Likewise BF16: floats of the kind, rounded. */
void fill_bf16(uint16_t *x, size_t n, size_t kind);

/* ----------------------------------------------------------------------------------- checks, benches -- */

void check_matmul(const struct entry *entry);
void check_quantise(const struct entry *entry);
void check_quantised(const struct entry *entry);
void check_add(const struct entry *entry);
void check_scale(const struct entry *entry);
void check_layer_norm(const struct entry *entry);
void check_softmax(const struct entry *entry);
void check_row_sums(const struct entry *entry);
void check_activation(const struct entry *entry);
void check_to_f16(const struct entry *entry);
void check_largest(const struct entry *entry);
void check_blocks(const struct entry *entry);
void check_collect(const struct entry *entry);
void check_weigh(const struct entry *entry);

void bench_matmul(const struct entry *entry);
void bench_quantise(const struct entry *entry);
void bench_quantised(const struct entry *entry);
void bench_add(const struct entry *entry);
void bench_scale(const struct entry *entry);
void bench_layer_norm(const struct entry *entry);
void bench_softmax(const struct entry *entry);
void bench_row_sums(const struct entry *entry);
void bench_activation(const struct entry *entry);
void bench_to_f16(const struct entry *entry);
void bench_largest(const struct entry *entry);
void bench_blocks(const struct entry *entry);
void bench_collect(const struct entry *entry);
void bench_weigh(const struct entry *entry);

/* What --bench times: 'run' by each table, after 'prepare' (may be NULL), which is not timed. */
struct bench {
    void (*prepare)(void *argument);
    void (*run)(const struct gpt2i_kernels *kernels, void *argument);
    void *argument;
    double work;      /* of one run: bytes, or operations */
    const char *unit; /* GB/s, or GFLOP/s */
};

/* n ordinary floats or half floats, for the caller to free. */
float *bench_floats(size_t n);
uint16_t *bench_halves(size_t n);

/* Prints the speed of each table, the median of some runs, and its ratio to that of the one below. */
void bench_run(const struct entry *entry, const char *shape, const struct bench *bench);

#endif
