/*
 * cases.c: running a case in every placement by every table, and comparing.
 */
#include "checkkernels.h"
#include "kernels/half.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_OPERANDS 4
#define MARGIN       64 /* elements on either side of an operand that are watched */
#define MAX_OFFSET   16 /* elements */

enum { AT_LOWER_GUARD = 0, AT_UPPER_GUARD = MAX_OFFSET }; /* or at that many elements */

struct operand {
    const char *name;
    bool is_half;        /* of half floats, else of floats */
    size_t unit;         /* bytes of an element */
    size_t n;            /* elements */
    void *before;        /* [n] */
    void *wanted;        /* [n] */
    size_t room_bytes;   /* of 'before' and 'wanted' */
    char *at;            /* [n], in the region: where a kernel finds it */
    size_t place;        /* AT_... */
    char *region;        /* between two guard pages */
    size_t region_bytes; /* a multiple of the page size */
};

static struct operand operands[MAX_OPERANDS];
static size_t n_operands;
bool quick;
static const struct entry *entry;
static char description[256];               /* of the case */
static const struct gpt2i_kernels *running; /* NULL between calls */
static size_t n_offered;
static size_t n_cases;
static size_t n_runs[MAX_TABLES];
static bool failed[MAX_TABLES]; /* and so left out for the rest of this kernel */

/* ---------------------------------------------------------------------------------------- memory -- */

static void *need(void *pointer)
{
    if (pointer == NULL || pointer == MAP_FAILED) {
        fprintf(stderr, "checkkernels: out of memory\n");
        exit(1);
    }
    return pointer;
}

/* Room for the operand's elements at any place, and their margins. */
static void reserve(struct operand *operand)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = gpt2i_round_up((operand->n + MAX_OFFSET + MARGIN) * operand->unit, page);
    size_t room_bytes = (operand->n + 1) * operand->unit;
    char *mapping;

    if (operand->room_bytes < room_bytes) {
        operand->room_bytes = room_bytes;
        operand->before = need(realloc(operand->before, room_bytes));
        operand->wanted = need(realloc(operand->wanted, room_bytes));
    }
    if (operand->region_bytes >= bytes)
        return;
    if (operand->region != NULL)
        munmap(operand->region - page, operand->region_bytes + 2 * page);
    mapping = need(mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    operand->region = mapping + page;
    operand->region_bytes = bytes;
    if (mprotect(operand->region, bytes, PROT_READ | PROT_WRITE) != 0)
        need(NULL);
}

void fill_canary(float *x, size_t n)
{
    const uint32_t bits = CANARY;

    for (size_t i = 0; i < n; i++)
        memcpy(&x[i], &bits, sizeof bits);
}

void fill_canary_halves(uint16_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = CANARY_HALF;
}

static void fill_margin(const struct operand *operand, void *from, size_t n)
{
    if (operand->is_half)
        fill_canary_halves(from, n);
    else
        fill_canary(from, n);
}

/* The elements below and above an operand that its region has, at most MARGIN each. */
static size_t margin_below(const struct operand *operand)
{
    return gpt2i_min((size_t)(operand->at - operand->region) / operand->unit, MARGIN);
}

static size_t margin_above(const struct operand *operand)
{
    size_t end = (size_t)(operand->at - operand->region) + operand->n * operand->unit;

    return gpt2i_min((operand->region_bytes - end) / operand->unit, MARGIN);
}

/* Where the elements begin that are below and above an operand and are watched. */
static char *from_below(const struct operand *operand)
{
    return operand->at - margin_below(operand) * operand->unit;
}

static char *from_above(const struct operand *operand)
{
    return operand->at + operand->n * operand->unit;
}

/* Puts an operand to its place, with its contents before the call and canaries around them. */
static void put(struct operand *operand)
{
    size_t bytes = operand->n * operand->unit;

    if (operand->place == AT_UPPER_GUARD)
        operand->at = operand->region + operand->region_bytes - bytes;
    else
        operand->at = operand->region + operand->place * operand->unit;
    memcpy(operand->at, operand->before, bytes);
    fill_margin(operand, from_below(operand), margin_below(operand));
    fill_margin(operand, from_above(operand), margin_above(operand));
}

/* ------------------------------------------------------------------------------------- reporting -- */

static void print_case(FILE *file, const struct gpt2i_kernels *kernels)
{
    fprintf(file, "failed: %s %s: %s", entry->name, kernels->name, description);
    for (size_t i = 0; i < n_operands; i++) {
        fprintf(file, "; %s: %zu %s ", operands[i].name, operands[i].n,
                operands[i].is_half ? "half floats" : "floats");
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
        ptrdiff_t bytes = (const char *)address - operand->at;
        ptrdiff_t page = (ptrdiff_t)sysconf(_SC_PAGESIZE);
        ptrdiff_t low = operand->region - operand->at;
        ptrdiff_t high = low + (ptrdiff_t)operand->region_bytes;

        if (bytes >= low - page && bytes < high + page)
            fprintf(file, ": it touched byte %td of %s, which has %zu", bytes, operand->name,
                    operand->n * operand->unit);
    }
    fprintf(file, "\n");
    return true;
}

