/*
 * api.c: a fuzzer of the public functions.
 *
 *     api_fuzz [CALLS [SEED]]
 *
 * makes CALLS calls (default 100,000) with arguments right, wrong and on the border, several models,
 * sessions, tokenizers and encoders alive at a time, and holds every call to what the header
 * promises.  SEED (default 1) fixes the sequence of calls: an outcome that depends on time, such as
 * that of a cancel by another thread, is made good before the next call and draws nothing.
 *
 * Run it where lib/libgpt2.map and examples/demo-model are.  Prints counts and exits with 0; or with
 * 1, saying which call of which seed went wrong: the same CALLS and SEED go wrong again.
 */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif

#include "api.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#define MOST_TEMPS    32
#define MOST_STATUSES 16
#define HANG_SECONDS  300 /* for one call: more is a call that never returns */

static const struct {
    const char *name;
    const char *errors;
} functions[FUZZ_N_FUNCTIONS] = {
#define X(name, errors) [FUZZ_##name] = {#name, errors},
    FUZZ_FUNCTIONS(X)
#undef X
};

static const struct {
    int32_t status;
    const char *name;
} statuses[] = {
    {GPT2_OK, "OK"},
    {GPT2_ERR_ARGUMENT, "ARGUMENT"},
    {GPT2_ERR_TOKEN, "TOKEN"},
    {GPT2_ERR_CONTEXT, "CONTEXT"},
    {GPT2_ERR_ROW, "ROW"},
    {GPT2_ERR_BUFFER, "BUFFER"},
    {GPT2_ERR_PIECE, "PIECE"},
    {GPT2_ERR_SEQUENCE, "SEQUENCE"},
    {GPT2_ERR_PAGES, "PAGES"},
    {GPT2_ERR_STATE, "STATE"},
    {GPT2_ERR_MEMORY, "MEMORY"},
    {GPT2_ERR_THREAD, "THREAD"},
    {GPT2_ERR_FILE, "FILE"},
    {GPT2_ERR_FORMAT, "FORMAT"},
    {GPT2_ERR_UNSUPPORTED, "UNSUPPORTED"},
    {GPT2_ERR_CANCELLED, "CANCELLED"},
    {GPT2_ERR_DEADLINE, "DEADLINE"},
    {GPT2_ERR_NONFINITE, "NONFINITE"},
};

static uint64_t seed = 1, random_state;

/* The call under way. */
static struct {
    enum fuzz_function function;
    char arguments[512];
    int32_t may[MOST_STATUSES];
    size_t n_may;
    bool race;
    void *temps[MOST_TEMPS];
    size_t n_temps;
} call;

static struct sigaction former_actions[SIGTERM]; /* a sanitizer's own, or none */
static uint64_t n_calls, n_races;
static uint64_t function_calls[FUZZ_N_FUNCTIONS];
static uint64_t status_counts[COUNT(statuses)];

/* ---------------------------------------------------------------------------- random numbers -- */

uint64_t fuzz_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

size_t fuzz_below(size_t n)
{
    return (size_t)(fuzz_random() % n);
}

/* -------------------------------------------------------------------------------- the record -- */

static const char *status_name(int32_t status)
{
    for (size_t i = 0; i < COUNT(statuses); i++) {
        if (statuses[i].status == status)
            return statuses[i].name;
    }
    return "a number that is no status";
}

void fuzz_fail(const char *format, ...)
{
    va_list arguments;

    (void)fflush(stdout);
    fprintf(stderr, "failed: seed %" PRIu64 ", call %" PRIu64 ", %s(%s)\nfailed: ", seed, n_calls,
            functions[call.function].name, call.arguments);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n0 passed, 1 failed, 0 skipped\n");
    (void)fflush(stderr);
    _exit(1);
}

