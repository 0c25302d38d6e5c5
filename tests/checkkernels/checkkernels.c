/*
 * checkkernels.c: every kernel of every instruction set against its definition; their speed.
 *
 *     checkkernels [--quick | --bench] [KERNEL...]
 *
 * Each pointer of struct gpt2i_kernels has an entry below: without one this file does not compile.
 * Exit status: 0, or 1 where a kernel differs from its definition or touches memory not its own.
 */
#include "checkkernels.h"
#include "kernels/cpu.h"
#include "kernels/dispatch.h"
#include "base/fpstate.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

typedef void (*kernel_pointer)(void);

#define AT(member) offsetof(struct gpt2i_kernels, member)

static const struct entry entries[] = {
    {"matmul_row", AT(matmul_row[GPT2_TYPE_F32]), check_matmul, bench_matmul},
    {"matmul_any", AT(matmul_any[GPT2_TYPE_F32]), check_matmul, bench_matmul},
    {"matmul_row_f16", AT(matmul_row[GPT2_TYPE_F16]), check_matmul, bench_matmul},
    {"matmul_any_f16", AT(matmul_any[GPT2_TYPE_F16]), check_matmul, bench_matmul},
    {"matmul_row_bf16", AT(matmul_row[GPT2_TYPE_BF16]), check_matmul, bench_matmul},
    {"matmul_any_bf16", AT(matmul_any[GPT2_TYPE_BF16]), check_matmul, bench_matmul},
    {"quantise", AT(quantise), check_quantise, bench_quantise},
    {"matmul_q8", AT(matmul_q8), check_quantised, bench_quantised},
    {"matmul_q4", AT(matmul_q4), check_quantised, bench_quantised},
    {"add", AT(add), check_add, bench_add},
    {"scale", AT(scale), check_scale, bench_scale},
    {"to_f16", AT(to_f16), check_to_f16, bench_to_f16},
    {"layer_norm", AT(layer_norm), check_layer_norm, bench_layer_norm},
    {"softmax", AT(softmax), check_softmax, bench_softmax},
    {"largest", AT(largest), check_largest, bench_largest},
    {"block_max", AT(block_max), check_blocks, bench_blocks},
    {"block_sums", AT(block_sums), check_blocks, bench_blocks},
    {"collect", AT(collect), check_collect, bench_collect},
    {"weigh", AT(weigh), check_weigh, bench_weigh},
    {"row_sums", AT(row_sums), check_row_sums, bench_row_sums},
    {"gelu_new", AT(activation[GPT2_ACT_GELU_NEW]), check_activation, bench_activation},
    {"gelu", AT(activation[GPT2_ACT_GELU]), check_activation, bench_activation},
    {"gelu_fast", AT(activation[GPT2_ACT_GELU_FAST]), check_activation, bench_activation},
    {"gelu_pytorch_tanh", AT(activation[GPT2_ACT_GELU_PYTORCH_TANH]), check_activation,
     bench_activation},
    {"relu", AT(activation[GPT2_ACT_RELU]), check_activation, bench_activation},
    {"silu", AT(activation[GPT2_ACT_SILU]), check_activation, bench_activation},
    {"quick_gelu", AT(activation[GPT2_ACT_QUICK_GELU]), check_activation, bench_activation},
    {"tanh", AT(activation[GPT2_ACT_TANH]), check_activation, bench_activation},
    {"mish", AT(activation[GPT2_ACT_MISH]), check_activation, bench_activation},
};
enum { N_ENTRIES = sizeof entries / sizeof entries[0] };

#define POINTERS_FROM AT(matmul_row) /* what is before them are sizes and a name */
#define N_POINTERS    ((sizeof(struct gpt2i_kernels) - POINTERS_FROM) / sizeof(kernel_pointer))

_Static_assert(N_ENTRIES == N_POINTERS, "each kernel of struct gpt2i_kernels needs an entry above");

struct gpt2i_kernels tables[MAX_TABLES];
size_t n_tables;