/* NaN's payload and sign are not promised; canaries stay as they are. */
static bool same_float(float found, float wanted)
{
    uint32_t bits[2];

    memcpy(&bits[0], &found, sizeof found);
    memcpy(&bits[1], &wanted, sizeof wanted);
    return bits[0] == bits[1] || (isnan(found) && isnan(wanted) && bits[1] != CANARY);
}

static bool same_half(uint16_t found, uint16_t wanted)
{
    return found == wanted ||
           ((found & 0x7fff) > 0x7c00 && (wanted & 0x7fff) > 0x7c00 && wanted != CANARY_HALF);
}

/* The index of the first of n elements that is not as wanted, or n. */
static size_t first_difference(const struct operand *operand, const void *found, const void *wanted,
                               size_t n)
{
    size_t i = 0;

    if (memcmp(found, wanted, n * operand->unit) == 0)
        return n;
    if (operand->is_half) {
        while (i < n && same_half(((const uint16_t *)found)[i], ((const uint16_t *)wanted)[i]))
            i++;
    } else {
        while (i < n && same_float(((const float *)found)[i], ((const float *)wanted)[i]))
            i++;
    }
    return i;
}

static double value_at(const struct operand *operand, const void *from, size_t i)
{
    return operand->is_half ? (double)gpt2i_float_of_half(((const uint16_t *)from)[i])
                            : (double)((const float *)from)[i];
}

static bool check_margin(const struct operand *operand, const char *from, size_t n,
                         const struct gpt2i_kernels *kernels)
{
    float canaries[MARGIN];
    size_t i;

    fill_margin(operand, canaries, MARGIN);
    i = first_difference(operand, from, canaries, n);
    if (i == n)
        return true;
    print_case(stdout, kernels);
    printf(": it wrote %a to %s[%td]\n", value_at(operand, from, i), operand->name,
           (from - operand->at) / (ptrdiff_t)operand->unit + (ptrdiff_t)i);
    return false;
}

static bool check_operand(const struct operand *operand, const struct gpt2i_kernels *kernels)
{
    size_t i = first_difference(operand, operand->at, operand->wanted, operand->n);

    if (i == operand->n)
        return check_margin(operand, from_below(operand), margin_below(operand), kernels) &&
               check_margin(operand, from_above(operand), margin_above(operand), kernels);
    print_case(stdout, kernels);
    printf(": %s[%zu] is %a, wanted %a\n", operand->name, i, value_at(operand, operand->at, i),
           value_at(operand, operand->wanted, i));
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
    return quick && n_offered++ % 17 != 0;
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

static void *next_operand(const char *name, bool is_half, size_t n)
{
    struct operand *operand = &operands[n_operands++];

    operand->name = name;
    operand->is_half = is_half;
    operand->unit = is_half ? sizeof(uint16_t) : sizeof(float);
    operand->n = n;
    reserve(operand);
    return operand->before;
}

float *case_operand(const char *name, size_t n)
{
    return next_operand(name, false, n);
}

uint16_t *case_operand_halves(const char *name, size_t n)
{
    return next_operand(name, true, n);
}

static void run_table(size_t t, kernel_call *call, const void *sizes)
{
    void *at[MAX_OPERANDS] = {NULL};

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
    void *wanted[MAX_OPERANDS] = {NULL};

    for (size_t i = 0; i < n_operands; i++) {
        wanted[i] = operands[i].wanted;
        memcpy(wanted[i], operands[i].before, operands[i].n * operands[i].unit);
    }
    (define != NULL ? define : call)(&tables[0], wanted, sizes);
    for (size_t p = 0; p < n_placements; p++) {
        for (size_t i = 0; i < n_operands; i++) {
            if (p == 0)
                operands[i].place = AT_LOWER_GUARD;
            else if (p == 1)
                operands[i].place = AT_UPPER_GUARD;
            else /* operands at offsets that differ, each at all of them in turn */
                operands[i].place = 1 + (p + n_cases + 4 * i) % (MAX_OFFSET - 1);
        }
        for (size_t t = 0; t < n_tables; t++) {
            if (!failed[t] && is_own(entry, t))
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
        if (!is_own(entry, t))
            continue;
        printf("%s %s: %zu cases in %zu placements ok\n", entry->name, tables[t].name, n_cases,
               n_runs[t]);
        ++*n_passed;
    }
    fflush(stdout);
    return n_failed;
}
