/*
 * cases.c: running a case in every placement by every table, and comparing.
 */
#include "checkkernels.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_OPERANDS 4
#define MARGIN        64 /* floats on either side of an operand that are watched */
#define MOST_OFFSET   16 /* floats */

enum { AT_LOWER_GUARD = 0, AT_UPPER_GUARD = MOST_OFFSET }; /* or at that many floats */

struct operand {
    const char *name;
    size_t n;        /* floats */
    float *before;   /* [n] */
    float *wanted;   /* [n] */
    size_t n_room;   /* floats of 'before' and 'wanted' */
    float *at;       /* [n], in the region: where a kernel finds it */
    size_t place;    /* AT_... */
    float *region;   /* between two guard pages */
    size_t n_region; /* floats */
};

static struct operand operands[MOST_OPERANDS];
static size_t n_operands;
bool quick;
static const struct entry *entry;
static char description[256];               /* of the case */
static const struct gpt2i_kernels *running; /* NULL between calls */
static size_t n_offered;
static size_t n_cases;
static size_t n_runs[MOST_TABLES];
static bool failed[MOST_TABLES]; /* and so left out for the rest of this kernel */

/* ---------------------------------------------------------------------------------------- memory -- */

static void *need(void *pointer)
{
    if (pointer == NULL || pointer == MAP_FAILED) {
        fprintf(stderr, "checkkernels: out of memory\n");
        exit(1);
    }
    return pointer;
}