/* Names the call, then lets the signal do what it would have done. */
static void on_signal(int number)
{
    char line[256];
    uint64_t digits = n_calls;
    size_t at = sizeof line;

    line[--at] = '\n';
    do
        line[--at] = (char)('0' + digits % 10);
    while ((digits /= 10) > 0);
    (void)!write(2, "failed: a signal in call ", 25);
    (void)!write(2, line + at, sizeof line - at);
    (void)!write(2, functions[call.function].name, strlen(functions[call.function].name));
    (void)!write(2, "(", 1);
    (void)!write(2, call.arguments, strlen(call.arguments));
    (void)!write(2, ")\n", 2);
    (void)sigaction(number, &former_actions[number], NULL);
    if (number == SIGALRM)
        _exit(1);
}

void fuzz_call(enum fuzz_function function, const char *format, ...)
{
    va_list arguments;

    while (call.n_temps > 0)
        free(call.temps[--call.n_temps]);
    call.function = function;
    call.n_may = 0;
    call.race = false;
    va_start(arguments, format);
    (void)vsnprintf(call.arguments, sizeof call.arguments, format, arguments);
    va_end(arguments);
    function_calls[function]++;
    if (++n_calls % 1024 == 0)
        (void)alarm(HANG_SECONDS);
}

void fuzz_say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(call.arguments, sizeof call.arguments, format, arguments);
    va_end(arguments);
}

void fuzz_may(bool broken, int32_t status)
{
    for (size_t i = 0; i < call.n_may && broken; i++)
        broken = call.may[i] != status;
    if (!broken)
        return;
    REQUIRE(call.n_may < MOST_STATUSES, "too many reasons");
    REQUIRE(status == GPT2_OK ||
                strstr(functions[call.function].errors, status_name(status)) != NULL,
            "the header does not give it the error that the rule wants: %s", status_name(status));
    call.may[call.n_may++] = status;
}

void fuzz_is_race(void)
{
    call.race = true;
}

bool fuzz_result(int32_t status)
{
    char wanted[256] = "";
    bool fits = call.n_may == 0 && status == GPT2_OK;

    for (size_t i = 0; i < call.n_may && !fits; i++)
        fits = status == call.may[i];
    if (!fits) {
        for (size_t i = 0; i < call.n_may; i++)
            (void)snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), " %s",
                           status_name(call.may[i]));
        fuzz_fail("found %s (%d), expected%s", status_name(status), (int)status,
                  call.n_may == 0 ? " OK" : wanted);
    }
    for (size_t i = 0; i < COUNT(statuses) && !call.race; i++)
        status_counts[i] += statuses[i].status == status;
    n_races += call.race;
    return status == GPT2_OK;
}

void fuzz_check_line(const char *line, bool ok)
{
    if (ok) {
        REQUIRE(line[0] == '\0', "found the error line \"%s\" after success, expected none", line);
        return;
    }
    REQUIRE(line[0] != '\0', "found no error line after a failure");
    for (const char *c = line; *c != '\0'; c++)
        REQUIRE((unsigned char)*c >= 0x20 && *c != 0x7f, "found byte 0x%02x in the error line",
                (unsigned char)*c);
}

void *fuzz_temp(size_t n_bytes)
{
    void *temp = malloc(n_bytes);

    REQUIRE(call.n_temps < MOST_TEMPS && (temp != NULL || n_bytes == 0), "no memory for a test");
    call.temps[call.n_temps++] = temp;
    return temp;
}

/* ---------------------------------------------------------------------------------- the whole -- */

/* Every function of the map is in the table above, and none else. */
static void check_map(void)
{
    FILE *map = fopen("lib/libgpt2.map", "r");
    char line[256];
    size_t n_named = 0;

    if (map == NULL) {
        fprintf(stderr, "api_fuzz: lib/libgpt2.map cannot be opened: run it in the checkout\n");
        exit(1);
    }
    while (fgets(line, sizeof line, map) != NULL) {
        char name[128];
        size_t i;

        if (sscanf(line, " gpt2_%100[a-z0-9_];", name) != 1)
            continue;
        for (i = 0; i < FUZZ_N_FUNCTIONS && strcmp(functions[i].name + 5, name) != 0; i++)
            ;
        if (i == FUZZ_N_FUNCTIONS) {
            fprintf(stderr,
                    "api_fuzz: gpt2_%s() is in lib/libgpt2.map, not in tests/api_fuzz/api.h\n",
                    name);
            exit(1);
        }
        n_named++;
    }
    (void)fclose(map);
    if (n_named != FUZZ_N_FUNCTIONS) {
        fprintf(stderr, "api_fuzz: lib/libgpt2.map has %zu functions, tests/api_fuzz/api.h %d\n",
                n_named, FUZZ_N_FUNCTIONS);
        exit(1);
    }
}