/* Makes a table for each instruction set, plainest first; returns how many cannot run here. */
static size_t make_tables(void)
{
    static const uint32_t sets[] = {
        0,
        GPT2_CPU_AVX2,
        GPT2_CPU_AVX2 | GPT2_CPU_AVX_VNNI,
        GPT2_CPU_AVX2 | GPT2_CPU_AVX512,
        GPT2_CPU_AVX2 | GPT2_CPU_AVX512 | GPT2_CPU_AVX512_VNNI,
        GPT2_CPU_NEON,
        GPT2_CPU_NEON | GPT2_CPU_DOTPROD,
    };
    size_t n_skipped = 0;

    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct gpt2i_kernels *table = &tables[n_tables];

        gpt2i_kernels_choose(table, sets[i], false);
        if (i > 0 && strcmp(table->name, tables[0].name) == 0)
            continue; /* a set of another kind of processor */
        if ((sets[i] & ~gpt2i_cpu_features()) == 0) {
            n_tables++;
            continue;
        }
        printf("skipped: no %s on this CPU\n", table->name);
        n_skipped++;
    }
    return n_skipped;
}

static kernel_pointer kernel_at(size_t t, size_t offset)
{
    kernel_pointer kernel;

    memcpy(&kernel, (const char *)&tables[t] + offset, sizeof kernel);
    return kernel;
}

bool is_own(const struct entry *entry, size_t t)
{
    for (size_t below = 0; below < t; below++) {
        if (kernel_at(below, entry->offset) == kernel_at(t, entry->offset))
            return false;
    }
    return true;
}

/* Whether the entries are the pointers, each once, and no table lacks one. */
static bool check_entries(void)
{
    for (size_t i = 0; i < N_POINTERS; i++) {
        size_t offset = POINTERS_FROM + i * sizeof(kernel_pointer);
        size_t n_found = 0;

        for (size_t e = 0; e < N_ENTRIES; e++)
            n_found += entries[e].offset == offset;
        if (n_found != 1) {
            printf(
                "failed: the kernel at byte %zu of struct gpt2i_kernels has %zu entries, not 1\n",
                offset, n_found);
            return false;
        }
        for (size_t t = 0; t < n_tables; t++) {
            if (kernel_at(t, offset) == NULL) {
                printf("failed: %s has no kernel at byte %zu of its table\n", tables[t].name,
                       offset);
                return false;
            }
        }
    }
    return true;
}

/* What runs is a kernel, which holds no lock: so printing is safe here. */
static void on_crash(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    fflush(stdout);
    if (!case_print_crash(stdout, info->si_addr))
        printf("failed: signal %d outside of a kernel\n", signal_number);
    fflush(stdout);
    _exit(1);
}

static void catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_RESETHAND};

    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

static bool is_wanted(const struct entry *entry, char **names, int n_names)
{
    bool wanted = n_names == 0;

    for (int i = 0; i < n_names; i++)
        wanted |= strcmp(names[i], entry->name) == 0;
    return wanted;
}

static bool names_exist(char **names, int n_names)
{
    for (int i = 0; i < n_names; i++) {
        size_t e = 0;

        while (e < N_ENTRIES && strcmp(names[i], entries[e].name) != 0)
            e++;
        if (e < N_ENTRIES)
            continue;
        fprintf(stderr, "checkkernels: '%s' is none of --quick, --bench", names[i]);
        for (e = 0; e < N_ENTRIES; e++)
            fprintf(stderr, ", %s", entries[e].name);
        fprintf(stderr, "\n");
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool bench = argc > 1 && strcmp(argv[1], "--bench") == 0;
    int first = argc > 1 && (bench || strcmp(argv[1], "--quick") == 0) ? 2 : 1;
    size_t n_passed = 0;
    size_t n_failed = 0;
    size_t n_skipped;

    if (!names_exist(argv + first, argc - first))
        return 1;
    quick = first == 2 && !bench;
    gpt2i_fpstate_enter();
    n_skipped = make_tables();
    if (!check_entries())
        n_failed++;
    else
        n_passed++;
    if (!bench)
        catch_crashes();
    for (size_t e = 0; e < N_ENTRIES; e++) {
        if (!is_wanted(&entries[e], argv + first, argc - first))
            continue;
        if (bench) {
            entries[e].bench(&entries[e]);
            continue;
        }
        check_begin(&entries[e]);
        entries[e].check(&entries[e]);
        n_failed += check_end(&n_passed);
    }
    if (!bench)
        printf("%zu passed, %zu failed, %zu skipped\n", n_passed, n_failed, n_skipped);
    return n_failed != 0;
}