/* Room for n floats at any place, and their margins. */
static void reserve(struct operand *operand, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = gpt2i_round_up((n + MOST_OFFSET + MARGIN) * sizeof(float), page);
    char *mapping;

    if (operand->n_room < n || operand->before == NULL) {
        operand->n_room = n;
        operand->before = need(realloc(operand->before, (n + 1) * sizeof(float)));
        operand->wanted = need(realloc(operand->wanted, (n + 1) * sizeof(float)));
    }
    if (operand->n_region * sizeof(float) >= bytes)
        return;
    if (operand->region != NULL)
        munmap((char *)operand->region - page, operand->n_region * sizeof(float) + 2 * page);
    mapping = need(mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    operand->region = (float *)(void *)(mapping + page);
    operand->n_region = bytes / sizeof(float);
    if (mprotect(operand->region, bytes, PROT_READ | PROT_WRITE) != 0)
        need(NULL);
}

void fill_canary(float *x, size_t n)
{
    const uint32_t bits = CANARY;

    for (size_t i = 0; i < n; i++)
        memcpy(&x[i], &bits, sizeof bits);
}

/* The floats below and above an operand that its region has, at most MARGIN each. */
static size_t margin_below(const struct operand *operand)
{
    return gpt2i_min((size_t)(operand->at - operand->region), MARGIN);
}

static size_t margin_above(const struct operand *operand)
{
    size_t end = (size_t)(operand->at - operand->region) + operand->n;

    return gpt2i_min(operand->n_region - end, MARGIN);
}

/* Puts an operand to its place, with its contents before the call and canaries around them. */
static void put(struct operand *operand)
{
    if (operand->place == AT_UPPER_GUARD)
        operand->at = operand->region + operand->n_region - operand->n;
    else
        operand->at = operand->region + operand->place;
    memcpy(operand->at, operand->before, operand->n * sizeof(float));
    fill_canary(operand->at - margin_below(operand), margin_below(operand));
    fill_canary(operand->at + operand->n, margin_above(operand));
}

/* ------------------------------------------------------------------------------------- reporting -- */

static void print_case(FILE *file, const struct gpt2i_kernels *kernels)
{
    fprintf(file, "failed: %s %s: %s", entry->name, kernels->name, description);
    for (size_t i = 0; i < n_operands; i++) {
        fprintf(file, "; %s: %zu floats ", operands[i].name, operands[i].n);
        if (operands[i].place == AT_LOWER_GUARD)
            fprintf(file, "above a guard page");
        else if (operands[i].place == AT_UPPER_GUARD)
            fprintf(file, "below a guard page");
        else
            fprintf(file, "at offset %zu", operands[i].place);
    }
}

bool case_print_crash(FILE *file, const void *address)
{
    if (running == NULL)
        return false;
    print_case(file, running);
    for (size_t i = 0; i < n_operands; i++) {
        const struct operand *operand = &operands[i];
        ptrdiff_t bytes = (const char *)address - (const char *)operand->at;
        ptrdiff_t page = (ptrdiff_t)sysconf(_SC_PAGESIZE);
        ptrdiff_t low = (const char *)operand->region - (const char *)operand->at;
        ptrdiff_t high = low + (ptrdiff_t)(operand->n_region * sizeof(float));

        if (bytes >= low - page && bytes < high + page)
            fprintf(file, ": it touched byte %td of %s, which has %zu", bytes, operand->name,
                    operand->n * sizeof(float));
    }
    fprintf(file, "\n");
    return true;
}

/* NaN's payload and sign are not promised; canaries stay as they are. */
static bool same(float found, float wanted)
{
    uint32_t bits[2];

    memcpy(&bits[0], &found, sizeof found);
    memcpy(&bits[1], &wanted, sizeof wanted);
    return bits[0] == bits[1] || (isnan(found) && isnan(wanted) && bits[1] != CANARY);
}

/* The index of the first of n floats that is not as wanted, or n. */
static size_t first_difference(const float *found, const float *wanted, size_t n)
{
    size_t i = 0;

    if (memcmp(found, wanted, n * sizeof(float)) == 0)
        return n;
    while (i < n && same(found[i], wanted[i]))
        i++;
    return i;
}

static bool check_margin(const struct operand *operand, const float *from, size_t n,
                         const struct gpt2i_kernels *kernels)
{
    float canaries[MARGIN];
    size_t i;

    fill_canary(canaries, MARGIN);
    i = first_difference(from, canaries, n);
    if (i == n)
        return true;
    print_case(stdout, kernels);
    printf(": it wrote %a to %s[%td]\n", (double)from[i], operand->name, from + i - operand->at);
    return false;
}

static bool check_operand(const struct operand *operand, const struct gpt2i_kernels *kernels)
{
    size_t below = margin_below(operand);
    size_t i = first_difference(operand->at, operand->wanted, operand->n);

    if (i == operand->n)
        return check_margin(operand, operand->at - below, below, kernels) &&
               check_margin(operand, operand->at + operand->n, margin_above(operand), kernels);
    print_case(stdout, kernels);
    printf(": %s[%zu] is %a, wanted %a\n", operand->name, i, (double)operand->at[i],
           (double)operand->wanted[i]);
    return false;
}

/* ----------------------------------------------------------------------------------------- cases -- */

void check_begin(const struct entry *of)
{
    entry = of;
    n_cases = 0;
    random_seed(1);
    memset(n_runs, 0, sizeof n_runs);
    memset(failed, 0, sizeof failed);
}

bool case_skipped(void)
{
    return quick && n_offered++ % 7 != 0;
}

void case_begin(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(description, sizeof description, format, arguments);
    va_end(arguments);
    n_operands = 0;
    n_cases++;
}

float *case_operand(const char *name, size_t n)
{
    struct operand *operand = &operands[n_operands++];

    operand->name = name;
    operand->n = n;
    reserve(operand, n);
    return operand->before;
}

static void run_table(size_t t, kernel_call *call, const void *sizes)
{
    float *at[MOST_OPERANDS] = {NULL};

    for (size_t i = 0; i < n_operands; i++) {
        put(&operands[i]);
        at[i] = operands[i].at;
    }
    running = &tables[t];
    call(&tables[t], at, sizes);
    running = NULL;
    n_runs[t]++;
    for (size_t i = 0; i < n_operands && !failed[t]; i++)
        failed[t] = !check_operand(&operands[i], &tables[t]);
}

void case_run(kernel_call *call, kernel_call *define, const void *sizes, size_t n_placements)
{
    float *wanted[MOST_OPERANDS] = {NULL};

    for (size_t i = 0; i < n_operands; i++) {
        wanted[i] = operands[i].wanted;
        memcpy(wanted[i], operands[i].before, operands[i].n * sizeof(float));
    }
    (define != NULL ? define : call)(&tables[0], wanted, sizes);
    for (size_t p = 0; p < n_placements; p++) {
        for (size_t i = 0; i < n_operands; i++) {
            if (p == 0)
                operands[i].place = AT_LOWER_GUARD;
            else if (p == 1)
                operands[i].place = AT_UPPER_GUARD;
            else /* operands at offsets that differ, each at all of them in turn */
                operands[i].place = 1 + (p + n_cases + 4 * i) % (MOST_OFFSET - 1);
        }
        for (size_t t = 0; t < n_tables; t++) {
            if (!failed[t])
                run_table(t, call, sizes);
        }
    }
}

size_t check_end(size_t *n_passed)
{
    size_t n_failed = 0;

    for (size_t t = 0; t < n_tables; t++) {
        if (failed[t]) {
            n_failed++;
            continue;
        }
        printf("%s %s: %zu cases in %zu placements ok\n", entry->name, tables[t].name, n_cases,
               n_runs[t]);
        ++*n_passed;
    }
    fflush(stdout);
    return n_failed;
}