static const struct fuzz_action *const parts[] = {
    fuzz_plain_actions,     fuzz_model_actions,    fuzz_source_actions,  fuzz_native_actions,
    fuzz_tokenizer_actions, fuzz_encoder_actions,  fuzz_session_actions, fuzz_forward_actions,
    fuzz_sample_actions,    fuzz_sequence_actions, fuzz_state_actions,   fuzz_tap_actions,
    fuzz_generator_actions};

static size_t all_weights(void)
{
    size_t total = 0;

    for (size_t p = 0; p < COUNT(parts); p++) {
        for (const struct fuzz_action *a = parts[p]; a->weight > 0; a++)
            total += a->weight;
    }
    return total;
}

static void act(size_t total)
{
    size_t at = fuzz_below(total);

    for (size_t p = 0; p < COUNT(parts); p++) {
        for (const struct fuzz_action *a = parts[p]; a->weight > 0; a++) {
            if (at < a->weight) {
                a->run();
                return;
            }
            at -= a->weight;
        }
    }
}

/* Each function gets its share; returns how many did not. */
static int report(uint64_t wanted_calls, double seconds)
{
    uint64_t least = wanted_calls / 50000 + 1;
    int n_failed = 0;

    printf("  %" PRIu64 " calls with seed %" PRIu64 ", %.0f a second; %" PRIu64
           " texts run again; %" PRIu64 " races; last random number %016" PRIx64 "\n",
           n_calls, seed, (double)n_calls / seconds, fuzz_n_replays, n_races, fuzz_random());
    printf("  statuses:");
    for (size_t i = 0; i < COUNT(statuses); i++)
        printf(" %s %" PRIu64, statuses[i].name, status_counts[i]);
    printf("\n");
    for (size_t i = 0; i < FUZZ_N_FUNCTIONS; i++) {
        printf("%s %" PRIu64 "\n", functions[i].name, function_calls[i]);
        if (function_calls[i] < least) {
            printf("failed: %s was called less than %" PRIu64 " times\n", functions[i].name, least);
            n_failed++;
        }
    }
    return n_failed;
}

int main(int argc, char **argv)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
    uint64_t wanted_calls = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    size_t total = all_weights();
    struct timespec begin, end;
    int n_failed;

    if (argc > 2)
        seed = strtoull(argv[2], NULL, 10);
    if (argc > 3 || wanted_calls == 0) {
        fprintf(stderr, "usage: api_fuzz [CALLS [SEED]]\n");
        return 1;
    }
    random_state = seed;
    check_map();
    for (size_t i = 0; i < COUNT(fatal); i++)
        (void)sigaction(fatal[i], &(struct sigaction){.sa_handler = on_signal},
                        &former_actions[fatal[i]]);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    fuzz_models_open();
    fuzz_sources_open();
    fuzz_natives_open();
    fuzz_tokenizers_open();
    while (n_calls < wanted_calls) {
        uint64_t before = n_calls;

        act(total);
        if (n_calls / 1000 != before / 1000)
            fuzz_sessions_check();
        if (n_calls / 100000 != before / 100000)
            fuzz_models_check();
    }
    fuzz_sessions_close();
    fuzz_states_close();
    fuzz_encoders_close();
    fuzz_tokenizers_close();
    fuzz_models_check();
    fuzz_sources_close();
    fuzz_models_close();
    fuzz_natives_close(); /* models may lie in their bytes */
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    n_failed = report(wanted_calls, (double)(end.tv_sec - begin.tv_sec) +
                                        (double)(end.tv_nsec - begin.tv_nsec) * 1e-9);
    printf("%d passed, %d failed, 0 skipped\n", FUZZ_N_FUNCTIONS - n_failed, n_failed);
    return n_failed > 0;
}
